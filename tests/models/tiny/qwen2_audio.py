"""A tiny Qwen2-Audio."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import (
    AutoProcessor,
    Qwen2AudioConfig,
    Qwen2AudioEncoder,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    WhisperFeatureExtractor,
)

from models.types import SAMPLE_RATE_HZ, Message
from tests.models.tiny.family import Answer, Reference, Sizes, TinyFamily, as_chat, byte_tokenizer, greedy

MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>")


def save(folder: Path, sizes: Sizes) -> None:
    tokenizer = byte_tokenizer(MARKS, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    torch.manual_seed(0)
    config = Qwen2AudioConfig(
        audio_config={"model_type": "qwen2_audio_encoder", "num_mel_bins": 80, **sizes.whisper},
        text_config={"model_type": "qwen2", **sizes.text},
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    Qwen2AudioForConditionalGeneration(config).save_pretrained(folder)
    Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=80), tokenizer).save_pretrained(folder)


def reference(folder: Path) -> Answer:
    model = Qwen2AudioForConditionalGeneration.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    stops = processor.tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])

    def answer(messages: Sequence[Message], n_new: int) -> Reference:
        text = processor.apply_chat_template(
            [as_chat(message) for message in messages], add_generation_prompt=True, tokenize=False
        )
        clips = [clip.samples for message in messages for clip in message.clips]
        inputs = processor(text=text, audio=clips or None, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        return greedy(model, processor.tokenizer, dict(inputs), n_new, stops)

    return answer


QWEN2_AUDIO = TinyFamily("qwen2_audio", save, reference, Qwen2AudioEncoder, window_s=30.0, min_window_s=0.07)
