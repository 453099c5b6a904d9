"""Whose voice it is, by made levels and by real speech with more of it behind."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.foreground import RETURN_FRAMES, Foreground
from realtime.hearing.vad import SILERO_FRAME_SAMPLES, SileroBatch, SpeechDetector, VadOptions
from realtime.turns.observations import DetectedFrame, SpeechStarted, SpeechStopped
from tests.conftest import silence

FRAME_S = SILERO_FRAME_SAMPLES / SAMPLE_RATE_HZ


def take(foreground: Foreground, level_db: float | None, seconds: float) -> list[bool]:
    """Whether the speaker is in each frame of a steady level; None is silence."""
    found = []
    for _ in range(round(seconds / FRAME_S)):
        foreground.take(10 ** ((-80 if level_db is None else level_db) / 10), is_voiced=level_db is not None)
        found.append(foreground.has_speaker)
    return found


def speaker_at(level_db: float) -> Foreground:
    """One whose speaker has just said something at this level."""
    foreground = Foreground(SILERO_FRAME_SAMPLES)
    assert all(take(foreground, level_db, 3))
    return foreground


@pytest.mark.parametrize("level_db", [-50, -20, 0])
def test_whoever_speaks_first_is_the_speaker(level_db: float) -> None:
    assert all(take(Foreground(SILERO_FRAME_SAMPLES), level_db, 20))


@pytest.mark.parametrize("below_db", [4, 6, 10, 15, 20])
def test_weaker_voice_that_goes_on_is_behind_since_the_speaker_ended(below_db: float) -> None:
    foreground = speaker_at(-20)
    found = take(foreground, -20 - below_db, 3)
    assert foreground.is_behind
    assert not any(found[round(1.6 / FRAME_S) :])
    assert foreground.gone_samples == pytest.approx(3 * SAMPLE_RATE_HZ, abs=SILERO_FRAME_SAMPLES)


def test_a_soft_end_is_the_speakers() -> None:
    foreground = speaker_at(-20)
    assert all(take(foreground, -28, 0.6))
    assert not foreground.is_behind
    assert all(take(foreground, -20, 1))


def test_who_has_hardly_spoken_may_go_on_softly() -> None:
    foreground = Foreground(SILERO_FRAME_SAMPLES)
    assert all(take(foreground, -20, 1.2))
    assert all(take(foreground, -32, 1.9))
    take(foreground, -32, 1)
    assert foreground.is_behind


def test_after_a_silence_the_speaker_has_hardly_spoken() -> None:
    foreground = speaker_at(-20)
    take(foreground, None, 3)
    assert all(take(foreground, -20, 1))
    assert all(take(foreground, -26, 1.9))


def test_what_is_very_far_is_behind_anybody() -> None:
    foreground = Foreground(SILERO_FRAME_SAMPLES)
    take(foreground, -20, 0.5)
    take(foreground, -40, 1.5)
    assert foreground.is_behind
    assert foreground.gone_samples == pytest.approx(1.5 * SAMPLE_RATE_HZ, abs=SILERO_FRAME_SAMPLES)


def test_a_soft_word_after_a_pause_is_the_speakers() -> None:
    foreground = speaker_at(-20)
    take(foreground, None, 0.7)
    assert all(take(foreground, -32, 0.3))


def test_a_speaker_who_gets_quieter_little_by_little_stays_the_speaker() -> None:
    foreground = speaker_at(-20)
    for step in range(40):
        assert all(take(foreground, -20 - step / 4, 1))


def test_another_voice_of_the_same_level_is_not_behind() -> None:
    assert all(take(speaker_at(-20), -21, 20))


def test_strong_voice_comes_to_the_front_again() -> None:
    foreground = speaker_at(-20)
    take(foreground, -32, 3)
    found = take(foreground, -20, 1)
    assert found.index(True) == RETURN_FRAMES - 1
    assert all(found[found.index(True) :])
    assert not foreground.is_behind


def test_one_loud_frame_of_who_is_behind_changes_nothing() -> None:
    foreground = speaker_at(-20)
    take(foreground, -30, 3)
    for _ in range(10):
        assert not any([*take(foreground, -20, FRAME_S), *take(foreground, -30, 0.5)])


def test_a_weak_voice_out_of_silence_is_the_speaker_farther_away() -> None:
    foreground = speaker_at(-20)
    take(foreground, None, 5)
    assert all(take(foreground, -29, 5)[1:])


def test_a_very_weak_voice_out_of_silence_begins_nothing() -> None:
    foreground = speaker_at(-20)
    take(foreground, None, 5)
    assert not any(take(foreground, -36, 5))


def test_a_voice_behind_begins_nothing_after_the_speaker_has_gone() -> None:
    foreground = speaker_at(-20)
    take(foreground, -32, 3)
    take(foreground, None, 3)
    assert not any(take(foreground, -32, 5))


def frames_of(audio: Samples, other_voices: str) -> list[DetectedFrame]:
    return list(SpeechDetector(VadOptions(other_voices=other_voices)).push(audio))


def talk(speech: Callable[[str], Samples]) -> Samples:
    """Four seconds without a long pause."""
    return np.resize(speech("question_capital"), 4 * SAMPLE_RATE_HZ)


def with_others_behind(clip: Samples, below_db: float) -> Samples:
    """A clip, and after it somebody weaker for 6 s."""
    behind = np.resize(clip, 6 * SAMPLE_RATE_HZ) * np.float32(10 ** (-below_db / 20))
    return np.concatenate((silence(0.5), clip, behind))


@pytest.mark.parametrize("below_db", [15, 20])
def test_who_is_behind_does_not_hold_speech_open(speech: Callable[[str], Samples], below_db: float) -> None:
    clip = talk(speech)
    audio = with_others_behind(clip, below_db)
    heard, ignored = frames_of(audio, "hear")[-1], frames_of(audio, "ignore")[-1]
    assert heard.silence_samples < SAMPLE_RATE_HZ
    assert ignored.silence_samples > 4 * SAMPLE_RATE_HZ


def test_starts_and_stops_take_turns_and_silence_only_grows_between_voiced_frames(
    speech: Callable[[str], Samples],
) -> None:
    clip = talk(speech)
    frames = frames_of(np.concatenate((with_others_behind(clip, 12), clip, silence(2))), "ignore")
    events = [type(frame.event) for frame in frames if frame.event]
    assert events[0] is SpeechStarted and events[-1] is SpeechStopped
    assert all(one is not other for one, other in itertools.pairwise(events))
    for one, other in itertools.pairwise(frames):
        assert other.silence_samples == 0 or other.silence_samples >= one.silence_samples + SILERO_FRAME_SAMPLES


@pytest.mark.parametrize("clip", ["question_capital", "hesitation", "backchannel", "name_ask"])
def test_somebody_alone_is_heard_as_before(speech: Callable[[str], Samples], clip: str) -> None:
    audio = np.concatenate((silence(0.5), speech(clip), silence(2), speech(clip), silence(1)))
    assert frames_of(audio, "ignore") == frames_of(audio, "hear")


@given(sizes=st.lists(st.integers(1, 20_000), min_size=1, max_size=20))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_chunks_and_batches_change_nothing(speech: Callable[[str], Samples], sizes: list[int]) -> None:
    audio = with_others_behind(speech("question_capital"), 12)
    detector, found, start = SpeechDetector(VadOptions(other_voices="ignore"), batch=SileroBatch(window_s=0)), [], 0
    for size in [*sizes, len(audio)]:
        found += await detector.push_batched(audio[start : start + size])
        start += size
    assert found == frames_of(audio, "ignore")


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="ignore or hear"):
        VadOptions(other_voices="shout at")
