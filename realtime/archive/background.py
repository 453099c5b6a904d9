"""A model for work that nobody waits for: while somebody who talks is answered, it stands still.

An answer that is under way then is given up, and begun again afterwards; what somebody hears must not be late because
of notes. So that work ends on a busy server, too, it does not stand still for ever. Read `realtime/load.py` for what
counts as an answer.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from models.base import AudioLanguageModel, Transcriber
from models.types import AudioClip, GenerationEvent, GenerationOptions, Message, ModelInfo, Transcript
from realtime.load import AnswerLoad

LOOK_EVERY_S = 0.05
LONGEST_WAIT_S = 20.0  # for others, before each step
MAX_ATTEMPTS = 4  # of which the last is not given up


class BackgroundModel:
    """Does as the model does, after those who wait.

    Args:
        model: does the work.
        load: says whether somebody is answered.
    """

    def __init__(self, model: AudioLanguageModel, load: AnswerLoad) -> None:
        self._model = model
        self._load = load

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        return self._model.info

    @property
    def transcriber(self) -> Transcriber | None:
        """Itself, if the model can write speech down."""
        return None if self._model.transcriber is None else self

    @property
    def has_ears(self) -> bool:
        """As the model says."""
        return self._model.has_ears

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that the model writes down."""
        return () if self._model.transcriber is None else self._model.transcriber.languages

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answers as the model does; the events come together, once the answer is whole."""
        for event in await self._whole_answer(messages, options, dialogue):
            yield event

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        """Writes speech down, as the model does."""
        assert self._model.transcriber is not None, "only who has a transcriber is asked"
        await self._others()
        return await self._model.transcriber.transcribe(clip, dialogue=dialogue, language=language)

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        """Computes the prompt, as the model does."""
        await self._others()
        await self._model.prefill(messages, dialogue=dialogue)

    async def forget(self, *, dialogue: str) -> None:
        """Frees what is cached of the dialogue."""
        await self._model.forget(dialogue=dialogue)

    async def close(self) -> None:
        """Leaves the model to those who share it."""

    async def _whole_answer(
        self, messages: Sequence[Message], options: GenerationOptions, dialogue: str
    ) -> list[GenerationEvent]:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            await self._others()
            events = list[GenerationEvent]()
            async with aclosing(self._model.generate(messages, options, dialogue=dialogue)) as stream:
                async for event in stream:
                    events.append(event)
                    if self._load.running and attempt < MAX_ATTEMPTS:
                        break
                else:
                    return events
        raise AssertionError("the last attempt is not given up")

    async def _others(self) -> None:
        """Waits while somebody is answered."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + LONGEST_WAIT_S
        while self._load.running and loop.time() < until_s:  # noqa: ASYNC110  # the load tells sessions alone
            await asyncio.sleep(LOOK_EVERY_S)
