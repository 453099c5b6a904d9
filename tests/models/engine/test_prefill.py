"""The prompt pass: what is known is not run again, audio is embedded once."""

from typing import Any

import pytest
import torch

from models.engine.prompt import TokenSpan
from models.errors import InvalidPrompt
from models.types import GenerationOptions
from tests.models.engine.probing import Encoder, Probe, answer, reference, running, some_ids, text_prompt, tokens_of


async def test_prefill_leaves_one_position_to_generate(model: Any) -> None:
    ids = some_ids(70)
    probe = Probe(model)
    async with running(probe) as engine:
        await engine.prefill(text_prompt(ids), dialogue="a")
        n_calls = len(probe.calls)
        await engine.prefill(text_prompt(ids[:60]), dialogue="a")  # known: costs nothing and cuts nothing
        assert len(probe.calls) == n_calls
        text, stats = await answer(engine, text_prompt(ids), GenerationOptions(max_new_tokens=8), "a")
    assert [int(token) for token in text.split()] == reference(model, ids, 8)
    assert (stats.prompt_tokens, stats.cached_tokens) == (70, 69)
    assert probe.calls[n_calls] == (1, 1)


async def test_audio_is_spliced_in_and_embedded_once(model: Any) -> None:
    encoder = Encoder()
    head, middle, tail = some_ids(12, 1), some_ids(5, 2), some_ids(6, 3)
    first = [TokenSpan(tuple(head)), encoder.span("x", 45), TokenSpan(tuple(middle))]
    second = [*first, encoder.span("y", 20), TokenSpan(tuple(tail))]
    cut = [TokenSpan(tuple(head[:4])), encoder.span("y", 20), TokenSpan(tuple(tail))]
    probe = Probe(model)

    def embeds(*parts: list[int] | torch.Tensor) -> torch.Tensor:
        table = model.get_input_embeddings()
        return torch.cat([part if isinstance(part, torch.Tensor) else table(torch.tensor(part)) for part in parts])

    options = GenerationOptions(max_new_tokens=1)
    async with running(probe) as engine:
        await engine.prefill(first, dialogue="a")
        _, stats = await answer(engine, second, options, "a")
        assert stats.cached_tokens == 12 + 45 + 5
        rows = embeds(head, encoder.rows("x", 45), middle, encoder.rows("y", 20), tail)
        with torch.inference_mode():
            assert torch.allclose(probe.logits, model(inputs_embeds=rows[None]).logits[:, -1], atol=1e-4)
        _, stats = await answer(engine, cut, options, "a")
        assert stats.cached_tokens == 4
        rows = embeds(head[:4], encoder.rows("y", 20), tail)
        with torch.inference_mode():
            assert torch.allclose(probe.logits, model(inputs_embeds=rows[None]).logits[:, -1], atol=1e-4)
        assert encoder.embedded == ["x", "y"]  # also when the cut moved y to another place
        await answer(engine, first, options, "a")
        assert encoder.embedded == ["x", "y", "x"]  # x had left the dialogue


async def test_wrong_number_of_embeddings_is_an_invalid_prompt(model: Any) -> None:
    encoder = Encoder()
    ids = some_ids(10)
    async with running(model) as engine:
        with pytest.raises(InvalidPrompt, match=r"(?s)25.*24"):
            await engine.prefill([TokenSpan(tuple(ids)), encoder.span("x", 25, n_rows=24)], dialogue="a")
        assert await tokens_of(engine, ids, 5, "a") == reference(model, ids, 5)
