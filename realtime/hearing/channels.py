"""Whether two channels are the two parties of a call: one may be dead, or both may be the same.

It is told as one clear sentence, which begins with what was found and ends with what is done about it. Nothing is kept
but sums, so a call may be of any length. Read `crosstalk.py` for the echo of one party in the other's channel, and
`speakers.py` for who speaks where both are in one.
"""

from typing import Literal

import numpy as np

from models.types import SAMPLE_RATE_HZ, Samples

Channels = Literal["two", "same", "me dead", "them dead", "both dead"]

DEAD_POWER = 10 ** (-75 / 10)  # of a tenth of a second: below the noise of any microphone
SOUND_POWER = 10 ** (-50 / 10)  # speech, in a quiet recording, too
BLOCK_SAMPLES = SAMPLE_RATE_HZ // 10
ALIKE = 0.99  # correlation of what sounds: an echo through a room has less, a copy at another level has 1
KNOWN_BLOCKS = 30  # 3 s of sound, before channels are taken for the same
DEAD_BLOCKS = 100  # 10 s of sound in one channel, before the other is taken for dead

SENTENCES: dict[Channels, str] = {
    "same": "Both channels carry the same sound, so they are taken for one, and who speaks is told by the voice.",
    "me dead": "Nothing comes on the channel of me (the left one of a file), so only them are listened to.",
    "them dead": "Nothing comes on the channel of them (the right one of a file), so nothing can be suggested.",
    "both dead": "Nothing comes on either channel: check which microphone and which sound are shared.",
}
ONE_CHANNEL = (
    "There is one channel, and a call has two: both parties are taken to be in it; who speaks is told by voice."
)


class ChannelWatch:
    """Follows the two channels of one call."""

    def __init__(self) -> None:
        self._me, self._them = np.zeros(0, np.float32), np.zeros(0, np.float32)  # of less than a block
        self._n_blocks = 0
        self._is_alive = {"me": False, "them": False}
        self._n_sounding = 0  # blocks with sound in one channel at least
        self._products = np.zeros((2, 2))  # of the channels, over those blocks

    def add(self, me: Samples, them: Samples) -> None:
        """Takes the next samples of both, float32 `(n_samples,)` each, at the same positions."""
        me, them = np.concatenate((self._me, me)), np.concatenate((self._them, them))
        n_whole = min(len(me), len(them)) // BLOCK_SAMPLES * BLOCK_SAMPLES
        self._me, self._them = me[n_whole:], them[n_whole:]
        if not n_whole:
            return
        blocks = np.stack([channel[:n_whole].reshape(-1, BLOCK_SAMPLES) for channel in (me, them)]).astype(np.float64)
        powers = np.square(blocks).mean(axis=2)
        self._is_alive = {
            name: was or bool((power > DEAD_POWER).any())
            for (name, was), power in zip(self._is_alive.items(), powers, strict=True)
        }
        sounding = blocks[:, powers.max(axis=0) > SOUND_POWER].reshape(2, -1)
        self._n_blocks += powers.shape[1]
        self._n_sounding += sounding.shape[1] // BLOCK_SAMPLES
        self._products += np.array([[np.vdot(one, other) for other in sounding] for one in sounding])

    @property
    def channels(self) -> Channels:
        """What they are, as far as is known; "two" before enough has come."""
        return self._judge(DEAD_BLOCKS, KNOWN_BLOCKS)

    @property
    def channels_of_all(self) -> Channels:
        """The same where nothing more comes."""
        return self._judge(1, 1)

    @property
    def sentence(self) -> str | None:
        """What a person is to be told; None: there are two parties."""
        return SENTENCES.get(self.channels)

    def _judge(self, dead_blocks: int, known_blocks: int) -> Channels:
        if not any(self._is_alive.values()):
            return "both dead" if self._n_blocks >= dead_blocks else "two"
        if self._n_sounding >= dead_blocks and not all(self._is_alive.values()):
            return "them dead" if self._is_alive["me"] else "me dead"
        levels = float(np.sqrt(self._products[0, 0] * self._products[1, 1]))
        is_alike = levels > 0 and float(self._products[0, 1]) >= ALIKE * levels
        return "same" if is_alike and self._n_sounding >= known_blocks else "two"


def judge_channels(me: Samples, them: Samples) -> Channels:
    """Says what two whole channels are, float32 `(n_samples,)` each."""
    watch = ChannelWatch()
    watch.add(me, them)
    return watch.channels_of_all
