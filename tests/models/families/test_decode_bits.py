"""Every family with 4-bit and 8-bit weights on a CPU, against itself with the weights that those stand for."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from models.engine.weight_only import WeightOnlyLinear
from models.families.language_model import LanguageModel
from models.loading import LoadOptions, Quantization
from models.registry import load_model
from models.types import GenerationOptions, GenerationStats, Message
from tests.models.families.test_families import SYSTEM, sound, user
from tests.models.tiny import TINY_FAMILIES, TinyFamily
from tests.models.tiny.family import TINY

PROMPT = [SYSTEM, user(sound(1), "what is this?")]


class Loaded:
    """A model, its language model, and the logits that this gave last; sees every module run."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.model = load_model(str(folder), LoadOptions(cache_dir=folder, ears="none", **settings))
        self.language_model: Any = None
        self.logits = torch.zeros(0)

    async def answer(self, messages: Sequence[Message], n_new: int) -> GenerationStats:
        """Answers; the answer's text does not matter."""
        hook = register_module_forward_hook(self._watch)
        try:
            options = GenerationOptions(max_new_tokens=n_new)
            events = [event async for event in self.model.generate(messages, options, dialogue="test")]
        finally:
            hook.remove()
        assert isinstance(events[-1], GenerationStats)
        return events[-1]

    def _watch(self, module: Any, _: Any, output: Any) -> None:
        if isinstance(module, LanguageModel):
            self.language_model, self.logits = module, output.logits[0, -1].float().clone()

    @property
    def packed(self) -> dict[str, WeightOnlyLinear]:
        """The layers that hold their weights twice."""
        modules = self.language_model.named_modules()
        return {name: module for name, module in modules if isinstance(module, WeightOnlyLinear)}


def rounded_weight(layer: WeightOnlyLinear) -> torch.Tensor:
    """What the layer multiplies few rows with, found by multiplying the rows of the unit matrix."""
    bias, layer.bias = layer.bias, None
    units = torch.eye(layer.in_features).split(1)
    columns = torch.cat([layer(rows) for rows in units])
    layer.bias = bias
    return columns.T.contiguous()


@pytest.fixture(scope="module", params=TINY_FAMILIES, ids=lambda tiny: tiny.name)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    tiny: TinyFamily = request.param
    path = tmp_path_factory.mktemp(tiny.name)
    tiny.save(path, TINY)
    yield path


@pytest.mark.parametrize("quantization", ["4bit", "8bit"])
async def test_logits_are_those_of_the_rounded_weights(folder: Path, quantization: Quantization) -> None:
    ours = Loaded(folder, dtype="float32", quantization=quantization)
    plain = Loaded(folder, dtype="float32")
    await ours.answer(PROMPT, 1)
    await plain.answer(PROMPT, 1)
    with torch.inference_mode():
        for name, layer in ours.packed.items():
            rounded = torch.nn.Parameter(rounded_weight(layer))
            assert not rounded.allclose(layer.weight, rtol=1e-5, atol=1e-7)
            layer.weight = rounded
            plain.language_model.get_submodule(name).weight = rounded
    for loaded in (ours, plain):
        await loaded.model.forget(dialogue="test")
    for cached in (False, True):  # the second time the last position is run alone
        assert ((await ours.answer(PROMPT, 1)).cached_tokens > 0) == cached
        await plain.answer(PROMPT, 1)
        difference = (ours.logits - plain.logits).abs().max()
        assert difference < 0.12 * plain.logits.std()  # activations of few rows are bfloat16
    for loaded in (ours, plain):
        await loaded.model.close()


@pytest.mark.parametrize("quantization", ["4bit", "8bit"])
async def test_it_answers_as_a_user_would_load_it(folder: Path, quantization: Quantization) -> None:
    ours = Loaded(folder, quantization=quantization)
    stats = await ours.answer(PROMPT, 5)
    assert stats.completion_tokens <= 5
    assert len(ours.packed) > 5
    assert not [name for name in ours.packed if "audio" in name or "embed_tokens_extend" in name or "lora_" in name]
    assert ours.logits.isfinite().all()
    await ours.model.close()
