"""An audio language model of any family, on the decode engine.

A family says how a conversation is written down for its language model: stretches of text tokens, and stretches that
the embeddings of an audio window fill. Everything else is the same for all of them. Read a family's file
(`qwen2_audio.py` is the simplest) next, then `windows.py`.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Protocol

from models.base import Transcriber
from models.checks import check_messages
from models.engine.engine import Engine
from models.engine.prompt import Prompt
from models.families.transcription import TranscribingFamily, TranscriptionRequests
from models.types import GenerationEvent, GenerationOptions, Message, ModelInfo


class Family(Protocol):
    """What differs between audio language models."""

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """Writes a conversation down, ready for the answer (or its continuation, if the assistant's is the last).

        The beginning of a longer conversation must be written exactly like the shorter one, so that it stays cached.

        Raises:
            InvalidPrompt: the family cannot take these messages.
        """
        ...


class AudioLLM:
    """Hears audio and text, answers in text.

    Args:
        info: what the model is.
        family: writes conversations down.
        engine: decodes; closed with the model.
    """

    def __init__(self, info: ModelInfo, family: Family, engine: Engine) -> None:
        self._info = replace(info, context_tokens=engine.context_tokens)
        self._family = family
        self._engine = engine
        self._transcriber = TranscriptionRequests(family, engine) if isinstance(family, TranscribingFamily) else None

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        return self._info

    @property
    def transcriber(self) -> Transcriber | None:
        """Its requests for transcription, where its family has them."""
        return self._transcriber

    @property
    def has_ears(self) -> bool:
        """False: its requests take the time of its answers."""
        return False

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answers the conversation."""
        stream = self._engine.generate(self._prompt(messages), options, dialogue=dialogue)
        try:
            async for event in stream:
                yield event
        finally:
            await stream.aclose()

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        """Computes and caches the prompt of `messages`."""
        await self._engine.prefill(self._prompt(messages), dialogue=dialogue)

    async def forget(self, *, dialogue: str) -> None:
        """Frees what is cached of the dialogue."""
        await self._engine.forget(dialogue=dialogue)

    async def close(self) -> None:
        """Ends running answers and frees the model."""
        await self._engine.close()

    def _prompt(self, messages: Sequence[Message]) -> Prompt:
        check_messages(messages)
        return self._family.prompt(messages)
