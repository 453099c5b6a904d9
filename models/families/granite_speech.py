"""Granite Speech: a conformer whose frames a Q-former condenses to 10 positions a second, and a Granite language model.

Source: Saon et al., "Granite-speech", 2025, and the processor and chat template of ibm-granite/granite-speech-3.3-2b.
Its spectrogram is torchaudio's, which is not needed here. The encoder's convolutions run through a whole clip, so that
a clip is heard as one. Some checkpoints come with a low-rank adapter for speech, which upstream switches off in a
conversation without audio; here it is always on, since what is cached of a conversation could not be kept otherwise
when its first clip comes.
Read `audio_llm.py` for what all families share.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, GraniteSpeechForConditionalGeneration
from transformers.audio_utils import mel_filter_bank

from models.engine.prompt import Prompt
from models.errors import ModelUnavailable
from models.families.audio_llm import AudioLLM
from models.families.language_model import LanguageModel
from models.families.windows import audio_span
from models.loading import LoadOptions, check_adapter, load_engine, load_pretrained, loading, merge_adapter
from models.prompts.writer import PromptWriter
from models.types import SAMPLE_RATE_HZ, Message, ModelInfo, Samples

# The spectrogram of the checkpoint's processor.
FFT_SAMPLES = 512
WINDOW_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms
MEL_BANDS = 80
MEL_FLOOR = 1e-10
RANGE_LOG10 = 8.0  # quieter than the loudest band by more is raised to that

USER = "<|start_of_role|>user<|end_of_role|>"


class GraniteSpeech:
    """Writes conversations down as Granite Speech was trained to read them.

    Args:
        model: a `GraniteSpeechForConditionalGeneration`.
        tokenizer: its tokenizer, with its chat template.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._hearing = model.model  # its language model is not used through it
        self._window_frames: int = model.config.window_size
        self._positions_per_window: int = model.config.window_size // model.config.downsample_rate
        self._tokenizer = tokenizer
        self._default_system_prompt = default_system_prompt(tokenizer)
        filters = mel_filter_bank(
            num_frequency_bins=FFT_SAMPLES // 2 + 1,
            num_mel_filters=MEL_BANDS,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE_HZ / 2,
            sampling_rate=SAMPLE_RATE_HZ,
            mel_scale="htk",
        )
        self._mel_filters = torch.from_numpy(filters).float()

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """Granite's roles between marks; audio where it was given."""
        writer = PromptWriter(self._tokenizer)
        if messages[0].role != "system" and self._default_system_prompt:
            messages = [Message("system", (self._default_system_prompt,)), *messages]
        for message in messages:
            self._open(writer, message.role)
            for part in message.named_parts:
                if isinstance(part, str):
                    writer.add_text(part)
                else:
                    writer.add_audio(audio_span(part.samples, self.n_positions(len(part.samples)), self.encode))
            if message is not messages[-1] or message.role != "assistant":
                writer.add_mark("<|end_of_text|>")
                writer.add_text("\n")
        if messages[-1].role != "assistant":
            self._open(writer, "assistant")
        return writer.spans()

    @staticmethod
    def _open(writer: PromptWriter, role: str) -> None:
        writer.add_mark("<|start_of_role|>")
        writer.add_text(role)
        writer.add_mark("<|end_of_role|>")

    def n_positions(self, n_samples: int) -> int:
        """How many positions a clip fills: the Q-former condenses every window of encoder frames, begun ones too."""
        n_frames = (n_samples // HOP_SAMPLES + 1) // 2  # two mel frames each
        return -(-n_frames // self._window_frames) * self._positions_per_window

    def encode(self, clip: Samples) -> torch.Tensor:
        """Embeds float32 (n_samples,): (positions, hidden)."""
        weight = self._hearing.encoder.input_linear.weight
        frames = self._spectrogram(torch.from_numpy(clip)).to(weight)
        rows: torch.Tensor = self._hearing.get_audio_features(frames[None]).pooler_output[0]
        return rows

    def _spectrogram(self, samples: torch.Tensor) -> torch.Tensor:
        """Gives (encoder frames, 2 x bands), two mel frames side by side."""
        window = torch.hann_window(WINDOW_SAMPLES)
        spectrum = torch.stft(samples, FFT_SAMPLES, HOP_SAMPLES, WINDOW_SAMPLES, window, return_complex=True)
        mel = self._mel_filters.T @ spectrum.abs().square()
        log = mel.clamp(min=MEL_FLOOR).log10().T
        log = log.clamp(min=log.max() - RANGE_LOG10) / 4 + 1
        return log[: len(log) // 2 * 2].reshape(-1, 2 * MEL_BANDS)


def default_system_prompt(tokenizer: Any) -> str:
    """What the checkpoint's chat template says where the conversation has no system prompt; it may name the day.

    Raises:
        ModelUnavailable: the template is another one, as those of Granite 4 Speech, which know a single turn only.
    """
    rendered = str(tokenizer.apply_chat_template([{"role": "user", "content": ""}], tokenize=False))
    before, opening, _ = rendered.partition(USER)
    if not opening:
        raise ModelUnavailable(f"the checkpoint's chat template has no {USER}; use one of Granite Speech 3.3")
    return before.removeprefix("<|start_of_role|>system<|end_of_role|>").removesuffix("<|end_of_text|>\n")


def load(info: ModelInfo, folder: Path, options: LoadOptions) -> AudioLLM:
    """Loads a checkpoint.

    Raises:
        ModelUnavailable: something is missing or broken; the message names the folder.
    """
    with loading(folder):
        if (folder / "adapter_config.json").exists():
            check_adapter(folder)
        model = load_pretrained(GraniteSpeechForConditionalGeneration, folder, options)
        merge_adapter(model, options)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        text_config = model.config.text_config
        language_model = LanguageModel(model.model.language_model, model.lm_head, scale=text_config.logits_scaling)
        engine = load_engine(
            language_model, tokenizer, model.generation_config, "<|end_of_text|>", decode_bits=options.decode_bits
        )
        return AudioLLM(info, GraniteSpeech(model, tokenizer), engine)
