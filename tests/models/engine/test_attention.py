"""Attention over a cached prefix equals torch's own under a mask."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from models.engine.attention import attend_behind_prefix, attend_to_all, use_prefix_attention
from models.engine.kv_cache import KeyValues


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize(("n_new", "n_all"), [(2, 3), (40, 200), (300, 1100)])
def test_equals_attention_under_a_mask(heads: int, key_heads: int, n_new: int, n_all: int) -> None:
    torch.manual_seed(0)
    query = torch.randn(1, n_new, heads, 16).transpose(1, 2)
    key, value = torch.randn(2, 1, key_heads, n_all + 7, 16)[:, :, :, :n_all]  # the beginning of a larger cache
    mask = torch.ones(n_new, n_all, dtype=torch.bool).tril(n_all - n_new)
    expected = scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=True, scale=0.3)
    torch.testing.assert_close(attend_behind_prefix(query, key, value, 0.3), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize(("n_rows", "n_all"), [(1, 1), (1, 300), (3, 40)])
def test_one_position_equals_attention_to_all(heads: int, key_heads: int, n_rows: int, n_all: int) -> None:
    torch.manual_seed(0)
    query = torch.randn(n_rows, 1, heads, 16).transpose(1, 2)
    key, value = torch.randn(2, n_rows, key_heads, n_all + 7, 16)[:, :, :, :n_all]
    expected = scaled_dot_product_attention(query, key, value, enable_gqa=True, scale=0.3)
    torch.testing.assert_close(attend_to_all(query, key, value, 0.3), expected, atol=1e-5, rtol=0)


def test_large_scores_stay_finite() -> None:
    torch.manual_seed(0)
    query, key, value = 60 * torch.randn(3, 1, 2, 12, 16)
    mask = torch.ones(5, 12, dtype=torch.bool).tril(7)
    expected = scaled_dot_product_attention(query[:, :, -5:], key, value, attn_mask=mask)
    torch.testing.assert_close(attend_behind_prefix(query[:, :, -5:], key, value), expected, atol=1e-3, rtol=0)


SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
}


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(LlamaForCausalLM(LlamaConfig(**SIZES)), id="full"),
        pytest.param(MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8)), id="sliding"),
    ],
)
def test_a_model_read_in_chunks_gives_the_same_logits(model: LlamaForCausalLM | MistralForCausalLM) -> None:
    model.eval()
    ids = torch.randint(50, (1, 60), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model(input_ids=ids, use_cache=False).logits[0, -1]
        use_prefix_attention(model)
        cache = KeyValues(1)
        for chunk in ids.split((30, 1, 20, 9), dim=1):
            logits = cache.forward(model, {"input_ids": chunk})
            cache.extend(chunk.shape[1])
    torch.testing.assert_close(logits[0], expected, atol=1e-5, rtol=0)


def test_other_attention_is_left_alone() -> None:
    model = LlamaForCausalLM._from_config(LlamaConfig(**SIZES), attn_implementation="eager")
    use_prefix_attention(model)
    with torch.inference_mode():
        output = model.eval()(input_ids=torch.tensor([[1, 2, 3]]), output_attentions=True)
    assert [weights.shape for weights in output.attentions] == [(1, 4, 3, 3)] * 2  # only eager attention shows them
