"""Knows the assistant's own voice when it comes back through a microphone, so that no answer interrupts itself.

Browsers take most of an echo away, and not all of it. The server knows what it has played: a sound in the microphone
that is what was played lately, later, softer and through a room, is explained by it. Sound that it does not explain is
somebody's speech, whatever plays beneath it. Read `echo.py` for how that is
told, `vad.py` for who asks, `speaking.py` for who says what is played.
"""

import numpy as np

from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, Samples
from realtime.hearing.echo import EXPLAINED, RATE_HZ, explain, lowered, sharpened

WINDOW_SAMPLES = RATE_HZ * 256 // 1000  # of the microphone that are looked at
MOST_DELAY_SAMPLES = RATE_HZ * 9 // 10  # from playing to the microphone: two networks and two buffers
AHEAD_SAMPLES = RATE_HZ * 3 // 10  # what the client may have played of what was sent ahead


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
        self._reference = np.concatenate((self._reference, sharpened(lowered(samples, VOICE_RATE_HZ))))

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
        return explain(sharpened(lowered(self._heard, SAMPLE_RATE_HZ)), self._reference[start:end])
