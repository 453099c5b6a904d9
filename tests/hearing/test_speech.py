"""How much speech is in a stretch of a stream, and in recordings of speech and of none."""

from collections.abc import Callable

import numpy as np
import pytest

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.speech import SpeechLog, measure_speech_s
from realtime.turns.observations import DetectedFrame
from tests.conftest import silence


def test_voiced_frames_count_as_far_as_they_are_in_the_stretch() -> None:
    log = SpeechLog()
    log.add([DetectedFrame(end, None, 0 if end > 3200 else 1600) for end in range(1600, 9600, 1600)])
    assert log.speech_s(0, 8000) == 0.3
    assert log.speech_s(4000, 7200) == 0.2
    log.drop_before(6400)
    assert log.speech_s(0, 8000) == 0.1
    assert SpeechLog().speech_s(0, 8000) == 0


def test_the_last_stretch_begins_behind_the_last_pause() -> None:
    log = SpeechLog()
    voiced = [*range(1, 6), *range(8, 12), *range(13, 15)]  # in frames of 0.1 s: pauses of 0.2 and 0.1 s
    log.add([DetectedFrame(1600 * (n + 1), None, 0 if n in voiced else 1600) for n in range(20)])
    assert log.last_stretch(0, 20 * 1600, 3200) == 8 * 1600
    assert log.last_stretch(0, 20 * 1600, 1600) == 13 * 1600
    assert log.last_stretch(0, 20 * 1600, 4800) == 1600, "there is none of so much"
    assert log.last_stretch(9 * 1600, 20 * 1600, 3200) == 9 * 1600, "not before the turn"
    assert SpeechLog().last_stretch(0, 8000, 3200) == 8000


@pytest.mark.parametrize("level_db", [0, -30, -60])
def test_speech_is_found_however_quiet_the_recording(speech: Callable[[str], Samples], level_db: int) -> None:
    quiet = (speech("question_capital") * 10 ** (level_db / 20)).astype(np.float32)
    assert measure_speech_s(quiet) == pytest.approx(1.5, abs=0.5)


def test_a_click_in_a_quiet_recording_hides_no_speech(speech: Callable[[str], Samples]) -> None:
    clicked = np.concatenate((silence(0.5), speech("question_capital") * np.float32(0.001)))
    clicked[100:110] = 1.0
    assert measure_speech_s(clicked) == pytest.approx(1.5, abs=0.5)


@pytest.mark.parametrize("level", [0.0, 1e-5, 0.001, 0.1])
def test_silence_and_noise_hold_no_speech(level: float) -> None:
    noise = np.random.default_rng(0).normal(0, level, 5 * SAMPLE_RATE_HZ).astype(np.float32)
    assert measure_speech_s(noise) == 0


def test_tones_and_clicks_are_no_speech() -> None:
    time_s = np.arange(3 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    chord = sum(np.sin(2 * np.pi * pitch_hz * time_s) for pitch_hz in (220, 277, 330)) / 6
    assert measure_speech_s(np.asarray(chord, np.float32)) == 0
    clicks = silence(3)
    clicks[::8000] = 0.9
    assert measure_speech_s(clicks) == 0
    assert measure_speech_s(silence(0.01)) == 0
