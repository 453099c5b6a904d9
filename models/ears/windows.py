"""Where a recording is cut before it is written down: behind the silence that leads, and at quiet moments.

Every cut depends on the audio before the end of its window alone. So a recording that has grown is cut where it was
cut before, and what has been written down of its finished windows still holds.
"""

import numpy as np
from numpy.typing import NDArray

from models.types import SAMPLE_RATE_HZ, Samples

CUT_SEARCH_S = 5  # a window ends at the quietest moment in its last seconds
QUIET_FRAME_SAMPLES = 1600  # 100 ms

STEP_SAMPLES = 320  # 20 ms
LEAD_SAMPLES = 4800  # 0.3 s stay before the first sound: a soft consonant may come before it
TAIL_SAMPLES = 4800  # 0.3 s stay behind the last one
LOUD = 0.02  # of full scale, -34 dB: a sound, whatever came before
LOUD_SHARE = 0.1  # of the loudest step, -20 dB
ABOVE_SILENCE = 1.8  # times the quietest step so far (5 dB); steady noise stays below
AUDIBLE = 0.0003  # -70 dB: below it there is nothing to write down


def first_sound(samples: Samples) -> int | None:
    """Where speech may begin at the earliest in (n_samples,), in samples; None where all is silence."""
    levels = _levels(samples)
    (sounds,) = np.nonzero(_is_sound(levels, np.minimum.accumulate(levels)))
    if len(sounds):
        return max(0, int(sounds[0]) * STEP_SAMPLES - LEAD_SAMPLES)
    return 0 if levels.max(initial=0) > AUDIBLE else None


def last_sound(samples: Samples) -> int:
    """Where speech ends at the latest in (n_samples,), in samples."""
    levels = _levels(samples)
    (sounds,) = np.nonzero(_is_sound(levels, levels.min(initial=np.inf)))
    if not len(sounds):
        return len(samples)
    return min(len(samples), (int(sounds[-1]) + 1) * STEP_SAMPLES + TAIL_SAMPLES)


def loud_part(samples: Samples) -> tuple[int, int]:
    """From where to where (n_samples,) is hardly quieter than at its loudest, in samples, with some more around it."""
    levels = _levels(samples)
    if not len(levels):
        return 0, len(samples)
    (loud,) = np.nonzero(levels >= LOUD_SHARE * levels.max())
    first, last = int(loud[0]) * STEP_SAMPLES, (int(loud[-1]) + 1) * STEP_SAMPLES
    return max(0, first - LEAD_SAMPLES), min(len(samples), last + TAIL_SAMPLES)


def _levels(samples: Samples) -> NDArray[np.float32]:
    """Root mean square of each whole step, (n_steps,)."""
    steps = samples[: len(samples) // STEP_SAMPLES * STEP_SAMPLES].reshape(-1, STEP_SAMPLES)
    return np.asarray(np.sqrt(np.square(steps).mean(axis=1)), np.float32)


def _is_sound(levels: NDArray[np.float32], quietest: NDArray[np.float32] | float) -> NDArray[np.bool_]:
    return np.asarray((levels > AUDIBLE) & ((levels > LOUD) | (levels > ABOVE_SILENCE * quietest)))


def split_at_quiet(samples: Samples, window_s: int) -> list[Samples]:
    """Cuts (n_samples,) into windows of at most `window_s`, each at the quietest 100 ms of its last 5 s."""
    windows, window, search = [], window_s * SAMPLE_RATE_HZ, CUT_SEARCH_S * SAMPLE_RATE_HZ
    while len(samples) > window:
        frames = samples[window - search : window].reshape(-1, QUIET_FRAME_SAMPLES)
        quietest = int(np.square(frames).mean(axis=1).argmin())
        end = window - search + quietest * QUIET_FRAME_SAMPLES + QUIET_FRAME_SAMPLES // 2
        windows.append(samples[:end])
        samples = samples[end:]
    return [*windows, samples]
