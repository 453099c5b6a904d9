"""Checkpoints that cannot be loaded as they are, and those that need more than weights."""

import asyncio
import json
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.quantizers.quantizers_utils import should_convert_module

from models.catalogue import ENTRIES
from models.errors import ModelUnavailable
from models.loading import NOT_QUANTIZED, LoadOptions, find_checkpoint, load_pretrained
from models.registry import load_model
from tests.models.tiny import TINY_FAMILIES, TinyFamily
from tests.models.tiny.family import TINY
from tests.models.tiny.granite_speech import GRANITE_SPEECH
from tests.models.tiny.phi4_multimodal import PHI4_MULTIMODAL
from tests.models.tiny.qwen2_audio import QWEN2_AUDIO


def options(folder: Path) -> LoadOptions:
    return LoadOptions(cache_dir=folder, dtype="float32")


def test_missing_weights_are_refused_and_not_made_up(tmp_path: Path) -> None:
    QWEN2_AUDIO.save(tmp_path, TINY)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["lm_head.weight" if "lm_head.weight" in weights else "language_model.lm_head.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnavailable, match=r"lacks 1 weights, lm_head\.weight among them"):
        load_model(str(tmp_path), options(tmp_path))


@pytest.mark.parametrize("tiny", [GRANITE_SPEECH, PHI4_MULTIMODAL], ids=lambda tiny: tiny.name)
def test_an_adapter_is_not_left_out_where_peft_is_missing(
    tiny: TinyFamily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.save(tmp_path, TINY)
    monkeypatch.setitem(sys.modules, "peft", None)  # to Python it is not installed
    with pytest.raises(ModelUnavailable, match="adapter for speech, which needs peft: pip install peft"):
        load_model(str(tmp_path), options(tmp_path))


@pytest.mark.parametrize(("tiny", "folder"), [(GRANITE_SPEECH, "."), (PHI4_MULTIMODAL, "speech-lora")])
def test_an_adapter_without_weights_is_refused(tiny: TinyFamily, folder: str, tmp_path: Path) -> None:
    tiny.save(tmp_path, TINY)
    (tmp_path / folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"no adapter_model\.safetensors"):
        load_model(str(tmp_path), options(tmp_path))


@pytest.mark.parametrize("tiny", TINY_FAMILIES, ids=lambda tiny: tiny.name)
def test_code_that_comes_with_a_checkpoint_is_never_run(
    tiny: TinyFamily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.save(tmp_path, TINY)
    for path in {tmp_path / "tokenizer_config.json", *tmp_path.rglob("tokenizer_config.json")}:
        settings = json.loads(path.read_text()) if path.exists() else {}
        settings |= {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}, "tokenizer_class": "Evil"}
        path.write_text(json.dumps(settings))
        path.with_name("evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with suppress(ModelUnavailable):
        asyncio.run(load_model(str(tmp_path), options(tmp_path)).close())
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("tiny", TINY_FAMILIES, ids=lambda tiny: tiny.name)
def test_quantization_leaves_what_hears_as_it_is(
    tiny: TinyFamily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantized: list[str] = []

    def load_and_note(*arguments: Any, **settings: Any) -> Any:
        model = load_pretrained(*arguments, **settings)
        layers = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
        quantized.extend(name for name in layers if should_convert_module(name, list(NOT_QUANTIZED)))
        return model

    tiny.save(tmp_path, TINY)
    for entry in ENTRIES:
        monkeypatch.setattr(f"models.{entry.module}.load_pretrained", load_and_note, raising=False)
    asyncio.run(load_model(str(tmp_path), options(tmp_path)).close())
    assert quantized
    assert not [name for name in quantized if re.search("audio|encoder|projector|conformer|embed", name)]


def test_a_revision_follows_the_hub_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    monkeypatch.setattr(
        "models.loading.snapshot_download", lambda name, revision, **_: asked.append((name, revision)) or str(tmp_path)
    )
    assert find_checkpoint("owner/name@refs/pr/70") == tmp_path
    assert find_checkpoint("owner/name") == tmp_path
    assert asked == [("owner/name", "refs/pr/70"), ("owner/name", None)]


def test_on_a_cpu_few_bits_need_nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.loading.find_spec", lambda name: None)
    few = LoadOptions(cache_dir=tmp_path, device="cpu", quantization="4bit")
    assert few.decode_bits == 4
    assert few.pretrained["quantization_config"] is None
    assert few.torch_dtype == torch.bfloat16  # of the language model's own weights
    elsewhere = LoadOptions(cache_dir=tmp_path, device="meta", quantization="4bit")  # any device but a CPU
    assert elsewhere.decode_bits is None
    with pytest.raises(ModelUnavailable, match="on a GPU need bitsandbytes"):
        elsewhere.pretrained  # noqa: B018  # a property that refuses
