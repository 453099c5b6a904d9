"""Dialogues that decode together get the tokens they would get alone."""

import asyncio
from typing import Any

import pytest
import torch

from models.types import GenerationOptions
from tests.models.engine.probing import Probe, answer, full_logits, reference, running, some_ids, text_prompt, tokens_of


@pytest.mark.parametrize(("max_batch", "static"), [(1, False), (2, False), (8, False), (8, True)])
async def test_concurrent_dialogues_get_the_tokens_they_would_get_alone(
    model: Any, max_batch: int, static: bool
) -> None:
    prompts = [some_ids(n, seed=n) for n in (3, 90, 33, 64, 65)]
    lengths = [60, 20, 100, 45, 80]
    probe = Probe(model)
    async with running(probe, max_batch=max_batch, static=static) as engine:
        together = await asyncio.gather(
            *(
                tokens_of(engine, ids, n, str(index), repetition_penalty=1.2)
                for index, (ids, n) in enumerate(zip(prompts, lengths, strict=True))
            )
        )
        for index, (ids, tokens) in enumerate(zip(prompts, together, strict=True)):
            assert tokens == reference(model, ids, lengths[index], repetition_penalty=1.2)
            # What was decoded in the batch is the dialogue's again.
            _, stats = await answer(
                engine, text_prompt([*ids, *tokens, 1]), GenerationOptions(max_new_tokens=1), str(index)
            )
            assert stats.cached_tokens == len(ids) + len(tokens) - 1
            assert torch.allclose(probe.logits, full_logits(model, [*ids, *tokens, 1]), atol=1e-4)
    rows = {rows for rows, _ in probe.calls}
    assert rows <= {1, 2, 4, 8} if static else max(rows) == min(max_batch, 5)  # static steps have few shapes
    assert len(rows) > 1 or max_batch == 1


async def test_a_batch_that_fails_goes_on_one_by_one(model: Any) -> None:
    prompts = [some_ids(30, 1), some_ids(50, 2)]
    probe = Probe(model)

    def fail(inputs: dict[str, Any]) -> None:
        if inputs["position_ids"].shape[0] > 1 and inputs["position_ids"].max() > 70:
            raise torch.OutOfMemoryError("no room for two")

    probe.before = fail
    async with running(probe) as engine:
        together = await asyncio.gather(*(tokens_of(engine, ids, 60, str(n)) for n, ids in enumerate(prompts)))
    assert together == [reference(model, ids, 60) for ids in prompts]
