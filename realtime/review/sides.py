"""Whether two channels of a recording are two parties of a call, or one sound: told by their levels.

Parties take turns, so one channel is much louder than the other most of the time, in spite of an echo. Both sides of a
stereo recording are about as loud. A channel may also be dead, or a copy of the other. Nothing is guessed from a file's
name or form.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.types import SAMPLE_RATE_HZ
from realtime.hearing.decoding import Channels

SidesKind = Literal["one", "two", "same", "left_dead", "right_dead", "stereo"]

LEVEL_SAMPLES = SAMPLE_RATE_HZ // 10
AUDIBLE_RMS = 10 ** (-60 / 20)  # of full scale; under it is the noise of a line
DEAD = 10 ** (-50 / 20)  # of the other channel's level
SAME = 0.98  # of the energy of one channel that the other explains, from which it is a copy
APART_DB = 7.0  # between the levels, most of the time, from which it is two parties; a strong echo is 10 dB below
ENOUGH_S = 30.0  # of audible sound to judge by
LOOKED_AT_S = 180.0  # at most, however silent it is

REMARKS: dict[SidesKind, str] = {
    "same": "both channels are the same, so they are read as one; who speaks is not told apart by channel",
    "left_dead": "nobody speaks on the left channel, which is silent",
    "right_dead": "nobody speaks on the right channel, which is silent",
    "stereo": "its two channels carry one sound; who speaks is not told apart by channel",
}


@dataclass(frozen=True, slots=True)
class Sides:
    """What the channels of a recording are."""

    kind: SidesKind

    @property
    def has_two(self) -> bool:
        """Whether each channel is read by itself; a silent one is, too, for somebody may speak on it later."""
        return self.kind in ("two", "left_dead", "right_dead")

    @property
    def remark(self) -> str | None:
        """What a person should know of it, in a sentence."""
        return REMARKS.get(self.kind)

    def split(self, block: Channels) -> tuple[NDArray[np.float32], ...]:
        """Gives the sounds that are read, mono float32 `(n_samples,)`: two where each channel is read by itself."""
        if block.shape[1] == 1:
            return (block[:, 0], np.zeros(len(block), np.float32)) if self.has_two else (block[:, 0],)
        return (block[:, 0], block[:, 1]) if self.has_two else (block.mean(axis=1),)


class SideWatch:
    """Judges the beginning of a recording."""

    def __init__(self) -> None:
        self._levels: list[NDArray[np.float64]] = []
        self._energies = np.zeros(3)  # left, right, both
        self._n_channels = 1
        self._n_levels = self._n_audible = 0

    @property
    def has_enough(self) -> bool:
        """Whether what has come is enough to judge by."""
        level_s = LEVEL_SAMPLES / SAMPLE_RATE_HZ
        return self._n_audible * level_s >= ENOUGH_S or self._n_levels * level_s >= LOOKED_AT_S

    def add(self, block: Channels) -> None:
        """Takes the next block, float32 `(n_samples, 1 or 2)`."""
        self._n_channels = max(self._n_channels, block.shape[1])
        left, right = block[:, 0], block[:, -1]
        self._energies += [float(np.dot(*pair)) for pair in ((left, left), (right, right), (left, right))]
        whole = len(block) // LEVEL_SAMPLES * LEVEL_SAMPLES
        pieces = np.stack((left[:whole], right[:whole])).reshape(2, -1, LEVEL_SAMPLES)
        levels = np.sqrt(np.square(pieces, dtype=np.float64).mean(axis=2))
        self._levels.append(levels)
        self._n_levels += levels.shape[1]
        self._n_audible += int(np.count_nonzero(levels.max(axis=0) > AUDIBLE_RMS))

    def judge(self) -> Sides:
        """Says what the channels are, by all that has come."""
        left, right, both = self._energies
        if self._n_channels == 1:
            return Sides("one")
        if max(left, right) == 0 or both**2 >= SAME * left * right > 0:
            return Sides("same")
        if left < DEAD**2 * right:
            return Sides("left_dead")
        if right < DEAD**2 * left:
            return Sides("right_dead")
        levels = np.concatenate(self._levels, axis=1)
        audible = np.maximum(levels[:, levels.max(axis=0) > AUDIBLE_RMS], AUDIBLE_RMS)
        if not audible.size:
            return Sides("stereo")
        apart_db = float(np.median(np.abs(20 * np.log10(audible[0] / audible[1]))))
        return Sides("two" if apart_db > APART_DB else "stereo")
