"""From whatever a transport delivers to 16 kHz mono float32 on one sample clock.

Everything inside counts time in samples of the incoming audio (`start_sample`), never in wall time, so that a recorded
conversation replays with the same decisions. Nothing here raises into a transport: `Capture` repairs what it can and
counts what it repaired. Files are different: see `files.py`. Read `intake.py` next.
"""

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.turns.observations import DEFAULT_SPEAKER

RawSamples = NDArray[np.int16] | NDArray[np.float32] | NDArray[np.float64]

MIN_RATE_HZ = 8_000  # telephone
MAX_RATE_HZ = 96_000  # studio; beyond this the number is a mistake
FULL_SCALE = 32767 / 32768  # the largest 16-bit sample; a microphone that reaches it has been cut off there
CHECKED_SAMPLES = 1600  # 100 ms at 16 kHz: whole periods of 50 and 60 Hz hum, so that its mean is 0
MAX_OFFSET = 0.02  # of a sound's mean over 100 ms; a healthy sound card stays below 0.005


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """Audio as a transport delivered it, converted once.

    Attributes:
        samples: mono float32 `(n_samples,)` in [-1, 1] at 16 kHz.
        start_sample: position of the first sample on the speaker's sample clock.
        speaker: who is heard in it.
    """

    samples: Samples
    start_sample: int
    speaker: str = DEFAULT_SPEAKER

    @property
    def end_sample(self) -> int:
        """Position just after the last sample."""
        return self.start_sample + len(self.samples)


@dataclass(slots=True)
class CaptureCounters:
    """What `Capture` had to repair.

    Attributes:
        non_finite_samples: NaN or infinite, replaced by silence.
        clipped_samples: at full scale, or beyond it and limited: the recording is distorted.
        offset_samples: in tenths of a second whose mean is far from 0: a direct current in the microphone's wire.
        flat_samples: in tenths of a second in which nothing moves: a stuck, unplugged or muted microphone.
        rate_changes: times the transport changed its sample rate, or gave one that cannot be.
        failed_chunks: that could not be converted, and were lost.
        lost_packets: of WebRTC, that were not there in time: mostly 20 ms each, replaced by silence.
        late_packets: of WebRTC, that came after they had been given up, or had been there before.
    """

    non_finite_samples: int = 0
    clipped_samples: int = 0
    offset_samples: int = 0
    flat_samples: int = 0
    rate_changes: int = 0
    failed_chunks: int = 0
    lost_packets: int = 0
    late_packets: int = 0


def to_float32(samples: RawSamples) -> Samples:
    """Converts int16 or float samples of any shape to float32 `(n_samples,)`; integers are scaled to [-1, 1]."""
    flat = samples.reshape(-1)
    if flat.dtype == np.int16:
        return flat.astype(np.float32) / np.float32(32768)
    return flat.astype(np.float32)


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Rounds float32 `(n_samples,)` in [-1, 1] to 16 bits."""
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def rounded_to_16_bits(samples: Samples) -> Samples:
    """Gives what `to_float32(to_int16(samples))` gives, to the bit and in half the time; float32 `(n_samples,)`."""
    rounded: Samples = np.rint(samples * np.float32(32768))
    np.maximum(rounded, np.float32(-32768), out=rounded)
    np.minimum(rounded, np.float32(32767), out=rounded)
    rounded += np.float32(0)  # there is no -0 among integers
    rounded *= np.float32(1 / 32768)
    return rounded


class Capture:
    """Turns one client's stream into `AudioChunk`s.

    Args:
        counters: where what was wrong with it is counted.
        speaker: who speaks in it.
    """

    def __init__(self, counters: CaptureCounters | None = None, speaker: str = DEFAULT_SPEAKER) -> None:
        self.counters = counters or CaptureCounters()
        self._speaker = speaker
        self._rate_hz = SAMPLE_RATE_HZ
        self._resampler: soxr.ResampleStream | None = None
        self._next_sample = 0
        self._unchecked: list[Samples] = []
        self._n_unchecked = 0

    def push(self, rate_hz: int, samples: RawSamples) -> AudioChunk:
        """Converts the next samples.

        Args:
            rate_hz: their sample rate, 8 to 96 kHz; outside of it they count as silence of no length.
            samples: mono, any shape, int16 or float.

        Returns:
            What the resampler has finished, possibly no samples.
        """
        if rate_hz != self._rate_hz:
            self._set_rate(rate_hz)
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            samples = np.zeros(0, np.float32)
        mono = self._repair(to_float32(samples))
        if self._resampler is not None and mono.size:
            mono = np.asarray(self._resampler.resample_chunk(mono), np.float32)
        self._check(mono)
        chunk = AudioChunk(mono, self._next_sample, self._speaker)
        self._next_sample = chunk.end_sample
        return chunk

    def skip(self, n_samples: int) -> None:
        """Leaves out so many samples at 16 kHz, which the transport has lost: the next chunk comes after the gap."""
        self._next_sample += n_samples

    def silence(self, n_samples: int) -> AudioChunk:
        """Gives silence (n_samples,) at 16 kHz as the next chunk, for a client that sends nothing."""
        chunk = AudioChunk(np.zeros(n_samples, np.float32), self._next_sample, self._speaker)
        self._next_sample = chunk.end_sample
        return chunk

    def _set_rate(self, rate_hz: int) -> None:
        self.counters.rate_changes += self._next_sample > 0 or not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ
        self._rate_hz = rate_hz
        self._resampler = None
        if rate_hz != SAMPLE_RATE_HZ and MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            # "LQ" holds back 6 ms at 48 kHz where "HQ" holds back 21, and speech models do not hear the difference.
            self._resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="LQ")

    def _repair(self, samples: Samples) -> Samples:
        if not samples.size:
            return samples
        if np.minimum.reduce(samples) > -FULL_SCALE and np.maximum.reduce(samples) < FULL_SCALE:
            return samples  # all are finite: a NaN among them would be the least and the greatest
        finite = np.isfinite(samples)
        if not finite.all():
            self.counters.non_finite_samples += int(samples.size - finite.sum())
            samples = np.where(finite, samples, np.float32(0))
        clipped = int((np.abs(samples) >= FULL_SCALE).sum())
        if clipped:
            self.counters.clipped_samples += clipped
            samples = np.clip(samples, -1, 1)
        return samples

    def _check(self, samples: Samples) -> None:
        """Counts what cannot be repaired, in stretches that do not depend on the chunking."""
        self._unchecked.append(samples)
        self._n_unchecked += len(samples)
        if self._n_unchecked < CHECKED_SAMPLES:
            return
        waiting = np.concatenate(self._unchecked)
        n_whole = len(waiting) // CHECKED_SAMPLES * CHECKED_SAMPLES
        stretches = waiting[:n_whole].reshape(-1, CHECKED_SAMPLES)
        self._unchecked, self._n_unchecked = [waiting[n_whole:]], len(waiting) - n_whole
        self.counters.offset_samples += CHECKED_SAMPLES * int((np.abs(stretches.mean(axis=1)) > MAX_OFFSET).sum())
        self.counters.flat_samples += CHECKED_SAMPLES * int((np.ptp(stretches, axis=1) == 0).sum())


class AudioWindow:
    """The recent past of a stream, addressed by position on the sample clock."""

    def __init__(self) -> None:
        self._pieces: list[Samples] = []
        self._start_sample = 0
        self._end_sample = 0

    def append(self, samples: Samples) -> None:
        """Adds float32 `(n_samples,)` at the end."""
        self._pieces.append(samples)
        self._end_sample += len(samples)

    def cut(self, start_sample: int, end_sample: int) -> Samples:
        """Copies what is kept between two positions."""
        joined = np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.float32)
        self._pieces = [joined]
        return joined[max(0, start_sample - self._start_sample) : max(0, end_sample - self._start_sample)].copy()

    def drop_before(self, sample: int) -> None:
        """Frees whole pieces that end at or before a position."""
        while self._pieces and self._start_sample + len(self._pieces[0]) <= sample:
            self._start_sample += len(self._pieces.pop(0))
