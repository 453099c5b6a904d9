"""Audio Flamingo 3: a Whisper encoder whose states are pooled to 25 positions a second, and a Qwen language model.

Source: Goel et al., "Audio Flamingo 3", 2025, and the processor and chat template of nvidia/audio-flamingo-3-hf. Sound
comes before the text of its message, in windows of 30 s that the encoder hears one by one. The official processor takes
one clip per conversation; here every message may have some, written as that one is.
Read `audio_llm.py` for what all families share.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AudioFlamingo3ForConditionalGeneration, AutoTokenizer, WhisperFeatureExtractor

from models.engine.prompt import Prompt
from models.families.audio_llm import AudioLLM
from models.families.language_model import LanguageModel
from models.families.windows import audio_span, cut_windows, pooled_positions
from models.loading import LoadOptions, load_engine, load_pretrained, loading
from models.prompts.chatml import write_chatml
from models.prompts.writer import PromptWriter
from models.types import SAMPLE_RATE_HZ, Message, ModelInfo, Samples

WINDOW_S = 30.0  # of the encoder
MIN_WINDOW_S = 0.03  # 3 mel frames, the fewest that give a position
DEFAULT_SYSTEM_PROMPT = "You are a helpful assistant."  # the template adds it where there is none


class AudioFlamingo3:
    """Writes conversations down as Audio Flamingo 3 was trained to read them.

    Args:
        model: an `AudioFlamingo3ForConditionalGeneration`.
        tokenizer: its tokenizer.
        features: its mel spectrogram.
    """

    def __init__(self, model: Any, tokenizer: Any, features: Any) -> None:
        self._hearing = model.model  # its language model is not used through it
        self._tokenizer = tokenizer
        self._features = features

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """ChatML; a message's sound before its text."""
        return write_chatml(self._tokenizer, messages, self._write_content, DEFAULT_SYSTEM_PROMPT)

    def _write_content(self, writer: PromptWriter, message: Message) -> None:
        for clip in message.clips:
            for window in cut_windows(clip.samples, WINDOW_S, MIN_WINDOW_S):
                writer.add_audio(audio_span(window, pooled_positions(len(window)), self.encode))
        writer.add_text("".join(part for part in message.named_parts if isinstance(part, str)))

    def encode(self, window: Samples) -> torch.Tensor:
        """Embeds float32 (n_samples,) of at most 30 s: (positions, hidden)."""
        weight = self._hearing.audio_tower.conv1.weight
        mel = self._features(window, sampling_rate=SAMPLE_RATE_HZ, return_attention_mask=True, return_tensors="pt")
        rows: torch.Tensor = self._hearing.get_audio_features(
            mel.input_features.to(weight), mel.attention_mask.to(weight.device)
        ).pooler_output
        return rows


def load(info: ModelInfo, folder: Path, options: LoadOptions) -> AudioLLM:
    """Loads a checkpoint.

    Raises:
        ModelUnavailable: something is missing or broken; the message names the folder.
    """
    with loading(folder):
        model = load_pretrained(AudioFlamingo3ForConditionalGeneration, folder, options)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        features = WhisperFeatureExtractor.from_pretrained(folder)
        language_model = LanguageModel(model.model.language_model, model.lm_head)
        engine = load_engine(
            language_model, tokenizer, model.generation_config, "<|im_end|>", decode_bits=options.decode_bits
        )
        return AudioLLM(info, AudioFlamingo3(model, tokenizer, features), engine)
