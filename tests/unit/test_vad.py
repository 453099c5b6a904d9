"""The real detectors on real speech."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.turns import SpeechStarted, SpeechStopped
from realtime.vad import SpeechDetector, VadName, VadOptions
from tests.conftest import silence


def noise(seconds: float, level: float) -> Samples:
    return np.random.default_rng(0).normal(0, level, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


@pytest.mark.parametrize("samples", [np.zeros(SAMPLE_RATE_HZ * 3, np.float32), noise(3, 0.02)])
def test_silence_and_noise_are_no_speech(samples: Samples) -> None:
    assert all(frame.event is None for frame in SpeechDetector(VadOptions()).push(samples))


def test_a_click_is_no_speech() -> None:
    samples = noise(2, 0.001)
    samples[16000:16400] = 0.9
    assert all(frame.event is None for frame in SpeechDetector(VadOptions()).push(samples))


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
def test_speech_is_found_where_it_is(engine: VadName, speech: Callable[[str], Samples]) -> None:
    clip = speech("question_capital")
    audio = np.concatenate((silence(1), clip, silence(1)))
    events = [frame.event for frame in SpeechDetector(VadOptions(engine=engine)).push(audio) if frame.event]
    assert isinstance(events[0], SpeechStarted)
    assert events[0].onset_sample == pytest.approx(1.3 * SAMPLE_RATE_HZ, abs=0.2 * SAMPLE_RATE_HZ)
    assert isinstance(events[-1], SpeechStopped)
    assert events[-1].offset_sample == pytest.approx(SAMPLE_RATE_HZ + len(clip), abs=0.5 * SAMPLE_RATE_HZ)


@given(sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=30))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chunking_changes_nothing(speech: Callable[[str], Samples], sizes: list[int]) -> None:
    audio = np.concatenate((silence(0.5), speech("hesitation"), silence(0.5)))
    whole = list(SpeechDetector(VadOptions()).push(audio))
    detector, pieces, start = SpeechDetector(VadOptions()), [], 0
    for size in [*sizes, len(audio)]:
        pieces += list(detector.push(audio[start : start + size]))
        start += size
    assert pieces == whole


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="choose silero or webrtc"):
        VadOptions(engine="krisp")  # type: ignore[arg-type]
