"""A tiny Qwen2.5-Omni: a whole one is saved, without a talker."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    Qwen2_5OmniConfig,
    Qwen2_5OmniForConditionalGeneration,
    Qwen2_5OmniProcessor,
    Qwen2_5OmniThinkerForConditionalGeneration,
    WhisperFeatureExtractor,
)
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder

from models.families.windows import cut_windows
from models.types import Message
from tests.models.tiny.family import TINY, Answer, Reference, Sizes, TinyFamily, as_chat, byte_tokenizer, greedy

NAMED_MARKS = {
    "audio_token": "<|AUDIO|>",
    "image_token": "<|IMAGE|>",
    "video_token": "<|VIDEO|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
}
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *NAMED_MARKS.values())
CHAT_TEMPLATE = """\
{%- if messages[0].role != 'system' %}{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- for part in message.content %}
{{- '<|audio_bos|><|AUDIO|><|audio_eos|>' if part.type == 'audio' else part.text }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{{- '<|im_start|>assistant\\n' if add_generation_prompt else '' }}"""
AUDIO_SIZES = {
    "d_model": 32,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "encoder_layers": 2,
    "num_mel_bins": 80,
    "initializer_range": 0.1,
}
VISION_SIZES = {
    "depth": 1,
    "fullatt_block_indexes": [0],
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_heads": 2,
    "out_hidden_size": TINY.hidden_size,
}
WINDOW_S, MIN_WINDOW_S = 30.0, 0.03


class AudioProcessor(Qwen2_5OmniProcessor):
    """The publisher's processor without its parts for pictures, which need torchvision."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        return None if argument is None else super().check_argument_for_proper_class(argument_name, argument)


def save(folder: Path, sizes: Sizes) -> None:
    tokenizer = byte_tokenizer(
        MARKS, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_specific_special_tokens=NAMED_MARKS
    )
    n_pairs = sizes.hidden_size // sizes.heads // 2  # shared out between time, height and width
    rope = {"rope_theta": 1e6, "rope_type": "default", "mrope_section": [n_pairs // 4, *[3 * n_pairs // 8] * 2]}
    thinker = {
        "audio_config": {**AUDIO_SIZES, "output_dim": sizes.hidden_size},
        "vision_config": VISION_SIZES,
        "text_config": {**sizes.text, "rope_parameters": rope},
        "audio_token_index": tokenizer.audio_token_id,
        "image_token_index": tokenizer.image_token_id,
        "video_token_index": tokenizer.video_token_id,
        "audio_start_token_id": tokenizer.convert_tokens_to_ids("<|audio_bos|>"),
        "audio_end_token_id": tokenizer.convert_tokens_to_ids("<|audio_eos|>"),
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_bos|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_eos|>"),
    }
    torch.manual_seed(0)
    config = Qwen2_5OmniConfig(thinker_config=thinker, enable_audio_output=False)
    Qwen2_5OmniForConditionalGeneration(config).save_pretrained(folder)
    features = WhisperFeatureExtractor(feature_size=80, chunk_length=300, return_attention_mask=True)
    features.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def reference(folder: Path) -> Answer:
    model = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(folder).eval()
    features, tokenizer = WhisperFeatureExtractor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    processor = AudioProcessor(None, None, features, tokenizer, chat_template=CHAT_TEMPLATE)
    stops = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])

    def answer(messages: Sequence[Message], n_new: int) -> Reference:
        chat = [as_chat(message) for message in messages]
        text = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        clips = [clip.samples for message in messages for clip in message.clips]
        windows = [cut_windows(clip, WINDOW_S, MIN_WINDOW_S) for clip in clips]
        for of_clip in windows:  # the processor takes windows for clips; they stay between the marks of theirs
            text = text.replace("<|AUDIO|>", "<one>" * len(of_clip), 1)
        text = text.replace("<one>", "<|AUDIO|>")
        flat = [window for of_clip in windows for window in of_clip]
        inputs = processor(text=text, audio=flat or None, return_tensors="pt")
        return greedy(model, tokenizer, dict(inputs), n_new, stops)

    return answer


QWEN2_5_OMNI = TinyFamily("qwen2_5_omni", save, reference, Qwen2_5OmniAudioEncoder, min_window_s=MIN_WINDOW_S)
