"""Phi-4-multimodal's hearing: a conformer of 12.5 positions a second, and a Phi-4-mini language model with an adapter.

Source: Microsoft, "Phi-4-Mini Technical Report", 2025, and the processor and chat template of
microsoft/Phi-4-multimodal-instruct at refs/pr/70, the revision in transformers' own format. The processor wants
torchvision for its pictures; here are only its spectrogram and its tokenizer. The encoder's convolutions run through a
whole clip, so that a clip is heard as one.

Beyond 4096 positions the model turns by other rotary frequencies, all positions anew, so that nothing cached could be
kept. The context ends there: five minutes of audio.
Read `audio_llm.py` for what all families share.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, Phi4MultimodalFeatureExtractor, Phi4MultimodalForCausalLM

from models.checks import MAX_CLIP_S
from models.engine.prompt import Prompt
from models.families.audio_llm import AudioLLM
from models.families.language_model import LanguageModel
from models.families.windows import audio_span, cut_windows
from models.loading import LoadOptions, check_adapter, load_engine, load_pretrained, loading, merge_adapter
from models.prompts.writer import PromptWriter
from models.types import SAMPLE_RATE_HZ, Message, ModelInfo, Samples

logger = logging.getLogger(__name__)

MIN_CLIP_S = 0.025  # one frame of the spectrogram
ADAPTER = "speech-lora"  # the folder of the checkpoint that adapts its language model to speech


class Phi4Multimodal:
    """Writes conversations down as Phi-4-multimodal was trained to read them.

    Args:
        model: a `Phi4MultimodalForCausalLM`.
        tokenizer: its tokenizer.
        features: its mel spectrogram.
    """

    def __init__(self, model: Any, tokenizer: Any, features: Any) -> None:
        self._hearing = model.model.embed_tokens_extend.audio_embed
        self._audio_token_id = model.config.audio_config.audio_token_id
        self._tokenizer = tokenizer
        self._features = features

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """Roles are marks of their own; audio where it was given."""
        writer = PromptWriter(self._tokenizer)
        for message in messages:
            writer.add_mark(f"<|{message.role}|>")
            for part in message.named_parts:
                if isinstance(part, str):
                    writer.add_text(part)
                    continue
                (clip,) = cut_windows(part.samples, MAX_CLIP_S, MIN_CLIP_S)
                writer.add_audio(audio_span(clip, self.n_positions(len(clip)), self.encode))
            if message is not messages[-1] or message.role != "assistant":
                writer.add_mark("<|end|>")
        if messages[-1].role != "assistant":
            writer.add_mark("<|assistant|>")
        return writer.spans()

    def n_positions(self, n_samples: int) -> int:
        """How many positions a clip of at least one frame fills."""
        n_frames = (n_samples - self._features.win_length) // self._features.hop_length + 1
        n_positions: int = -(
            -n_frames // (self._features.audio_compression_rate * self._features.audio_downsample_rate)
        )
        return n_positions

    def encode(self, clip: Samples) -> torch.Tensor:
        """Embeds float32 (n_samples,): (positions, hidden)."""
        weight = self._hearing.up_proj_for_speech.weight
        n_positions = self.n_positions(len(clip))
        mel = self._features(clip, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").audio_input_features
        ids = torch.full((1, n_positions), self._audio_token_id, device=weight.device)
        empty = weight.new_zeros(1, n_positions, self._hearing.down_proj_for_speech.out_features)
        rows: torch.Tensor = self._hearing(ids, empty, mel, audio_embed_sizes=[n_positions])[0]
        return rows


def load(info: ModelInfo, folder: Path, options: LoadOptions) -> AudioLLM:
    """Loads a checkpoint.

    Raises:
        ModelUnavailable: something is missing or broken; the message names the folder.
    """
    with loading(folder):
        model = load_pretrained(Phi4MultimodalForCausalLM, folder, options)
        model.model.embed_tokens_extend.image_embed = None  # the eyes are not needed
        if (folder / ADAPTER).is_dir():
            check_adapter(folder / ADAPTER)
            model.load_adapter(str(folder / ADAPTER), use_safetensors=True)
            merge_adapter(model, options)
        else:
            logger.warning("%s has no %s; its language model is taken as already adapted to speech", folder, ADAPTER)
        context_tokens = model.config.rope_parameters.get("original_max_position_embeddings")
        if context_tokens is not None and (model.config.sliding_window or 0) >= context_tokens:
            model.config.sliding_window = None  # never reached, but it would keep dialogues from sharing a batch
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        features = Phi4MultimodalFeatureExtractor.from_pretrained(folder)
        language_model = LanguageModel(model.model, model.lm_head)
        engine = load_engine(
            language_model,
            tokenizer,
            model.generation_config,
            "<|end|>",
            context_tokens=context_tokens,
            decode_bits=options.decode_bits,
        )
        return AudioLLM(info, Phi4Multimodal(model, tokenizer, features), engine)
