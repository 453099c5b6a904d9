"""Voxtral: a Whisper encoder on windows of 30 s, padded to that, and a Mistral language model.

Source: Liu et al., "Voxtral", 2025, and mistral-common, whose prompts these equal token by token. Its tokenizer is
mistral-common's; its processor is not used, since it takes no samples, only files, and reads all of them at each turn.
Two things are done otherwise. Before version 13 mistral-common refuses a system prompt beside audio; here it then
opens the first user's turn, as in Mistral's older formats. And the spectrogram of each window is normalised on its
own, so that a long turn can be prefilled while it is being spoken.
Besides answering it can write down, word by word, what is said in one clip.
Read `audio_llm.py` for what all families share, `transcription.py` for who asks it to write.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from transformers import VoxtralForConditionalGeneration, WhisperFeatureExtractor

from models.engine.prompt import Prompt
from models.errors import InvalidPrompt, ModelUnavailable
from models.families.audio_llm import AudioLLM
from models.families.language_model import LanguageModel
from models.families.windows import audio_span, cut_windows
from models.loading import LoadOptions, load_engine, load_pretrained, loading
from models.prompts.writer import PromptWriter
from models.types import SAMPLE_RATE_HZ, AudioClip, Message, ModelInfo, Part, Samples

WINDOW_S = 30.0  # of the encoder
WINDOW_POSITIONS = 375  # 12.5 a second, of silence too
SYSTEM_BESIDE_AUDIO_VERSION = 13  # of tekken.json
JOINT = "\n\n"  # what mistral-common puts between texts that follow each other in a turn


class TekkenTokenizer:
    """mistral-common's tokenizer under the names that transformers' have.

    Args:
        tekken: reads what is between special tokens only, so that no text becomes one.
    """

    def __init__(self, tekken: Tekkenizer) -> None:
        self._tekken = tekken
        self._special = {tekken.id_to_piece(token): token for token in range(tekken.num_special_tokens)}
        self.eos_token_id = tekken.eos_id
        self.takes_system_beside_audio = int(tekken.version.value.removeprefix("v")) >= SYSTEM_BESIDE_AUDIO_VERSION

    def get_added_vocab(self) -> dict[str, int]:
        """The special tokens."""
        return self._special

    def encode(self, text: str, **_: bool) -> list[int]:
        """Tokens of text without special ones, whatever is asked."""
        return self._tekken.encode(text, bos=False, eos=False)

    def byte_pieces(self) -> list[bytes]:
        """The bytes of each token; of special ones their names."""
        return [self._tekken.id_to_byte_piece(token, SpecialTokenPolicy.KEEP) for token in range(self._tekken.n_words)]

    def special_ids(self) -> list[int]:
        """The tokens that are no text."""
        return list(range(self._tekken.num_special_tokens))

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str:
        """Text of the tokens; spaces are never cleaned up."""
        assert not clean_up_tokenization_spaces
        policy = SpecialTokenPolicy.IGNORE if skip_special_tokens else SpecialTokenPolicy.KEEP
        return self._tekken.decode(token_ids, special_token_policy=policy)


class Voxtral:
    """Writes conversations down as mistral-common does.

    Args:
        model: a `VoxtralForConditionalGeneration`.
        tokenizer: its tokenizer.
        features: its mel spectrogram.
    """

    def __init__(self, model: Any, tokenizer: TekkenTokenizer, features: Any) -> None:
        self._tower = model.model.audio_tower
        self._projector = model.model.multi_modal_projector
        self._states_per_position = model.config.audio_config.intermediate_size // model.config.audio_config.hidden_size
        self._tokenizer = tokenizer
        self._features = features

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """Turns in [INST] marks; neighbours of one role are one turn."""
        writer = PromptWriter(self._tokenizer)
        writer.add_mark("<s>")
        turns = self._turns(messages)
        for index, (role, parts) in enumerate(turns):
            if role == "system":
                writer.add_mark("[SYSTEM_PROMPT]")
                self._write(writer, parts)
                writer.add_mark("[/SYSTEM_PROMPT]")
            elif role == "user":
                writer.add_mark("[INST]")
                self._write(writer, parts)
                writer.add_mark("[/INST]")
            else:
                self._write(writer, parts)
                if index < len(turns) - 1:
                    writer.add_mark("</s>")
        return writer.spans()

    def transcription_prompt(self, clip: AudioClip, language: str | None) -> Prompt:
        """The request to write down one clip."""
        writer = PromptWriter(self._tokenizer)
        writer.add_mark("<s>")
        writer.add_mark("[INST]")
        self._write(writer, [clip])
        writer.add_mark("[/INST]")
        if language is not None:
            writer.add_text(f"lang:{language}")
        writer.add_mark("[TRANSCRIBE]")
        return writer.spans()

    def _turns(self, messages: Sequence[Message]) -> list[tuple[str, list[Part]]]:
        """The parts of each turn, without answers of which nothing was said."""
        turns: list[tuple[str, list[Part]]] = []
        for role, group in groupby(messages, key=lambda message: message.role):
            if role == "system":
                turns += [("system", list(message.parts)) for message in group if message.text]
                continue
            parts = [part for message in group for part in message.named_parts if part]
            if role == "assistant":  # mistral-common drops the spaces at its end
                parts = [text] if (text := JOINT.join(map(str, parts)).rstrip(" ")) else []
            if parts or role == "user":
                turns.append((role, parts))
        has_audio = any(message.clips for message in messages)
        if has_audio and not self._tokenizer.takes_system_beside_audio:
            system = [part for role, parts in turns if role == "system" for part in parts]
            turns = [turn for turn in turns if turn[0] != "system"]
            first = next((parts for role, parts in turns if role == "user"), None)
            if first is None:
                raise InvalidPrompt("there is audio but no user's message; Voxtral takes audio from the user alone")
            first[:0] = system
        return turns

    def _write(self, writer: PromptWriter, parts: Sequence[Part]) -> None:
        previous: Part | None = None
        for part in parts:
            if isinstance(part, str):
                writer.add_text(f"{JOINT}{part}" if isinstance(previous, str) else part)
            else:
                writer.add_mark("[BEGIN_AUDIO]")
                for window in cut_windows(part.samples, WINDOW_S):
                    writer.add_audio(audio_span(window, WINDOW_POSITIONS, self.encode))
            previous = part

    def encode(self, window: Samples) -> torch.Tensor:
        """Embeds float32 (n_samples,) of at most 30 s: (375, hidden)."""
        mel = self._features(window, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
        weight = self._tower.conv1.weight
        states = self._tower(mel.to(weight.device, weight.dtype)).last_hidden_state
        rows: torch.Tensor = self._projector(states.reshape(-1, self._states_per_position * states.shape[-1]))
        return rows


def load(info: ModelInfo, folder: Path, options: LoadOptions) -> AudioLLM:
    """Loads a checkpoint.

    Raises:
        ModelUnavailable: something is missing or broken; the message names the folder.
    """
    with loading(folder):
        if not (folder / "tekken.json").is_file():
            raise ModelUnavailable(f"{folder} holds no tekken.json, Voxtral's tokenizer; download the whole checkpoint")
        tokenizer = TekkenTokenizer(Tekkenizer.from_file(folder / "tekken.json"))
        model = load_pretrained(VoxtralForConditionalGeneration, folder, options)
        features = WhisperFeatureExtractor.from_pretrained(folder)
        language_model = LanguageModel(model.model.language_model, model.lm_head)
        engine = load_engine(language_model, tokenizer, model.generation_config, decode_bits=options.decode_bits)
        return AudioLLM(info, Voxtral(model, tokenizer, features), engine)
