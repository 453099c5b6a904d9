"""Two tiny Ultravoxes: v0.5, whose language model lies elsewhere, and v0.7, with a deeper projector and all weights.

The publisher's code does not run on today's transformers. So the reference is written here, from the published
description: plain functions of the checkpoint's weights, one head at a time, everything recomputed.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import conv1d, gelu, layer_norm, linear, pad, silu
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    WhisperFeatureExtractor,
)

from models.families.ultravox import Tower
from models.types import SAMPLE_RATE_HZ, AudioClip, Message, Samples
from tests.models.tiny.family import TINY, Answer, Reference, Sizes, TinyFamily, byte_tokenizer

Weights = dict[str, torch.Tensor]

WIDTH, N_MELS, HEAD, FEED_FORWARD, N_POSITIONS, STACK = 128, 80, 64, 96, 1500, 8
INNER = 48  # hidden_size of the config: twice the width behind SwiGLU
BLOCK = 100  # audio_latency_block_size, 2 s

LLAMA_MARKS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
LLAMA_TEMPLATE = (
    "{{ bos_token }}{% for turn in messages %}<|start_header_id|>{{ turn.role }}<|end_header_id|>\n\n"
    "{{ turn.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
QWEN_MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN_TEMPLATE = (  # only the answer to come, or to be continued, begins with thinking
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n"
    "{% if loop.last and turn.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
    "{{ turn.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


# ---- Checkpoints ----


def save_v0_5(folder: Path, sizes: Sizes = TINY, **settings: Any) -> None:
    """Tower and projector; the config says where the language model is."""
    tokenizer = byte_tokenizer(LLAMA_MARKS, bos_token=LLAMA_MARKS[0], eos_token=LLAMA_MARKS[-1])
    tokenizer.chat_template = LLAMA_TEMPLATE
    text_folder = folder / "llama"
    model = LlamaForCausalLM(LlamaConfig(**sizes.text, eos_token_id=3, tie_word_embeddings=True))
    _fill(model.state_dict(), seed=1, scale=0.3)
    model.save_pretrained(text_folder)
    tokenizer.save_pretrained(text_folder)
    config = {
        "audio_model_id": "openai/whisper-large-v3-turbo",
        "text_model_id": str(text_folder),
        "projector_ln_mid": True,
        "audio_latency_block_size": BLOCK,
        **settings,
    }
    width, hidden = WIDTH if sizes is TINY else sizes.audio_hidden_size, sizes.hidden_size
    shapes = {
        "ln_pre.weight": (STACK * width,),
        "linear_1.weight": (INNER, STACK * width),
        "linear_2.weight": (hidden, INNER // 2),
    }
    shapes |= {"ln_mid.weight": (INNER // 2,)} if config["projector_ln_mid"] else {"ln_post.weight": (hidden,)}
    tower = _tower() if sizes is TINY else _tower(width, 4 * width, sizes.audio_layers)
    _save(folder, tokenizer, config, tower | _random("multi_modal_projector.", shapes, seed=3))


def save_v0_7(folder: Path, sizes: Sizes = TINY) -> None:
    """Everything in one folder."""
    tokenizer = byte_tokenizer(QWEN_MARKS, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.chat_template = QWEN_TEMPLATE
    model = Qwen3ForCausalLM(Qwen3Config(**sizes.text, head_dim=sizes.hidden_size // sizes.heads, eos_token_id=2))
    _fill(model.state_dict(), seed=2, scale=0.3)
    shapes = {
        "ln_pre.weight": (STACK * WIDTH,),
        "linear_in.weight": (WIDTH, STACK * WIDTH),
        "linear_in.bias": (WIDTH,),
        "embed_positions.weight": (N_POSITIONS, WIDTH),
        "ln_post.weight": (WIDTH,),
        "linear_out.weight": (sizes.hidden_size, WIDTH),
        "linear_out.bias": (sizes.hidden_size,),
        **_layer_shapes(WIDTH, FEED_FORWARD, 2),
    }
    weights = _tower() | _random("multi_modal_projector.", shapes, seed=4)
    weights |= {f"language_model.{name}": weight for name, weight in model.state_dict().items()}
    config = {"text_config": model.config.to_dict(), "num_projector_layers": 2, "audio_config": {"d_model": WIDTH}}
    _save(folder, tokenizer, config, weights)


def _save(folder: Path, tokenizer: Any, config: dict[str, Any], weights: Weights) -> None:
    config |= {
        "model_type": "ultravox",
        "architectures": ["UltravoxModel"],
        "auto_map": {"AutoConfig": "ultravox_config.UltravoxConfig", "AutoModel": "ultravox_model.UltravoxModel"},
        "hidden_size": INNER,
        "stack_factor": STACK,
        "projector_act": "swiglu",
    }
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / "model.safetensors")
    tokenizer.save_pretrained(folder)


def _tower(width: int = WIDTH, feed_forward: int = FEED_FORWARD, n_layers: int = 2) -> Weights:
    shapes = {
        "conv1.weight": (width, N_MELS, 3),
        "conv1.bias": (width,),
        "conv2.weight": (width, width, 3),
        "conv2.bias": (width,),
        "embed_positions.weight": (N_POSITIONS, width),
        "layer_norm.weight": (width,),
        "layer_norm.bias": (width,),
        **_layer_shapes(width, feed_forward, n_layers),
    }
    return _random("audio_tower.", shapes, seed=2)


def _layer_shapes(width: int, feed_forward: int, n_layers: int) -> dict[str, tuple[int, ...]]:
    layer: dict[str, tuple[int, ...]] = {
        "fc1.weight": (feed_forward, width),
        "fc1.bias": (feed_forward,),
        "fc2.weight": (width, feed_forward),
        "fc2.bias": (width,),
    }
    for norm in ("self_attn_layer_norm", "final_layer_norm"):
        layer |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        layer[f"self_attn.{name}.weight"] = (width, width)
        if name != "k_proj":
            layer[f"self_attn.{name}.bias"] = (width,)
    return {f"layers.{index}.{name}": shape for index in range(n_layers) for name, shape in layer.items()}


def _random(prefix: str, shapes: dict[str, tuple[int, ...]], seed: int) -> Weights:
    weights = {f"{prefix}{name}": torch.empty(shape) for name, shape in shapes.items()}
    _fill(weights, seed, scale=0.1)
    return weights


def _fill(weights: Weights, seed: int, scale: float) -> None:
    """Numbers from numpy, whose stream is the same everywhere, so that results can be stored."""
    rng = np.random.default_rng(seed)
    for name in sorted(weights):
        numbers = torch.from_numpy(rng.standard_normal(weights[name].shape).astype(np.float32))
        is_norm = "norm" in name or ".ln_" in name
        weights[name].copy_(1 + 0.1 * numbers if is_norm and name.endswith("weight") else scale * numbers)


# ---- The reference ----


def reference(folder: Path) -> Answer:
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    if "text_model_id" in config:
        model = AutoModelForCausalLM.from_pretrained(config["text_model_id"]).eval()
    else:
        model = Qwen3ForCausalLM(Qwen3Config(**config["text_config"])).eval()
        model.load_state_dict(_under("language_model.", weights))

    def answer(messages: Sequence[Message], n_new: int) -> Reference:
        turns = [
            {
                "role": message.role,
                "content": "\n".join(part if isinstance(part, str) else "<|audio|>" for part in message.parts),
            }
            for message in messages
        ]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, enable_thinking=False)
        heard = [hear(clip, weights, config) for message in messages for clip in message.clips]
        ids, rows = [], []
        for index, piece in enumerate(tokenizer(text.split("<|audio|>"), add_special_tokens=False).input_ids):
            rows.append(model.get_input_embeddings()(torch.tensor(piece, dtype=torch.long)))
            ids += piece
            if index < len(heard):
                rows.append(heard[index])
                ids += [0] * len(heard[index])
        with torch.inference_mode():
            logits, answered = _answer(model, torch.cat(rows)[None], n_new, tokenizer.eos_token_id)
        return Reference(logits, tokenizer.decode(answered, skip_special_tokens=True), ids)

    return answer


def _answer(model: Any, embeds: torch.Tensor, n_new: int, stop: int) -> tuple[torch.Tensor, list[int]]:
    """Logits after the prompt, and the greedy answer, without a cache."""
    first, answered = None, list[int]()
    while len(answered) < n_new:
        logits = model(inputs_embeds=embeds, use_cache=False).logits[0, -1]
        first = logits if first is None else first
        token = logits.argmax()
        if token == stop:
            break
        answered.append(int(token))
        embeds = torch.cat((embeds, model.get_input_embeddings()(token)[None, None]), 1)
    return first, answered


def hear(clip: AudioClip, weights: Weights, config: dict[str, Any]) -> torch.Tensor:
    """A clip's rows (positions, hidden); each 30 s for itself."""
    window = 30 * SAMPLE_RATE_HZ
    pieces = [clip.samples[start : start + window] for start in range(0, len(clip.samples), window)]
    with torch.inference_mode():
        return torch.cat([_hear_window(piece, weights, config) for piece in pieces])


def _hear_window(samples: Samples, weights: Weights, config: dict[str, Any]) -> torch.Tensor:
    tower, projector = _under("audio_tower.", weights), _under("multi_modal_projector.", weights)
    samples = np.pad(samples, (0, max(0, 320 - len(samples))))
    mel = WhisperFeatureExtractor(feature_size=N_MELS)(
        samples, sampling_rate=SAMPLE_RATE_HZ, padding="longest", pad_to_multiple_of=160, return_tensors="pt"
    ).input_features
    x = gelu(conv1d(mel, tower["conv1.weight"], tower["conv1.bias"], padding=1))
    x = gelu(conv1d(x, tower["conv2.weight"], tower["conv2.bias"], padding=1, stride=2))[0].T
    x = x + tower["embed_positions.weight"][: len(x)]
    sees = torch.ones(len(x), len(x), dtype=torch.bool)
    if block := config.get("audio_latency_block_size"):
        sees = torch.tensor([[key // block <= query // block for key in range(len(x))] for query in range(len(x))])
    for index in range(2):
        x = _layer(x, _under(f"layers.{index}.", tower), sees)
    x = layer_norm(x, (WIDTH,), tower["layer_norm.weight"], tower["layer_norm.bias"])
    x = pad(x, (0, 0, 0, -len(x) % STACK)).reshape(-1, STACK * WIDTH)
    return _project(x, projector, config)


def _project(x: torch.Tensor, weights: Weights, config: dict[str, Any]) -> torch.Tensor:
    x = _rms_norm(x, weights["ln_pre.weight"])
    if n_layers := config.get("num_projector_layers", 0):
        x = linear(x, weights["linear_in.weight"], weights["linear_in.bias"])
        x = x + weights["embed_positions.weight"][: len(x)]
        for index in range(n_layers):
            x = _layer(x, _under(f"layers.{index}.", weights), torch.ones(len(x), len(x), dtype=torch.bool))
        return linear(_rms_norm(x, weights["ln_post.weight"]), weights["linear_out.weight"], weights["linear_out.bias"])
    x = linear(x, weights["linear_1.weight"])
    x = silu(x[:, INNER // 2 :]) * x[:, : INNER // 2]
    if config.get("projector_ln_mid"):
        return linear(_rms_norm(x, weights["ln_mid.weight"]), weights["linear_2.weight"])
    return _rms_norm(linear(x, weights["linear_2.weight"]), weights["ln_post.weight"])


def _layer(x: torch.Tensor, weights: Weights, sees: torch.Tensor) -> torch.Tensor:
    """One layer of Whisper's encoder; `sees` (query, key) says what may be attended to."""

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return layer_norm(x, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"])

    def affine(name: str, x: torch.Tensor) -> torch.Tensor:
        return linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    normed = norm("self_attn_layer_norm", x)
    query, key, value = (affine(f"self_attn.{name}_proj", normed) for name in "qkv")
    heads = []
    for start in range(0, WIDTH, HEAD):
        part = slice(start, start + HEAD)
        scores = (query[:, part] @ key[:, part].T / HEAD**0.5).masked_fill(~sees, -torch.inf)
        heads.append(scores.softmax(-1) @ value[:, part])
    x = x + affine("self_attn.out_proj", torch.cat(heads, -1))
    return x + affine("fc2", gelu(affine("fc1", norm("final_layer_norm", x))))


def _rms_norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight


def _under(prefix: str, weights: Weights) -> Weights:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


ULTRAVOX = TinyFamily("ultravox", save_v0_5, reference, Tower)
ULTRAVOX_V0_7 = TinyFamily("ultravox-v0.7", save_v0_7, reference, Tower, warmed_share=0.5)
