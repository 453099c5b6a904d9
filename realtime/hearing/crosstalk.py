"""Whose speech it is that two channels carry: a voice that comes back in the other channel makes no second speaker.

In a call each party has a channel. What one says comes out of the other's loudspeaker, and back through the other's
microphone: softer, up to 400 ms later, through a room or a telephone. Here each channel knows what the other one
carried. Sound that it explains is the other's; sound that it does not explain is speech, whatever echoes beneath it.
Nothing is taken out of the sound, and nothing waits: the verdict comes with the frame.

An echo that comes less than 20 ms after its source, or before it, may not be known, nor one whose channel is delivered
ahead of the other. Read `echo.py` for how a sound is explained, `vad.py` for who asks.
"""

import math

import numpy as np

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.echo import EXPLAINED, explain, lowered, sharpened

WINDOW_SAMPLES = SAMPLE_RATE_HZ * 256 // 1000  # of a channel that are looked at
MOST_DELAY_SAMPLES = SAMPLE_RATE_HZ * 4 // 10  # two networks, a loudspeaker's buffer and a room
KEPT_SAMPLES = 2 * SAMPLE_RATE_HZ  # of a channel: one may be delivered some time before the other
FULL_DB = 30.0  # softer weighs as much as all of the energy being explained ...
MOST_BY_LEVEL = 0.3  # ... but a microphone's own gain may make an echo loud
CLEAR = 0.3  # of these two together, where one verdict follows another
STILL_EXPLAINED = 0.3  # of the energy, while it was the other's until now: a soft sound on its own is explained less
SOFT_DB = 15.0  # below the other channel's, from which the line's own noise is in an echo ...
SOFT_EXPLAINED = 0.2  # ... and as little of its energy is enough
QUIET_POWER = 10 ** (-70 / 10)  # of a window: nothing in it that could come back


class _Track:
    """The newest samples of one channel, on its sample clock."""

    def __init__(self) -> None:
        self.end_sample = 0
        self._kept = np.zeros(KEPT_SAMPLES, np.float32)

    def add(self, frame: Samples) -> None:
        self.end_sample += len(frame)
        self._kept = np.concatenate((self._kept, frame))[-KEPT_SAMPLES:]

    def between(self, start_sample: int, end_sample: int) -> Samples:
        """What is kept between two positions, up to its end; silence before it."""
        origin = self.end_sample - KEPT_SAMPLES
        missing = max(0, min(origin, end_sample) - start_sample)
        kept = self._kept[max(0, start_sample - origin) : max(0, end_sample - origin)]
        return np.concatenate((np.zeros(missing, np.float32), kept))


class Channel:
    """One of the two: knows what the other one carried. A detector asks it (`SpeechDetector.known_sound`)."""

    def __init__(self, own: _Track, other: _Track) -> None:
        self._own, self._other = own, other
        self._is_echo: bool | None = None  # in the last frame; None: the other channel did not explain it

    def listen(self, frame: Samples) -> None:
        """Takes the next frame, float32 `(n_samples,)` at 16 kHz."""
        self._own.add(frame)

    @property
    def explains_microphone(self) -> bool:
        """Whether the newest sound of this channel is that of the other one; to be asked once a frame at most."""
        share = _share(self._own, self._other)
        softer_db = _softer_db(self._own, self._other)
        still = SOFT_EXPLAINED if softer_db >= SOFT_DB else STILL_EXPLAINED
        if share <= (still if self._is_echo else EXPLAINED):
            self._is_echo = None
            return False
        # What comes back sounds like what was said a moment before, and so like what is being said: both channels
        # explain each other. The echo is explained better, and is softer; where these do not agree, nothing changes.
        softer = (softer_db - _softer_db(self._other, self._own)) / 2 / FULL_DB
        leaning = share - _share(self._other, self._own) + min(max(softer, -MOST_BY_LEVEL), MOST_BY_LEVEL)
        if self._is_echo is None or abs(leaning) > CLEAR:
            self._is_echo = leaning > 0
        return self._is_echo


class Crosstalk:
    """The two channels of one call, which are given their frames in the order in which they come.

    Attributes:
        me: the user's channel.
        them: that of the others.
    """

    def __init__(self) -> None:
        me, them = _Track(), _Track()
        self.me, self.them = Channel(me, them), Channel(them, me)


def _share(own: _Track, other: _Track) -> float:
    """How much of the energy of the newest sound of a channel is what the other one carried before."""
    end = own.end_sample
    heard = own.between(end - WINDOW_SAMPLES, end)
    reference = other.between(end - WINDOW_SAMPLES - MOST_DELAY_SAMPLES, end)
    if _power(reference) < QUIET_POWER:
        return 0.0
    return explain(sharpened(lowered(heard, SAMPLE_RATE_HZ)), sharpened(lowered(reference, SAMPLE_RATE_HZ)))


def _softer_db(own: _Track, other: _Track) -> float:
    """How much softer the newest sound of a channel is than the loudest that the other one carried before."""
    end = own.end_sample
    starts = range(end - WINDOW_SAMPLES - MOST_DELAY_SAMPLES, end - WINDOW_SAMPLES + 1, WINDOW_SAMPLES // 8)
    loudest = max(_power(other.between(start, start + WINDOW_SAMPLES)) for start in starts)
    newest = _power(own.between(end - WINDOW_SAMPLES, end))
    return 10 * math.log10(max(loudest, QUIET_POWER) / max(newest, QUIET_POWER))


def _power(samples: Samples) -> float:
    return float(samples.dot(samples)) / max(1, len(samples))
