"""Qwen2-Audio: a Whisper encoder whose states are pooled to 25 positions a second, and a Qwen language model.

Source: Chu et al., "Qwen2-Audio Technical Report", 2024, and the chat template of Qwen/Qwen2-Audio-7B-Instruct. Its own
processor silently cuts a clip after 30 s; here a longer clip becomes several windows, numbered on as "Audio 2:".
Read `audio_llm.py` for what all families share.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor

from models.audio_llm import AudioLLM, LanguageModel, PromptWriter, audio_span, cut_windows
from models.engine import Prompt
from models.loading import LoadOptions, load_engine, loading
from models.types import SAMPLE_RATE_HZ, Message, ModelInfo, Samples

WINDOW_S = 30.0  # of the encoder
MIN_WINDOW_S = 0.07  # 7 mel frames, the fewest that give two positions; transformers' own model fails on a single one
HOP_SAMPLES = 160  # 10 ms, one mel frame
DEFAULT_SYSTEM_PROMPT = "You are a helpful assistant."  # the template adds it where there is none


class Qwen2Audio:
    """Writes conversations down as Qwen2-Audio was trained to read them.

    Args:
        model: a `Qwen2AudioForConditionalGeneration`.
        tokenizer: its tokenizer.
        features: its mel spectrogram.
    """

    def __init__(self, model: Any, tokenizer: Any, features: Any) -> None:
        self._tower = model.model.audio_tower
        self._projector = model.model.multi_modal_projector
        self._tokenizer = tokenizer
        self._features = features

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """ChatML; audio windows are numbered through the whole conversation."""
        writer, n_windows = PromptWriter(self._tokenizer), 0
        if messages[0].role != "system":
            self._open(writer, "system")
            writer.text(DEFAULT_SYSTEM_PROMPT)
            self._close(writer)
        for message in messages:
            self._open(writer, message.role)
            for part in message.parts:
                if isinstance(part, str):
                    writer.text(part)
                    continue
                for window in cut_windows(part.samples, WINDOW_S, MIN_WINDOW_S):
                    n_windows += 1
                    writer.text(f"Audio {n_windows}: ")
                    writer.mark("<|audio_bos|>")
                    writer.audio(audio_span(window, n_positions(len(window)), self.encode))
                    writer.mark("<|audio_eos|>")
                    writer.text("\n")
            if message is not messages[-1] or message.role != "assistant":
                self._close(writer)
        if messages[-1].role != "assistant":
            self._open(writer, "assistant")
        return writer.spans()

    @staticmethod
    def _open(writer: PromptWriter, role: str) -> None:
        writer.mark("<|im_start|>")
        writer.text(f"{role}\n")

    @staticmethod
    def _close(writer: PromptWriter) -> None:
        writer.mark("<|im_end|>")
        writer.text("\n")

    def encode(self, window: Samples) -> torch.Tensor:
        """Embeds float32 (n_samples,) of at most 30 s: (positions, hidden)."""
        device, dtype = self._tower.conv1.weight.device, self._tower.conv1.weight.dtype
        mel = self._features(window, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
        n_states = _n_states(len(window))
        mask = torch.arange(mel.shape[-1] // 2, device=device)[None, None, None] < n_states
        states = self._tower(mel.to(device, dtype), attention_mask=mask.expand(1, 1, mask.shape[-1], -1))
        rows: torch.Tensor = self._projector(states.last_hidden_state)[0, : n_positions(len(window))]
        return rows


def n_positions(n_samples: int) -> int:
    """How many positions a window of so many samples fills: pooling halves the encoder's states."""
    return (_n_states(n_samples) - 2) // 2 + 1


def _n_states(n_samples: int) -> int:
    """How many states of the encoder are not padding: its second convolution halves the mel frames."""
    n_frames = -(-n_samples // HOP_SAMPLES)
    return (n_frames - 1) // 2 + 1


def load(info: ModelInfo, folder: Path, options: LoadOptions) -> AudioLLM:
    """Loads a checkpoint.

    Raises:
        ModelUnavailable: something is missing or broken; the message names the folder.
    """
    with loading(folder):
        model = Qwen2AudioForConditionalGeneration.from_pretrained(folder, **options.pretrained)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        features = WhisperFeatureExtractor.from_pretrained(folder)
        language_model = LanguageModel(model.model.language_model, model.lm_head)
        engine = load_engine(language_model, tokenizer, model.generation_config, "<|im_end|>")
        return AudioLLM(info, Qwen2Audio(model, tokenizer, features), engine)
