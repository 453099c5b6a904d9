"""The pauses that our detector notices in turns, and what sound and ears make of each at that moment.

A pause is judged at its first silent frames, by the turn up to there, as in a session. What that gave is kept in a file
where one is named, by the audio that was judged, so that only new pauses are listened to the next time.
Read `bench_endpointing.py` for what becomes of pauses.
"""

import asyncio
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from models.ears.loading import load_ears
from models.types import SAMPLE_RATE_HZ, AudioClip, Samples, Transcript, Word
from realtime.hearing.speech import SpeechLog
from realtime.hearing.vad import SILERO_FRAME_SAMPLES, DetectedFrame, SpeechDetector, VadOptions
from realtime.turns.end_of_turn import WEIGHTS, EndOfTurn
from realtime.turns.endpointing import EndOfTurnScorer
from realtime.turns.floor import HEAD_START_SAMPLES
from realtime.turns.machine import SpeechStarted, SpeechStopped
from realtime.turns.smart_turn import Heard, SmartTurn, find_smart_turn

JUDGED_SAMPLES = math.ceil(HEAD_START_SAMPLES / SILERO_FRAME_SAMPLES) * SILERO_FRAME_SAMPLES  # of a silence: 64 ms
SAVE_EVERY = 300  # new findings


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause the detector noticed; times in seconds from the beginning of the audio.

    Attributes:
        noticed_s: when the detector called it a pause.
        silences: from the end of each voiced frame to the next; more than one if sounds too short for speech fell in.
        resumed: whether speech went on, confirmed.
        speech_s: how much of the turn before it is speech.
        score: probability that the turn is complete; 0.5: not judged.
        asks_to_wait: the speaker did, in words.
        ready_s: how long after its beginning the score is known.
    """

    noticed_s: float
    silences: tuple[tuple[float, float], ...]
    resumed: bool
    speech_s: float
    score: float = 0.5
    asks_to_wait: bool = False
    ready_s: float = 0.0

    @property
    def offset_s(self) -> float:
        """End of the last voiced frame before it."""
        return self.silences[0][0]

    @property
    def judged_to(self) -> int:
        """Up to where the turn's audio is judged, in samples."""
        return round(self.offset_s * SAMPLE_RATE_HZ) + JUDGED_SAMPLES

    def scored_s(self, score_at_s: float) -> float:
        """From when on the score counts, which is so long after the pause was noticed unless it is known later."""
        return max(self.noticed_s + score_at_s, self.offset_s + self.ready_s)

    def commit_s(self, wait_s: float) -> float | None:
        """When a wait is over; None if the speaker goes on before."""
        for begin_s, end_s in self.silences:
            if (commit_s := max(self.noticed_s, begin_s + wait_s)) < end_s:
                return commit_s
        return None


def notice_pauses(samples: Samples) -> Iterator[Pause]:
    """Runs our detector over float32 `(n_samples,)`."""
    speech = SpeechLog()

    def detected() -> Iterator[DetectedFrame]:
        for frame in SpeechDetector(VadOptions()).push(samples):
            speech.add([frame])
            yield frame

    frames = detected()
    for frame in frames:
        if isinstance(frame.event, SpeechStopped):
            offset = frame.event.offset_sample
            speech_s = speech.speech_s(0, offset)
            silences, resumed = silences_until_speech(frames, offset)
            yield Pause(frame.event.sample / SAMPLE_RATE_HZ, silences, resumed, speech_s)


def silences_until_speech(
    frames: Iterator[DetectedFrame], offset_sample: int
) -> tuple[tuple[tuple[float, float], ...], bool]:
    """Follows a pause from its last voiced sample until speech is confirmed or the audio ends."""
    begin, found = offset_sample, []
    for frame in frames:
        if frame.silence_samples == 0:
            found.append((begin / SAMPLE_RATE_HZ, frame.end_sample / SAMPLE_RATE_HZ))
            begin = frame.end_sample
        if isinstance(frame.event, SpeechStarted):
            return tuple(found), True
    return (*found, (begin / SAMPLE_RATE_HZ, math.inf)), False


def find_pauses(samples: Samples, scorer: EndOfTurnScorer) -> tuple[Pause, ...]:
    """The same with the scores of a scorer."""
    pauses = notice_pauses(samples)
    return tuple(replace(pause, score=scorer.score(samples[: pause.judged_to])) for pause in pauses)


# ---- what is made of them ----


@dataclass(frozen=True, slots=True)
class Sound:
    """How complete a turn sounds: Smart Turn's own probability, and that of our head; what both took."""

    smart_turn: float
    head: float
    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Written:
    """What the ears wrote down of a turn, and what that took."""

    transcript: Transcript
    wall_s: float
    cpu_s: float


class _KeptSmartTurn(SmartTurn):
    """Keeps its last probability, so that it need not be asked twice."""

    probability = 0.0

    def hear(self, samples: Samples) -> Heard:
        """Hears a turn."""
        heard = super().hear(samples)
        self.probability = heard.probability
        return heard


class Listener:
    """Judges pauses by sound, and writes the turn before them down, as a session does.

    Args:
        cache_dir: folder of fetched weights.
        kept: what it found before, and finds now; None: nothing is kept.
    """

    def __init__(self, cache_dir: Path, kept: Path | None) -> None:
        self._encoder = _KeptSmartTurn(find_smart_turn(cache_dir))
        self._head = EndOfTurn(self._encoder)
        ears = load_ears("moonshine", cache_dir)
        assert ears is not None, "moonshine is not none"
        self._ears = ears
        self._loop = asyncio.new_event_loop()
        self._file = kept
        self._kept: dict[str, Any] = json.loads(kept.read_text("utf-8")) if kept and kept.is_file() else {}
        self._n_new = 0
        self._head_name = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()[:8]

    def sound(self, heard: Samples) -> Sound:
        """How complete a turn sounds, up to a pause."""

        def find() -> dict[str, Any]:
            began_s, cpu_s = time.perf_counter(), time.process_time()
            head = self._head.score(heard)
            took_s = time.perf_counter() - began_s, time.process_time() - cpu_s
            return asdict(Sound(self._encoder.probability, head, *took_s))

        return Sound(**self.remember(f"sound {self._head_name}", heard, find))

    def written(self, heard: Samples, speech_s: float, turn: str) -> Written:
        """What the ears write down of a turn, up to a pause; pauses of a turn are to follow each other."""

        def find() -> dict[str, Any]:
            began_s, cpu_s = time.perf_counter(), time.process_time()
            work = self._ears.transcribe(AudioClip(heard, speech_s), dialogue=turn)
            transcript = self._loop.run_until_complete(work)
            took_s = time.perf_counter() - began_s, time.process_time() - cpu_s
            return asdict(Written(transcript, *took_s))

        found = self.remember("words", heard, find)
        words = tuple(Word(**word) for word in found["transcript"]["words"])
        return Written(Transcript(**{**found["transcript"], "words": words}), found["wall_s"], found["cpu_s"])

    def remember(self, name: str, heard: Samples, find: Callable[[], Any]) -> Any:
        """What was found in audio under a name before, or is found now: anything that JSON can hold."""
        key = f"{name} {hashlib.sha256(heard.tobytes()).hexdigest()[:16]}"
        if key not in self._kept:
            self._kept[key] = find()
            self._n_new += 1
            if self._n_new >= SAVE_EVERY:
                self.save()
        return self._kept[key]

    def forget(self, turn: str) -> None:
        """Ends a turn."""
        self._loop.run_until_complete(self._ears.forget(dialogue=turn))

    def save(self) -> None:
        """Writes down what is kept."""
        if self._file is not None and self._n_new:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._kept), "utf-8")
            self._n_new = 0
