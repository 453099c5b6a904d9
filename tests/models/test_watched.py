"""A model that gives nothing any more: who waits is told, and may stop waiting."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import numpy as np
import pytest

from models.errors import GenerationFailed, ModelStopped
from models.scripted import ScriptedModel
from models.types import AudioClip, GenerationOptions, GenerationStats, Message, TextDelta
from models.watched import WatchedModel
from tests.models.hanging import HangingModel

PROMPT = [Message("user", ("Are you there?",))]
OPTIONS = GenerationOptions()
CLIP = AudioClip(np.zeros(1600, np.float32))


async def test_what_a_model_says_passes_unchanged() -> None:
    model = ScriptedModel([["Yes", "."]], sounds=["hm"])
    watched = WatchedModel(model)
    events = [event async for event in watched.generate(PROMPT, OPTIONS, dialogue="a")]
    assert events[:2] == [TextDelta("Yes"), TextDelta(".")]
    assert isinstance(events[2], GenerationStats)
    assert watched.info is model.info
    assert watched.transcriber is not None
    assert (await watched.transcriber.transcribe(CLIP, dialogue="a")).text == "hm"
    await watched.prefill(PROMPT, dialogue="a")
    await watched.forget(dialogue="a")
    assert (len(model.prefilled), model.forgotten) == (1, ["a"])
    assert WatchedModel(ScriptedModel([])).transcriber is None


async def test_an_answer_that_does_not_begin_or_go_on_fails() -> None:
    gate = asyncio.Semaphore(1)
    watched = WatchedModel(ScriptedModel([["One", "two"]], gate=gate), 0.05)
    stream = watched.generate(PROMPT, OPTIONS, dialogue="a")
    assert await anext(stream) == TextDelta("One")
    with pytest.raises(ModelStopped, match=r"scripted has given nothing for an answer in 0\.05 s"):
        await anext(stream)
    assert watched.failure is not None
    gate.release(), gate.release()
    assert len([event async for event in watched.generate(PROMPT, OPTIONS, dialogue="a")]) == 3
    assert watched.failure is None


async def test_the_time_between_two_events_counts_not_that_of_the_answer() -> None:
    watched = WatchedModel(ScriptedModel([["a"] * 30], word_s=0.02), 0.3)
    assert len([event async for event in watched.generate(PROMPT, OPTIONS, dialogue="a")]) == 31


async def test_the_time_that_its_reader_takes_does_not_count() -> None:
    watched = WatchedModel(ScriptedModel([["a", "b"]]), 0.05)
    async with aclosing(watched.generate(PROMPT, OPTIONS, dialogue="a")) as stream:
        await anext(stream)
        await asyncio.sleep(0.1)
        assert await anext(stream) == TextDelta("b")


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.transcriber.transcribe(CLIP, dialogue="a"),
        lambda model: model.prefill(PROMPT, dialogue="a"),
    ],
)
async def test_what_is_done_beside_answers_has_the_same_limit(ask: Callable[[WatchedModel], Awaitable[None]]) -> None:
    watched = WatchedModel(HangingModel([], sounds=["hm"], hangs_beside=True), 0.05)
    with pytest.raises(ModelStopped, match="has given nothing for a"):
        await ask(watched)


async def test_nobody_waits_for_what_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.watched.FREE_LIMIT_S", 0.05)
    watched = WatchedModel(HangingModel([], hangs_beside=True))
    await asyncio.wait_for(watched.forget(dialogue="a"), 5)
    await asyncio.wait_for(watched.close(), 5)


async def test_an_answer_that_hangs_can_be_cancelled() -> None:
    watched = WatchedModel(HangingModel([["Yes."]], n_hanging=1))
    stream = watched.generate(PROMPT, OPTIONS, dialogue="a")
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 5)
    assert watched.failure is None


async def test_a_failure_of_one_answer_is_not_the_models() -> None:
    watched = WatchedModel(
        ScriptedModel([[GenerationFailed("out of memory"), "x"], [TimeoutError("a remote server's")]])
    )
    for error in (GenerationFailed, TimeoutError):
        with pytest.raises(error):
            await anext(watched.generate(PROMPT, OPTIONS, dialogue="a"))
    assert watched.failure is None
