"""Ears that write down what they were told to, by how long a clip is."""

import asyncio
from collections.abc import Callable

from models.ears.beside import ModelWithEars
from models.ears.memory import TranscriptMemory
from models.scripted import ScriptedModel
from models.types import AudioClip, Transcript, Word

Said = str | Transcript | Exception


class ScriptedEars:
    """Writes down what a test says of a clip.

    Args:
        say: what is said in a clip; an exception is raised.
        gate: if given, awaited before every answer; a test that never opens it has ears that hang.
    """

    languages = ("en",)

    def __init__(self, say: Callable[[AudioClip], Said], gate: asyncio.Semaphore | None = None) -> None:
        self._say = say
        self._gate = gate
        self.asked: list[AudioClip] = []
        self.forgotten: list[str] = []

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        self.asked.append(clip)
        if self._gate is not None:
            await self._gate.acquire()
        said = self._say(clip)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Transcript) else spelled(said)

    async def forget(self, *, dialogue: str) -> None:
        self.forgotten.append(dialogue)


def spelled(text: str, probability: float = 0.9) -> Transcript:
    """A transcript whose words take 0.3 s each."""
    words = text.split()
    timed = tuple(Word(word, 0.3 * number, 0.3 * (number + 1), probability) for number, word in enumerate(words))
    return Transcript(text, timed)


def with_ears(model: ScriptedModel, ears: ScriptedEars) -> ModelWithEars:
    """A model that says what it was told to, beside such ears."""
    return ModelWithEars(model, TranscriptMemory(ears))
