"""Whose turn it is, and whose fault: nothing is shared between dialogues but time."""

import asyncio
import itertools
from contextlib import aclosing
from typing import Any

import pytest
import torch

from models.engine.prompt import AudioSpan, TokenSpan
from models.errors import GenerationFailed
from models.types import GenerationOptions
from tests.models.engine.probing import (
    HIDDEN,
    Probe,
    answer,
    llama,
    reference,
    running,
    some_ids,
    text_prompt,
    tokens_of,
)


async def test_a_long_prompt_does_not_stop_a_running_answer(model: Any) -> None:
    probe = Probe(model)
    async with running(probe) as engine:
        events = engine.generate(text_prompt(some_ids(5)), GenerationOptions(max_new_tokens=900), dialogue="a")
        async with aclosing(events):
            await anext(events)
            await engine.prefill(text_prompt(some_ids(320)), dialogue="b")
            calls = list(probe.calls)
    chunks = [index for index, (_, n_new) in enumerate(calls) if n_new == 32]
    assert len(chunks) == 10
    assert all(after - before == 2 for before, after in itertools.pairwise(chunks))  # a token in between


async def test_long_prompts_together_stall_an_answer_for_one_chunk_a_token(model: Any) -> None:
    probe = Probe(model)
    async with running(probe) as engine:
        events = engine.generate(text_prompt(some_ids(5)), GenerationOptions(max_new_tokens=900), dialogue="a")
        async with aclosing(events):
            await anext(events)
            await asyncio.gather(*(engine.prefill(text_prompt(some_ids(160)), dialogue=name) for name in "bcd"))
            calls = list(probe.calls)
    chunks = [index for index, (_, n_new) in enumerate(calls) if n_new == 32]
    assert len(chunks) == 15
    assert all(after - before == 2 for before, after in itertools.pairwise(chunks))  # a token in between


async def test_requests_of_one_dialogue_run_in_order(model: Any) -> None:
    ids = some_ids(40)
    async with running(model) as engine:
        prefill = asyncio.create_task(engine.prefill(text_prompt(ids), dialogue="a"))
        generate = asyncio.create_task(answer(engine, text_prompt([*ids, 3]), GenerationOptions(max_new_tokens=3), "a"))
        await prefill
        _, stats = await generate
    assert stats.cached_tokens == 40


async def test_many_requests_that_wait_end_with_their_dialogue(model: Any) -> None:
    async with running(model) as engine:
        waiting = [asyncio.create_task(tokens_of(engine, some_ids(5), 500, "one")) for _ in range(600)]
        await asyncio.sleep(0)  # each has asked by then
        await asyncio.wait_for(engine.forget(dialogue="one"), 30)
        await asyncio.wait_for(asyncio.gather(*waiting), 30)


async def test_a_failure_is_one_dialogues_own(model: Any) -> None:
    ids, others = some_ids(30, 1), some_ids(30, 2)
    mine, theirs = reference(model, ids, 40), reference(model, others, 40)
    poison = next(token for token in mine[5:] if token not in theirs)
    probe = Probe(model)

    def fail(inputs: dict[str, Any]) -> None:
        if inputs["input_ids"].shape[1] == 1 and (inputs["input_ids"] == poison).any():
            raise torch.OutOfMemoryError("no room")

    probe.before = fail
    async with running(probe) as engine:
        failed, unharmed = await asyncio.gather(
            tokens_of(engine, ids, 40, "a"), tokens_of(engine, others, 40, "b"), return_exceptions=True
        )
        assert isinstance(failed, GenerationFailed)
        assert "out of memory" in str(failed)
        assert unharmed == theirs
        probe.before = lambda inputs: None
        _, stats = await answer(engine, text_prompt(ids), GenerationOptions(max_new_tokens=1), "a")
        assert stats.cached_tokens == 0


async def test_a_failing_encoder_fails_its_request(model: Any) -> None:
    def embed() -> torch.Tensor:
        raise RuntimeError("the encoder broke")

    async with running(model) as engine:
        with pytest.raises(GenerationFailed, match="the encoder broke"):
            await engine.prefill([AudioSpan("x", 4, embed)], dialogue="a")


@pytest.mark.parametrize("static", [False, True])
async def test_an_answer_that_overflows_fails_alone(static: bool) -> None:
    model = llama()
    with torch.no_grad():
        model.get_input_embeddings().weight[7] = torch.nan
    kept, broken = some_ids(30, 1), [7, 7, 7]
    kept = [token for token in kept if token != 7]
    async with running(model, static=static) as engine:
        answering = asyncio.create_task(tokens_of(engine, kept, 60, "kept"))
        with pytest.raises(GenerationFailed, match="overflow"):
            await tokens_of(engine, broken, 60, "broken")
        assert len(await answering) == 60
        clip = AudioSpan("clip", 2, lambda: torch.full((2, HIDDEN), torch.nan))
        with pytest.raises(GenerationFailed, match="overflow on clip"):
            async for _ in engine.generate([TokenSpan((1, 2)), clip], GenerationOptions(), dialogue="clip"):
                pass
