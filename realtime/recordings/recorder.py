"""Keeps a session as it happened: a tap that writes what goes in and what comes out into a folder.

`events.jsonl` holds one JSON object a line, in order: the `item`s of the session's inbox (audio by position and
length), what the floor `observed` and what it `asked` for, and the events that were `sent`. `audio.wav` is what the
speaker said, 16-bit mono at 16 kHz; of several speakers each has a file. While muted, silence is recorded. A file that
the user sent is kept in the same form, as `file-1.wav` and so on. Where there is a voice, `answers.wav` is what it read
aloud, at 24 kHz: also what was not played.

A thread of its own writes, so that a slow disk never holds up a conversation; one that is much too slow, or full, ends
the recording and not the session. What people said is nobody else's business: folder and files are their owner's alone.
Read `replay.py` for how a recording is played again.
"""

import asyncio
import json
import logging
import queue
import threading
import wave
from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from models.errors import ModelError
from models.types import (
    SAMPLE_RATE_HZ,
    VOICE_RATE_HZ,
    GenerationStats,
    ModelInfo,
    Samples,
    Speech,
    TextDelta,
    Transcription,
    VoiceInfo,
)
from realtime.events import SessionEvent
from realtime.hearing.audio import AudioChunk, to_int16
from realtime.inbox import Generated, InboxItem, Noted, RecordingSubmitted, SettingsChanged, Spoken
from realtime.notes.keeping import Kept
from realtime.session import SessionOptions
from realtime.turns.actions import Action
from realtime.turns.observations import DEFAULT_SPEAKER, Observation
from realtime.turns.options import FloorOptions

logger = logging.getLogger(__name__)

FORMAT_VERSION = 12
EVENTS_NAME = "events.jsonl"
ANSWERS_NAME = "answers.wav"
MAX_WAITING_LINES = 20_000  # to be written: minutes of a session; a disk that is so far behind will not catch up


def audio_name(speaker: str) -> str:
    """The file with a speaker's audio."""
    return "audio.wav" if speaker == DEFAULT_SPEAKER else f"audio-{speaker}.wav"


def sent_file_name(number: int) -> str:
    """The file with the n-th recording that the user sent."""
    return f"file-{number}.wav"


class SessionRecorder:
    """Writes one session into a folder.

    Args:
        folder: made by this, its parents too; must not hold a recording already.

    Raises:
        OSError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        make_private_folder(folder)
        self._folder = folder
        self._is_muted = False
        self._n_sent_files = 0
        self._is_broken = False
        _make_private_file(folder / EVENTS_NAME)
        self._events = (folder / EVENTS_NAME).open(
            "w", encoding="utf-8", buffering=1
        )  # whole lines, even after a crash
        self._audio: dict[str, wave.Wave_write] = {}
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(MAX_WAITING_LINES)
        self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)

    def start(
        self,
        session_id: str,
        model: ModelInfo,
        options: SessionOptions,
        floor: FloorOptions,
        *,
        caption_languages: tuple[str, ...] | None,
        voices: tuple[VoiceInfo, ...],
    ) -> None:
        """Writes who talks to what, and makes a file for each speaker."""
        self._thread.start()
        head: dict[str, Any] = {"version": FORMAT_VERSION, "id": session_id}
        parts = {
            "options": asdict(options),
            "floor": asdict(floor),
            "model": asdict(model),
            "caption_languages": caption_languages,
            "voices": [asdict(voice) for voice in voices],
        }
        self._write_line(lambda: {"session": head | parts})
        for name in map(audio_name, options.speakers):
            self._put(lambda name=name: self._open_audio(name, SAMPLE_RATE_HZ))  # type: ignore[misc]
        if voices:
            self._put(lambda: self._open_audio(ANSWERS_NAME, VOICE_RATE_HZ))

    def take_item(self, item: InboxItem, now_s: float) -> None:
        """Writes what is about to be handled."""
        if isinstance(item, SettingsChanged) and item.muted is not None:
            self._is_muted = item.muted
        if isinstance(item, AudioChunk):
            samples = np.zeros_like(item.samples) if self._is_muted else item.samples
            self._put(lambda: self._write_audio(audio_name(item.speaker), samples))
        if isinstance(item, Spoken) and item.speech is not None:
            read = item.speech.samples
            self._put(lambda: self._write_audio(ANSWERS_NAME, read))
        if isinstance(item, RecordingSubmitted):
            self._n_sent_files += 1
            name, sent = sent_file_name(self._n_sent_files), item.clip.samples
            self._put(lambda: self._write_file(name, sent))
        self._write_line(lambda: {"item": type(item).__name__, "now_s": now_s} | _fields_of(item))

    def take_decision(self, observation: Observation, actions: tuple[Action, ...]) -> None:
        """Writes what the floor was told and what it asked for."""
        self._write_line(lambda: {"observed": to_json(observation), "asked": [to_json(action) for action in actions]})

    def take_event(self, event: SessionEvent) -> None:
        """Writes what the client is told."""
        self._write_line(lambda: {"sent": to_json(event)})

    async def close(self) -> None:
        """Ends the recording once everything is written."""
        self._put(None)
        await asyncio.to_thread(self._thread.join)

    # On the event loop.

    def _write_line(self, line: Callable[[], dict[str, Any]]) -> None:
        self._put(lambda: _write_json(self._events, line()))

    def _put(self, write: Callable[[], None] | None) -> None:
        try:
            self._waiting.put_nowait(write)
        except queue.Full:
            self._give_up(OSError("the disk is too slow"))
            self._waiting.get_nowait()  # room for the end, which is not to be waited for
            self._waiting.put_nowait(write)

    # On the thread.

    def _write_all(self) -> None:
        try:
            while (write := self._waiting.get()) is not None:
                if not self._is_broken:
                    self._attempt(write)
        finally:
            self._attempt(self._events.close)
            for file in self._audio.values():
                self._attempt(file.close)

    def _attempt(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self._give_up(error)
        except Exception:
            logger.exception("%s: the recording ends on a bug", self._folder)
            self._is_broken = True

    def _write_file(self, name: str, samples: Samples) -> None:
        with self._open_wave(name, SAMPLE_RATE_HZ) as file:
            file.writeframes(to_int16(samples).tobytes())

    def _open_audio(self, name: str, rate_hz: int) -> None:
        self._audio[name] = self._open_wave(name, rate_hz)

    def _open_wave(self, name: str, rate_hz: int) -> wave.Wave_write:
        path = self._folder / name
        _make_private_file(path)
        file = wave.open(str(path), "wb")  # noqa: SIM115  # closed at the end
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        return file

    def _write_audio(self, name: str, samples: Samples) -> None:
        self._audio[name].writeframes(to_int16(samples).tobytes())

    def _give_up(self, error: OSError) -> None:
        if not self._is_broken:
            logger.error("%s: the recording ends here: %s", self._folder, error)
        self._is_broken = True


def make_private_folder(folder: Path) -> None:
    """Makes a folder into which its owner alone can look, whatever the umask; one that is there stays as it is."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)


def _make_private_file(path: Path) -> None:
    """Makes an empty file that its owner alone can read, whatever the umask; raises `OSError` if there is one."""
    path.touch(mode=0o600, exist_ok=False)
    path.chmod(0o600)


def _write_json(file: IO[str], line: dict[str, Any]) -> None:
    file.write(json.dumps(line, ensure_ascii=False) + "\n")


def to_json(thing: Any) -> dict[str, Any]:
    """A dataclass as JSON has it, with its name and those of the dataclasses it holds."""
    return {"name": type(thing).__name__} | {part.name: _plain(getattr(thing, part.name)) for part in fields(thing)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_json(value)
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value


def _fields_of(item: InboxItem) -> dict[str, Any]:
    match item:
        case AudioChunk():
            return {"speaker": item.speaker, "start_sample": item.start_sample, "n_samples": len(item.samples)}
        case RecordingSubmitted():
            return {"file_name": item.file_name}
        case Generated(generation, ModelError() as error):
            return {"generation": generation, "error": type(error).__name__, "message": str(error)}
        case Generated(generation, TextDelta() | Transcription() | GenerationStats() as event):
            return {"generation": generation, "event": type(event).__name__, **asdict(event)}
        case Generated():
            raise AssertionError("a generation yields text, a transcript, its stats or an error")
        case Spoken(number, Speech() as speech):
            words = [asdict(word) for word in speech.words]
            return {"number": number, "n_samples": len(speech.samples), "words": words}
        case Noted(attempt, Kept() as kept):
            return {"attempt": attempt, "kept": asdict(kept) | {"edited": sorted(kept.edited)}}
        case _:
            return asdict(item)
