"""A tiny Audio Flamingo 3."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AudioFlamingo3Config,
    AudioFlamingo3Encoder,
    AudioFlamingo3ForConditionalGeneration,
    AudioFlamingo3Processor,
    AutoProcessor,
    WhisperFeatureExtractor,
)

from models.types import SAMPLE_RATE_HZ, Message
from tests.models.tiny.family import Answer, Reference, Sizes, TinyFamily, as_chat, byte_tokenizer, greedy

MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<sound>")
CHAT_TEMPLATE = """\
{%- if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{{- '<sound>' if message.content | selectattr('type', 'equalto', 'audio') | list else '' }}
{{- message.content | selectattr('type', 'equalto', 'text') | join('', attribute='text') }}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{{- '<|im_start|>assistant\\n' if add_generation_prompt else '' }}"""


def save(folder: Path, sizes: Sizes) -> None:
    tokenizer = byte_tokenizer(MARKS, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    torch.manual_seed(0)
    config = AudioFlamingo3Config(
        audio_config={"model_type": "audioflamingo3_encoder", "num_mel_bins": 80, **sizes.whisper},
        text_config={"model_type": "qwen2", **sizes.text},
        audio_token_id=tokenizer.convert_tokens_to_ids("<sound>"),
    )
    AudioFlamingo3ForConditionalGeneration(config).save_pretrained(folder)
    features = WhisperFeatureExtractor(feature_size=80, return_attention_mask=True)
    AudioFlamingo3Processor(features, tokenizer, chat_template=CHAT_TEMPLATE).save_pretrained(folder)


def read_several_clips(processor: Any, text: str, messages: Sequence[Message]) -> dict[str, torch.Tensor]:
    """What the processor would give if it did not refuse more than one clip in a conversation."""
    clips = [clip.samples for message in messages for clip in message.clips]
    sounds = processor.feature_extractor(
        clips, sampling_rate=SAMPLE_RATE_HZ, return_attention_mask=True, return_tensors="pt"
    )
    counts = iter(processor._get_audio_token_length(sounds.attention_mask.sum(-1)).tolist())
    for message in messages:
        if message.clips:
            text = text.replace("<sound>", "<one>" * sum(next(counts) for _ in message.clips), 1)
    ids = processor.tokenizer(text.replace("<one>", "<sound>"), return_tensors="pt")
    return {**ids, "input_features": sounds.input_features, "input_features_mask": sounds.attention_mask}


def reference(folder: Path) -> Answer:
    model = AudioFlamingo3ForConditionalGeneration.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    stops = processor.tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])

    def answer(messages: Sequence[Message], n_new: int) -> Reference:
        text = processor.apply_chat_template(
            [as_chat(message) for message in messages], add_generation_prompt=True, tokenize=False
        )
        clips = [clip.samples for message in messages for clip in message.clips]
        if len(clips) > 1:
            inputs = read_several_clips(processor, text, messages)
        else:
            inputs = dict(processor(text=text, audio=clips or None, return_tensors="pt"))
        return greedy(model, processor.tokenizer, inputs, n_new, stops)

    return answer


AUDIO_FLAMINGO3 = TinyFamily(
    "audio_flamingo3", save, reference, AudioFlamingo3Encoder, window_s=30.0, min_window_s=0.03
)
