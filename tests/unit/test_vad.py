"""The real detectors on real speech."""

import numpy as np
import pytest

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.vad import SpeechDetector, VadOptions


def noise(seconds: float, level: float) -> Samples:
    return np.random.default_rng(0).normal(0, level, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


@pytest.mark.parametrize("samples", [np.zeros(SAMPLE_RATE_HZ * 3, np.float32), noise(3, 0.02)])
def test_silence_and_noise_are_no_speech(samples: Samples) -> None:
    assert all(frame.event is None for frame in SpeechDetector(VadOptions()).push(samples))


def test_a_click_is_no_speech() -> None:
    samples = noise(2, 0.001)
    samples[16000:16400] = 0.9
    assert all(frame.event is None for frame in SpeechDetector(VadOptions()).push(samples))


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="choose silero or webrtc"):
        VadOptions(engine="krisp")  # type: ignore[arg-type]
