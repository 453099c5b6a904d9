"""Whether two channels are two parties, one sound, or one of them nothing."""

import numpy as np
import pytest

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.review.sides import SidesKind, SideWatch

RANDOM = np.random.default_rng(7)


def turns(first: int, n_turns: int = 12, turn_s: float = 2.0) -> Samples:
    """Noise in every second stretch, beginning with the one of this number."""
    stretches = [np.zeros(round(turn_s * SAMPLE_RATE_HZ), np.float32) for _ in range(n_turns)]
    for number in range(first, n_turns, 2):
        stretches[number] = (0.2 * RANDOM.standard_normal(len(stretches[number]))).astype(np.float32)
    return np.concatenate(stretches)


A, B = turns(0), turns(1)
BOTH = A + B
DEAD = np.zeros_like(A)


@pytest.mark.parametrize(
    ("left", "right", "kind"),
    [
        (A, B, "two"),
        (A + 0.1 * B, B, "two"),  # an echo 20 dB below
        (A + 0.3 * B, B, "two"),  # ... and 10 dB
        (BOTH, BOTH, "same"),
        (DEAD, A, "left_dead"),
        (A, DEAD, "right_dead"),
        (A, 0.001 * RANDOM.standard_normal(len(A)).astype(np.float32), "two"),  # the noise of a quiet room
        (A + 0.6 * B, 0.6 * A + B, "stereo"),  # two voices, each somewhat to one side
        (0.2 * BOTH, BOTH, "same"),
        (DEAD, DEAD, "same"),
    ],
)
def test_channels_are_told_apart_by_their_levels(left: Samples, right: Samples, kind: SidesKind) -> None:
    watch = SideWatch()
    block = np.stack((left, right), axis=1)
    for start in range(0, len(block), SAMPLE_RATE_HZ):
        watch.add(block[start : start + SAMPLE_RATE_HZ])
    sides = watch.judge()
    assert sides.kind == kind
    assert (sides.remark is None) == (kind == "two")
    sounds = sides.split(block)
    assert [len(sound) for sound in sounds] == [len(block)] * (2 if sides.has_two else 1)


def test_mono_needs_no_remark() -> None:
    watch = SideWatch()
    watch.add(A[:, np.newaxis])
    sides = watch.judge()
    assert (sides.kind, sides.remark) == ("one", None)
    np.testing.assert_array_equal(sides.split(A[:, np.newaxis])[0], A)


def test_the_beginning_is_enough_to_judge_by() -> None:
    watch, seconds = SideWatch(), 0
    while not watch.has_enough:
        watch.add(np.stack((A[:SAMPLE_RATE_HZ], B[:SAMPLE_RATE_HZ]), axis=1))
        seconds += 1
    assert seconds <= 31
