"""Where recordings are cut before they are written down."""

import numpy as np
import pytest

from models.ears.windows import LEAD_SAMPLES, TAIL_SAMPLES, first_sound, last_sound, loud_part, split_at_quiet
from models.types import SAMPLE_RATE_HZ, Samples
from tests.conftest import silence


def noise(seconds: float, level: float = 0.1) -> Samples:
    return np.random.default_rng(0).normal(0, level, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


@pytest.mark.parametrize("window_s", [15, 30])
def test_recordings_are_cut_where_they_are_quiet(window_s: int) -> None:
    samples, quiet_at = noise(70), (window_s - 3) * SAMPLE_RATE_HZ
    samples[quiet_at : quiet_at + 1600] = 0
    windows = split_at_quiet(samples, window_s)
    assert len(windows[0]) == quiet_at + 800
    assert all(0 < len(window) <= window_s * SAMPLE_RATE_HZ for window in windows)
    assert np.array_equal(np.concatenate(windows), samples)


def test_a_recording_that_grows_is_cut_where_it_was_cut_before() -> None:
    samples = noise(70)
    whole = split_at_quiet(samples, 15)
    for end_s in (16, 31, 50):
        for before, after in zip(split_at_quiet(samples[: end_s * SAMPLE_RATE_HZ], 15)[:-1], whole, strict=False):
            assert np.array_equal(before, after)


@pytest.mark.parametrize("level", [0.0, 0.001])
def test_what_is_around_a_sound_is_left_out(level: float) -> None:
    around, sound = noise(2, level), noise(1)
    samples = np.concatenate((around, sound, around))
    assert first_sound(samples) == len(around) - LEAD_SAMPLES
    assert last_sound(samples) == len(around) + len(sound) + TAIL_SAMPLES
    assert loud_part(samples) == (len(around) - LEAD_SAMPLES, len(around) + len(sound) + TAIL_SAMPLES)


def test_silence_has_no_sound() -> None:
    assert first_sound(silence(1)) is None
    assert first_sound(np.zeros(0, np.float32)) is None
    assert first_sound(noise(1)) == 0, "steady noise may hold a voice"
