"""The sample clock: what is missing becomes silence, what comes twice is ignored, both are counted."""

import numpy as np
import pytest

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.audio import AudioChunk
from realtime.hearing.intake import MAX_GAP_SAMPLES, Intake, IntakeCounters


@pytest.fixture
def counters() -> IntakeCounters:
    return IntakeCounters()


@pytest.fixture
def intake(counters: IntakeCounters) -> Intake:
    return Intake(counters)


def ones(n_samples: int) -> Samples:
    return np.ones(n_samples, np.float32)


def test_a_gap_becomes_silence(intake: Intake, counters: IntakeCounters) -> None:
    intake.take(AudioChunk(ones(100), 0), 0.0)
    assert intake.take(AudioChunk(ones(100), 150), 0.0).sum() == 100
    assert intake.end_sample == 250
    assert not intake.cut(100, 150).any()
    assert counters.gap_samples == 50


def test_an_endless_gap_is_shortened(intake: Intake, counters: IntakeCounters) -> None:
    intake.take(AudioChunk(ones(100), 0), 0.0)
    assert len(intake.take(AudioChunk(ones(100), 10**12), 0.0)) == MAX_GAP_SAMPLES + 100
    assert counters.gap_samples == 10**12 - 100


def test_what_comes_twice_is_ignored(intake: Intake, counters: IntakeCounters) -> None:
    intake.take(AudioChunk(ones(100), 0), 0.0)
    assert len(intake.take(AudioChunk(ones(100), 60), 0.0)) == 60
    assert len(intake.take(AudioChunk(ones(50), 0), 0.0)) == 0
    assert counters.repeated_samples == 40 + 50


def test_while_muted_the_clock_goes_on_in_silence(intake: Intake) -> None:
    intake.muted = True
    assert not intake.take(AudioChunk(ones(100), 0), 0.0).any()
    assert intake.end_sample == 100


def test_the_drift_of_the_clocks_is_measured(intake: Intake, counters: IntakeCounters) -> None:
    second = ones(SAMPLE_RATE_HZ)
    for number in range(11):
        intake.take(AudioChunk(second, number * SAMPLE_RATE_HZ), 5.0 + number * 1.01)
    assert counters.clock_drift_s == pytest.approx(0.1)
