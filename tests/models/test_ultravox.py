"""What only Ultravox has: parts that lie in several places, and any language model's chat template."""

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

from models.audio_llm import AudioLLM, LanguageModel, PromptWriter
from models.chat_template import ChatTemplate
from models.engine import AudioSpan, TokenSpan
from models.errors import InvalidPrompt, ModelUnavailable
from models.loading import LoadOptions
from models.registry import load_model
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, Message, TextDelta
from tests.models.tiny.common import TEXT_SIZES, byte_tokenizer
from tests.models.tiny.ultravox import (
    LLAMA_MARKS,
    LLAMA_TEMPLATE,
    QWEN_MARKS,
    QWEN_TEMPLATE,
    reference,
    save_v0_5,
    save_v0_7,
)

GEMMA_MARKS = ("<bos>", "<start_of_turn>", "<end_of_turn>")
GEMMA_TEMPLATE = (  # no system role, and strict turns
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content + '\n\n' %}"
    "{% set turns = messages[1:] %}{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}"
    "{% for turn in turns %}{% if (turn.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if turn.role == 'assistant' else turn.role }}\n"
    "{% if loop.first %}{{ first }}{% endif %}{{ turn.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
TEMPLATES = {
    "llama": (LLAMA_MARKS, LLAMA_TEMPLATE),
    "qwen": (QWEN_MARKS, QWEN_TEMPLATE),
    "gemma": (GEMMA_MARKS, GEMMA_TEMPLATE),
}
CLIP = AudioClip(np.zeros(SAMPLE_RATE_HZ, np.float32))
SYSTEM, HELLO = Message("system", ("Be a fox.",)), Message("assistant", ("jumps over.",))


def user(*parts: str | AudioClip) -> Message:
    return Message("user", parts)


def load(folder: Path, text_model: str | None = None) -> AudioLLM:
    model = load_model(str(folder), LoadOptions(cache_dir=folder, dtype="float32", text_model=text_model))
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
    edit(tmp_path, audio_model_id=str(tmp_path / "whisper"))
    model = load(tmp_path)
    assert await answer(model, [user(chirp())]) == expected
    await model.close()
    edit(tmp_path, audio_model_id=None)
    with pytest.raises(ModelUnavailable, match="no audio_tower weights"):
        load(tmp_path)


async def test_the_language_model_can_lie_anywhere(tmp_path: Path) -> None:
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
    edit(tmp_path / "one", text_model_id=None)
    with pytest.raises(ModelUnavailable, match="names none; give its folder with --text-model"):
        load(tmp_path / "one")


GEMMA = {"head_dim": 16, "sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
GLM = {"head_dim": 16, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
TEXT_CONFIGS = {
    "gemma3": lambda: Gemma3Config(
        text_config={**TEXT_SIZES, **GEMMA},
        vision_config={"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
    ),
    "glm4_moe": lambda: Glm4MoeConfig(**TEXT_SIZES, **GLM),
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
    wide = LlamaForCausalLM(LlamaConfig(**{**TEXT_SIZES, "hidden_size": 32}))
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


# ---- Chat templates ----


@pytest.fixture(params=TEMPLATES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    marks, template = TEMPLATES[request.param]
    tokenizer = byte_tokenizer(marks, bos_token=marks[0], eos_token=marks[-1])
    tokenizer.chat_template = template
    return tokenizer


def write(tokenizer: Any, messages: Sequence[Message]) -> list[int | str]:
    """The prompt's tokens, and "clip" where a clip is."""
    writer = PromptWriter(tokenizer)
    ChatTemplate(tokenizer).write(writer, messages, lambda clip: writer.audio(AudioSpan(clip.id, 1, torch.Tensor)))
    return [item for span in writer.spans() for item in (span.ids if isinstance(span, TokenSpan) else ["clip"])]


def official(tokenizer: Any, messages: Sequence[Message]) -> list[int | str]:
    """What the tokenizer itself makes of the conversation."""
    turns = [
        {
            "role": message.role,
            "content": "\n".join("<|audio|>" if part is CLIP else str(part) for part in message.parts),
        }
        for message in messages
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    items: list[int | str] = []
    for index, ids in enumerate(tokenizer(text.split("<|audio|>"), add_special_tokens=False).input_ids):
        items += (["clip"] if index else []) + ids
    return items


CONVERSATIONS = {
    "text": [user("what does the fox do?")],
    "space around": [user("  what?\n"), Message("assistant", (" it jumps \n",)), user(" and? ")],
    "system, audio and text": [SYSTEM, user(CLIP, "why?")],
    "turns": [SYSTEM, user("look:", CLIP), HELLO, user(CLIP), HELLO, user(CLIP, CLIP)],
}


@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_conversations_are_written_as_the_template_writes_them(tokenizer: Any, kind: str) -> None:
    assert write(tokenizer, CONVERSATIONS[kind]) == official(tokenizer, CONVERSATIONS[kind])


def test_what_people_type_never_becomes_a_mark(tokenizer: Any) -> None:
    marks = tokenizer.all_special_ids
    typed = "".join(tokenizer.all_special_tokens) + "\ufdd0\ufdd1\ufdd2"
    plain, marked = (write(tokenizer, [SYSTEM, user(text, CLIP)]) for text in ("x", typed))
    assert [item for item in marked if item in marks] == [item for item in plain if item in marks]
    assert marked.count("clip") == 1
    text = tokenizer.decode([item for item in marked if isinstance(item, int)])
    assert "".join(tokenizer.all_special_tokens) in text


def test_a_longer_conversation_begins_with_the_shorter_one(tokenizer: Any) -> None:
    turns = [SYSTEM, user("why?", CLIP), HELLO, user("why?", CLIP), HELLO, user("so?")]
    for n in (2, 4):
        asked, followed = write(tokenizer, turns[:n]), write(tokenizer, turns[: n + 2])
        up_to_answer = asked[: len(asked) - asked[::-1].index("clip")]  # an answer may open otherwise once it is past
        assert followed[: len(up_to_answer)] == up_to_answer


def test_an_interrupted_answer_is_left_open(tokenizer: Any) -> None:
    said = Message("assistant", ("jumps over ",), interrupted=True)
    asked, resumed = write(tokenizer, [user(CLIP)]), write(tokenizer, [user(CLIP), said])
    assert resumed[: len(asked)] == asked
    assert tokenizer.decode(resumed[len(asked) :]) == "jumps over "
    assert write(tokenizer, [user(CLIP), Message("assistant", ("",))]) == asked  # nothing was said yet


def test_neighbours_of_one_role_are_one_turn(tokenizer: Any) -> None:
    apart, together = [user(CLIP), user("why?")], [user(CLIP, "why?")]
    assert write(tokenizer, apart) == write(tokenizer, together)


def test_what_a_template_cannot_write_is_refused() -> None:
    tokenizer = byte_tokenizer(GEMMA_MARKS, bos_token="<bos>", eos_token="<end_of_turn>")
    with pytest.raises(ModelUnavailable, match="no chat template"):
        ChatTemplate(tokenizer)
    tokenizer.chat_template = GEMMA_TEMPLATE
    with pytest.raises(InvalidPrompt, match="roles must alternate"):
        write(tokenizer, [HELLO, user("why?")])
    with pytest.raises(InvalidPrompt, match="empty"):
        write(tokenizer, [user("")])
    tokenizer.chat_template = "{{ messages[-1].content }}"
    with pytest.raises(InvalidPrompt, match="1 of 2 clips"):
        write(tokenizer, [user(CLIP), HELLO, user(CLIP)])
