"""Conversations as OpenAI's chat completions take them: texts, and clips as WAV in base64.

Neighbours of one role become one message, since many chat templates refuse them. Where an engine takes only so many
clips in a prompt, the newest stay and older ones become what ears wrote down of them.
"""

import base64
import io
import json
import secrets
import wave
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import groupby
from threading import Lock
from typing import Any

import numpy as np

from models.errors import InvalidPrompt
from models.types import SAMPLE_RATE_HZ, AudioClip, Message, Part, Samples

MAX_CACHED_BYTES = 64 << 20  # of base64: 25 minutes of clips
GO_ON = "Go on exactly where you stopped. Do not repeat anything."
NOT_AT_HAND = "(a recording that is no longer at hand)"


def wav_of(samples: Samples) -> bytes:
    """A WAV file of 16 bits, which every server reads, of mono float32 (n_samples,) at 16 kHz."""
    whole = np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(whole.tobytes())
    return file.getvalue()


class ClipCache:
    """Encodes each clip once; those used longest ago are left out when too much is kept.

    Args:
        max_bytes: of what is kept.
        window_s: longer clips become several of this length, where the engine would cut off the rest; None for never.
    """

    def __init__(self, max_bytes: int = MAX_CACHED_BYTES, window_s: float | None = None) -> None:
        self._max_bytes = max_bytes
        self._window_s = window_s
        self._encoded: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._n_bytes = 0
        self._lock = Lock()  # conversations are written down on threads

    @property
    def n_bytes(self) -> int:
        """How much is kept."""
        return self._n_bytes

    def encode(self, clip: AudioClip) -> tuple[str, ...]:
        """A clip as WAV files in base64, one for each window."""
        with self._lock:
            if clip.id in self._encoded:
                self._encoded.move_to_end(clip.id)
                return self._encoded[clip.id]
            step = len(clip.samples) if self._window_s is None else round(self._window_s * SAMPLE_RATE_HZ)
            windows = [clip.samples[start : start + step] for start in range(0, len(clip.samples), step)]
            encoded = tuple(base64.b64encode(wav_of(window)).decode("ascii") for window in windows)
            self._encoded[clip.id] = encoded
            self._n_bytes += sum(map(len, encoded))
            while self._n_bytes > self._max_bytes:
                _, oldest = self._encoded.popitem(last=False)
                self._n_bytes -= sum(map(len, oldest))
            return encoded


def clips_beyond(messages: Sequence[Message], max_clips: int | None) -> list[AudioClip]:
    """The oldest clips, which an engine that takes only `max_clips` in a prompt cannot be given."""
    clips = [clip for message in messages for clip in message.clips]
    return [] if max_clips is None else clips[: max(0, len(clips) - max_clips)]


def write_messages(
    messages: Sequence[Message],
    cache: ClipCache,
    words: Mapping[str, str] | None = None,
    *,
    continues: bool = True,
) -> list[dict[str, Any]]:
    """Writes a conversation down.

    Args:
        messages: the whole conversation.
        cache: encodes its clips.
        words: what stands for clips that are not given, by their ids.
        continues: whether the engine can go on with a last assistant's message; else it is asked to, in words.

    Raises:
        InvalidPrompt: all messages are empty.
    """
    spoken = [message for message in messages if message.parts and (message.clips or message.text)]
    written = []
    for role, group in groupby(spoken, key=lambda message: message.role):
        parts = [_replaced(part, words or {}) for message in group for part in message.named_parts]
        written.append({"role": role, "content": _content(parts, cache)})
    if not written:
        raise InvalidPrompt("all messages are empty; say or write something first")
    if written[-1]["role"] == "assistant" and not continues:
        written.append({"role": "user", "content": GO_ON})
    return written


def as_json(body: dict[str, Any]) -> bytes:
    """Writes a request down as JSON, its WAV files last: a library would look for quotes in megabytes of base64."""
    mark, wavs = secrets.token_hex(16), []

    def without_wav(part: dict[str, Any]) -> dict[str, Any]:
        if part["type"] != "input_audio":
            return part
        wavs.append(part["input_audio"]["data"].encode("ascii"))
        return {**part, "input_audio": {**part["input_audio"], "data": mark}}

    messages = [
        message
        if isinstance(message["content"], str)
        else {**message, "content": [without_wav(part) for part in message["content"]]}
        for message in body["messages"]
    ]
    pieces = json.dumps({**body, "messages": messages}, ensure_ascii=False).encode("utf-8").split(mark.encode("ascii"))
    return b"".join(part for pair in zip(pieces, [*wavs, b""], strict=True) for part in pair)


def _replaced(part: Part, words: Mapping[str, str]) -> Part:
    if isinstance(part, AudioClip) and part.id in words:
        return words[part.id] or NOT_AT_HAND
    return part


def _content(parts: Sequence[Part], cache: ClipCache) -> Any:
    """A string where there is only text, typed parts otherwise."""
    if all(isinstance(part, str) for part in parts):
        return "\n".join(str(part) for part in parts)
    written: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, str):
            written.append({"type": "text", "text": part})
            continue
        for wav in cache.encode(part):
            written.append({"type": "input_audio", "input_audio": {"data": wav, "format": "wav"}})
    return written
