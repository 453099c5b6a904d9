"""A model that hangs."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from models.scripted import ScriptedModel
from models.types import AudioClip, GenerationEvent, GenerationOptions, Message, Transcript


class HangingModel(ScriptedModel):
    """Says what it was told to, after it has hung in whatever was asked first.

    Args:
        n_hanging: how many answers hang before the first word.
        hangs_beside: whether everything but answers hangs, each time.
    """

    def __init__(self, *scripts: Any, n_hanging: int = 0, hangs_beside: bool = False, **settings: Any) -> None:
        super().__init__(*scripts, **settings)
        self._n_hanging = n_hanging
        self._hangs_beside = hangs_beside

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        if self._n_hanging:
            self._n_hanging -= 1
            await asyncio.Event().wait()
        async for event in super().generate(messages, options, dialogue=dialogue):
            yield event

    async def _hang(self) -> None:
        if self._hangs_beside:
            await asyncio.Event().wait()

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        await self._hang()
        return await super().transcribe(clip, dialogue=dialogue)

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        await self._hang()

    async def forget(self, *, dialogue: str) -> None:
        await self._hang()

    async def close(self) -> None:
        await self._hang()
