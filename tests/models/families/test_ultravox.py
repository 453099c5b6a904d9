"""What only Ultravox has: parts that lie in several places, and language models of many kinds."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.modules.module import register_module_forward_hook
from transformers import AutoModelForCausalLM, Gemma3Config, Glm4MoeConfig, LlamaConfig, LlamaForCausalLM

from app import main
from models.errors import ModelUnavailable
from models.families.audio_llm import AudioLLM
from models.families.language_model import LanguageModel
from models.loading import LoadOptions
from models.registry import load_model
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, Message, TextDelta
from tests.models.tiny.family import TINY
from tests.models.tiny.ultravox import (
    reference,
    save_v0_5,
    save_v0_7,
)

SYSTEM, HELLO = Message("system", ("Be a fox.",)), Message("assistant", ("jumps over.",))


def user(*parts: str | AudioClip) -> Message:
    return Message("user", parts)


def load(folder: Path, text_model: str | None = None) -> AudioLLM:
    model = load_model(str(folder), LoadOptions(cache_dir=folder, ears="none", dtype="float32", text_model=text_model))
    assert isinstance(model, AudioLLM)
    return model


async def answer(model: AudioLLM, messages: Sequence[Message], max_new_tokens: int = 12) -> str:
    options = GenerationOptions(max_new_tokens=max_new_tokens)
    events = [event async for event in model.generate(messages, options, dialogue="test")]
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def edit(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


# ---- Audio ----

# The first logits after `chirp` alone, as `reference` gave them once, from weights and sound that are always the same.
STORED_LOGITS = {
    "v0.4": [1.89423, -2.58084, 2.78464, 5.78174, 3.48715, 0.77734, -0.91121, -0.83802],
    "v0.5": [2.54867, -2.25184, 1.66629, 5.65819, 3.72811, 0.10513, 0.28359, -1.68538],
    "v0.7": [0.55541, 1.62509, 1.93749, 4.01623, 3.23337, 1.84495, 2.84787, 0.48934],
}


def chirp() -> AudioClip:
    """2.5 s from 200 to 1450 Hz: more than one block of states."""
    t = np.arange(round(2.5 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return AudioClip((0.3 * np.sin(2 * np.pi * (200 + 250 * t) * t)).astype(np.float32))


def save_v0_4(folder: Path) -> None:
    save_v0_5(folder, projector_ln_mid=False, audio_latency_block_size=None)


@pytest.mark.parametrize(("version", "save"), [("v0.4", save_v0_4), ("v0.5", save_v0_5), ("v0.7", save_v0_7)])
async def test_logits_equal_those_stored(version: str, save: Callable[[Path], None], tmp_path: Path) -> None:
    save(tmp_path)
    model, logits = load(tmp_path), torch.zeros(0)

    def keep(module: Any, _: Any, output: Any) -> None:
        nonlocal logits
        if isinstance(module, LanguageModel):
            logits = output.logits[0, -1].clone()

    hook = register_module_forward_hook(keep)
    await answer(model, [user(chirp())], max_new_tokens=1)
    hook.remove()
    await model.close()
    stored = torch.tensor(STORED_LOGITS[version])
    assert (logits[: len(stored)] - stored).abs().max() < 1e-4


# ---- Where the parts are ----


async def test_the_tower_comes_from_its_whisper_if_the_checkpoint_has_none(tmp_path: Path) -> None:
    save_v0_4(tmp_path)
    model = load(tmp_path)
    expected = await answer(model, [user(chirp())])
    await model.close()
    weights = load_file(tmp_path / "model.safetensors")
    whisper = {name: weights.pop(name) for name in tuple(weights) if name.startswith("audio_tower.")}
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnavailable, match="whisper-large-v3-turbo"):  # the hub cannot be reached here
        load(tmp_path)
    (tmp_path / "whisper").mkdir()
    renamed = {name.replace("audio_tower.", "model.encoder."): weight for name, weight in whisper.items()}
    save_file(renamed, tmp_path / "whisper" / "model.safetensors")
    assert main(["fetch", "--model", str(tmp_path)]) == 2, "the Whisper is part of what is fetched"
    edit(tmp_path, audio_model_id=str(tmp_path / "whisper"))
    assert main(["fetch", "--model", str(tmp_path)]) == 0
    model = load(tmp_path)
    assert await answer(model, [user(chirp())]) == expected
    await model.close()
    edit(tmp_path, audio_model_id=None)
    with pytest.raises(ModelUnavailable, match="no audio_tower weights"):
        load(tmp_path)


async def test_the_language_model_can_lie_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_v0_5(tmp_path / "one")
    model = load(tmp_path / "one")
    expected = await answer(model, [user(chirp())])
    await model.close()
    (tmp_path / "one" / "llama").rename(tmp_path / "copy")
    edit(tmp_path / "one", text_model_id="meta-llama/not-here")
    with pytest.raises(ModelUnavailable, match=r"needs the language model meta-llama/not-here .*--text-model"):
        load(tmp_path / "one")
    model = load(tmp_path / "one", text_model=str(tmp_path / "copy"))
    assert await answer(model, [user(chirp())]) == expected
    await model.close()
    assert main(["fetch", "--model", str(tmp_path / "one"), "--text-model", str(tmp_path / "copy")]) == 0
    assert main(["fetch", "--model", str(tmp_path / "one")]) == 2
    assert "meta-llama/not-here" in capsys.readouterr().err
    edit(tmp_path / "one", text_model_id=None)
    (tmp_path / "one" / "model.safetensors").rename(tmp_path / "kept")
    with pytest.raises(ModelUnavailable, match="holds no weights in safetensors"):
        load(tmp_path / "one")
    (tmp_path / "kept").rename(tmp_path / "one" / "model.safetensors")
    with pytest.raises(ModelUnavailable, match="names none; give its folder with --text-model"):
        load(tmp_path / "one")


GEMMA = {"head_dim": 16, "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
GLM = {"head_dim": 16, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
TEXT_CONFIGS = {
    "gemma3": lambda: Gemma3Config(
        text_config={**TINY.text, **GEMMA},
        vision_config={"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
    ),
    "glm4_moe": lambda: Glm4MoeConfig(**TINY.text, **GLM),
}


@pytest.mark.parametrize("kind", TEXT_CONFIGS)
async def test_language_models_of_many_kinds(kind: str, tmp_path: Path) -> None:
    save_v0_5(tmp_path)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(TEXT_CONFIGS[kind]()).save_pretrained(tmp_path / "llama")
    model, expected = load(tmp_path), reference(tmp_path)
    for messages in ([user(chirp())], [SYSTEM, user(chirp()), HELLO, user(chirp(), "why?")]):
        assert await answer(model, messages) == expected(messages, 12).text
    await model.close()


def test_another_language_model_is_refused(tmp_path: Path) -> None:
    save_v0_5(tmp_path / "one")
    wide = LlamaForCausalLM(LlamaConfig(**{**TINY.text, "hidden_size": 32}))
    wide.save_pretrained(tmp_path / "wide")
    with pytest.raises(ModelUnavailable, match="of width 64, but the one given has 32"):
        load(tmp_path / "one", text_model=str(tmp_path / "wide"))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    save_v0_7(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for lost in (
        "language_model.model.norm.weight",
        "audio_tower.conv2.bias",
        "multi_modal_projector.linear_out.weight",
    ):
        save_file({name: weight for name, weight in weights.items() if name != lost}, tmp_path / "model.safetensors")
        with pytest.raises(ModelUnavailable, match=lost.partition(".")[2]):
            load(tmp_path)


async def test_a_low_rank_adapter_changes_the_language_model(tmp_path: Path) -> None:
    save_v0_5(tmp_path, text_model_lora_config={"r": 2, "lora_alpha": 8})
    weights = load_file(tmp_path / "model.safetensors")
    rng = np.random.default_rng(7)
    down, up = (torch.from_numpy(rng.standard_normal(shape).astype(np.float32)) for shape in ((2, 64), (64, 2)))
    name = "model.layers.0.self_attn.q_proj"
    adapter = {
        f"language_model.base_model.model.{name}.lora_{key}.default.weight": w
        for key, w in zip("AB", (down, up), strict=True)
    }
    save_file(weights | adapter, tmp_path / "model.safetensors")
    model = load(tmp_path)
    adapted = await answer(model, [user(chirp())])
    await model.close()
    llama = load_file(tmp_path / "llama" / "model.safetensors")
    plain = reference(tmp_path)([user(chirp())], 12)
    llama[f"{name}.weight"] += 8 / 2 * up @ down
    save_file(llama, tmp_path / "llama" / "model.safetensors", metadata={"format": "pt"})
    merged = reference(tmp_path)([user(chirp())], 12)
    assert adapted == merged.text != plain.text
