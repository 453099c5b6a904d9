"""Reads recordings, and plays them again with the same decisions, faster than real time.

Three things can be played again: the whole session, from the items of its inbox (`replay`); the floor alone, from what
it observed (`decide_again`); and the audio. Model, scorer and voice are not run again: what they said is in the
recording. Metrics are not compared, since they count what doors did, too. Read `recorder.py` for the format.
"""

import asyncio
import json
import time
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

import models.errors
from models.errors import ModelError
from models.types import (
    SAMPLE_RATE_HZ,
    VOICE_RATE_HZ,
    AudioClip,
    GenerationEvent,
    GenerationOptions,
    GenerationStats,
    Message,
    ModelInfo,
    Samples,
    Speech,
    SpokenWord,
    TextDelta,
    Transcript,
    Transcription,
    VoiceInfo,
    Word,
)
from realtime.conversation import ConversationOptions
from realtime.events import SessionEvent, SessionMetricsReported
from realtime.hearing.audio import AudioChunk, to_float32
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.inbox import (
    Captioned,
    ConversationImported,
    Generated,
    ImportedMessage,
    InboxItem,
    Noted,
    RecordingSubmitted,
    Spoken,
    WordsDrafted,
)
from realtime.notes.keeping import Kept
from realtime.notes.minutes import Note, Span
from realtime.recordings.recorder import (
    ANSWERS_NAME,
    EVENTS_NAME,
    FORMAT_VERSION,
    audio_name,
    sent_file_name,
    to_json,
)
from realtime.session import Session, SessionOptions
from realtime.speaking import SpeakingOptions
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.floors import make_floor
from realtime.turns.observations import Closed, Observation, SpeechStarted, SpeechStopped
from realtime.turns.options import FloorOptions

_ITEM_TYPES = {
    kind.__name__: kind
    for kind in get_args(InboxItem)
    if kind not in (AudioChunk, Generated, Captioned, WordsDrafted, Spoken, Noted)
}
_GENERATION_EVENT_TYPES = {kind.__name__: kind for kind in (TextDelta, GenerationStats)}
_OBSERVATION_TYPES = {kind.__name__: kind for kind in (*get_args(Observation), SpeechStarted, SpeechStopped)}


class RecordingError(Exception):
    """A recording that cannot be read; the message names the file and says what is wrong."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording in memory.

    Attributes:
        id: of the session.
        options: of the session.
        model: that answered.
        floor: what its floor decided by.
        caption_languages: that the ears beside the model knew; None: there were none.
        voices: that could read answers aloud.
        items: what reached the session, each with the wall time that counted for it.
        decisions: what the floor observed, each with what it asked for, as JSON.
        sent: the events, as JSON, without metrics.
        course: the items and the events in the order in which they were handled and sent.
        audio: of each speaker, float32 `(n_samples,)` at 16 kHz.
    """

    id: str
    options: SessionOptions
    model: ModelInfo
    floor: FloorOptions
    caption_languages: tuple[str, ...] | None
    voices: tuple[VoiceInfo, ...]
    items: tuple[tuple[InboxItem, float], ...]
    decisions: tuple[tuple[Observation, tuple[str, ...]], ...]
    sent: tuple[str, ...]
    course: tuple[tuple[InboxItem, float] | str, ...]
    audio: Mapping[str, Samples]

    @property
    def audio_s(self) -> float:
        """Seconds of audio, of the speaker of whom there is most."""
        return max(map(len, self.audio.values())) / SAMPLE_RATE_HZ


def read_recording(folder: Path) -> Recording:
    """Reads a folder that `SessionRecorder` wrote, whole or up to where the process died.

    Raises:
        RecordingError: it is none, or of another version, or damaged.
    """
    path = folder / EVENTS_NAME
    head, *lines = _read_lines(path)
    session = head.get("session", {})
    if not isinstance(session, dict) or "version" not in session:
        raise RecordingError(f"{path}: not a recording; give the folder of one session")
    if session["version"] != FORMAT_VERSION:
        raise RecordingError(
            f"{path}: a recording of version {session['version']}; this program reads version {FORMAT_VERSION}, so "
            "replay it with the program that made it"
        )
    try:
        options = _options_of(session["options"])
        voices = tuple(VoiceInfo(**voice) for voice in session["voices"])
        audio = {speaker: _read_audio(folder / audio_name(speaker), SAMPLE_RATE_HZ) for speaker in options.speakers}
        answers = {ANSWERS_NAME: _read_audio(folder / ANSWERS_NAME, VOICE_RATE_HZ)} if voices else {}
        reader = _AudioReader({audio_name(speaker): samples for speaker, samples in audio.items()} | answers, folder)
        steps = [_step_of(line, reader) for line in lines]
        return Recording(
            id=session["id"],
            options=options,
            model=ModelInfo(**{**session["model"], "checkpoints": tuple(session["model"]["checkpoints"])}),
            floor=_floor_options_of(session["floor"]),
            caption_languages=None if (known := session["caption_languages"]) is None else tuple(known),
            voices=voices,
            items=tuple(step for step in steps if isinstance(step, tuple)),
            decisions=tuple(_decision_of(line) for line in lines if "observed" in line),
            sent=tuple(step for step in steps if isinstance(step, str)),
            course=tuple(step for step in steps if step is not None),
            audio=audio,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordingError(f"{path}: damaged ({type(error).__name__}: {error})") from error


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


def _read_audio(path: Path, rate_hz: int) -> Samples:
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, rate_hz):
                raise RecordingError(f"{path}: not 16-bit mono at {rate_hz} Hz")
            return to_float32(np.frombuffer(file.readframes(file.getnframes()), np.int16))
    except (OSError, EOFError, wave.Error) as error:
        raise RecordingError(f"{path}: cannot be read ({error})") from error


class _AudioReader:
    """Gives the audio of a recording piece by piece."""

    def __init__(self, audio: Mapping[str, Samples], folder: Path) -> None:
        self._audio, self._folder = audio, folder
        self._positions = dict.fromkeys(audio, 0)
        self._n_files = 0

    def take(self, name: str, n_samples: int) -> Samples:
        start = self._positions[name]
        piece = self._audio[name][start : start + n_samples]
        if len(piece) < n_samples:
            raise RecordingError(f"{self._folder / name}: shorter than the events say")
        self._positions[name] += n_samples
        return piece

    def take_file(self) -> Samples:
        self._n_files += 1
        return _read_audio(self._folder / sent_file_name(self._n_files), SAMPLE_RATE_HZ)


def _step_of(line: dict[str, Any], audio: _AudioReader) -> tuple[InboxItem, float] | str | None:
    """What came in, with its wall time, or the event that was sent; None: something else."""
    if "item" in line:
        return _item_of(line, audio), line["now_s"]
    return json.dumps(line["sent"]) if "sent" in line and _is_compared(line["sent"]) else None


def _item_of(line: dict[str, Any], audio: _AudioReader) -> InboxItem:
    fields = {key: value for key, value in line.items() if key not in ("item", "now_s")}
    match line["item"]:
        case "AudioChunk":
            samples = audio.take(audio_name(fields["speaker"]), fields["n_samples"])
            return AudioChunk(samples, fields["start_sample"], fields["speaker"])
        case "Generated":
            return _generated_of(**fields)
        case "RecordingSubmitted":
            return RecordingSubmitted(AudioClip(audio.take_file()), fields["file_name"])
        case "ConversationImported":
            return ConversationImported(tuple(ImportedMessage(**message) for message in fields["messages"]))
        case "Captioned":
            written = fields.pop("transcript")
            return Captioned(**fields, transcript=None if written is None else _transcript_of(**written))
        case "WordsDrafted":
            return WordsDrafted(fields["item_id"], _transcript_of(**fields["transcript"]))
        case "Noted":
            kept = fields["kept"]
            return Noted(fields["attempt"], None if kept is None else _kept_of(**kept))
        case "Spoken" if "words" in fields:
            words = tuple(SpokenWord(**word) for word in fields["words"])
            return Spoken(fields["number"], Speech(audio.take(ANSWERS_NAME, fields["n_samples"]), words))
        case "Spoken":
            return Spoken(**fields)
        case name:
            item: InboxItem = _ITEM_TYPES[name](**fields)
            return item


def _kept_of(notes: list[dict[str, Any]], edited: list[str], removed: list[dict[str, Any]]) -> Kept:
    return Kept(notes=tuple(map(_note_of, notes)), edited=frozenset(edited), removed=tuple(map(_note_of, removed)))


def _note_of(fields: dict[str, Any]) -> Note:
    return Note(**{**fields, "spans": tuple(Span(**span) for span in fields["spans"])})


def _generated_of(generation: int, event: str = "", error: str = "", **fields: Any) -> Generated:
    if error:
        kind = getattr(models.errors, error)
        failure: ModelError = kind.__new__(kind)
        failure.args, failure.detail = (fields["message"],), fields["message"]
        return Generated(generation, failure)
    if event == Transcription.__name__:
        return Generated(generation, Transcription(fields["message_id"], _transcript_of(**fields["transcript"])))
    return Generated(generation, _GENERATION_EVENT_TYPES[event](**fields))


def _transcript_of(text: str, words: list[dict[str, Any]], is_foreign: bool) -> Transcript:
    return Transcript(text, tuple(Word(**word) for word in words), is_foreign)


def _decision_of(line: dict[str, Any]) -> tuple[Observation, tuple[str, ...]]:
    return _observation_of(line["observed"]), tuple(json.dumps(action) for action in line["asked"])


def _observation_of(fields: dict[str, Any]) -> Any:
    """What `to_json` was made of."""
    values = {key: _observation_of(value) if isinstance(value, dict) else value for key, value in fields.items()}
    return _OBSERVATION_TYPES[values.pop("name")](**values)


def _options_of(fields: dict[str, Any]) -> SessionOptions:
    generation = fields["generation"]
    return SessionOptions(
        vad=VadOptions(**fields["vad"]),
        endpointing=EndpointingOptions(**fields["endpointing"]),
        conversation=ConversationOptions(**fields["conversation"]),
        generation=GenerationOptions(**{**generation, "stop": tuple(generation["stop"])}),
        speaking=SpeakingOptions(**fields["speaking"]),
        address=fields["address"],
        speakers=tuple(fields["speakers"]),
        stored=fields["stored"],
        takes_notes=fields["takes_notes"],
        tells_speakers=fields["tells_speakers"],
        kind=fields["kind"],
    )


def _floor_options_of(fields: dict[str, Any]) -> FloorOptions:
    endpointing = EndpointingOptions(**fields["endpointing"])
    return FloorOptions(**{**fields, "endpointing": endpointing, "speakers": tuple(fields["speakers"])})


def _is_compared(event: dict[str, Any]) -> bool:
    return bool(event["name"] != SessionMetricsReported.__name__)


class _SilentModel:
    """Stands where the model and its ears were: what they said is in the recording."""

    def __init__(self, info: ModelInfo, *, transcribes: bool, caption_languages: tuple[str, ...] | None) -> None:
        self.info = info
        self.transcriber = self if transcribes else None
        self.has_ears = caption_languages is not None
        self.languages = caption_languages or ()

    async def transcribe(self, clip: object, *, dialogue: str, language: str | None = None) -> Transcript:
        await asyncio.Event().wait()  # until it is cancelled
        return Transcript("")

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        await asyncio.Event().wait()
        yield TextDelta("")

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        pass

    async def forget(self, *, dialogue: str) -> None:
        pass

    async def close(self) -> None:
        pass


class _SilentVoice:
    """Stands where the voice was."""

    def __init__(self, voices: tuple[VoiceInfo, ...]) -> None:
        self.voices = voices

    async def speak(self, text: str, *, voice: str) -> Speech:
        await asyncio.Event().wait()
        return Speech(np.zeros(0, np.float32), ())


class _SilentScorer:
    """Stands where a scorer was."""

    def score(self, samples: Samples) -> float:
        return 0.0  # nobody waits for it: the recorded score is handled in its place


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


async def replay(recording: Recording, *, detectors: Mapping[str, SpeechDetector] | None = None) -> Replay:
    """Plays a recording through a session as fast as it can be handled.

    Args:
        recording: what to play.
        detectors: by speaker, if the session was given detectors of its own.
    """
    began_s, now_s = time.perf_counter(), 0.0
    sent: list[dict[str, Any]] = []
    session = Session(
        _SilentModel(
            recording.model,
            transcribes=recording.floor.transcribes_sounds,
            caption_languages=recording.caption_languages,
        ),
        recording.options,
        id=recording.id,
        now=lambda: now_s,
        make_detector=detectors.__getitem__ if detectors is not None else None,
        scorer=_SilentScorer() if recording.floor.scores_pauses else None,
        sound_scorer=_SilentScorer() if recording.floor.scores_sounds else None,
        voice=_SilentVoice(recording.voices) if recording.voices else None,
    )

    async def collect(events: AsyncIterator[SessionEvent]) -> None:
        async for event in events:
            sent.append(to_json(event))

    collecting = asyncio.create_task(collect(session.events()))
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
    again = tuple(json.dumps(event) for event in sent if _is_compared(event))
    return Replay(recording, again, time.perf_counter() - began_s)


def decide_again(recording: Recording) -> Iterator[tuple[Observation, tuple[str, ...], tuple[str, ...]]]:
    """Has a new floor decide a recorded conversation again, without a session, a model or a clock.

    Yields:
        What the floor observes, what it asks for now, and what it had asked for then, both as JSON.
    """
    floor = make_floor(recording.floor)
    for observation, then in recording.decisions:
        yield observation, tuple(json.dumps(to_json(action)) for action in floor.observe(observation)), then
