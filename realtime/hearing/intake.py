"""Places chunks on the sample clock: what is missing becomes silence, what comes twice is ignored, both are counted.

It keeps the recent past, from which the audio of a turn is cut. Read `listener.py` for who asks for it.
"""

from dataclasses import dataclass

import numpy as np

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.audio import AudioChunk, AudioWindow

MAX_GAP_SAMPLES = 10 * SAMPLE_RATE_HZ  # a longer gap in the audio is shortened to this much silence


@dataclass(slots=True)
class IntakeCounters:
    """What was wrong with the audio's clock.

    Attributes:
        gap_samples: audio missing between chunks, replaced by silence.
        repeated_samples: audio delivered twice, ignored the second time.
        clock_drift_s: wall time since the first chunk, less the audio since then; grows when audio is lost or late.
    """

    gap_samples: int = 0
    repeated_samples: int = 0
    clock_drift_s: float = 0.0


class Intake:
    """One speaker's audio, in order.

    Args:
        counters: where gaps, repeats and the drift of the clocks are counted.
    """

    def __init__(self, counters: IntakeCounters) -> None:
        self.muted = False
        self._counters = counters
        self._window = AudioWindow()
        self._expected_sample: int | None = None  # where the transport's next chunk begins
        self._end_sample = 0
        self._first: tuple[float, int] | None = None  # wall time and position after the first chunk

    @property
    def end_sample(self) -> int:
        """Position, on the speaker's clock, just after all that has come."""
        return self._end_sample

    def take(self, chunk: AudioChunk, now_s: float) -> Samples:
        """Gives what the chunk adds, (n_samples,); silence of the same length while muted.

        Args:
            chunk: as the transport placed it.
            now_s: wall time, for the drift alone.
        """
        samples = self._repaired(chunk)
        if self.muted:
            samples = np.zeros_like(samples)
        self._window.append(samples)
        self._end_sample += len(samples)
        self._measure_drift(chunk.end_sample, now_s)
        return samples

    def cut(self, start_sample: int, end_sample: int) -> Samples:
        """Copies what was heard between two positions, as far as it is kept."""
        return self._window.cut(start_sample, end_sample)

    def drop_before(self, sample: int) -> None:
        """Forgets what was heard before a position."""
        self._window.drop_before(sample)

    def _repaired(self, chunk: AudioChunk) -> Samples:
        samples = chunk.samples
        gap = 0 if self._expected_sample is None else chunk.start_sample - self._expected_sample
        if gap > 0:
            self._counters.gap_samples += gap
            samples = np.concatenate((np.zeros(min(gap, MAX_GAP_SAMPLES), np.float32), samples))
        elif gap < 0:
            self._counters.repeated_samples += min(-gap, len(samples))
            samples = samples[-gap:]
        self._expected_sample = max(self._expected_sample or 0, chunk.end_sample)
        return samples

    def _measure_drift(self, end_sample: int, now_s: float) -> None:
        if self._first is None:
            self._first = (now_s, end_sample)
        first_s, first_sample = self._first
        self._counters.clock_drift_s = now_s - first_s - (end_sample - first_sample) / SAMPLE_RATE_HZ
