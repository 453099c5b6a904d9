"""Whose speech it is: the speaker's, or that of somebody weaker behind.

Whoever speaks first is the speaker. The level of the speaker's voice is known from then on, and followed. Voice that
stays below it may be the soft part of a sentence, or somebody behind: it is behind once it has been weak for longer
than speakers are. Somebody behind fills the speaker's pauses, so a speaker who paused lately is given more time.

What is behind counts as silence from the last strong frame on: it neither holds a turn open nor begins one. A few
strong frames bring the speaker to the front again. A weak voice that comes out of silence is the speaker, farther away,
unless it is very weak, or somebody was behind lately. Voice of equal level is never behind.

Nothing here knows the time, so the same frames give the same decisions. Read `vad.py` for who asks;
`tests/benchmarks/bench_babble.py` measured the constants.
"""

import math
from collections import deque

from models.types import SAMPLE_RATE_HZ

NEAR_DB = -2.0  # to the mean level of the speaker, who is as loud in every second frame
FAR_DB = -9.0  # voice that is all below, longer than ...
FAR_S = 1.0  # ... this, silence included, is not the soft part of a sentence
WEAK_S = 0.9  # of voice below `NEAR_DB`, pauses not counted
WEAK_AFTER_PAUSE_S = 2.0  # the same, of a speaker who paused lately
LATELY_S = 2.0
PAUSE_S = 0.12  # no closure of a "p" or "t" is as long
WEAK_BEHIND_S = 0.7  # and where somebody is known to be behind
KNOWN_S, MIN_KNOWN_S = 8.0, 0.8  # somebody behind is known for so long, after so much of that voice
ABOVE_BEHIND_DB = 8.0  # to the mean level of that voice: then the speaker is louder than this ...
LEAST_DB, MOST_DB = -10.0, -1.5  # ... but in these limits to the speaker's own level
RETURN_FRAMES, OF_FRAMES = 5, 10  # strong ones that bring the speaker to the front again
ONSET_DB = -12.0  # weaker voice begins nothing, and neither do single frames that are louder ...
ONSET_FRAMES = 2  # ... unless they are so many of `OF_FRAMES`
LEVEL_S = 3.0  # of voice, that a mean level is over
FORGIVEN_S = 1.5  # of silence: a doubt is dropped
ABSENT_S = 2.0  # without the speaker's voice: what comes begins something


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
        self._other = _Level(self._frames(LEVEL_S))
        self._weak: list[float] = []  # powers of the voiced frames since the last strong one
        self._strong: deque[bool] = deque(maxlen=OF_FRAMES)  # which of the last frames were
        self._audible: deque[bool] = deque(maxlen=OF_FRAMES)  # and which were loud enough to begin something
        self._unvoiced = 0  # frames in a row without any voice
        self._not_strong = self._far = self._absent = 0  # and without strong voice, without near voice, the speaker's
        self._since_other = self._frames(KNOWN_S)
        self._since_pause = self._unpaused = 0  # frames since the last pause: now; when the last strong one came

    def take(self, power: float, *, is_voiced: bool) -> None:
        """Takes the next frame: its mean square, and whether there is voice in it."""
        self.has_speaker = False
        self.gone_samples += self._frame_samples
        self._not_strong += 1
        self._far += 1
        self._absent += 1
        self._since_other += 1
        self._unvoiced = 0 if is_voiced else self._unvoiced + 1
        self._since_pause = 0 if self._unvoiced >= self._frames(PAUSE_S) else self._since_pause + 1
        level_db = _db(power, self._own.power) if self._own.n_frames else 0.0
        is_strong = is_voiced and level_db >= self._near_db()
        self._strong.append(is_strong)
        self._audible.append(is_voiced and level_db >= ONSET_DB)
        if not is_voiced:
            if self._unvoiced >= self._frames(FORGIVEN_S):
                self.is_behind = False
                self._weak.clear()
                self._since_other = self._frames(KNOWN_S)
            return
        if not is_strong and not self.is_behind and self._absent > self._frames(ABSENT_S):
            self._take_weak_onset(power)
        elif self.is_behind:
            self._follow_other(power, is_strong=is_strong)
        elif is_strong:
            self._come_to_front(power)
        else:
            self._doubt(power, level_db)

    def _near_db(self) -> float:
        if not self._knows_other:
            return NEAR_DB
        return min(MOST_DB, max(LEAST_DB, _db(self._other.power, self._own.power) + ABOVE_BEHIND_DB))

    @property
    def _knows_other(self) -> bool:
        is_recent = self._since_other < self._frames(KNOWN_S)
        return is_recent and self._other.n_frames >= self._frames(MIN_KNOWN_S)

    def _take_weak_onset(self, power: float) -> None:
        """Weak voice begins something: the speaker, farther away, or somebody behind, or nothing yet."""
        if self._knows_other:
            self.is_behind = True
            self.gone_samples = self._absent * self._frame_samples
            self._note_other([power])
        elif sum(self._audible) >= ONSET_FRAMES:
            self._own.restart(power)
            self._come_to_front(power)

    def _doubt(self, power: float, level_db: float) -> None:
        """Weak voice follows strong voice."""
        self._weak.append(power)
        self._far = self._far if level_db < FAR_DB else 0
        if len(self._weak) >= self._frames(self._longest_weak_s()):
            self._go_behind(self._not_strong)
        elif self._far >= self._frames(FAR_S):
            self._go_behind(self._far)
        else:
            self.has_speaker, self._absent = True, 0

    def _go_behind(self, gone_frames: int) -> None:
        self.is_behind = True
        self.gone_samples = gone_frames * self._frame_samples
        self._note_other(self._weak)

    def _longest_weak_s(self) -> float:
        if self._knows_other:
            return WEAK_BEHIND_S
        return WEAK_AFTER_PAUSE_S if self._unpaused < self._frames(LATELY_S) else WEAK_S

    def _follow_other(self, power: float, *, is_strong: bool) -> None:
        if sum(self._strong) >= RETURN_FRAMES:
            self._weak.clear()  # that was another one
            self._come_to_front(power)
        elif not is_strong:
            self._note_other([power])

    def _come_to_front(self, power: float) -> None:
        for one in (*self._weak, power):
            self._own.add(one)
        self._weak.clear()
        self.is_behind, self.has_speaker = False, True
        self._not_strong = self._far = self._absent = 0
        self._unpaused = self._since_pause

    def _note_other(self, powers: list[float]) -> None:
        self._since_other = 0
        for power in powers:
            self._other.add(power)

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
