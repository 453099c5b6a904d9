"""Sound in files that can be read at every moment: FLAC in Ogg, 16 bit, in pages of a fifth of a second.

A page that was written stays whatever happens to the process, and a reader takes all whole pages, so there is nothing
to be mended after a crash. A file is as long as the clock of what is written into it: what is missing is silence.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from realtime.recordings.store.errors import StoreError

HEADER_BYTES = 512  # of Ogg and FLAC, and a little more; a file that is no longer may have been cut off in it
PAGE_US = "200000"  # of sound in a page; FFmpeg writes the next one once so much has come
MAX_PADDING_SAMPLES = 1 << 16  # of silence encoded at once
SEEK_BEFORE_SAMPLES = 8192  # of the place that is looked for: FFmpeg goes to some frame near it

Pcm = NDArray[np.int16]


class _File:
    """What FFmpeg writes into: without a buffer, and its owner's alone."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(self._descriptor, 0o600)
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        if self.error is None:
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError as error:
                self.error = error  # raised by our writer: FFmpeg would call it something else
        return len(content)

    def close(self) -> None:
        os.close(self._descriptor)


class SoundWriter:
    """Writes one file.

    Args:
        path: must not be there.
        rate_hz: of the samples.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, rate_hz: int) -> None:
        self.n_samples = 0
        self._rate_hz = rate_hz
        self._file = _File(path)
        options = {"flush_packets": "1", "page_duration": PAGE_US}
        self._container: Any = av.open(self._file, "w", format="ogg", options=options)
        self._stream = self._container.add_stream("flac", rate=rate_hz, layout="mono")

    def write(self, samples: Pcm, position: int | None = None) -> None:
        """Adds samples, (n_samples,).

        Args:
            samples: what comes next.
            position: where they belong in the file; what is missing before is silence, what is there stays.

        Raises:
            OSError: the disk is full, or has gone.
        """
        position = self.n_samples if position is None else position
        while (gap := min(position - self.n_samples, MAX_PADDING_SAMPLES)) > 0:
            self._encode(np.zeros(gap, np.int16))
        samples = samples[max(0, self.n_samples - position) :]
        if len(samples):
            self._encode(samples)

    def close(self) -> None:
        """Writes the rest; raises `OSError` if that cannot be, and then the file is closed, too."""
        try:
            if self._file.error is None:
                self._mux(None)
            self._container.close()
        finally:
            self._file.close()
        self._raise_error()

    def _encode(self, samples: Pcm) -> None:
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = self._rate_hz, self.n_samples
        self.n_samples += len(samples)
        self._mux(frame)
        self._raise_error()

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def _raise_error(self) -> None:
        if self._file.error is not None:
            raise self._file.error


def read_sound(path: Path, start: int = 0) -> Iterator[Pcm]:
    """Yields the samples of a file from one on, piece by piece, as far as they were written.

    Raises:
        StoreError: the file is not there, or holds no sound.
    """
    with _opened(path) as container:
        if container is None:
            return
        stream = container.streams.audio[0]
        if start:
            container.seek(max(0, start - SEEK_BEFORE_SAMPLES), stream=stream)
        for frame in container.decode(stream):
            samples = frame.to_ndarray().reshape(-1).astype(np.int16, copy=False)
            yield samples[max(0, start - frame.pts) :]


def length_of(path: Path, rate_hz: int) -> int:
    """The number of samples in a file, as far as they were written; raises as `read_sound` does."""
    with _opened(path) as container:
        if container is None:
            return 0
        stream = container.streams.audio[0]
        length: int = round((stream.duration or 0) * stream.time_base * rate_hz)
        return length


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens a file; gives None if nothing has been written into it: the process died, or has not come further yet."""
    try:
        try:
            container = av.open(str(path), options={"protocol_whitelist": "file"})
        except av.FFmpegError:
            if path.stat().st_size > HEADER_BYTES:
                raise
            yield None
            return
        with container:
            has_begun = bool(container.streams.audio) or path.stat().st_size > HEADER_BYTES
            yield container if has_begun else None
    except FileNotFoundError as error:
        raise StoreError(f"{path}: the sound is not there any more; `store show` has the words") from error
    except (av.FFmpegError, IndexError) as error:
        raise StoreError(f"{path}: holds no sound that can be read ({error}); `store show` has the words") from error
