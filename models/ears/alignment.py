"""When words were said: from where a decoder looked in the recording while it wrote.

Read `moonshine.py` for whose attention it is.
"""

import numpy as np
from numpy.typing import NDArray

from models.types import Samples

LEAST_ATTENTION = 1e-6  # a frame that was not looked at costs no more than this one
STEP_SAMPLES = 320  # 20 ms
QUIET_SHARE = 0.1  # of a word's loudest step (-20 dB); what is quieter at its edges is a pause


def first_frames(attention: NDArray[np.float32]) -> NDArray[np.intp]:
    """Divides a recording among tokens, in their order, so that as much attention as possible is on the right one.

    Args:
        attention: (n_tokens, n_frames), where each token's writer looked.

    Returns:
        (n_tokens + 1,): with which frame each token begins, and where the last one ends. A token may have no frame.
    """
    n_tokens, n_frames = attention.shape
    costs = np.zeros((n_tokens, n_frames + 1), np.float64)
    np.cumsum(-np.log(attention + LEAST_ATTENTION), axis=1, out=costs[:, 1:])
    best = np.full(n_frames + 1, np.inf)  # the least cost of everything before a frame; the first token begins at 0
    best[0] = 0.0
    begins = np.zeros((n_tokens, n_frames + 1), np.intp)  # of the token that ends before a frame
    frames = np.arange(n_frames + 1)
    for token, cost in enumerate(costs):
        before = best - cost
        least = np.minimum.accumulate(before)
        begins[token] = np.maximum.accumulate(np.where(before == least, frames, 0))
        best = least + cost
    bounds = np.full(n_tokens + 1, n_frames, np.intp)
    for token in reversed(range(n_tokens)):
        bounds[token] = begins[token, bounds[token + 1]]
    return bounds


def without_pauses(samples: Samples, start: int, end: int) -> tuple[int, int]:
    """Moves the edges of a word, given in samples of (n_samples,), past what is quiet there."""
    steps = samples[start:end]
    steps = steps[: len(steps) // STEP_SAMPLES * STEP_SAMPLES].reshape(-1, STEP_SAMPLES)
    if not len(steps):
        return start, end
    levels = np.sqrt(np.square(steps).mean(axis=1))
    (loud,) = np.nonzero(levels >= QUIET_SHARE * levels.max())
    return start + int(loud[0]) * STEP_SAMPLES, start + (int(loud[-1]) + 1) * STEP_SAMPLES
