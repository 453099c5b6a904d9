"""A tiny Gemma 4 with ears."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    Gemma4AudioFeatureExtractor,
    Gemma4AudioModel,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
)

from models.types import SAMPLE_RATE_HZ, Message
from tests.models.tiny.family import VOCABULARY, Answer, Reference, Sizes, TinyFamily, byte_tokenizer, greedy

MARKS = ("<pad>", "<eos>", "<bos>", "<|turn>", "<turn|>", "<|audio|>", "<|audio>", "<audio|>", "<|image|>")
N_MELS = 32
TEMPLATE = (
    "{{ bos_token }}{% for turn in messages %}<|turn>{{ 'model' if turn.role == 'assistant' else turn.role }}\n"
    "{% if turn.content is string %}{{ turn.content | trim }}{% else %}{% for part in turn.content %}"
    "{{ '<|audio|>' if part.type == 'audio' else part.text | trim }}{% endfor %}{% endif %}<turn|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn>model\n{% endif %}"
)


def save(folder: Path, sizes: Sizes) -> None:
    tokenizer = byte_tokenizer(
        MARKS,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        model_specific_special_tokens={
            "audio_token": "<|audio|>",
            "boa_token": "<|audio>",
            "eoa_token": "<audio|>",
            "image_token": "<|image|>",
        },
    )
    tokenizer.chat_template = TEMPLATE
    text = {
        **sizes.text,
        "num_hidden_layers": 4,
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "sliding_window": 32,
        "head_dim": 16,
        "global_head_dim": 32,
        "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": VOCABULARY,
        "final_logit_softcapping": 30.0,
        "eos_token_id": [1, 4],
    }
    audio = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "subsampling_conv_channels": [N_MELS, 4],  # the model takes the first for the number of mel bins
        "output_proj_dims": 48,
        "initializer_range": 0.1,
    }
    torch.manual_seed(0)
    config = Gemma4Config(
        text_config=text,
        audio_config=audio,
        audio_token_id=MARKS.index("<|audio|>"),
        image_token_id=MARKS.index("<|image|>"),
        video_token_id=VOCABULARY,
    )
    Gemma4ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Gemma4AudioFeatureExtractor(feature_size=N_MELS).save_pretrained(folder)


def as_chat(message: Message) -> dict[str, Any]:
    if not message.clips:
        return {"role": message.role, "content": message.text}
    parts = [{"type": "text", "text": part} if isinstance(part, str) else {"type": "audio"} for part in message.parts]
    return {"role": message.role, "content": parts}


def reference(folder: Path) -> Answer:
    model = Gemma4ForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    features = Gemma4AudioFeatureExtractor.from_pretrained(folder)

    def answer(messages: Sequence[Message], n_new: int) -> Reference:
        text = tokenizer.apply_chat_template(
            [as_chat(message) for message in messages], add_generation_prompt=True, tokenize=False
        )
        inputs = {}
        clips = [clip.samples for message in messages for clip in message.clips]
        if clips:
            inputs = dict(features(clips, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"))
            for mask in inputs["input_features_mask"]:
                n_audio = int(mask[::2][::2].sum())  # the processor's own count: two convolutions of stride 2
                text = text.replace("<|audio|>", f"<|audio>{'<AUDIO>' * n_audio}<audio|>", 1)
        text = text.replace("<AUDIO>", "<|audio|>")
        inputs |= dict(tokenizer(text, add_special_tokens=False, return_tensors="pt"))
        inputs.pop("token_type_ids", None)
        return greedy(model, tokenizer, inputs, n_new, [1, 4])

    return answer


GEMMA4 = TinyFamily("gemma4", save, reference, Gemma4AudioModel, window_s=30.0)
