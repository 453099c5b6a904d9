"""Clips cut into the windows that an encoder takes, each named by its content, and how much of the prompt they fill.

The engine's cache knows a window again by its name, even after the clip has grown.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import torch

from models.checks import MIN_CLIP_S
from models.engine.prompt import AudioSpan
from models.types import SAMPLE_RATE_HZ, Samples

WHISPER_HOP_SAMPLES = 160  # 10 ms, one mel frame of Whisper


def cut_windows(samples: Samples, window_s: float, min_s: float = MIN_CLIP_S) -> list[Samples]:
    """Cuts (n_samples,) into windows of `window_s`; the last is shorter, and padded with silence to `min_s`.

    Windows begin at the clip's first sample, so those of a clip that grows stay the same but for the last.
    """
    step = round(window_s * SAMPLE_RATE_HZ)
    windows = [samples[start : start + step] for start in range(0, len(samples), step)]
    missing = round(min_s * SAMPLE_RATE_HZ) - len(windows[-1])
    if missing > 0:
        windows[-1] = np.pad(windows[-1], (0, missing))
    return windows


def audio_span(window: Samples, n_tokens: int, encode: Callable[[Samples], torch.Tensor]) -> AudioSpan:
    """The positions that a window of float32 (n_samples,) fills; named by its content.

    Args:
        window: at 16 kHz.
        n_tokens: how many positions.
        encode: gives (n_tokens, hidden) on the engine's thread, at most once while the window is in use.
    """
    key = hashlib.blake2b(np.ascontiguousarray(window).tobytes(), digest_size=16).hexdigest()
    return AudioSpan(key, n_tokens, lambda: encode(window))


def whisper_frames(n_samples: int) -> int:
    """How many mel frames of Whisper's spectrogram are not padding."""
    return -(-n_samples // WHISPER_HOP_SAMPLES)


def whisper_states(n_samples: int) -> int:
    """How many states of a Whisper encoder are not padding: its second convolution halves the mel frames."""
    return (whisper_frames(n_samples) - 1) // 2 + 1


def pooled_positions(n_samples: int) -> int:
    """How many positions a window fills whose states in a Whisper encoder are averaged two by two."""
    return whisper_states(n_samples) // 2
