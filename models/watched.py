"""Any model, with a limit to how long it may be silent.

A model that hangs would leave a person waiting for ever, and everybody after them. The limit stands here, between the
sessions and the model: one place for every model, own or foreign, and for all that is asked of it; and a session goes
on deciding by its inbox alone, where the error arrives like any other. What is late is cancelled and reported as
`ModelStopped`; from then on `failure` says so, until the model next gives something.

`engine/` and `ears/` have limits of their own, for single steps: they know which thread hangs, and refuse at once who
comes later. Read `watch.py` for those, `realtime/server.py` for who asks for `failure`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

from models.base import AudioLanguageModel, Transcriber
from models.errors import ModelStopped
from models.types import AudioClip, GenerationEvent, GenerationOptions, Message, ModelInfo, ReplicaState, Transcript

logger = logging.getLogger(__name__)

SILENCE_LIMIT_S = 60.0  # to the first event and between two; a person has given up long before
FREE_LIMIT_S = 5.0  # to forget a dialogue, or to close: nobody waits for what comes of it


class WatchedModel:
    """A model that cannot keep anybody waiting for ever.

    Args:
        model: does the work.
        silence_limit_s: the longest that it may take to the next event of an answer, or for a prefill or a transcript.

    Attributes:
        failure: why it seems to be unable to answer anybody, in a sentence; None while all is well.
    """

    def __init__(self, model: AudioLanguageModel, silence_limit_s: float = SILENCE_LIMIT_S) -> None:
        self.failure: str | None = None
        self._model = model
        self._silence_limit_s = silence_limit_s

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        return self._model.info

    @property
    def transcriber(self) -> Transcriber | None:
        """Itself, if the model can write speech down."""
        return self if self._model.transcriber is not None else None

    @property
    def has_ears(self) -> bool:
        """As the model says."""
        return self._model.has_ears

    @property
    def engine_state(self) -> Callable[[], tuple[ReplicaState, ...]] | None:
        """What tells how the replicas of the model's engine are, where somebody else's runs it."""
        return getattr(self._model, "engine_state", None)

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answers the conversation, as the model does.

        Raises:
            ModelStopped: the next event does not come within the limit.
        """
        async with aclosing(self._model.generate(messages, options, dialogue=dialogue)) as stream:
            while True:
                async with self._limited("an answer"):
                    event = await anext(stream, None)
                if event is None:
                    return
                yield event

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that the model writes down."""
        assert self._model.transcriber is not None, "only who has a transcriber is asked"
        return self._model.transcriber.languages

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        """Writes speech down, as the model does; raises `ModelStopped` if that takes longer than the limit.

        It says nothing about `failure`: a model beside ears that hang answers all the same.
        """
        assert self._model.transcriber is not None, "only who has a transcriber is asked"
        async with self._in_time("a transcript"):
            return await self._model.transcriber.transcribe(clip, dialogue=dialogue, language=language)

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        """Computes the prompt, as the model does; raises `ModelStopped` if that takes longer than the limit."""
        async with self._limited("a prefill"):
            await self._model.prefill(messages, dialogue=dialogue)

    async def forget(self, *, dialogue: str) -> None:
        """Frees what is cached of the dialogue; if that takes long, nobody waits for it."""
        async with _briefly(f"forgetting {dialogue}"):
            await self._model.forget(dialogue=dialogue)

    async def close(self) -> None:
        """Ends running answers and frees the model; one that hangs is left."""
        async with _briefly("closing the model"):
            await self._model.close()

    @asynccontextmanager
    async def _limited(self, what: str) -> AsyncIterator[None]:
        """Gives what is inside so much time, and keeps `failure`."""
        try:
            async with self._in_time(what):
                yield
        except ModelStopped as error:
            if self.failure is None:
                logger.error("%s hangs or has ended: %s", self.info.name, error)
            self.failure = str(error)
            raise
        if self.failure is not None:
            logger.warning("%s answers again", self.info.name)
            self.failure = None

    @asynccontextmanager
    async def _in_time(self, what: str) -> AsyncIterator[None]:
        """Gives what is inside so much time."""
        try:
            async with asyncio.timeout(self._silence_limit_s) as timeout:
                yield
        except TimeoutError as error:
            if not timeout.expired():
                raise
            limit = f"{self._silence_limit_s:g} s"
            raise ModelStopped(f"{self.info.name} has given nothing for {what} in {limit}; try again") from error


@asynccontextmanager
async def _briefly(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(FREE_LIMIT_S) as timeout:
            yield
    except TimeoutError:
        if not timeout.expired():
            raise
        logger.warning("%s takes longer than %g s; nobody waits for it", what, FREE_LIMIT_S)
