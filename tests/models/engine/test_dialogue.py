"""The prefix cache: what is kept of a dialogue, cut, evicted and forgotten."""

from contextlib import aclosing
from typing import Any

import pytest
import torch

from models.types import GenerationOptions, TextDelta
from tests.models.engine.probing import Probe, answer, full_logits, reference, running, some_ids, text_prompt


@pytest.mark.parametrize("static", [False, True])
async def test_three_turns_with_barge_in_retraction_and_eviction_equal_a_full_recompute(
    model: Any, static: bool
) -> None:
    probe = Probe(model)
    options = GenerationOptions(max_new_tokens=12)
    async with running(probe, static=static) as engine:

        async def turn(ids: list[int]) -> tuple[list[int], int]:
            text, stats = await answer(engine, text_prompt(ids), options, "a")
            tokens = [int(token) for token in text.split()]
            assert tokens == reference(model, ids, 12)
            fed = [*ids, *tokens[:-1]]
            assert torch.allclose(probe.logits, full_logits(model, fed), atol=1e-4)
            return tokens, stats.cached_tokens

        first = some_ids(50)
        tokens, cached = await turn(first)
        assert cached == 0

        # The answer joins the cache, but for its last token, which was never run.
        second = [*first, *tokens, *some_ids(9, 1)]
        heard: list[int] = []
        async with aclosing(
            engine.generate(text_prompt(second), GenerationOptions(max_new_tokens=500), dialogue="a")
        ) as events:
            async for event in events:
                assert isinstance(event, TextDelta)
                heard.append(int(event.text))
                if len(heard) == 4:
                    break  # barge-in

        third = [*second, *heard[:3], *some_ids(5, 2)]
        tokens, cached = await turn(third)
        assert cached >= len(second) + 3

        retracted = [*second, *some_ids(11, 3)]
        tokens, cached = await turn(retracted)
        assert cached == len(second)

        system, kept = retracted[:10], retracted[40:]
        _, cached = await turn([*system, *kept])
        assert cached == 10


async def test_forgotten_dialogue_starts_from_nothing(model: Any) -> None:
    ids = some_ids(30)
    async with running(model) as engine:
        await engine.prefill(text_prompt(ids), dialogue="a")
        await engine.forget(dialogue="a")
        await engine.forget(dialogue="never heard of")
        _, stats = await answer(engine, text_prompt(ids), GenerationOptions(max_new_tokens=2), "a")
    assert stats.cached_tokens == 0


async def test_least_recently_used_idle_dialogue_is_evicted(model: Any) -> None:
    one = 2 * 2 * 2 * 16 * 128 * 4  # layers, keys and values, heads, head size, capacity for 100 tokens, float32
    options = GenerationOptions(max_new_tokens=1)
    async with running(model, cache_budget_bytes=2 * one) as engine:
        for dialogue in ("a", "b"):
            await engine.prefill(text_prompt(some_ids(100)), dialogue=dialogue)
        _, stats = await answer(engine, text_prompt(some_ids(100)), options, "a")
        assert stats.cached_tokens == 99
        await engine.prefill(text_prompt(some_ids(100)), dialogue="c")  # evicts b, which waited longest
        cached = {}
        for dialogue in ("a", "c", "b"):
            _, stats = await answer(engine, text_prompt(some_ids(100)), options, dialogue)
            cached[dialogue] = stats.cached_tokens
    assert cached == {"a": 99, "c": 99, "b": 0}
