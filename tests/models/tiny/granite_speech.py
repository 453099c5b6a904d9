"""A tiny Granite Speech with an adapter for speech."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig
from transformers import (
    AutoTokenizer,
    GenerationMixin,
    GraniteSpeechConfig,
    GraniteSpeechCTCEncoder,
    GraniteSpeechForConditionalGeneration,
    PreTrainedModel,
)
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from models.types import Message, Samples
from tests.models.tiny.family import Answer, Reference, Sizes, TinyFamily, byte_tokenizer, greedy

MARKS = ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>", "<|audio|>")
CHAT_TEMPLATE = """\
{%- if messages[0].role != 'system' %}
{{- '<|start_of_role|>system<|end_of_role|>You are the quick brown fox.<|end_of_text|>\\n' }}
{%- endif %}
{%- for message in messages %}
{{- '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content + '<|end_of_text|>\\n' }}
{%- endfor %}
{{- '<|start_of_role|>assistant<|end_of_role|>' if add_generation_prompt else '' }}"""
ENCODER_SIZES = {
    "num_layers": 2,
    "hidden_dim": 32,
    "num_heads": 2,
    "output_dim": 8,
    "context_size": 20,
    "max_pos_emb": 32,
}
PROJECTOR_SIZES = {
    "model_type": "blip_2_qformer",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "encoder_hidden_size": 32,
    "cross_attention_frequency": 1,
    "initializer_range": 0.3,
}
GRANITE = {
    "model_type": "granite",
    "logits_scaling": 8.0,
    "embedding_multiplier": 2.0,
    "residual_multiplier": 0.5,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def save(folder: Path, sizes: Sizes) -> None:
    tokenizer = byte_tokenizer(MARKS, eos_token="<|end_of_text|>", pad_token="<|end_of_text|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(0)
    config = GraniteSpeechConfig(
        encoder_config=ENCODER_SIZES,
        projector_config=PROJECTOR_SIZES,
        text_config={**sizes.text, **GRANITE},
        audio_token_index=tokenizer.convert_tokens_to_ids("<|audio|>"),
        initializer_range=0.1,
        tie_word_embeddings=False,  # tied ones of a random model repeat the last token
    )
    model = GraniteSpeechForConditionalGeneration(config)
    model.lm_head.weight.data[config.audio_token_id] = 0.0  # a trained model never says it
    model.save_pretrained(folder)
    model.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    PreTrainedModel.save_pretrained(model, folder)  # the adapter alone; the model's own would spoil the base weights
    tokenizer.save_pretrained(folder)


def mel_frames(clip: Samples) -> torch.Tensor:
    """What the publisher's processor computes with torchaudio: (1, encoder frames, 160)."""
    log = spectrogram(
        clip,
        window_function(400, "hann"),
        frame_length=400,
        hop_length=160,
        fft_length=512,
        power=2.0,
        mel_filters=mel_filter_bank(257, 80, 0.0, 8000.0, 16_000, mel_scale="htk"),
        mel_floor=1e-10,
        log_mel="log10",
    ).T
    log = np.maximum(log, log.max() - 8.0) / 4 + 1
    return torch.from_numpy(log[: len(log) // 2 * 2].reshape(1, -1, 160)).float()


def reference(folder: Path) -> Answer:
    model: Any = GraniteSpeechForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    stops = [tokenizer.eos_token_id]

    def tokenize(messages: Sequence[Message], counts: Iterator[int]) -> torch.Tensor:
        chat = []
        for message in messages:
            parts = (part if isinstance(part, str) else "<|audio|>" * next(counts) for part in message.parts)
            chat.append({"role": message.role, "content": "".join(parts)})
        text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        ids: torch.Tensor = tokenizer(text, return_tensors="pt").input_ids
        return ids

    def answer(messages: Sequence[Message], n_new: int) -> Reference:
        model.enable_adapters()
        frames = [mel_frames(clip.samples) for message in messages for clip in message.clips]
        with torch.inference_mode():
            heard = [model.get_audio_features(of_clip).pooler_output[0] for of_clip in frames]
            ids = tokenize(messages, iter(len(rows) for rows in heard))
            embeds = model.get_input_embeddings()(ids)
            embeds[ids == model.config.audio_token_id] = torch.cat([*heard, embeds[0, :0]])
        if len(frames) == 1:  # the publisher's way; clips of different lengths would hear each other's padding
            inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "input_features": frames[0]}
            given = greedy(model, tokenizer, inputs, n_new, stops)
        else:
            inputs = {"inputs_embeds": embeds, "attention_mask": torch.ones_like(ids)}
            generate = partial(GenerationMixin.generate, model)  # the model's own would switch its adapter off
            given = greedy(model, tokenizer, inputs, n_new, stops, ids=ids, generate=generate)
        return replace(given, logits=given.logits / model.config.text_config.logits_scaling)  # which the class forgets

    return answer


GRANITE_SPEECH = TinyFamily("granite_speech", save, reference, GraniteSpeechCTCEncoder)
