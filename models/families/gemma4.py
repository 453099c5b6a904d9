"""Gemma 4 E2B and E4B: a conformer that gives 25 positions a second, and a language model with per-layer embeddings.

Source: Google's model cards of google/gemma-4-E2B-it and -E4B-it (2026), and their chat template. Each layer of the
language model is given an embedding of its own for each token. The engine knows one embedding for a position, so here
a position's embedding is a wide one: what the first layer reads, and behind it what all layers are given.
The encoder was trained on at most 30 s; a longer clip becomes several.
Read `chat_template.py` for how conversations are written, `audio_llm.py` for what all families share.
"""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, Gemma4AudioFeatureExtractor, Gemma4ForConditionalGeneration

from models.engine.prompt import Prompt
from models.errors import ModelUnavailable
from models.families.audio_llm import AudioLLM
from models.families.language_model import LanguageModel
from models.families.windows import audio_span, cut_windows
from models.loading import LoadOptions, load_engine, load_pretrained, loading
from models.prompts.chat_template import ChatTemplate
from models.prompts.writer import PromptWriter
from models.types import SAMPLE_RATE_HZ, AudioClip, Message, ModelInfo, Samples

WINDOW_S = 30.0  # of the encoder
HOP_SAMPLES = 160  # 10 ms, one mel frame
FRAMES_PER_POSITION = 4  # two convolutions halve the mel frames


class WideEmbedding(nn.Module):
    """Embeds tokens for the first layer and for each layer.

    Args:
        decoder: a `Gemma4TextModel`.
    """

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.first = decoder.embed_tokens
        self.per_layer = decoder.embed_tokens_per_layer

    @property
    def weight(self) -> torch.Tensor:
        """Tells the device and dtype."""
        weight: torch.Tensor = self.first.weight
        return weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(rows, positions) to (rows, positions, hidden + layers * size per layer)."""
        return torch.cat((self.first(ids), self.per_layer(ids)), -1)


class GemmaLanguageModel(LanguageModel):
    """The decoder and the head, on wide embeddings.

    Args:
        decoder: a `Gemma4TextModel`.
        head: (rows, positions, hidden) to (rows, positions, vocabulary).
    """

    def __init__(self, decoder: Any, head: Any) -> None:
        super().__init__(decoder, head)
        self.embedding = WideEmbedding(decoder)

    def get_input_embeddings(self) -> WideEmbedding:
        """The wide embeddings of text tokens."""
        return self.embedding

    def forward(
        self,
        *,
        logits_to_keep: int,
        input_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **inputs: Any,
    ) -> Any:
        """Gives `.logits` (rows, logits_to_keep, vocabulary) of the last positions."""
        wide = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds
        first, per_layer = wide.tensor_split([self.config.hidden_size], -1)
        hidden = self.decoder(
            inputs_embeds=first,
            per_layer_inputs=per_layer.unflatten(-1, (self.config.num_hidden_layers, -1)),
            logits_to_keep=logits_to_keep,
            **inputs,
        ).last_hidden_state[:, -logits_to_keep:]
        logits = self.head(hidden)
        if cap := self.config.final_logit_softcapping:
            logits = cap * torch.tanh(logits / cap)
        return SimpleNamespace(logits=logits)


class Gemma4:
    """Writes conversations down by Gemma 4's chat template.

    Args:
        model: a `Gemma4ForConditionalGeneration` that hears.
        tokenizer: its tokenizer.
        features: its mel spectrogram.
    """

    def __init__(self, model: Any, tokenizer: Any, features: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._template = ChatTemplate(tokenizer, tokenizer.audio_token)
        self._features = features

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """The chat template's text; each window between marks of its own."""
        writer = PromptWriter(self._tokenizer)

        def write_clip(clip: AudioClip) -> None:
            for window in cut_windows(clip.samples, WINDOW_S):
                writer.add_mark(self._tokenizer.boa_token)
                writer.add_audio(audio_span(window, n_positions(len(window)), self.encode))
                writer.add_mark(self._tokenizer.eoa_token)

        self._template.write(writer, messages, write_clip)
        return writer.spans()

    def encode(self, window: Samples) -> torch.Tensor:
        """Embeds float32 (n_samples,) of at most 30 s: (positions, hidden + layers * size per layer)."""
        decoder = self._model.language_model
        weight = decoder.embed_tokens.weight
        inputs = self._features([window], sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        heard = self._model.get_audio_features(
            inputs.input_features.to(weight.device, weight.dtype), inputs.input_features_mask.to(weight.device)
        )
        rows = heard.pooler_output[heard.attention_mask]
        padding = torch.tensor(decoder.config.pad_token_id, device=weight.device)  # the token that audio counts as
        return torch.cat((rows, decoder.embed_tokens_per_layer(padding).expand(len(rows), -1)), -1)


def n_positions(n_samples: int) -> int:
    """How many positions a window of so many samples fills; its first 10 ms only begin the first mel frame."""
    n_frames = -(-n_samples // HOP_SAMPLES) - 1
    return -(-n_frames // FRAMES_PER_POSITION)


def load(info: ModelInfo, folder: Path, options: LoadOptions) -> AudioLLM:
    """Loads a checkpoint.

    Raises:
        ModelUnavailable: something is missing or broken; the message names the folder.
    """
    with loading(folder):
        model = load_pretrained(Gemma4ForConditionalGeneration, folder, options)
        if model.model.audio_tower is None:
            raise ModelUnavailable(f"{folder} is a Gemma 4 that cannot hear; use E2B or E4B")
        model.model.vision_tower = model.model.embed_vision = None  # nobody shows it anything
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        features = Gemma4AudioFeatureExtractor.from_pretrained(folder)
        language_model = GemmaLanguageModel(model.model.language_model, model.lm_head)
        engine = load_engine(
            language_model, tokenizer, model.generation_config, "<turn|>", decode_bits=options.decode_bits
        )
        return AudioLLM(info, Gemma4(model.model, tokenizer, features), engine)
