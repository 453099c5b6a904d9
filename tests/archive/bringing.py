"""A model that takes notes by the words it is shown, and recordings to bring to an archive."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import numpy as np

from models.scripted import ScriptedModel
from models.types import (
    SAMPLE_RATE_HZ,
    AudioClip,
    GenerationEvent,
    GenerationOptions,
    GenerationStats,
    Message,
    Samples,
    TextDelta,
    Transcript,
)
from tests.conftest import CLIPS

SAID = (
    "Good morning to all of you.",
    "I will order the tents by Monday.",
    "The garden party is in July then.",
    "How many guests will come?",
    "Nobody knows that yet.",
    "So we talk again on Friday.",
    "That is all for today.",
)
TASK = {"kind": "task", "text": "Order the tents.", "owner": None, "deadline": "by Monday"}
DECISION = {"kind": "decision", "text": "The garden party is in July."}


class Secretary(ScriptedModel):
    """Says of the line it is asked about what there is to be noted; a question it answers with what it was given.

    Args:
        gate: is awaited before each answer; None: it answers at once.
        ears_gate: the same before each line is written down.
        sounds: what the ears say, line by line, and then from the beginning again; an exception is raised.
    """

    def __init__(
        self,
        *,
        gate: asyncio.Semaphore | None = None,
        ears_gate: asyncio.Semaphore | None = None,
        sounds: Sequence[str | Transcript | Exception] = SAID,
    ) -> None:
        super().__init__([["-"]], sounds=["-"])
        self._lines = sounds
        self._answer_gate, self._ears_gate = gate, ears_gate
        self.given_up = 0

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        if self._ears_gate is not None:
            await self._ears_gate.acquire()
        sound = self._lines[len(self.asked) % len(self._lines)]
        self.asked.append(clip)
        if isinstance(sound, Exception):
            raise sound
        return sound if isinstance(sound, Transcript) else Transcript(sound)

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        self.requests.append(tuple(messages))
        try:
            yield TextDelta("")
            if self._answer_gate is not None:
                await self._answer_gate.acquire()
            yield TextDelta(_answer_to(messages, options))
            yield GenerationStats(
                prompt_tokens=1, cached_tokens=0, completion_tokens=1, ttft_s=0.1, total_s=0.1, finish_reason="stop"
            )
        except (asyncio.CancelledError, GeneratorExit):
            self.given_up += 1
            raise


def _answer_to(messages: Sequence[Message], options: GenerationOptions) -> str:
    asked = messages[-1].text
    if options.json_schema is None:
        return f"It was about tents; {len(messages[-1].clips)} clips."
    if "Question:" in asked:
        return json.dumps({"lines": [2], "answer": "The tents are ordered."})
    line = asked.rpartition("The line:\n")[2]
    noted = TASK if "tents" in line else DECISION if "July" in line else {"kind": "nothing"}
    return json.dumps(noted)


def meeting() -> bytes:
    """A recording of seven lines, in Ogg."""
    return (CLIPS / "meeting.ogg").read_bytes()


def wav(*channels: Samples) -> bytes:
    """A WAV file of these channels."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((np.stack(channels, axis=1) * 32767).astype("<i2").tobytes())
    return content.getvalue()


async def blocks_of(content: bytes) -> AsyncIterator[bytes]:
    """The content as a client sends it."""
    for start in range(0, len(content), 65_536):
        yield content[start : start + 65_536]
