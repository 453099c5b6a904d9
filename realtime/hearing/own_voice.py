"""Knows the assistant's own voice when it comes back through a microphone, so that no answer interrupts itself.

Browsers take most of an echo away, and not all of it. The server knows what it has played: a sound in the microphone
that is what was played lately, later, softer and through a room, is explained by it. Sound that it does not explain is
somebody's speech, whatever plays beneath it. Read `vad.py` for who asks, `speaking.py` for who says what is played.
"""

import numpy as np
import soxr
from numpy.typing import NDArray

from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, Samples

RATE_HZ = SAMPLE_RATE_HZ // 2  # an echo is known by what it has below 4 kHz, for a quarter of the work
WINDOW_SAMPLES = RATE_HZ * 256 // 1000  # of the microphone that are looked at
MOST_DELAY_SAMPLES = RATE_HZ * 9 // 10  # from playing to the microphone: two networks and two buffers
AHEAD_SAMPLES = RATE_HZ * 3 // 10  # what the client may have played of what was sent ahead
ROOM_TAPS = RATE_HZ * 8 // 1000  # how long the room and the loudspeaker smear a sound
EXPLAINED = 0.45  # of the energy, where the sound in the microphone is taken for what was played
_PREEMPHASIS = 0.9  # without it two vowels of two people look alike
_NUDGE = 1e-3  # of the reference's energy, so that the room can be computed from few frequencies too
_FFT_SIZE = 2**14  # what is compared has 15,800 samples


class OwnVoice:
    """What one session has played, and what of it a microphone may hear."""

    def __init__(self) -> None:
        self._played_to = 0  # in the reference
        self._reference = np.zeros(0, np.float32)
        self._origin = 0  # where in the reference the present answer begins
        self._silent_samples = MOST_DELAY_SAMPLES  # in the microphone, since something was played last
        self._heard = np.zeros(2 * WINDOW_SAMPLES, np.float32)

    def begin(self) -> None:
        """The sound of another answer follows; what was played of the last one may still be in the room."""
        self._reference = self._reference[max(0, self._played_to - MOST_DELAY_SAMPLES) : self._played_to]
        self._origin = self._played_to = len(self._reference)

    def add(self, samples: Samples) -> None:
        """Adds what will be played next, (n_samples,) at `VOICE_RATE_HZ`."""
        lower = soxr.resample(samples, VOICE_RATE_HZ, RATE_HZ).astype(np.float32)
        self._reference = np.concatenate((self._reference, _sharpened(lower)))

    def note_played(self, n_samples: int) -> None:
        """The present answer has been played so far, in samples at `VOICE_RATE_HZ`."""
        self._played_to = self._origin + n_samples * RATE_HZ // VOICE_RATE_HZ
        self._silent_samples = 0

    def listen(self, frame: Samples) -> None:
        """Takes the next frame of the microphone, (n_samples,) at 16 kHz."""
        self._silent_samples += len(frame) // 2
        self._heard = np.concatenate((self._heard, frame))[-2 * WINDOW_SAMPLES :]

    @property
    def explains_microphone(self) -> bool:
        """Whether what was played explains what the microphone has just heard."""
        return self.explained > EXPLAINED

    @property
    def explained(self) -> float:
        """How much of the energy in the microphone it explains, from 0 to 1."""
        if self._silent_samples >= MOST_DELAY_SAMPLES:
            return 0.0
        end = min(len(self._reference), self._played_to + AHEAD_SAMPLES)
        start = max(0, self._played_to - MOST_DELAY_SAMPLES - WINDOW_SAMPLES)
        heard = soxr.resample(self._heard, SAMPLE_RATE_HZ, RATE_HZ).astype(np.float32)
        return _explained(_sharpened(heard), self._reference[start:end])


def _sharpened(samples: Samples) -> Samples:
    return np.append(samples[:1], samples[1:] - np.float32(_PREEMPHASIS) * samples[:-1]).astype(np.float32)


def _explained(heard: Samples, reference: Samples) -> float:
    """The share of the energy of (n_heard,) that the reference explains, after the best delay and the best room."""
    n_heard, energy = len(heard), float(heard.dot(heard))
    if energy <= 0.0 or not reference.any():
        return 0.0
    padded = np.pad(reference.astype(np.float64), (n_heard, n_heard + ROOM_TAPS))
    at = _best_delay(heard, padded) + ROOM_TAPS // 4  # the loudest way through the room need not be the shortest
    ways = np.lib.stride_tricks.sliding_window_view(padded[max(0, at - ROOM_TAPS) : at + n_heard], n_heard)
    gram = ways @ ways.T
    gram[np.diag_indices(len(gram))] += _NUDGE * gram.trace() / len(gram) + 1e-12
    room = np.linalg.solve(gram, ways @ heard)
    left = heard - room @ ways
    return max(0.0, 1.0 - float(left.dot(left)) / energy)


def _best_delay(heard: Samples, padded: NDArray[np.float64]) -> int:
    """Where in (n_padded,) the part begins that is the most like (n_heard,)."""
    n_places = len(padded) - len(heard) - ROOM_TAPS
    spectrum = np.fft.rfft(padded, _FFT_SIZE) * np.conj(np.fft.rfft(heard, _FFT_SIZE))
    products = np.fft.irfft(spectrum, _FFT_SIZE)[:n_places]
    sums = np.concatenate(([0.0], np.cumsum(padded**2)))
    energies = sums[len(heard) : len(heard) + n_places] - sums[:n_places]
    loud = energies > energies.max() / 1000  # where next to nothing was played, anything may look alike
    return int(np.argmax(np.where(loud, products**2 / np.maximum(energies, 1e-12), 0.0)))
