"""Where a recording of one utterance begins and ends to a listener."""

import numpy as np
from numpy.typing import NDArray

from models.types import Samples

VOICED_BELOW_PEAK_DB = 30  # a frame this far below the loudest one is not voiced
FRAME_SAMPLES = 160  # 10 ms


def _voiced_frames(samples: Samples) -> NDArray[np.int64]:
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    power_db = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-12)
    return np.flatnonzero(power_db > power_db.max() - VOICED_BELOW_PEAK_DB)


def first_voiced_sample(samples: Samples) -> int:
    """Start of the first 10 ms of float32 (n_samples,) within 30 dB of the loudest."""
    return int(_voiced_frames(samples)[0]) * FRAME_SAMPLES


def last_voiced_sample(samples: Samples) -> int:
    """End of the last 10 ms of float32 (n_samples,) within 30 dB of the loudest."""
    return int(_voiced_frames(samples)[-1] + 1) * FRAME_SAMPLES
