"""Decodes one track of an open recording to 16 kHz mono.

What is damaged is left out, and the rest is read: nothing is made up in its place. Memory is what the result takes,
whatever the recording says of itself. `losses.py` keeps account of what is missing.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

import av
import numpy as np
from numpy.typing import NDArray

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.losses import Losses

MIN_TRACK_HZ, MAX_TRACK_HZ = 1_000, 3_000_000  # the fastest is DSD512, decoded to 2.8 MHz; others are mistakes
MAX_CHANNELS = 64  # of FFmpeg's resampler (SWR_CH_MAX)
MAX_REFUSED_SAMPLES = (
    100_000_000  # of all channels, in frames that cannot be; 2 s of work, of which 25 MB may ask hours
)
MAX_FAULTS = 10_000  # in a row that the container's reader may report; WavPack's goes on 32 bytes after each
MIXED_SAMPLES = SAMPLE_RATE_HZ  # channels are mixed a second at a time
CANCELLED = 0.1  # of the louder side's energy that a mix keeps at least; sides that are not alike keep a quarter

Channels = NDArray[np.float32]  # (n_samples, n_channels)


class UnreadableAudio(Exception):
    """A recording that gives no audio; the message says why and what to do, without its name."""


class TooLong(UnreadableAudio):
    """A recording that is longer than was allowed."""


class UnreadableRate(UnreadableAudio):
    """Frames with a sample rate or a number of channels that cannot be."""


class Collected:
    """Mono samples in one block of memory, which grows in place.

    Args:
        max_s: the longest recording accepted, in seconds.
    """

    def __init__(self, max_s: float) -> None:
        self._max_s = max_s
        self._bytes = bytearray()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self._bytes) / (4 * SAMPLE_RATE_HZ)

    def append(self, samples: Samples) -> None:
        """Adds float32 `(n_samples,)`, limited to [-1, 1].

        Raises:
            TooLong: it is longer than was allowed.
        """
        if self.duration_s + len(samples) / SAMPLE_RATE_HZ > self._max_s:
            raise TooLong(f"longer than {self._max_s:.0f} s; cut it into parts")
        self._bytes += np.clip(samples, -1, 1).astype(np.float32).tobytes()

    def samples(self) -> Samples:
        """All of them, float32 `(n_samples,)`, without a copy; nothing can be added after it."""
        return np.frombuffer(self._bytes, np.float32)


class Blocks:
    """The newest blocks of a recording that is read piece by piece; whoever reads it takes them as they come."""

    def __init__(self) -> None:
        self._blocks: deque[Channels] = deque()

    def append(self, samples: Channels) -> None:
        """Adds float32 `(n_samples, n_channels)`, limited to [-1, 1]."""
        self._blocks.append(np.clip(samples, -1, 1).astype(np.float32))

    def take(self) -> Iterator[Channels]:
        """Gives those that nobody has taken."""
        while self._blocks:
            yield self._blocks.popleft()


class Destination(Protocol):
    """Where decoded samples go."""

    def append(self, samples: NDArray[np.float32]) -> None:
        """Adds samples at 16 kHz."""
        ...


class Mixer:
    """Mixes channels to mono, and takes the louder of two that would cancel each other.

    A cable with two wires swapped turns one side upside down; the mean of both is silence.

    Args:
        collected: where the samples go.
        keeps_sides: two channels stay apart: samples are `(n_samples, 1 or 2)` then, else mono `(n_samples,)`.
    """

    def __init__(self, collected: Destination, *, keeps_sides: bool = False) -> None:
        self._keeps_sides = keeps_sides
        self.cancelled_samples = 0
        self.non_finite_samples = 0
        self.refused_samples = 0  # of all channels, in frames that cannot be
        self._collected = collected
        self._waiting: list[Channels] = []
        self._n_waiting = 0

    def push(self, channels: Channels) -> None:
        """Adds `(n_samples, n_channels)`; what is no number becomes silence."""
        if self._waiting and channels.shape[1] != self._waiting[0].shape[1]:
            self.flush()
        self._waiting.append(channels)
        self._n_waiting += len(channels)
        if self._n_waiting >= MIXED_SAMPLES:
            self.flush()

    def flush(self) -> None:
        """Mixes what is waiting."""
        if not self._waiting:
            return
        channels = np.concatenate(self._waiting)
        self._waiting, self._n_waiting = [], 0
        finite = np.isfinite(channels)
        if not finite.all():
            self.non_finite_samples += int(np.count_nonzero(~finite.all(axis=1)))
            channels = np.where(finite, channels, np.float32(0))
        if self._keeps_sides and channels.shape[1] == 2:
            self._collected.append(channels)
            return
        mono = channels.mean(axis=1)
        if channels.shape[1] == 2:
            energies = np.square(channels, dtype=np.float64).sum(axis=0)
            if np.square(mono, dtype=np.float64).sum() < CANCELLED * energies.max():
                self.cancelled_samples += len(mono)
                mono = channels[:, int(energies.argmax())]
        self._collected.append(mono[:, np.newaxis] if self._keeps_sides else mono)


class Resampler:
    """Brings decoded frames to 16 kHz, through every change of format, rate and channels.

    Args:
        mixer: where the resampled channels go.
    """

    def __init__(self, mixer: Mixer) -> None:
        self._mixer = mixer
        self._resampler: Any = None
        self._input: tuple[str, str, int] | None = None

    def push(self, frame: Any) -> None:
        """Adds one frame.

        Raises:
            UnreadableRate: it has a rate or a number of channels that cannot be.
            UnreadableAudio: the recording is longer than was allowed.
        """
        of_frame = (frame.format.name, frame.layout.name, frame.sample_rate)
        if of_frame != self._input:
            n_channels = frame.layout.nb_channels
            _check(frame.sample_rate, n_channels)
            self.flush()
            # Of channels without names FFmpeg would take the third for a subwoofer, and leave it out.
            unnamed = frame.layout.name == f"{n_channels} channels"
            layout = frame.layout.name if unnamed else "mono" if n_channels == 1 else "stereo"
            self._resampler = av.AudioResampler(format="flt", layout=layout, rate=SAMPLE_RATE_HZ)
            self._input = of_frame
        self._pass_on(self._resampler.resample(frame))

    def flush(self) -> None:
        """Gives what the resampler holds back; the next frame begins with a new one."""
        if self._resampler is not None:
            self._pass_on(self._resampler.resample(None))
        self._resampler = self._input = None

    def _pass_on(self, frames: list[Any]) -> None:
        for frame in frames:  # packed: PyAV crashes on planes of eight channels and more
            self._mixer.push(frame.to_ndarray().reshape(-1, frame.layout.nb_channels))


def _check(rate_hz: int, n_channels: int) -> None:
    if not MIN_TRACK_HZ <= rate_hz <= MAX_TRACK_HZ:
        raise UnreadableRate(f"its sample rate is {rate_hz} Hz; {MIN_TRACK_HZ} to {MAX_TRACK_HZ} Hz are read")
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise UnreadableRate(f"it has {n_channels} channels; up to {MAX_CHANNELS} are read")


class TrackDecoder:
    """Decodes one track of one container.

    Args:
        container: an open `av` container.
        stream: its audio stream.
        mixer: where the audio goes.
    """

    def __init__(self, container: Any, stream: Any, mixer: Mixer) -> None:
        self.losses = Losses(container, stream)
        self.refusal: str | None = None  # why frames were left out
        self.fault: str | None = None  # of the last packet that could not be decoded
        self.ends_early = False  # in the middle of a packet
        self._mixer = mixer
        self._container = container
        self._stream = stream
        self._resampler = Resampler(mixer)
        if stream.codec_context.codec.lossless:  # so that noise is told from sound by the checksum
            stream.codec_context.options = {"err_detect": "crccheck+explode"}

    def decode(self) -> Iterator[None]:
        """Reads to the end, a packet at each step.

        Raises:
            UnreadableAudio: the recording is longer than was allowed, or too much of it cannot be.
        """
        for packet in self._packets():
            if packet.size:
                self.ends_early = packet.is_corrupt
            if packet.stream.index == self._stream.index:
                self._decode(packet)
            else:
                self.losses.count_other_track(packet)
            yield
        self._resampler.flush()

    def _packets(self) -> Iterator[Any]:
        """All packets of all tracks, beyond what the container's reader stumbles over."""
        faults = 0
        while faults < MAX_FAULTS:
            try:
                for packet in self._container.demux():
                    faults = 0
                    yield packet
                return
            except av.FFmpegError:
                faults += 1
            except IndexError:  # PyAV has flushed the tracks it knows, and stumbles over one that began late
                return

    def _decode(self, packet: Any) -> None:
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            self.fault = error.strerror
            self.losses.count_failed(packet)
            return
        self.losses.count_decoded(packet)
        for frame in frames:
            try:
                self._resampler.push(frame)
            except (UnreadableRate, av.FFmpegError) as error:
                self.refusal = str(error)
                self._mixer.refused_samples += frame.samples * frame.layout.nb_channels
                if self._mixer.refused_samples > MAX_REFUSED_SAMPLES:
                    raise UnreadableAudio(self.refusal) from error
            else:
                self.losses.count_frame(frame)
