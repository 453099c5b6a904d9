"""The engine's thread when a step raises what is no `Exception`, or never comes back."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest

from models.engine.engine import Engine
from models.errors import GenerationFailed, ModelStopped
from models.types import GenerationOptions
from tests.models.engine.probing import Ids, Probe, answer, llama, reference, running, some_ids, text_prompt, tokens_of

LIMIT_S = 0.5


class Hanging(Probe):
    """A model whose next step hangs, once it is told to, until it is let go."""

    def __init__(self) -> None:
        super().__init__(llama())
        self.has_hung = threading.Event()
        self.let_go = threading.Event()

    def hang(self) -> None:
        def wait(_: dict[str, Any]) -> None:
            self.has_hung.set()
            self.let_go.wait()

        self.before = wait


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    model = Hanging()
    yield model
    model.let_go.set()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), MemoryError(), BaseException("a native fault")])
async def test_whatever_a_step_raises_every_answer_ends_and_the_next_one_is_answered(error: BaseException) -> None:
    probe = Probe(llama())
    ids = some_ids(40)

    def fail(_: dict[str, Any]) -> None:
        if len(probe.calls) > 6:
            raise error

    probe.before = fail
    async with running(probe) as engine:
        answers = [tokens_of(engine, ids, 500, name) for name in "abc"]
        outcomes = await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), 20)
        assert all(isinstance(outcome, GenerationFailed) and str(outcome) for outcome in outcomes)
        probe.before = lambda _: None
        assert await tokens_of(engine, ids, 20, "a") == reference(probe.model, ids, 20)


async def test_an_engine_that_cannot_start_afresh_says_so(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Ids):
        """A tokenizer that answers with an error that cannot even be shown."""

        def decode(self, token_ids: list[int], **_: Any) -> str:
            class Unspeakable(BaseException):
                def __repr__(self) -> str:
                    raise SystemExit

            raise Unspeakable

    async with running(llama(), Broken()) as engine:
        for _ in range(2):
            with pytest.raises(ModelStopped, match="the engine has ended; restart the server"):
                await asyncio.wait_for(tokens_of(engine, some_ids(5), 5, "a"), 20)
        await asyncio.wait_for(engine.forget(dialogue="a"), 20)
    assert "the engine has ended and can answer nobody" in caplog.text


@pytest.mark.alone
async def test_a_step_that_never_returns_ends_who_waits_and_who_comes_later(hanging: Hanging) -> None:
    async with running(hanging, step_limit_s=LIMIT_S) as engine:
        hanging.hang()
        waiting = [asyncio.create_task(tokens_of(engine, some_ids(5), 5, name)) for name in "aab"]
        for outcome in await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20):
            assert isinstance(outcome, ModelStopped)
            assert "has been in one step for" in str(outcome)
        began_s = time.monotonic()
        with pytest.raises(ModelStopped):
            await tokens_of(engine, some_ids(5), 5, "c")
        assert time.monotonic() - began_s < LIMIT_S / 2, "at once"
        hanging.let_go.set()


async def test_an_engine_whose_step_returns_after_all_goes_on(hanging: Hanging) -> None:
    ids = some_ids(5)
    async with running(hanging, step_limit_s=LIMIT_S) as engine:
        hanging.hang()
        with pytest.raises(ModelStopped):
            await tokens_of(engine, ids, 5, "a")
        hanging.let_go.set()
        async with asyncio.timeout(20):
            while True:
                try:
                    assert await tokens_of(engine, ids, 5, "a") == reference(hanging.model, ids, 5)
                    break
                except ModelStopped:
                    await asyncio.sleep(0.01)


@pytest.mark.alone
async def test_an_answer_can_be_cancelled_while_its_step_hangs(hanging: Hanging) -> None:
    async with running(hanging) as engine:
        events = engine.generate(text_prompt(some_ids(5)), GenerationOptions(max_new_tokens=900), dialogue="a")
        async with aclosing(events):
            await anext(events)
            hanging.hang()
            await asyncio.to_thread(hanging.has_hung.wait)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 0.5
        hanging.let_go.set()


async def test_a_slow_queue_is_no_hang() -> None:
    probe = Probe(llama())
    probe.before = lambda _: time.sleep(0.02)
    async with running(probe, max_batch=1, step_limit_s=0.3) as engine:
        text, stats = await answer(engine, text_prompt(some_ids(1000)), GenerationOptions(max_new_tokens=5), "a")
    assert stats.ttft_s is not None
    assert stats.ttft_s > 2 * 0.3, "longer than a step may take"
    assert len(text.split()) == 5


async def test_an_engine_that_hangs_can_be_closed(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.engine.engine.CALL_LIMIT_S", 0.1)
    hanging.hang()
    engine = Engine(hanging, Ids(), context_tokens=100, stop_token_ids=frozenset())
    answering = asyncio.create_task(tokens_of(engine, some_ids(5), 5, "a"))
    await asyncio.to_thread(hanging.has_hung.wait)
    answering.cancel()
    await asyncio.wait_for(engine.forget(dialogue="a"), 5)
    await asyncio.wait_for(engine.close(), 5)
