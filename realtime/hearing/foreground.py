"""Whose speech it is: the speaker's, or that of somebody weaker behind.

Whoever speaks first is the speaker. Voice that stays weaker may be the soft part of a sentence, or somebody behind: it
is behind once it has been weak for longer than speakers are. Many begin a sentence loudly and say the rest softly, so
the less the speaker has said since the last silence, the longer weak voice is taken for the speaker's.

What is behind counts as silence from the last strong frame on: it neither holds a turn open nor begins one. A few
strong frames bring the speaker to the front again. After a silence, weak voice is the speaker, farther away, unless it
is very weak. Voice of equal level is never behind.

Nothing here knows the time, so the same frames give the same decisions. Read `vad.py` for who asks;
`tests/benchmarks/bench_babble.py` measured the constants.
"""

import math
from collections import deque

from models.types import SAMPLE_RATE_HZ

LEVEL_S = 5.0  # of voice, that the speaker's mean level is over
NEAR_DB = -3.0  # to that level: the speaker is as loud in every second frame
WEAK_S = ((4.0, 1.2), (2.0, 1.6), (1.0, 2.2))  # since a silence: of the speaker's voice, of weak voice then
KNOWN_S = 1.5  # of the speaker's voice, without which its level is not relied on
FAR_DB = -10.0  # voice of a known speaker, that is all below, longer than ...
FAR_S = 1.3  # ... this, silence included, is not the soft part of a sentence
VERY_FAR_DB = -18.0  # the same, of anybody
RETURN_FRAMES, OF_FRAMES = 6, 10  # strong ones that bring the speaker to the front again
ONSET_DB = -10.0  # after a silence, weaker voice begins nothing, and neither do single frames that are louder ...
ONSET_FRAMES = 2  # ... unless they are so many of `OF_FRAMES`
SILENCE_S = 1.5  # without any voice: what comes begins something


class Foreground:
    """Follows the speaker of one stream.

    Args:
        frame_samples: of every frame.

    Attributes:
        is_behind: whether the voice that is heard is not the speaker's.
        has_speaker: whether the speaker's voice is in the last frame.
        gone_samples: where somebody is behind, since the end of the speaker's voice.
    """

    def __init__(self, frame_samples: int) -> None:
        self.is_behind = False
        self.has_speaker = False
        self.gone_samples = 0
        self._frame_samples = frame_samples
        self._own = _Level(self._frames(LEVEL_S))
        self._known = 0  # frames of the speaker's voice since a silence
        self._weak: list[float] = []  # powers of the voiced frames since the last strong one
        self._strong: deque[bool] = deque(maxlen=OF_FRAMES)  # which of the last frames were
        self._audible: deque[bool] = deque(maxlen=OF_FRAMES)  # and which were loud enough to begin something
        # Frames without any voice, without strong voice, without voice that is not (very) far, without the speaker's:
        self._unvoiced = self._not_strong = self._far = self._very_far = self._absent = 0

    def take(self, power: float, *, is_voiced: bool) -> None:
        """Takes the next frame: its mean square, and whether there is voice in it."""
        self.has_speaker = False
        self.gone_samples += self._frame_samples
        self._not_strong += 1
        self._far += 1
        self._very_far += 1
        self._absent += 1
        self._unvoiced = 0 if is_voiced else self._unvoiced + 1
        level_db = _db(power, self._own.power) if self._own.n_frames else 0.0
        is_strong = is_voiced and level_db >= NEAR_DB
        self._strong.append(is_strong)
        self._audible.append(is_voiced and level_db >= ONSET_DB)
        if not is_voiced:
            if self._unvoiced >= self._frames(SILENCE_S):
                self.is_behind = False
                self._weak.clear()
                self._known = 0
        elif self.is_behind:
            if sum(self._strong) >= RETURN_FRAMES:
                self._weak.clear()  # that was another one
                self._come_to_front(power)
        elif is_strong:
            self._come_to_front(power)
        elif self._absent > self._frames(SILENCE_S):
            self._begin_weakly(power)
        else:
            self._doubt(power, level_db)

    def _begin_weakly(self, power: float) -> None:
        """Weak voice comes out of silence: the speaker, farther away, or nothing yet."""
        if self._own.n_frames < self._frames(KNOWN_S) or sum(self._audible) >= ONSET_FRAMES:
            self._own.restart(power)
            self._known = 0
            self._come_to_front(power)

    def _doubt(self, power: float, level_db: float) -> None:
        """Weak voice follows strong voice."""
        self._weak.append(power)
        if level_db >= FAR_DB:
            self._far = 0
        if level_db >= VERY_FAR_DB:
            self._very_far = 0
        longest_s = next((weak_s for known_s, weak_s in WEAK_S if self._known >= self._frames(known_s)), None)
        if longest_s is not None and len(self._weak) >= self._frames(longest_s):
            self._go_behind(self._not_strong)
        elif self._known >= self._frames(KNOWN_S) and self._far >= self._frames(FAR_S):
            self._go_behind(self._far)
        elif self._very_far >= self._frames(FAR_S):
            self._go_behind(self._very_far)
        else:
            self.has_speaker, self._absent = True, 0

    def _go_behind(self, gone_frames: int) -> None:
        self.is_behind = True
        self.gone_samples = gone_frames * self._frame_samples

    def _come_to_front(self, power: float) -> None:
        for one in (*self._weak, power):
            self._own.add(one)
        self._known += len(self._weak) + 1
        self._weak.clear()
        self.is_behind, self.has_speaker = False, True
        self._not_strong = self._far = self._very_far = self._absent = 0

    def _frames(self, seconds: float) -> int:
        return round(seconds * SAMPLE_RATE_HZ / self._frame_samples)


class _Level:
    """The mean power of a voice: of all frames at first, then of the last ones."""

    def __init__(self, max_frames: int) -> None:
        self.power = 0.0
        self.n_frames = 0
        self._max_frames = max_frames

    def add(self, power: float) -> None:
        """Takes the mean square of a frame."""
        self.n_frames = min(self.n_frames + 1, self._max_frames)
        self.power += (power - self.power) / self.n_frames

    def restart(self, power: float) -> None:
        """Takes this for the mean so far."""
        self.power, self.n_frames = power, 1


def _db(power: float, reference: float) -> float:
    return 10 * math.log10(max(power, 1e-12) / max(reference, 1e-12))
