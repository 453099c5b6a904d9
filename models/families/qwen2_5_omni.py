"""Qwen2.5-Omni's thinker: an encoder that attends within 2 s, 25 positions a second, and a Qwen language model.

Source: Xu et al., "Qwen2.5-Omni Technical Report", 2025, and the processor and chat template of Qwen/Qwen2.5-Omni-7B.
Only the thinker is loaded: it hears and answers in text. The talker, which voices the answer, and the eyes are left
out. Without pictures the three axes of its rotary positions are equal, so that positions are those of plain text.
Read `audio_llm.py` for what all families share.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, Qwen2_5OmniThinkerForConditionalGeneration, WhisperFeatureExtractor

from models.engine.prompt import Prompt
from models.families.audio_llm import AudioLLM
from models.families.language_model import LanguageModel
from models.families.windows import audio_span, cut_windows, pooled_positions, whisper_frames
from models.loading import LoadOptions, load_engine, load_pretrained, loading
from models.prompts.chatml import write_chatml
from models.prompts.writer import PromptWriter
from models.types import SAMPLE_RATE_HZ, Message, ModelInfo, Samples

# The encoder attends within 2 s, but its spectrogram is floored relative to the loudest sound it is computed over, so
# that windows shorter than an utterance would hear their pauses louder than they are. 30 s is what Whisper does.
WINDOW_S = 30.0
MIN_WINDOW_S = 0.03  # 3 mel frames, the fewest that give a position
FFT_SAMPLES = 400  # of the spectrogram: the silence that its last frames see behind a clip
DEFAULT_SYSTEM_PROMPT = "You are a helpful assistant."  # the template adds it where there is none


class Qwen25Omni:
    """Writes conversations down as Qwen2.5-Omni was trained to read them.

    Args:
        model: a `Qwen2_5OmniThinkerForConditionalGeneration`.
        tokenizer: its tokenizer.
        features: its mel spectrogram.
    """

    def __init__(self, model: Any, tokenizer: Any, features: Any) -> None:
        self._hearing = model.model  # its language model is not used through it
        self._tokenizer = tokenizer
        self._features = features

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """ChatML; the windows of a clip follow one another between its marks."""
        return write_chatml(self._tokenizer, messages, self._write_content, DEFAULT_SYSTEM_PROMPT)

    def _write_content(self, writer: PromptWriter, message: Message) -> None:
        for part in message.named_parts:
            if isinstance(part, str):
                writer.add_text(part)
                continue
            writer.add_mark("<|audio_bos|>")
            for window in cut_windows(part.samples, WINDOW_S, MIN_WINDOW_S):
                writer.add_audio(audio_span(window, pooled_positions(len(window)), self.encode))
            writer.add_mark("<|audio_eos|>")

    def encode(self, window: Samples) -> torch.Tensor:
        """Embeds float32 (n_samples,) of at most 30 s: (positions, hidden)."""
        weight = self._hearing.audio_tower.conv1.weight
        padded = np.pad(window, (0, FFT_SAMPLES))
        mel = self._features(padded, padding="longest", sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        frames = mel.input_features[..., : whisper_frames(len(window))].to(weight)
        mask = torch.ones(1, frames.shape[-1], dtype=torch.long, device=weight.device)
        rows: torch.Tensor = self._hearing.get_audio_features(frames, mask).last_hidden_state
        return rows


def load(info: ModelInfo, folder: Path, options: LoadOptions) -> AudioLLM:
    """Loads a checkpoint.

    Raises:
        ModelUnavailable: something is missing or broken; the message names the folder.
    """
    with loading(folder):
        model = load_pretrained(Qwen2_5OmniThinkerForConditionalGeneration, folder, options)
        model.model.visual = None  # the eyes are not needed
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        features = WhisperFeatureExtractor.from_pretrained(folder)
        language_model = LanguageModel(model.model.language_model, model.lm_head)
        engine = load_engine(
            language_model,
            tokenizer,
            model.generation_config,
            "<|im_end|>",
            "<|endoftext|>",
            decode_bits=options.decode_bits,
        )
        return AudioLLM(info, Qwen25Omni(model, tokenizer, features), engine)
