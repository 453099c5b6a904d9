"""A model whose GPU is lent for one answer at a time, as on a Hugging Face Space with ZeroGPU.

    this process                            the process that has the GPU, forked for a call
    generate ──► thread ──► lent(...) ════► _Lent.answer: an event loop, the model's engine
             ◄── events ◄── next(...) ◄════ TextDelta, …, GenerationStats

Whoever lends takes a plain generator function, runs it in a process forked from this one, where the weights have been
moved to the GPU, and hands its values over. What that process computes is lost with it: nothing is prefilled, and no
prefix is kept. An answer that is given up ends with its next token. Errors come back as what they are; what the lender
itself refuses, a share that is used up or no GPU that is free, is a `GenerationFailed` with its words.
It refuses cascades: their ears' threads are not in a forked process. Read `commands/zero_gpu.py` for who lends.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import replace

import torch

from models.base import AudioLanguageModel, Transcriber
from models.errors import ModelError, translate_errors
from models.types import GenerationEvent, GenerationOptions, GenerationStats, Message, ModelInfo, TextDelta

Answered = Generator[GenerationEvent | ModelError, None, None]
Answer = Callable[[Sequence[Message], GenerationOptions], Answered]
Lend = Callable[[Answer], Answer]  # gives the same generator function, run where there is a GPU

_DIALOGUE = "lent"  # the process with the GPU answers one request at a time, and keeps nothing of it


class ZeroGpuModel:
    """A model that answers in processes of a lender.

    Args:
        model: loaded here, never run here; it knows its weights, and its engine begins where it is asked first.
        lend: wraps the function that is to be run with a GPU.
    """

    def __init__(self, model: AudioLanguageModel, lend: Lend) -> None:
        self._model = model
        self._answer = lend(_on_gpu(model))

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        return self._model.info

    @property
    def transcriber(self) -> Transcriber | None:
        """None: a transcript would be one more call; ears stand beside it."""
        return None

    @property
    def has_ears(self) -> bool:
        """False, as it has no transcriber."""
        return False

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answers the conversation in one call of the lender; raises as the model does."""
        called_s, first_s = time.perf_counter(), None
        call = _Call(lambda: self._answer(tuple(messages), options))
        try:
            while (event := await call.events.get()) is not None:
                if isinstance(event, ModelError):
                    raise event
                if isinstance(event, TextDelta) and first_s is None:
                    first_s = time.perf_counter() - called_s
                if isinstance(event, GenerationStats):  # which knows nothing of the wait for a GPU
                    event = replace(event, ttft_s=first_s, total_s=time.perf_counter() - called_s)
                yield event
        finally:
            call.is_given_up = True

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        """Does nothing: what a call computes does not outlive it."""

    async def forget(self, *, dialogue: str) -> None:
        """Does nothing: nothing is kept."""

    async def close(self) -> None:
        """Frees the model; calls under way end with their next token."""
        await self._model.close()


class _Call:
    """One call of the lender, on a thread of its own: it blocks until there is a GPU, and between any two tokens.

    Args:
        begin: makes the call.

    Attributes:
        events: what it gave, the error that ended it, and None at its end.
        is_given_up: set where nobody waits for more.
    """

    def __init__(self, begin: Callable[[], Answered]) -> None:
        self.events: asyncio.Queue[GenerationEvent | ModelError | None] = asyncio.Queue()  # bounded by the answer
        self.is_given_up = False
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name="lent GPU", daemon=True).start()

    def _run(self) -> None:
        try:
            with translate_errors("the GPU that is lent"):
                self._pass_on()
        except ModelError as error:
            self._give(error)
        self._give(None)

    def _pass_on(self) -> None:
        with closing(self._begin()) as events:
            for event in events:
                if self.is_given_up:
                    return
                self._give(event)

    def _give(self, event: GenerationEvent | ModelError | None) -> None:
        with suppress(RuntimeError):  # the caller's loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self.events.put_nowait, event)


def _on_gpu(model: AudioLanguageModel) -> Answer:
    """What the process with the GPU runs: a plain generator, and errors as values, whose words would be lost else."""

    def answer(messages: Sequence[Message], options: GenerationOptions) -> Answered:
        torch.set_num_threads(1)  # OpenMP's threads are not in a forked process; who waits for them waits for ever
        with asyncio.Runner() as runner:
            stream = model.generate(messages, options, dialogue=_DIALOGUE)
            try:
                while (event := runner.run(_next(stream))) is not None:
                    yield event
            except ModelError as error:
                yield error
            finally:
                runner.run(_end(model, stream))

    return answer


async def _next(stream: AsyncGenerator[GenerationEvent, None]) -> GenerationEvent | None:
    return await anext(stream, None)


async def _end(model: AudioLanguageModel, stream: AsyncGenerator[GenerationEvent, None]) -> None:
    await stream.aclose()
    await model.forget(dialogue=_DIALOGUE)
