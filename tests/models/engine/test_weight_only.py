"""Layers that hold their weights twice, against plain ones with the weights that the few bits stand for."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from models.engine.weight_only import (
    Bits,
    Codes,
    WeightOnlyLinear,
    packable,
    quantize,
    quantize_linears,
    save_codes,
    use_codes,
)

BITS: tuple[Bits, ...] = (4, 8)


def tiny(*, is_tied: bool = False, hidden_size: int = 64) -> LlamaForCausalLM:
    torch.manual_seed(3)
    sizes = {"intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=112,
        hidden_size=hidden_size,
        tie_word_embeddings=is_tied,
        initializer_range=0.2,
        **sizes,  # type: ignore[arg-type]
    )
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("shape", [(16, 32), (48, 256), (5008, 64)])
def test_rounding_moves_no_weight_further_than_half_a_step(bits: Bits, shape: tuple[int, int]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1)) + 0.3
    weight[2], weight[3] = 0, 7  # a row without differences, and one that is all alike
    error = (quantize(weight, bits).dequantized() - weight).abs()
    if bits == 8:
        step = weight.abs().amax(1, keepdim=True) / 127
    else:
        groups = weight.reshape(shape[0], -1, 32)
        spread, largest = groups.amax(-1) - groups.amin(-1), groups.abs().amax(-1)
        step = (spread / 15 + largest / 64).repeat_interleave(32, 1)  # the grid itself is bfloat16
    assert (error <= 0.52 * step + 1e-6).all()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("has_bias", [False, True])
def test_few_rows_take_the_rounded_weights_and_many_the_others(bits: Bits, dtype: torch.dtype, has_bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(128, 80, bias=has_bias, dtype=dtype)
    codes = quantize(linear.weight, bits)
    layer = WeightOnlyLinear(linear, codes, few_rows=5)
    with torch.inference_mode():
        for n_rows in (1, 3, 5, 6, 40):
            x = torch.randn(1, n_rows, 128, dtype=dtype)
            if n_rows > 5:
                assert layer(x).equal(linear(x))
                continue
            bias = linear.bias.float() if has_bias else 0
            rounded = x.bfloat16().float() @ codes.dequantized().T + bias
            assert layer(x).dtype == dtype
            torch.testing.assert_close(layer(x).float(), rounded, rtol=2**-6, atol=2**-6)
            assert not torch.allclose(layer(x).float(), linear(x).float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bits", BITS)
def test_numbers_may_begin_anywhere_in_memory(bits: Bits) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(512, 256, dtype=torch.bfloat16)
    codes = quantize(linear.weight, bits)
    room = torch.zeros(codes.numbers.numel() + 8, dtype=codes.numbers.dtype)
    room[8:] = codes.numbers.flatten()  # safetensors promises multiples of 8
    moved = Codes(room[8:].reshape(codes.numbers.shape), codes.grid)
    x = torch.randn(8, 512, dtype=torch.bfloat16)
    with torch.inference_mode():
        assert WeightOnlyLinear(linear, moved, few_rows=8)(x).equal(WeightOnlyLinear(linear, codes, few_rows=8)(x))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("is_tied", [False, True])
def test_codes_from_a_file_compute_the_same(bits: Bits, is_tied: bool, tmp_path: Path) -> None:
    model, other = tiny(is_tied=is_tied), tiny(is_tied=is_tied)
    head = model.get_output_embeddings()
    codes = {name: quantize(layer.weight, 8 if layer is head else bits) for name, layer in packable(model).items()}
    save_codes(codes, tmp_path / "codes.safetensors")
    quantize_linears(model, bits)
    use_codes(other, tmp_path / "codes.safetensors")
    ids = torch.tensor([[5]])
    with torch.inference_mode():
        assert model(ids).logits.equal(other(ids).logits)
        assert not model(ids).logits.equal(tiny(is_tied=is_tied)(ids).logits)
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) == is_tied


def test_layers_of_other_shapes_and_those_that_are_kept_stay() -> None:
    odd = tiny(hidden_size=48)  # of the layers only these take a multiple of 32
    assert set(packable(odd)) == {f"model.layers.{n}.mlp.down_proj" for n in (0, 1)}
    assert not packable(odd, ["model"])
    assert set(packable(tiny(), [r"(.*\.)?mlp", "lm_head"])) == {
        "lm_head",
        *(f"model.layers.{n}.self_attn.{name}_proj" for n in (0, 1) for name in "qkvo"),
    }
