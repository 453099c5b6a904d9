"""A tiny Phi-4-multimodal with its adapter for speech."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from transformers import (
    AutoTokenizer,
    Phi4MultimodalConfig,
    Phi4MultimodalFeatureExtractor,
    Phi4MultimodalForCausalLM,
)
from transformers.models.phi4_multimodal.modeling_phi4_multimodal import Phi4MultimodalAudioModel

from models.types import SAMPLE_RATE_HZ, Message
from tests.models.tiny.family import Answer, Reference, Sizes, TinyFamily, byte_tokenizer, greedy

MARKS = ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|audio|>", "<|image|>")
AUDIO_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_blocks": 2,
    "num_attention_heads": 2,
    "ext_pw_out_channel": 32,
    "depthwise_separable_out_channel": 32,
    "nemo_conv_channels": 8,
    "initializer_range": 0.1,
}
VISION_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "crop_size": 28,
}


def rope(sizes: Sizes) -> dict[str, Any]:
    n_pairs = sizes.hidden_size // sizes.heads // 2
    return {
        "rope_type": "longrope",
        "rope_theta": 10_000.0,
        "partial_rotary_factor": 1.0,
        "short_factor": [1.0] * n_pairs,
        "long_factor": [1.0 + pair for pair in range(n_pairs)],
        "original_max_position_embeddings": 4096,
    }


def save(folder: Path, sizes: Sizes) -> None:
    tokenizer = byte_tokenizer(MARKS, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    audio_token_id, image_token_id = tokenizer.convert_tokens_to_ids(["<|audio|>", "<|image|>"])
    torch.manual_seed(0)
    config = Phi4MultimodalConfig(
        **sizes.text,
        audio_config={**AUDIO_SIZES, "audio_token_id": audio_token_id},
        vision_config={**VISION_SIZES, "image_token_id": image_token_id},
        rope_parameters=rope(sizes),
        original_max_position_embeddings=4096,
        sliding_window=262_144,
        bos_token_id=0,
        eos_token_id=[0, tokenizer.convert_tokens_to_ids("<|end|>")],
        pad_token_id=0,
    )
    model = Phi4MultimodalForCausalLM(config)
    model.lm_head.weight.data[[audio_token_id, image_token_id]] = 0.0  # a trained model never says them
    model.save_pretrained(folder)
    adapter = LoraConfig(r=4, lora_alpha=8, target_modules=["qkv_proj", "o_proj"], init_lora_weights=False)
    model.add_adapter(adapter)
    config.save_pretrained(folder / "speech-lora")
    model.save_pretrained(folder / "speech-lora")
    tokenizer.save_pretrained(folder)
    Phi4MultimodalFeatureExtractor().save_pretrained(folder)


def embed_one_by_one(model: Any, ids: torch.Tensor, heard: Sequence[Any]) -> torch.Tensor:
    """The prompt's embeddings, each clip's put in as if it were the only one."""
    audio_token_id = model.config.audio_config.audio_token_id
    places = (ids == audio_token_id).nonzero()[:, 1].split([int(of_clip.audio_embed_sizes) for of_clip in heard])
    embeds = model.embed_tokens(ids)
    for of_clip, place in zip(heard, places, strict=True):
        of_it = torch.zeros_like(ids).index_fill(1, place, audio_token_id)
        embeds = model.embed_tokens_extend(of_it, embeds, **of_clip)
    return embeds


def reference(folder: Path) -> Answer:
    model: Any = Phi4MultimodalForCausalLM.from_pretrained(folder).eval()
    model.load_adapter(str(folder / "speech-lora"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    features = Phi4MultimodalFeatureExtractor.from_pretrained(folder)
    stops = tokenizer.convert_tokens_to_ids(["<|end|>", "<|endoftext|>"])

    def answer(messages: Sequence[Message], n_new: int) -> Reference:
        clips = [clip.samples for message in messages for clip in message.clips]
        heard = [features(clip, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt") for clip in clips]
        sizes = iter(int(of_clip.audio_embed_sizes) for of_clip in heard)
        text = ""
        for message in messages:
            parts = (part if isinstance(part, str) else "<|audio|>" * next(sizes) for part in message.parts)
            text += f"<|{message.role}|>{''.join(parts)}<|end|>"
        inputs = dict(tokenizer(text + "<|assistant|>", return_tensors="pt"))
        if len(heard) <= 1:  # the publisher's way; clips of different lengths would hear each other's padding
            return greedy(
                model, tokenizer, inputs | {k: v for of_clip in heard for k, v in of_clip.items()}, n_new, stops
            )
        ids = inputs.pop("input_ids")
        with torch.inference_mode():
            inputs["inputs_embeds"] = embed_one_by_one(model.model, ids, heard)
        return greedy(model, tokenizer, inputs, n_new, stops, ids=ids)

    return answer


PHI4_MULTIMODAL = TinyFamily(
    "phi4_multimodal", save, reference, Phi4MultimodalAudioModel, min_window_s=0.025, max_clip_s=300.0
)
