"""An audio language model of any family, on the decode engine.

A family says how a conversation is written down for its language model: stretches of text tokens, and stretches that
the embeddings of an audio window fill. Everything else is the same for all of them and lives here: refusing what cannot
be heard, cutting long clips into windows, naming each window by its content, so that the engine's cache knows it again
even after the clip has grown. Read a family's file (`qwen2_audio.py` is the simplest) next, then `engine.py`.
"""

import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from models.engine.engine import Engine
from models.engine.prompt import AudioSpan, Prompt, TokenSpan
from models.errors import InvalidPrompt, ModelUnavailable
from models.types import (
    SAMPLE_RATE_HZ,
    AudioClip,
    GenerationEvent,
    GenerationOptions,
    Message,
    ModelInfo,
    Samples,
)

MIN_CLIP_S = 0.02  # one hop or two of every encoder here; a shorter clip is a mistake, not a sound
MAX_CLIP_S = 600.0  # ten minutes: what the most patient family was trained on
WHISPER_HOP_SAMPLES = 160  # 10 ms, one mel frame of Whisper


class Family(Protocol):
    """What differs between audio language models."""

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """Writes a conversation down, ready for the answer (or its continuation, if the assistant's is the last).

        The beginning of a longer conversation must be written exactly like the shorter one, so that it stays cached.

        Raises:
            InvalidPrompt: the family cannot take these messages.
        """
        ...


@runtime_checkable
class Transcriber(Protocol):
    """A family with a request of its own for writing down what is said."""

    def transcription_prompt(self, messages: Sequence[Message], language: str) -> Prompt:
        """Writes the request down; `language` is of two letters, or "auto".

        Raises:
            InvalidPrompt: the messages are not what can be written down.
        """
        ...


class AudioLLM:
    """Hears audio and text, answers in text.

    Args:
        info: what the model is.
        family: writes conversations down.
        engine: decodes; closed with the model.
    """

    def __init__(self, info: ModelInfo, family: Family, engine: Engine) -> None:
        self._info = replace(info, context_tokens=engine.context_tokens)
        self._family = family
        self._engine = engine

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        return self._info

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answers the conversation."""
        stream = self._engine.generate(self._prompt(messages, options.transcribe), options, dialogue=dialogue)
        try:
            async for event in stream:
                yield event
        finally:
            await stream.aclose()

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        """Computes and caches the prompt of `messages`."""
        await self._engine.prefill(self._prompt(messages), dialogue=dialogue)

    async def forget(self, *, dialogue: str) -> None:
        """Frees what is cached of the dialogue."""
        await self._engine.forget(dialogue=dialogue)

    async def close(self) -> None:
        """Ends running answers and frees the model."""
        await self._engine.close()

    def _prompt(self, messages: Sequence[Message], transcribe: str | None = None) -> Prompt:
        check_messages(messages)
        if transcribe is None:
            return self._family.prompt(messages)
        if not isinstance(self._family, Transcriber):
            raise InvalidPrompt(f"{self._info.name} has no request for transcription; ask it in words to write it down")
        return self._family.transcription_prompt(messages, transcribe)


class LanguageModel(torch.nn.Module):
    """The decoder and the head of a model that has an encoder too, as `engine.py` runs a causal language model.

    Args:
        decoder: a transformers decoder without head; takes `inputs_embeds` beside `input_ids`.
        head: (rows, positions, hidden) to (rows, positions, vocabulary).
        scale: what the model does to its logits last: divides by this.
    """

    def __init__(self, decoder: Any, head: Any, *, scale: float = 1.0) -> None:
        super().__init__()
        self.decoder = decoder
        self.head = head
        self.scale = scale
        self.config = decoder.config

    def get_input_embeddings(self) -> Any:
        """The embeddings of text tokens."""
        return self.decoder.get_input_embeddings()

    def forward(self, *, logits_to_keep: int, **inputs: Any) -> Any:
        """Gives `.logits` (rows, logits_to_keep, vocabulary) of the last positions."""
        hidden = self.decoder(**inputs).last_hidden_state[:, -logits_to_keep:]
        return SimpleNamespace(logits=self.head(hidden) / self.scale)


class PromptWriter:
    """Writes the spans of a prompt, tokenising text between marks in one piece, as the official processors do.

    Args:
        tokenizer: a transformers tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._text = ""
        self._ids: list[int] = []
        self._spans: list[TokenSpan | AudioSpan] = []

    def text(self, text: str) -> None:
        """Adds plain text; what looks like a mark in it stays text."""
        self._text += text

    def mark(self, token: str) -> None:
        """Adds one special token.

        Raises:
            ModelUnavailable: the tokenizer does not have it.
        """
        self._flush_text()
        self._ids.append(token_id(self._tokenizer, token))

    def audio(self, span: AudioSpan) -> None:
        """Adds an audio window."""
        self._flush_ids()
        self._spans.append(span)

    def spans(self) -> Prompt:
        """All that was written."""
        self._flush_ids()
        return tuple(self._spans)

    def _flush_text(self) -> None:
        if self._text:
            self._ids += self._tokenizer.encode(self._text, add_special_tokens=False, split_special_tokens=True)
            self._text = ""

    def _flush_ids(self) -> None:
        self._flush_text()
        if self._ids:
            self._spans.append(TokenSpan(tuple(self._ids)))
            self._ids = []


def write_chatml(
    tokenizer: Any,
    messages: Sequence[Message],
    write_content: Callable[[PromptWriter, Message], None],
    default_system_prompt: str | None = None,
) -> Prompt:
    """ChatML, as the Qwen language models read it: <|im_start|>role, a line, the content, <|im_end|>, a line.

    Args:
        tokenizer: has both marks.
        messages: the conversation; an assistant's message at its end stays open, to be continued.
        write_content: writes what one message says.
        default_system_prompt: what the family's template adds where the conversation has none.

    Raises:
        ModelUnavailable: the tokenizer lacks a mark.
    """
    writer = PromptWriter(tokenizer)
    if messages[0].role != "system" and default_system_prompt is not None:
        messages = [Message("system", (default_system_prompt,)), *messages]
    for message in messages:
        writer.mark("<|im_start|>")
        writer.text(f"{message.role}\n")
        write_content(writer, message)
        if message is not messages[-1] or message.role != "assistant":
            writer.mark("<|im_end|>")
            writer.text("\n")
    if messages[-1].role != "assistant":
        writer.mark("<|im_start|>")
        writer.text("assistant\n")
    return writer.spans()


def token_id(tokenizer: Any, token: str) -> int:
    """The id of a special token.

    Raises:
        ModelUnavailable: the tokenizer does not have it.
    """
    ids = tokenizer.get_added_vocab()
    if token not in ids:
        raise ModelUnavailable(f"the checkpoint's tokenizer has no {token}; its files do not belong to this model")
    return int(ids[token])


def check_messages(messages: Sequence[Message]) -> None:
    """Refuses what no family can take.

    Raises:
        InvalidPrompt: there are no messages, or a clip is too short, too long or not finite.
    """
    if not messages:
        raise InvalidPrompt("there are no messages; say or write something first")
    for clip in (clip for message in messages for clip in message.clips):
        check_clip(clip)


def check_clip(clip: AudioClip) -> None:
    """Refuses a clip that cannot be heard.

    Raises:
        InvalidPrompt: it is too short, too long or not finite.
    """
    if clip.duration_s < MIN_CLIP_S:
        raise InvalidPrompt(f"{clip.id} is {clip.duration_s:.3f} s long; at least {MIN_CLIP_S} s are needed")
    if clip.duration_s > MAX_CLIP_S:
        raise InvalidPrompt(f"{clip.id} is {clip.duration_s:.0f} s long; at most {MAX_CLIP_S:.0f} s are taken")
    if not np.isfinite(clip.samples).all():
        raise InvalidPrompt(f"{clip.id} holds numbers that are not finite; the recording or its decoder is broken")


def cut_windows(samples: Samples, window_s: float, min_s: float = MIN_CLIP_S) -> list[Samples]:
    """Cuts (n_samples,) into windows of `window_s`; the last is shorter, and padded with silence to `min_s`.

    Windows begin at the clip's first sample, so those of a clip that grows stay the same but for the last.
    """
    step = round(window_s * SAMPLE_RATE_HZ)
    windows = [samples[start : start + step] for start in range(0, len(samples), step)]
    missing = round(min_s * SAMPLE_RATE_HZ) - len(windows[-1])
    if missing > 0:
        windows[-1] = np.pad(windows[-1], (0, missing))
    return windows


def audio_span(window: Samples, n_tokens: int, encode: Callable[[Samples], torch.Tensor]) -> AudioSpan:
    """The positions that a window of float32 (n_samples,) fills; named by its content.

    Args:
        window: at 16 kHz.
        n_tokens: how many positions.
        encode: gives (n_tokens, hidden) on the engine's thread, at most once while the window is in use.
    """
    key = hashlib.blake2b(np.ascontiguousarray(window).tobytes(), digest_size=16).hexdigest()
    return AudioSpan(key, n_tokens, lambda: encode(window))


def whisper_frames(n_samples: int) -> int:
    """How many mel frames of Whisper's spectrogram are not padding."""
    return -(-n_samples // WHISPER_HOP_SAMPLES)


def whisper_states(n_samples: int) -> int:
    """How many states of a Whisper encoder are not padding: its second convolution halves the mel frames."""
    return (whisper_frames(n_samples) - 1) // 2 + 1


def pooled_positions(n_samples: int) -> int:
    """How many positions a window fills whose states in a Whisper encoder are averaged two by two."""
    return whisper_states(n_samples) // 2
