"""How much of a sound is another one that came back: later, softer, and through a room or a telephone.

It compares the waves, not the levels: a voice over an echo is not explained by what echoes, however soft it is. Read
`own_voice.py` for what the assistant says, `crosstalk.py` for two people on two channels.
"""

import numpy as np
import soxr
from numpy.typing import NDArray

from models.types import SAMPLE_RATE_HZ, Samples

RATE_HZ = SAMPLE_RATE_HZ // 2  # an echo is known by what it has below 4 kHz, for a quarter of the work
ROOM_TAPS = RATE_HZ * 8 // 1000  # how long the room and the loudspeaker smear a sound
EXPLAINED = 0.45  # of the energy, where a sound is taken for the other one
_PREEMPHASIS = 0.9  # without it two vowels of two people look alike
_NUDGE = 1e-3  # of the reference's energy, so that the room can be computed from few frequencies too
_FFT_SIZE = 2**14  # what is compared has 15,800 samples at most


def lowered(samples: Samples, rate_hz: int) -> Samples:
    """Brings float32 `(n_samples,)` at `rate_hz` to `RATE_HZ`."""
    return np.asarray(soxr.resample(samples, rate_hz, RATE_HZ), np.float32)


def sharpened(samples: Samples) -> Samples:
    """Raises high frequencies, as `explain` wants both sounds, float32 `(n_samples,)` at `RATE_HZ`."""
    return np.append(samples[:1], samples[1:] - np.float32(_PREEMPHASIS) * samples[:-1]).astype(np.float32)


def explain(heard: Samples, reference: Samples) -> float:
    """The share of the energy of (n_heard,) that the reference explains, after the best delay and the best room."""
    n_heard, energy = len(heard), float(heard.dot(heard))
    if energy <= 0.0 or not reference.any():
        return 0.0
    padded = np.pad(reference.astype(np.float64), (n_heard, n_heard + ROOM_TAPS))
    at = _best_delay(heard, padded) + ROOM_TAPS // 4  # the loudest way through the room need not be the shortest
    part = padded[max(0, at - ROOM_TAPS) : at + n_heard]
    ways = np.lib.stride_tricks.sliding_window_view(part, n_heard)
    gram = _products(part, n_heard)
    gram[np.diag_indices(len(gram))] += _NUDGE * gram.trace() / len(gram) + 1e-12
    room = np.linalg.solve(gram, ways @ heard)
    left = heard - room @ ways
    return max(0.0, 1.0 - float(left.dot(left)) / energy)


def _products(part: NDArray[np.float64], n_heard: int) -> NDArray[np.float64]:
    """The products of every two stretches of (n_heard,) in a part, (n_stretches, n_stretches).

    Each row follows from the one before. A product of whole matrices would be shared among all cores, and where these
    are busy it takes a hundred times as long (48 ms for 0.4 on two).
    """
    n_stretches = len(part) - n_heard + 1
    first, last = part[: n_stretches - 1], part[n_heard:]
    steps = np.outer(last, last) - np.outer(first, first)
    products = np.empty((n_stretches, n_stretches))
    products[0] = products[:, 0] = np.correlate(part, part[:n_heard])
    for row in range(1, n_stretches):
        products[row, 1:] = products[row - 1, :-1] + steps[row - 1]
    return products


def _best_delay(heard: Samples, padded: NDArray[np.float64]) -> int:
    """Where in (n_padded,) the part begins that is the most like (n_heard,)."""
    n_places = len(padded) - len(heard) - ROOM_TAPS
    spectrum = np.fft.rfft(padded, _FFT_SIZE) * np.conj(np.fft.rfft(heard, _FFT_SIZE))
    products = np.fft.irfft(spectrum, _FFT_SIZE)[:n_places]
    sums = np.concatenate(([0.0], np.cumsum(padded**2)))
    energies = sums[len(heard) : len(heard) + n_places] - sums[:n_places]
    loud = energies > energies.max() / 1000  # where next to nothing was played, anything may look alike
    return int(np.argmax(np.where(loud, products**2 / np.maximum(energies, 1e-12), 0.0)))
