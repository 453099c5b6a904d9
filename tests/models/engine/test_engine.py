"""The engine against transformers itself: same tokens; calls that are cancelled, refused or closed."""

import asyncio
from typing import Any

import pytest

from models.engine.engine import Engine
from models.errors import GenerationFailed, InvalidPrompt, ModelUnavailable, PromptTooLong
from models.types import GenerationOptions, GenerationStats
from tests.models.engine.probing import Ids, Probe, answer, llama, reference, running, some_ids, text_prompt, tokens_of


async def test_greedy_tokens_are_those_of_transformers(model: Any) -> None:
    ids = some_ids(75)  # three chunks of prefill
    async with running(model) as engine:
        assert await tokens_of(engine, ids, 40, "a") == reference(model, ids, 40)
        penalised = await tokens_of(engine, ids, 40, "a", repetition_penalty=1.3)
        assert penalised == reference(model, ids, 40, repetition_penalty=1.3)


async def test_stop_token_ends_the_answer_and_is_not_part_of_it(model: Any) -> None:
    ids = some_ids(20)
    expected = reference(model, ids, 20)
    stop = expected[7]
    at = expected.index(stop)
    async with running(model, stop_token_ids=frozenset({stop})) as engine:
        text, stats = await answer(engine, text_prompt(ids), GenerationOptions(max_new_tokens=20), "a")
    assert text.split() == [str(token) for token in expected[:at]]
    assert (stats.finish_reason, stats.completion_tokens) == ("stop", at)


async def test_models_with_other_state_are_refused() -> None:
    model = llama()
    model.config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(ModelUnavailable, match="linear_attention"):
        Engine(model, Ids(), context_tokens=10, stop_token_ids=frozenset())


async def test_closing_the_generator_stops_within_one_step(model: Any) -> None:
    probe = Probe(model)
    async with running(probe) as engine:
        events = engine.generate(text_prompt(some_ids(5)), GenerationOptions(max_new_tokens=1000), dialogue="a")
        await anext(events)
        await events.aclose()
        n_calls = len(probe.calls)
        await engine.prefill(text_prompt(some_ids(5)), dialogue="a")  # behind it in the queue
        assert len(probe.calls) <= n_calls + 1


async def test_cancelled_task_frees_the_dialogue(model: Any) -> None:
    ids = some_ids(100)
    probe = Probe(model)
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    probe.before = lambda inputs: loop.call_soon_threadsafe(started.set) and None
    async with running(probe) as engine:
        task = asyncio.create_task(tokens_of(engine, ids, 900, "a"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await tokens_of(engine, ids, 5, "a") == reference(model, ids, 5)


@pytest.mark.parametrize("how", ["forget", "close"])
async def test_forgotten_or_closed_answers_end_as_cancelled(model: Any, how: str) -> None:
    async with running(model) as engine:
        events = engine.generate(text_prompt(some_ids(5)), GenerationOptions(max_new_tokens=1000), dialogue="a")
        await anext(events)
        waiting = asyncio.create_task(answer(engine, text_prompt(some_ids(9)), GenerationOptions(), "a"))
        await engine.forget(dialogue="nobody")  # lets the waiting request arrive
        await (engine.forget(dialogue="a") if how == "forget" else engine.close())
        *_, last = [event async for event in events]
        assert isinstance(last, GenerationStats)
        assert last.finish_reason == "cancelled"
        assert (await waiting)[1].finish_reason == "cancelled"


async def test_closed_engine_refuses_and_closes_twice(model: Any) -> None:
    async with running(model) as engine:
        await engine.close()
        await engine.forget(dialogue="a")
        with pytest.raises(GenerationFailed, match="closed"):
            await engine.prefill(text_prompt([1]), dialogue="a")


async def test_prompts_that_do_not_fit_never_reach_the_model(model: Any) -> None:
    probe = Probe(model)
    async with running(probe, context_tokens=50) as engine:
        with pytest.raises(PromptTooLong) as caught:
            await engine.prefill(text_prompt(some_ids(50)), dialogue="a")
        assert (caught.value.prompt_tokens, caught.value.context_tokens) == (50, 50)
        with pytest.raises(InvalidPrompt, match="empty"):
            await tokens_of(engine, [], 5, "a")
        assert not probe.calls
        text, stats = await answer(engine, text_prompt(some_ids(46)), GenerationOptions(max_new_tokens=9), "a")
    assert len(text.split()) == stats.completion_tokens == 4
    assert stats.finish_reason == "length"


async def test_stats_measure_from_the_call(model: Any) -> None:
    async with running(model) as engine:
        text, stats = await answer(engine, text_prompt(some_ids(10)), GenerationOptions(max_new_tokens=6), "a")
    assert len(text.split()) == stats.completion_tokens == 6
    assert stats.ttft_s is not None
    assert 0 < stats.ttft_s <= stats.total_s
    assert (stats.prompt_tokens, stats.finish_reason) == (10, "length")
