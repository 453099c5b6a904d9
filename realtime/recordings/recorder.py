"""Keeps a session as it happened, and plays it again with the same decisions, faster than real time.

A recording is a folder. `audio.wav` is what was heard, 16-bit mono at 16 kHz; `events.jsonl` holds one JSON object a
line, in order: `item`s of the session's inbox (audio by position and length), `score`s and `speculation`s it was told,
and the events it `sent`. The session hears the audio as the file holds it, rounded to 16 bits, and a replay hears the
same. The model is not run again: what it said is in the recording.

Metrics are not compared, since they count what transports did, too. While muted, silence is recorded.
Read `inbox.py` for what a session depends on.
"""

import asyncio
import hashlib
import json
import logging
import time
import wave
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

import models.errors
from models.errors import ModelError
from models.types import (
    SAMPLE_RATE_HZ,
    GenerationEvent,
    GenerationOptions,
    GenerationStats,
    Message,
    ModelInfo,
    Samples,
    TextDelta,
    Transcription,
)
from realtime.conversation import ConversationOptions
from realtime.events import ErrorReported, SessionEvent, SessionMetricsReported, to_wire
from realtime.hearing.audio import AudioChunk, to_float32
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.inbox import (
    Generated,
    InboxItem,
    InterruptionHeard,
    MetricsRequested,
    SettingsChanged,
    Summarised,
)
from realtime.load import AnswerLoad
from realtime.session import Session, SessionOptions
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.machine import Closed, TurnEvent

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
AUDIO_NAME, EVENTS_NAME = "audio.wav", "events.jsonl"

_ITEM_TYPES = {
    kind.__name__: kind
    for kind in (*get_args(TurnEvent), InterruptionHeard, Summarised, SettingsChanged, MetricsRequested, ErrorReported)
}
_GENERATION_EVENT_TYPES = {kind.__name__: kind for kind in (TextDelta, Transcription, GenerationStats)}


class RecordingError(Exception):
    """A recording that cannot be read; the message names the file and says what is wrong."""


class SessionRecorder:
    """Writes one session into a folder; a full disk ends the recording, not the session.

    Args:
        folder: made by this; must not hold a recording already.
        options: of the session.
        has_scorer: whether the session scores pauses.
    """

    def __init__(self, folder: Path, options: SessionOptions, *, has_scorer: bool) -> None:
        self._options = options
        self._has_scorer = has_scorer
        self._muted = False
        self._broken = False
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._events = (folder / EVENTS_NAME).open(
            "x", encoding="utf-8", buffering=1
        )  # whole lines, even after a crash
        try:
            self._audio = wave.open(str(folder / AUDIO_NAME), "wb")  # noqa: SIM115  # closed by `close`
        except OSError:
            self._events.close()
            raise
        self._audio.setnchannels(1)
        self._audio.setsampwidth(2)
        self._audio.setframerate(SAMPLE_RATE_HZ)

    def note_start(self, session_id: str, model: ModelInfo) -> None:
        """Writes who talks to what."""
        head = {"version": FORMAT_VERSION, "id": session_id, "has_scorer": self._has_scorer}
        self._write({"session": head | {"options": asdict(self._options), "model": asdict(model)}})

    def as_recorded(self, chunk: AudioChunk) -> AudioChunk:
        """Gives the chunk as the recording will hold it."""
        return AudioChunk(to_float32(_to_pcm(chunk.samples)), chunk.start_sample)

    def note_item(self, item: InboxItem, now_s: float) -> None:
        """Writes what is about to be handled."""
        if isinstance(item, AudioChunk):
            self._write_audio(item.samples)
        elif isinstance(item, SettingsChanged) and item.muted is not None:
            self._muted = item.muted
        self._write({"item": type(item).__name__, "now_s": now_s} | _fields_of(item))

    def note_score(self, samples: Samples, probability: float | None) -> None:
        """Writes what the scorer said of some audio."""
        self._write({"score": probability, "audio": _digest(samples)})

    def note_speculation(self, allowed: bool) -> None:
        """Writes whether the load allowed a provisional answer."""
        self._write({"speculation": allowed})

    def note_sent(self, event: SessionEvent) -> None:
        """Writes what the client is told."""
        self._write({"sent": to_wire(event)})

    def close(self) -> None:
        """Ends the recording."""
        try:
            self._events.close()
            self._audio.close()
        except OSError as error:
            self._give_up(error)

    def _write(self, line: dict[str, Any]) -> None:
        if not self._broken:
            try:
                self._events.write(json.dumps(line, ensure_ascii=False) + "\n")
            except OSError as error:
                self._give_up(error)

    def _write_audio(self, samples: Samples) -> None:
        if not self._broken:
            pcm = _to_pcm(np.zeros_like(samples) if self._muted else samples)
            try:
                self._audio.writeframes(pcm.tobytes())
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._broken = True
        logger.error("%s: the recording ends here: %s", self._folder, error)


def _to_pcm(samples: Samples) -> "np.ndarray[Any, np.dtype[np.int16]]":
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def _digest(samples: Samples) -> str:
    return hashlib.sha256(samples.tobytes()).hexdigest()


def _fields_of(item: InboxItem) -> dict[str, Any]:
    match item:
        case AudioChunk():
            return {"start_sample": item.start_sample, "n_samples": len(item.samples)}
        case Generated(generation, ModelError() as error):
            return {"generation": generation, "error": type(error).__name__, "message": str(error)}
        case Generated(generation, TextDelta() | Transcription() | GenerationStats() as event):
            return {"generation": generation, "event": type(event).__name__, **asdict(event)}
        case Generated():
            raise AssertionError("a generation yields text, a transcript, its stats or an error")
        case _:
            return asdict(item)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording in memory.

    Attributes:
        id: of the session.
        options: of the session.
        model: that answered.
        has_scorer: whether pauses were scored.
        items: what reached the session, each with the wall time that counted for it.
        scores: what was said of some audio, by its digest; None: it could not be scored.
        speculations: what the load allowed, in order.
        sent: the events, as JSON, without metrics.
        audio_s: seconds of audio.
    """

    id: str
    options: SessionOptions
    model: ModelInfo
    has_scorer: bool
    items: tuple[tuple[InboxItem, float], ...]
    scores: dict[str, float | None]
    speculations: tuple[bool, ...]
    sent: tuple[str, ...]
    audio_s: float


def read_recording(folder: Path) -> Recording:
    """Reads a folder that `SessionRecorder` wrote, whole or up to where the process died.

    Raises:
        RecordingError: it is none, or of another version, or damaged.
    """
    head, *lines = _read_lines(folder / EVENTS_NAME)
    session = head.get("session", {})
    if session.get("version") != FORMAT_VERSION:
        raise RecordingError(f"{folder / EVENTS_NAME}: not a recording of version {FORMAT_VERSION}")
    samples = _read_audio(folder / AUDIO_NAME)
    try:
        audio = _AudioReader(samples, folder / AUDIO_NAME)
        items = tuple((_item_of(line, audio), line["now_s"]) for line in lines if "item" in line)
        return Recording(
            id=session["id"],
            options=_options_of(session["options"]),
            model=ModelInfo(**{**session["model"], "checkpoints": tuple(session["model"]["checkpoints"])}),
            has_scorer=session["has_scorer"],
            items=items,
            scores={line["audio"]: line["score"] for line in lines if "score" in line},
            speculations=tuple(line["speculation"] for line in lines if "speculation" in line),
            sent=tuple(_compared([line["sent"] for line in lines if "sent" in line])),
            audio_s=len(samples) / SAMPLE_RATE_HZ,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordingError(f"{folder / EVENTS_NAME}: damaged ({type(error).__name__}: {error})") from error


def _read_lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read; give the folder of one session ({error})") from error
    *whole, _ = text.split("\n")  # what follows the last newline was cut off by the end of the process
    lines = []
    for number, line in enumerate(whole, 1):
        try:
            lines.append(json.loads(line))
        except ValueError as error:
            raise RecordingError(f"{path}, line {number}: not JSON ({error})") from error
    if not lines or not all(isinstance(line, dict) for line in lines):
        raise RecordingError(f"{path}: holds no recording")
    return lines


def _read_audio(path: Path) -> Samples:
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, SAMPLE_RATE_HZ):
                raise RecordingError(f"{path}: not 16-bit mono at {SAMPLE_RATE_HZ} Hz")
            return to_float32(np.frombuffer(file.readframes(file.getnframes()), np.int16))
    except (OSError, EOFError, wave.Error) as error:
        raise RecordingError(f"{path}: cannot be read ({error})") from error


class _AudioReader:
    """Gives the audio of a recording piece by piece."""

    def __init__(self, samples: Samples, path: Path) -> None:
        self._samples, self._path, self._position = samples, path, 0

    def take(self, n_samples: int) -> Samples:
        piece = self._samples[self._position : self._position + n_samples]
        if len(piece) < n_samples:
            raise RecordingError(f"{self._path}: shorter than the events say")
        self._position += n_samples
        return piece


def _item_of(line: dict[str, Any], audio: _AudioReader) -> InboxItem:
    fields = {key: value for key, value in line.items() if key not in ("item", "now_s")}
    match line["item"]:
        case "AudioChunk":
            return AudioChunk(audio.take(fields["n_samples"]), fields["start_sample"])
        case "Generated":
            return _generated_of(**fields)
        case name:
            item: InboxItem = _ITEM_TYPES[name](**fields)
            return item


def _generated_of(generation: int, event: str = "", error: str = "", **fields: Any) -> Generated:
    if error:
        kind = getattr(models.errors, error)
        failure: ModelError = kind.__new__(kind)
        failure.args = (fields["message"],)
        return Generated(generation, failure)
    return Generated(generation, _GENERATION_EVENT_TYPES[event](**fields))


def _options_of(fields: dict[str, Any]) -> SessionOptions:
    generation = fields["generation"]
    return SessionOptions(
        vad=VadOptions(**fields["vad"]),
        endpointing=EndpointingOptions(**fields["endpointing"]),
        conversation=ConversationOptions(**fields["conversation"]),
        generation=GenerationOptions(**{**generation, "stop": tuple(generation["stop"])}),
    )


def _compared(events: Sequence[dict[str, Any]]) -> Iterator[str]:
    return (json.dumps(event) for event in events if event["type"] != SessionMetricsReported.type)


class _SilentModel:
    """Stands where the model was: what that said is in the recording."""

    transcriber = None

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        await asyncio.Event().wait()  # until it is cancelled
        yield TextDelta("")

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        pass

    async def forget(self, *, dialogue: str) -> None:
        pass

    async def close(self) -> None:
        pass


class _RecordedScorer:
    """Says again what was said of the same audio."""

    def __init__(self, scores: dict[str, float | None]) -> None:
        self._scores = scores

    def score(self, samples: Samples) -> float:
        probability = self._scores.get(_digest(samples))
        if probability is None:
            raise LookupError("the recording holds no score for this audio")
        return probability


class _RecordedLoad(AnswerLoad):
    """Allows again what was allowed."""

    def __init__(self, speculations: Sequence[bool]) -> None:
        super().__init__()
        self._speculations = deque(speculations)

    def allows_speculation(self, making_way: int = 0) -> bool:
        return self._speculations.popleft() if self._speculations else True


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a recording the second time.

    Attributes:
        recording: what was played.
        sent: the events, as JSON, without metrics.
        wall_s: how long it took.
    """

    recording: Recording
    sent: tuple[str, ...]
    wall_s: float

    @property
    def difference(self) -> str | None:
        """The first event that is not the recorded one, to the byte, in words; None if there is none."""
        recorded = self.recording.sent
        for number, (before, now) in enumerate(zip(recorded, self.sent, strict=False), 1):
            if before != now:
                return f"event {number} was {before}, and is now {now}"
        closed = any(isinstance(item, Closed) for item, _ in self.recording.items)
        if len(self.sent) < len(recorded) or (closed and len(self.sent) > len(recorded)):
            return f"there were {len(recorded)} events, and are now {len(self.sent)}"
        return None


async def replay(recording: Recording, *, detector: SpeechDetector | None = None) -> Replay:
    """Plays a recording through a session as fast as it can be handled.

    Args:
        recording: what to play.
        detector: if the session was given one of its own.
    """
    began_s, now_s, sent = time.perf_counter(), 0.0, []
    session = Session(
        _SilentModel(recording.model),
        recording.options,
        id=recording.id,
        now=lambda: now_s,
        detector=detector,
        scorer=_RecordedScorer(recording.scores) if recording.has_scorer else None,
        load=_RecordedLoad(recording.speculations),
    )

    async def collect() -> None:
        async for event in session.events():
            sent.append(to_wire(event))

    collecting = asyncio.create_task(collect())
    session.begin()
    try:
        for item, item_s in recording.items:
            now_s = item_s
            await session.handle(item)
            await asyncio.sleep(0)  # lets `collect` read before the events are too many
        await session.handle(Closed())  # the process may have died before it was recorded
    finally:
        await session.end()
    await collecting
    return Replay(recording, tuple(_compared(sent)), time.perf_counter() - began_s)
