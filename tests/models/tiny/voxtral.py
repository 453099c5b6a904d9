"""A tiny Voxtral."""

import base64
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soundfile
import torch
from transformers import (
    VoxtralConfig,
    VoxtralEncoder,
    VoxtralForConditionalGeneration,
    VoxtralProcessor,
    WhisperFeatureExtractor,
)
from transformers.tokenization_mistral_common import MistralCommonBackend

from models.types import SAMPLE_RATE_HZ, AudioClip, Message, Part
from tests.models.tiny.family import CORPUS, TINY, Answer, Reference, Sizes, TinyFamily, greedy

SPECIAL = {  # as in the real tekken.json; those between are fillers
    0: "<unk>",
    1: "<s>",
    2: "</s>",
    3: "[INST]",
    4: "[/INST]",
    5: "[AVAILABLE_TOOLS]",
    6: "[/AVAILABLE_TOOLS]",
    7: "[TOOL_RESULTS]",
    8: "[/TOOL_RESULTS]",
    9: "[TOOL_CALLS]",
    11: "<pad>",
    14: "[PREFIX]",
    15: "[MIDDLE]",
    16: "[SUFFIX]",
    17: "[SYSTEM_PROMPT]",
    18: "[/SYSTEM_PROMPT]",
    19: "[TOOL_CONTENT]",
    24: "[AUDIO]",
    25: "[BEGIN_AUDIO]",
    32: "[ARGS]",
    33: "[CALL_ID]",
    34: "[TRANSCRIBE]",
}
N_SPECIAL = 40
N_MELS = 80


def save(folder: Path, sizes: Sizes = TINY, version: str = "v7") -> None:
    """Writes a checkpoint whose tokenizer is of a version of mistral-common."""
    audio = {
        "num_mel_bins": N_MELS,
        "num_hidden_layers": sizes.audio_layers,
        "num_attention_heads": sizes.audio_heads,
        "hidden_size": sizes.audio_hidden_size,
        "intermediate_size": 4 * sizes.audio_hidden_size,  # four times the width, by which the states are stacked
        "initializer_range": 0.1,
    }
    tokenizer = tekken(version)
    text = {
        **sizes.text,
        "head_dim": sizes.hidden_size // sizes.heads,
        "vocab_size": tokenizer["config"]["default_vocab_size"],
    }
    torch.manual_seed(0)
    config = VoxtralConfig(
        audio_config={"model_type": "voxtral_encoder", **audio},
        text_config={"model_type": "llama", "rope_theta": 10_000.0, **text},
        audio_token_id=24,
    )
    VoxtralForConditionalGeneration(config).save_pretrained(folder)
    (folder / "tekken.json").write_text(json.dumps(tokenizer))
    WhisperFeatureExtractor(feature_size=N_MELS).save_pretrained(folder)


def tekken(version: str) -> dict[str, Any]:
    """Bytes, and the commonest pairs of them."""
    pairs = Counter(CORPUS[at : at + 2].encode() for at in range(len(CORPUS) - 1))
    words = [bytes([byte]) for byte in range(256)] + [pair for pair, _ in pairs.most_common()]
    special = [
        {"rank": rank, "token_str": SPECIAL.get(rank, f"<SPECIAL_{rank}>"), "is_control": True}
        for rank in range(N_SPECIAL)
    ]
    return {
        "config": {
            "pattern": r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+|\s+",
            "num_vocab_tokens": len(words),
            "default_vocab_size": N_SPECIAL + len(words),
            "default_num_special_tokens": N_SPECIAL,
            "version": version,
        },
        "vocab": [
            {"rank": rank, "token_bytes": base64.b64encode(word).decode(), "token_str": None}
            for rank, word in enumerate(words)
        ],
        "special_tokens": special,
        "audio": {
            "sampling_rate": SAMPLE_RATE_HZ,
            "frame_rate": 12.5,
            "audio_encoding_config": {"num_mel_bins": N_MELS, "hop_length": 160, "window_size": 400},
            "chunk_length_s": 30.0,
        },
    }


def load_processor(folder: Path) -> Any:
    tokenizer = MistralCommonBackend.from_pretrained(folder)
    return VoxtralProcessor(WhisperFeatureExtractor.from_pretrained(folder), tokenizer)


def as_wav(clip: AudioClip) -> str:
    """Base64 of a file that holds the samples as they are."""
    file = io.BytesIO()
    soundfile.write(file, clip.samples, SAMPLE_RATE_HZ, format="WAV", subtype="FLOAT")
    return base64.b64encode(file.getvalue()).decode()


def as_chat(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """A conversation as the processor takes it; a system prompt, refused beside audio, opens the first turn."""
    system: tuple[Part, ...] = ()
    if any(message.clips for message in messages) and messages[0].role == "system":
        system, messages = messages[0].parts, messages[1:]
    turns = []
    for message in messages:
        parts = (*system, *message.parts) if message.role == "user" else message.parts
        system = () if message.role == "user" else system
        content = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "audio", "base64": as_wav(part)}
            for part in parts
        ]
        turns.append({"role": message.role, "content": content if message.role == "user" else message.text})
    return turns


def reference(folder: Path) -> Answer:
    model = VoxtralForConditionalGeneration.from_pretrained(folder).eval()
    processor = load_processor(folder)

    def answer(messages: Sequence[Message], n_new: int) -> Reference:
        inputs = dict(processor.apply_chat_template(as_chat(messages)))
        # Over 30 s the processor normalises the spectrogram of all windows together; ours are each for themselves.
        windows = [
            clip.samples[start : start + 30 * SAMPLE_RATE_HZ]
            for message in messages
            for clip in message.clips
            for start in range(0, len(clip.samples), 30 * SAMPLE_RATE_HZ)
        ]
        if windows:
            alone = processor.feature_extractor(windows, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
            assert alone.input_features.shape == inputs["input_features"].shape
            inputs["input_features"] = alone.input_features
        return greedy(model, processor.tokenizer, inputs, n_new, [2])

    return answer


VOXTRAL = TinyFamily("voxtral", save, reference, VoxtralEncoder)
