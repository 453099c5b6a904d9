"""What ears have written down, by dialogue, so that a clip is written down once, whoever asks.

Of each dialogue the clips asked for last are kept; one that has left is written down again. Whoever asks while a clip
is being written down waits for the same words. A failure is not kept: the next one tries again.
"""

import asyncio
from collections import OrderedDict

from models.base import Transcriber
from models.errors import ModelError
from models.types import AudioClip, Transcript

CLIPS_KEPT = 512  # of a dialogue; 8192 tokens of context hold fewer turns than that


class TranscriptMemory:
    """Ears that remember.

    Args:
        ears: write down what is not known.
        language: what the ears take None for.
    """

    def __init__(self, ears: Transcriber, *, language: str | None = None) -> None:
        self._ears = ears
        self._language = language
        self._dialogues: dict[str, OrderedDict[tuple[str, str | None], asyncio.Future[Transcript]]] = {}

    @property
    def languages(self) -> tuple[str, ...]:
        """Those of the ears."""
        return self._ears.languages

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        """Gives what is said in one clip; raises as the ears do."""
        known = self._dialogues.setdefault(dialogue, OrderedDict())
        key = (clip.id, self._language if language is None else language)
        if key not in known or known[key].cancelled():
            work = self._ears.transcribe(clip, dialogue=dialogue, language=language)
            known[key] = asyncio.ensure_future(work)
        known.move_to_end(key)
        if len(known) > CLIPS_KEPT:
            known.popitem(last=False)
        writing = known[key]
        try:
            return await asyncio.shield(writing)
        except ModelError:
            if known.get(key) is writing:
                del known[key]
            raise

    async def forget(self, *, dialogue: str) -> None:
        """Frees what is kept of the dialogue, here and in the ears."""
        self._dialogues.pop(dialogue, None)
        await self._ears.forget(dialogue=dialogue)
