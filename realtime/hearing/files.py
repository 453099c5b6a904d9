"""Reads recordings: any file FFmpeg reads, to 16 kHz mono float32.

A file that cannot be read is refused with a sentence that says why and what to do. Read `audio.py` for live audio.
"""

from pathlib import Path

import av
import numpy as np

from models.types import SAMPLE_RATE_HZ, Samples

MAX_FILE_S = 2 * 60 * 60.0  # two hours are 460 MB as float32


class AudioFileError(Exception):
    """A file that cannot be read as audio; the message says why and what to do."""


def read_audio_file(path: str | Path, *, max_s: float = MAX_FILE_S) -> Samples:
    """Decodes any file FFmpeg reads.

    Args:
        path: the file.
        max_s: the longest recording accepted, in seconds.

    Returns:
        Mono float32 `(n_samples,)` in [-1, 1] at 16 kHz. A file that ends in the middle of a packet gives what it held.

    Raises:
        AudioFileError: it does not exist, is no audio, is empty, or is longer than `max_s`.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioFileError(f"{path}: not a file" if path.exists() else f"{path}: no such file")
    pieces: list[Samples] = []
    n_samples = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise AudioFileError(f"{path}: holds no audio")
            resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
            for frame in container.decode(container.streams.audio[0]):
                new = [out.to_ndarray().reshape(-1) for out in resampler.resample(frame)]
                pieces += new
                n_samples += sum(piece.size for piece in new)
                if n_samples > max_s * SAMPLE_RATE_HZ:
                    raise AudioFileError(f"{path}: longer than {max_s:.0f} s; cut it into parts")
            pieces += [out.to_ndarray().reshape(-1) for out in resampler.resample(None)]
    except av.error.FFmpegError as error:
        if not pieces:
            raise AudioFileError(f"{path}: not readable as audio ({error.strerror})") from error
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if not samples.size:
        raise AudioFileError(f"{path}: holds no samples")
    return np.clip(np.nan_to_num(samples), -1, 1).astype(np.float32)
