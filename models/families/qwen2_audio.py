"""Qwen2-Audio: a Whisper encoder whose states are pooled to 25 positions a second, and a Qwen language model.

Source: Chu et al., "Qwen2-Audio Technical Report", 2024, and the chat template of Qwen/Qwen2-Audio-7B-Instruct. Its own
processor silently cuts a clip after 30 s; here a longer clip becomes several windows, numbered on as "Audio 2:".
Read `audio_llm.py` for what all families share.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor

from models.engine.prompt import Prompt
from models.families.audio_llm import AudioLLM
from models.families.language_model import LanguageModel
from models.families.windows import audio_span, cut_windows, pooled_positions, whisper_states
from models.loading import LoadOptions, load_engine, load_pretrained, loading
from models.prompts.chatml import write_chatml
from models.prompts.writer import PromptWriter
from models.types import SAMPLE_RATE_HZ, Message, ModelInfo, Samples

WINDOW_S = 30.0  # of the encoder
MIN_WINDOW_S = 0.07  # 7 mel frames, the fewest that give two positions; transformers' own model fails on a single one
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
        numbers = itertools.count(1)

        def write_content(writer: PromptWriter, message: Message) -> None:
            for part in message.named_parts:
                if isinstance(part, str):
                    writer.add_text(part)
                    continue
                for window in cut_windows(part.samples, WINDOW_S, MIN_WINDOW_S):
                    writer.add_text(f"Audio {next(numbers)}: ")
                    writer.add_mark("<|audio_bos|>")
                    writer.add_audio(audio_span(window, pooled_positions(len(window)), self.encode))
                    writer.add_mark("<|audio_eos|>")
                    writer.add_text("\n")

        return write_chatml(self._tokenizer, messages, write_content, DEFAULT_SYSTEM_PROMPT)

    def encode(self, window: Samples) -> torch.Tensor:
        """Embeds float32 (n_samples,) of at most 30 s: (positions, hidden)."""
        device, dtype = self._tower.conv1.weight.device, self._tower.conv1.weight.dtype
        mel = self._features(window, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
        n_states = whisper_states(len(window))
        mask = torch.arange(mel.shape[-1] // 2, device=device)[None, None, None] < n_states
        states = self._tower(mel.to(device, dtype), attention_mask=mask.expand(1, 1, mask.shape[-1], -1))
        rows: torch.Tensor = self._projector(states.last_hidden_state)[0, : pooled_positions(len(window))]
        return rows


def load(info: ModelInfo, folder: Path, options: LoadOptions) -> AudioLLM:
    """Loads a checkpoint.

    Raises:
        ModelUnavailable: something is missing or broken; the message names the folder.
    """
    with loading(folder):
        model = load_pretrained(Qwen2AudioForConditionalGeneration, folder, options)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        features = WhisperFeatureExtractor.from_pretrained(folder)
        language_model = LanguageModel(model.model.language_model, model.lm_head)
        engine = load_engine(
            language_model, tokenizer, model.generation_config, "<|im_end|>", decode_bits=options.decode_bits
        )
        return AudioLLM(info, Qwen2Audio(model, tokenizer, features), engine)
