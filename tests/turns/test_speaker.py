"""One speaker's side of the floor: where turns begin and end, and when a score counts."""

import pytest

from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.observations import DetectedFrame, PauseScored, SpeechStarted, SpeechStopped
from realtime.turns.speaker import CUT_IN_SAMPLES, LATEST_SCORE_SAMPLES, PauseScore, Speaker

DELAY = 480


@pytest.fixture
def score() -> PauseScore:
    return PauseScore(DELAY)


def test_a_score_that_is_early_waits_for_its_place(score: PauseScore) -> None:
    score.take(PauseScored("user", score.ask(), 0.9))
    assert not score.is_pending
    score.expect(1000)
    assert score.is_pending
    assert not score.settle(1000 + DELAY - 1)
    assert score.value is None
    assert not score.settle(1000 + DELAY)
    assert score.value == 0.9
    assert not score.is_pending


def test_a_score_that_is_late_is_waited_for_and_then_missed(score: PauseScore) -> None:
    score.ask()
    score.expect(0)
    assert not score.settle(DELAY + LATEST_SCORE_SAMPLES - 1)
    assert score.is_pending
    assert score.settle(DELAY + LATEST_SCORE_SAMPLES)
    assert (score.value, score.is_pending) == (None, False)


def test_only_the_score_asked_for_last_is_taken(score: PauseScore) -> None:
    old = score.ask()
    new = score.ask()
    score.take(PauseScored("user", old, 0.1))
    score.expect(0)
    assert not score.settle(DELAY), "it is still waited for"
    score.take(PauseScored("user", new, 0.8))
    assert not score.settle(DELAY)
    assert score.value == 0.8


def speaker_at(sample: int) -> Speaker:
    speaker = Speaker("user", EndpointingOptions(), pre_roll_samples=4800)
    speaker.take(DetectedFrame(sample, None, 512))
    return speaker


def test_a_turn_begins_before_its_onset_but_not_within_the_turn_before() -> None:
    speaker = speaker_at(20_000)
    assert speaker.open_at_onset(3000).start_sample == 0
    speaker.commit(8000)
    assert speaker.open_at_onset(10_000).start_sample == 8000
    speaker.leave()
    assert speaker.open_at_onset(10_000).start_sample == 8000, "what was dropped may be taken again"


def test_a_part_goes_on_where_the_last_one_was_cut() -> None:
    speaker = speaker_at(20_000)
    speaker.open_at(1000)
    speaker.commit(9000)
    assert speaker.open_next_part().start_sample == 9000


def test_who_goes_on_within_a_second_was_cut_in_on() -> None:
    speaker = speaker_at(20_000)
    speaker.note_commit(DetectedFrame(20_000, None, 9000))
    assert speaker.open_at_onset(20_000 + CUT_IN_SAMPLES).cut_in_after_samples == 9000 + CUT_IN_SAMPLES
    assert speaker.open_at_onset(20_001 + CUT_IN_SAMPLES).cut_in_after_samples is None
    speaker.note_commit(None)
    assert speaker.open_at_onset(20_000).cut_in_after_samples is None


def test_frames_are_noted() -> None:
    speaker = speaker_at(512)
    speaker.take(DetectedFrame(1024, SpeechStarted(0, 1024), 0))
    assert speaker.is_speaking
    speaker.take(DetectedFrame(1536, None, 512))
    assert (speaker.sample, speaker.last_voiced_sample, speaker.is_speaking) == (1536, 1024, True)
    speaker.take(DetectedFrame(4096, SpeechStopped(1024, 4096), 3072))
    assert not speaker.is_speaking


def test_typed_text_needs_no_audio() -> None:
    speaker = speaker_at(512)
    speaker.add_text()
    assert speaker.turn is not None
    assert (speaker.turn.start_sample, speaker.n_samples, speaker.has_text) == (None, 0, True)
