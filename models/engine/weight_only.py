"""Linear layers that multiply a few rows by 4-bit or 8-bit weights and many rows by the weights as they are, on a CPU.

A decode step reads every weight once and does little with it, so its time is that of reading; a prompt does much with
each weight, and there a CPU that multiplies bfloat16 is faster than where it takes whole numbers apart. So a layer
holds its weights twice; those that were loaded from a file stay in the file until a prompt needs them. A CPU that does
not multiply bfloat16 takes the whole numbers for all rows.

What a position's keys and values are thus depends on which product computed them: a prompt's are those of the model as
it is, an answer's, and those of a prompt's last few positions where the rest was cached, are of rounded weights. The
engine's cache keeps what was computed either way; computed anew, in longer pieces, the same positions differ by the
rounding.

It refuses nothing: layers whose shape the products cannot take stay as they are. Read `decode.py` for the steps.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import nn

Bits = Literal[4, 8]

GROUP = 32  # weights of a row that share a scale and a zero, the smallest torch has; that of GGUF's Q4_K, too
ROW_STEP = 16  # the 4-bit product takes rows in multiples of it
ALIGNMENT_BYTES = 64  # a register of AVX-512; torch allocates at multiples of it
HEAD_BITS: Bits = 8  # of the layer that gives the logits: its rounding is not evened out by what follows
BLOCK_ROWS = 4096  # of a matrix that are rounded at once; a head of 151,936 rows would take gigabytes in float32
FEW_ROWS = 8  # with 12 both products take as long; tests/benchmarks/LOG.md


def multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for it; where it has not, torch makes floats of everything first."""
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))


@dataclass(frozen=True, slots=True)
class Codes:
    """A weight matrix in whole numbers, in an order that does not depend on the machine.

    Attributes:
        numbers: 4 bits: uint8 (out, in / 2), the first half of a row in the low halves of the bytes, the second half in
            the high ones. 8 bits: int8 (out, in).
        grid: what they stand for, bfloat16. 4 bits: (in / GROUP, out, 2), a scale and the value of number 8 for each
            group. 8 bits: (out,), a scale for each row.
    """

    numbers: torch.Tensor
    grid: torch.Tensor

    @property
    def bits(self) -> Bits:
        """How many a weight takes."""
        return 4 if self.numbers.dtype == torch.uint8 else 8

    def unpacked(self) -> torch.Tensor:
        """The numbers one by one: int32 0 to 15, or int8 -127 to 127; (out, in)."""
        if self.bits == 8:
            return self.numbers
        n_out, half = self.numbers.shape
        numbers = torch.empty(n_out, 2 * half, dtype=torch.int32)
        numbers[:, :half] = self.numbers & 15
        numbers[:, half:] = self.numbers >> 4
        return numbers

    def dequantized(self) -> torch.Tensor:
        """The weights they stand for, float32 (out, in)."""
        numbers = self.unpacked().float()
        if self.bits == 8:
            return numbers * self.grid.float()[:, None]
        scale, middle = self.grid.float().transpose(0, 1).unbind(-1)
        groups: torch.Tensor = (_grouped(numbers) - 8) * scale[..., None] + middle[..., None]
        return groups.flatten(1)


def pack_int4(numbers: torch.Tensor, scale: torch.Tensor, middle: torch.Tensor) -> Codes:
    """Codes of 4 bits.

    Args:
        numbers: uint8 (out, in), 0 to 15.
        scale: (out, in / GROUP), the difference between two numbers.
        middle: of the same shape, the value of number 8.
    """
    low, high = numbers.chunk(2, dim=1)
    grid = torch.stack((scale, middle), -1).transpose(0, 1)
    return Codes(low | (high << 4), grid.to(torch.bfloat16).contiguous())


def _grouped(matrix: torch.Tensor) -> torch.Tensor:
    """(out, in) as (out, in / GROUP, GROUP)."""
    return matrix.reshape(len(matrix), -1, GROUP)


def quantize(weight: torch.Tensor, bits: Bits) -> Codes:
    """Rounds (out, in) weights of any float dtype to the nearest that `bits` can tell apart."""
    blocks = [_quantize_block(block.float(), bits) for block in torch.split(weight.detach(), BLOCK_ROWS)]
    numbers = torch.cat([block.numbers for block in blocks])
    return Codes(numbers, torch.cat([block.grid for block in blocks], dim=1 if bits == 4 else 0))


def _quantize_block(weight: torch.Tensor, bits: Bits) -> Codes:
    # What the numbers are multiplied with is rounded first, so that its rounding is made good by the numbers'.
    if bits == 8:
        scale = (weight.abs().amax(1) / 127).clamp(min=1e-8).to(torch.bfloat16)
        return Codes((weight / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8), scale)
    groups = _grouped(weight)
    low, high = groups.amin(-1), groups.amax(-1)
    scale = ((high - low) / 15).clamp(min=1e-8).to(torch.bfloat16).float()
    middle = (low + 8 * scale).to(torch.bfloat16).float()
    numbers = ((groups - middle[..., None]) / scale[..., None] + 8).round().clamp(0, 15)
    return pack_int4(numbers.to(torch.uint8).flatten(1), scale, middle)


class WeightOnlyLinear(nn.Linear):
    """A linear layer with its weights twice.

    Args:
        linear: gives the weights for many rows, and the bias.
        codes: the weights for few.
        few_rows: how many are few; None is what is fastest on this CPU.

    Attributes:
        bits: of the weights for few.
        few_rows: how many are few.
    """

    def __init__(self, linear: nn.Linear, codes: Codes, *, few_rows: int | None = None) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.bits = codes.bits
        if few_rows is None:
            few_rows = FEW_ROWS if multiplies_bfloat16() else sys.maxsize
        self.few_rows = few_rows
        self._grid = codes.grid
        if codes.bits == 4:  # each kind of CPU has an order of its own for these
            self._numbers = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes.unpacked(), 1)
        else:  # the product of several rows crashes where these begin anywhere, as in a memory-mapped file
            is_aligned = codes.numbers.data_ptr() % ALIGNMENT_BYTES == 0
            self._numbers = codes.numbers if is_aligned else codes.numbers.clone()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in) to (..., out), in the dtype of `x`."""
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) > self.few_rows:
            return nn.functional.linear(x, self.weight, self.bias)
        rows = rows.to(torch.bfloat16)  # float32 is hundreds of times slower here
        if self.bits == 4:
            output: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(rows, self._numbers, GROUP, self._grid)
        else:
            output = torch.ops.aten._weight_int8pack_mm(rows, self._numbers, self._grid)
        output = output.to(x.dtype).reshape(*x.shape[:-1], -1)
        return output if self.bias is None else output + self.bias


def packable(model: Any, kept: Iterable[str] = ()) -> dict[str, nn.Linear]:
    """The layers of a language model that can be packed, by name.

    Args:
        model: a causal language model of transformers, or what the engine takes for one.
        kept: patterns of whole names of modules that stay as they are, with all within; the head is packed anyway.
    """
    head = model.get_output_embeddings()
    is_kept = re.compile("|".join(rf"(?:{pattern})(?:\..*)?" for pattern in (*kept, r".*lora_[AB]\b.*")))
    return {
        name: module
        for name, module in model.named_modules()
        if type(module) is nn.Linear
        and module.in_features % GROUP == 0
        and module.out_features % ROW_STEP == 0
        and (module is head or not is_kept.fullmatch(name))
    }


def quantize_linears(model: Any, bits: Bits, *, kept: Iterable[str] = ()) -> None:
    """Has a language model on a CPU decode with rounded weights.

    Args:
        model: its linear layers are replaced in place.
        bits: of its layers; its head, which gives the logits, takes `HEAD_BITS`.
        kept: as `packable` takes it.
    """
    head = model.get_output_embeddings()
    for name, linear in packable(model, kept).items():
        replace(model, name, quantize(linear.weight, HEAD_BITS if linear is head else bits))


def replace(model: nn.Module, name: str, codes: Codes) -> None:
    """Puts codes beside the weights of one linear layer of a model."""
    parent, _, child = name.rpartition(".")
    linear = model.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    setattr(model.get_submodule(parent), child, WeightOnlyLinear(linear, codes))


def save_codes(codes: Mapping[str, Codes], path: Path) -> None:
    """Writes the codes of layers, by name, to a safetensors file."""
    tensors = {f"{name}.numbers": code.numbers for name, code in codes.items()}
    save_file(tensors | {f"{name}.grid": code.grid for name, code in codes.items()}, path)


def use_codes(model: nn.Module, path: Path) -> None:
    """Has a language model on a CPU decode with the codes in a file that `save_codes` wrote."""
    tensors = load_file(path)
    for name in [name.removesuffix(".numbers") for name in tensors if name.endswith(".numbers")]:
        replace(model, name, Codes(tensors.pop(f"{name}.numbers"), tensors.pop(f"{name}.grid")))
