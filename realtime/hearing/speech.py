"""How much speech there is: in a stretch of a stream that a detector follows, and in a whole recording.

It is not for telling where speech begins or stops; read `vad.py` for that.
"""

from collections import deque
from collections.abc import Iterable
from itertools import takewhile

import numpy as np

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.turns.observations import DetectedFrame, SpeechStarted

LOUD_RMS = 10 ** (-20 / 20)  # recordings are made this loud: a detector is used to near voices
LEVEL_SAMPLES = SAMPLE_RATE_HZ // 10  # the level of a recording is that of its loudest 100 ms ...
N_LOUDER = 2  # ... but for these, which a click in a quiet recording may be


class SpeechLog:
    """Where one speaker's voice was found."""

    def __init__(self) -> None:
        self._end_sample = 0  # of the newest frame
        self._voiced: deque[tuple[int, int]] = deque()  # frames, from one position to another

    def add(self, frames: Iterable[DetectedFrame]) -> None:
        """Takes the next frames of the stream."""
        for frame in frames:
            if not frame.silence_samples:
                self._voiced.append((self._end_sample, frame.end_sample))
            self._end_sample = frame.end_sample

    def drop_before(self, sample: int) -> None:
        """Forgets what was found before a position."""
        while self._voiced and self._voiced[0][1] <= sample:
            self._voiced.popleft()

    def speech_s(self, start_sample: int, end_sample: int) -> float:
        """Seconds of voiced frames between two positions."""
        until_end = takewhile(lambda frame: frame[0] < end_sample, self._voiced)
        overlaps = (min(end, end_sample) - max(start, start_sample) for start, end in until_end)
        return sum(max(0, samples) for samples in overlaps) / SAMPLE_RATE_HZ

    def last_stretch(self, start_sample: int, end_sample: int, pause_samples: int) -> int:
        """Where the speech before a position begins that has no pause of so many samples in it; not before `start`."""
        begins = end_sample
        for start, end in reversed(self._voiced):
            if end <= start_sample or (begins < end_sample and begins - end >= pause_samples):
                break
            if start < end_sample:
                begins = start
        return max(start_sample, begins)


def measure_speech_s(samples: Samples) -> float:
    """Seconds of speech in a whole recording, float32 `(n_samples,)` at 16 kHz; 0 where nobody speaks.

    A recording may be quieter than any voice at a microphone, so its level says nothing: it is made louder first.
    """
    frames = list(SpeechDetector(VadOptions(other_voices="hear")).push(made_louder(samples)))
    if not any(isinstance(frame.event, SpeechStarted) for frame in frames):
        return 0.0  # clicks
    log = SpeechLog()
    log.add(frames)
    return log.speech_s(0, len(samples))


def made_louder(samples: Samples) -> Samples:
    """Brings a recording, float32 `(n_samples,)` at 16 kHz, to the level that a detector is used to, if it is below."""
    pieces = np.pad(samples, (0, -len(samples) % LEVEL_SAMPLES)).reshape(-1, LEVEL_SAMPLES)
    levels_rms = np.sort(np.sqrt(np.square(pieces).mean(axis=1)))
    level_rms = float(levels_rms[-1 - min(N_LOUDER, len(levels_rms) - 1)])
    if level_rms == 0:
        return samples
    return np.clip(samples * max(1.0, LOUD_RMS / level_rms), -1, 1).astype(np.float32)
