"""Cuts the sound of one speaker, or of one channel, at its pauses; silence is left out.

A passage is what ears write down at once. It ends at a pause; where somebody speaks for long it ends at the shortest
break there is. Memory is that of one passage, however long the recording is.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.types import SAMPLE_RATE_HZ, AudioClip, Samples
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.turns.observations import DetectedFrame, SpeechStarted, SpeechStopped

PAUSE_S = 0.5  # ends a passage
BREAK_S = 0.16  # ends one that is longer than LONG_S
LONG_S = 12.0
MAX_S = 28.0  # ends there, whatever is said: audio language models and Whisper take 30 s
PRE_ROLL_S = 0.3  # before the first voice
TAIL_S = 0.2  # behind the last one


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """What was said without a pause.

    Attributes:
        start_s: where it begins in the recording.
        clip: its sound.
    """

    start_s: float
    clip: AudioClip

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return self.start_s + self.clip.duration_s


class Passages:
    """Cuts one stream.

    Args:
        detector: finds its speech; Silero if not given.
    """

    def __init__(self, detector: SpeechDetector | None = None) -> None:
        self._detector = detector or SpeechDetector(VadOptions(other_voices="hear", pause_s=PAUSE_S))
        self._kept: deque[Samples] = deque()
        self._first_sample = self._end_sample = 0  # of what is kept
        self._start_sample: int | None = None  # of the passage under way
        self._frame_sample = 0  # end of the last frame
        self._cut_sample = 0  # end of the last passage
        self._voiced_samples = 0

    @property
    def open_s(self) -> float:
        """Before this place nothing more will come: where the passage under way begins, or the end of what was read."""
        sample = self._end_sample if self._start_sample is None else self._start_sample
        return max(0.0, sample / SAMPLE_RATE_HZ - PRE_ROLL_S)

    def push(self, samples: Samples) -> Iterator[Passage]:
        """Takes the next sound, float32 `(n_samples,)` at 16 kHz, and yields the passages that have ended."""
        self._kept.append(samples)
        self._end_sample += len(samples)
        for frame in self._detector.push(samples):
            yield from self._take(frame)
        if self._start_sample is None:
            self._drop_before(self._end_sample - round((PRE_ROLL_S + 1) * SAMPLE_RATE_HZ))

    def finish(self) -> Iterator[Passage]:
        """Ends what is under way."""
        if self._start_sample is not None:
            yield from self._cut(self._end_sample)

    def _take(self, frame: DetectedFrame) -> Iterator[Passage]:
        if isinstance(frame.event, SpeechStarted):
            start_sample = frame.event.onset_sample - round(PRE_ROLL_S * SAMPLE_RATE_HZ)
            self._start_sample = max(self._cut_sample, start_sample)
            self._voiced_samples = frame.end_sample - frame.event.onset_sample
        elif self._start_sample is not None:
            self._voiced_samples += 0 if frame.silence_samples else frame.end_sample - self._frame_sample
            length_s = (frame.end_sample - self._start_sample) / SAMPLE_RATE_HZ
            if isinstance(frame.event, SpeechStopped):
                yield from self._cut(frame.event.offset_sample + round(TAIL_S * SAMPLE_RATE_HZ))
            elif length_s > MAX_S or (length_s > LONG_S and frame.silence_samples > BREAK_S * SAMPLE_RATE_HZ):
                yield from self._cut(frame.end_sample)
                self._start_sample = frame.end_sample  # somebody speaks on
        self._frame_sample = frame.end_sample

    def _cut(self, end_sample: int) -> Iterator[Passage]:
        """Ends the passage under way; one in which nobody spoke, behind a break, is none."""
        assert self._start_sample is not None
        start_sample, end_sample = self._start_sample, min(end_sample, self._end_sample)
        voiced_samples, self._start_sample, self._voiced_samples = self._voiced_samples, None, 0
        if voiced_samples:
            kept = np.concatenate(self._kept)
            samples = kept[start_sample - self._first_sample : end_sample - self._first_sample].copy()
            speech_s = min(voiced_samples, len(samples)) / SAMPLE_RATE_HZ
            self._cut_sample = end_sample
            self._drop_before(end_sample)
            yield Passage(start_sample / SAMPLE_RATE_HZ, AudioClip(samples, speech_s))

    def _drop_before(self, sample: int) -> None:
        while self._kept and self._first_sample + len(self._kept[0]) <= sample:
            self._first_sample += len(self._kept.popleft())
