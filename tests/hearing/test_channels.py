"""One channel is dead, both are the same, or there are two parties."""

from collections.abc import Callable

import numpy as np
import pytest

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.channels import SENTENCES, ChannelWatch, judge_channels

N_SAMPLES = 12 * SAMPLE_RATE_HZ


@pytest.fixture
def two(speech: Callable[[str], Samples]) -> tuple[Samples, Samples]:
    """Different voices, twelve seconds each."""
    return np.resize(speech("question_capital"), N_SAMPLES), np.resize(speech("hesitation"), N_SAMPLES)


def with_noise(samples: Samples, seed: int) -> Samples:
    return samples + np.random.default_rng(seed).normal(0, 0.0004, len(samples)).astype(np.float32)


def test_two_parties_are_two(two: tuple[Samples, Samples]) -> None:
    assert judge_channels(*two) == "two"


def test_an_echo_does_not_make_them_the_same(two: tuple[Samples, Samples]) -> None:
    me, them = two
    late = np.roll(them, round(0.1 * SAMPLE_RATE_HZ)) * np.float32(0.3)
    assert judge_channels(late, them) == "two"
    assert judge_channels(me + late, them) == "two"


def test_the_same_sound_twice_is_one_channel(two: tuple[Samples, Samples]) -> None:
    me, _ = two
    assert judge_channels(me, me) == "same"
    assert judge_channels(with_noise(me, 0), with_noise(me * np.float32(0.25), 1)) == "same"


def test_a_channel_without_sound_is_dead(two: tuple[Samples, Samples]) -> None:
    sound, silence = two[0], np.zeros(N_SAMPLES, np.float32)
    assert judge_channels(sound, silence) == "them dead"
    assert judge_channels(silence, sound) == "me dead"
    assert judge_channels(silence, silence) == "both dead"
    assert judge_channels(sound, with_noise(silence, 0)) == "two", "who listens is not dead: a line has noise"


def test_a_call_that_goes_on_is_judged_once_enough_has_come(two: tuple[Samples, Samples]) -> None:
    sound, silence = two[0], np.zeros(N_SAMPLES, np.float32)
    watch = ChannelWatch()
    for start in range(0, 2 * SAMPLE_RATE_HZ, 333):
        watch.add(sound[start : start + 333], silence[start : start + 333])
    assert watch.channels == "two"
    assert watch.sentence is None
    for _ in range(2):
        watch.add(sound, silence)
    assert watch.channels == "them dead"
    assert watch.sentence == SENTENCES["them dead"]


def test_samples_of_one_channel_wait_for_those_of_the_other(two: tuple[Samples, Samples]) -> None:
    me, them = two
    watch, empty = ChannelWatch(), np.zeros(0, np.float32)
    watch.add(me, empty)
    watch.add(empty, them)
    assert watch.channels == "two"
    watch.add(me, me)
    assert watch.channels_of_all == "two", "half of it was not the same"
