"""Sound cut at pauses: nothing that was voiced is lost, nothing comes twice, and no passage is too long."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.review.passages import MAX_S, PAUSE_S, Passage, Passages
from tests.session.conversing import ScriptedScorer, loud, quiet

SPEECH_SAMPLES = 5 * 512  # 160 ms: shorter sounds are clicks to the detector


def cut(samples: Samples, *, block_samples: int = SAMPLE_RATE_HZ) -> list[Passage]:
    passages = Passages(SpeechDetector(VadOptions(pause_s=PAUSE_S), ScriptedScorer()))
    found = []
    for start in range(0, len(samples), block_samples):
        found += passages.push(samples[start : start + block_samples])
    return [*found, *passages.finish()]


def test_a_pause_ends_a_passage_and_silence_is_left_out() -> None:
    audio = np.concatenate((quiet(2), loud(3), quiet(0.3), loud(1), quiet(5), loud(2), quiet(1)))
    first, second = cut(audio)
    assert first.start_s == pytest.approx(1.7, abs=0.05)
    assert first.end_s == pytest.approx(6.5, abs=0.1)
    assert second.start_s == pytest.approx(11.0, abs=0.1)
    assert first.clip.speech_s == pytest.approx(4.0, abs=0.1)


def test_long_speech_is_cut_at_a_short_break_or_in_the_end_anywhere() -> None:
    with_breaks = np.concatenate([np.concatenate((loud(4), quiet(0.25))) for _ in range(6)])
    assert [passage.clip.duration_s < 14 for passage in cut(with_breaks)] == [True, True]
    without = cut(loud(70))
    assert all(passage.clip.duration_s <= MAX_S + 0.1 for passage in without)
    assert sum(passage.clip.duration_s for passage in without) == pytest.approx(70, abs=0.2)


pieces = st.lists(st.tuples(st.booleans(), st.integers(1, 120)), max_size=12)


@settings(max_examples=60, deadline=None)
@given(pieces=pieces, block_samples=st.sampled_from([512, 5000, SAMPLE_RATE_HZ, 100_000]))
def test_all_that_is_voiced_is_in_one_passage_each(pieces: list[tuple[bool, int]], block_samples: int) -> None:
    sounds = [loud(n * 0.1) if is_loud else quiet(n * 0.1) for is_loud, n in pieces]
    audio = np.concatenate((quiet(0.5), *sounds, quiet(1)))
    found = cut(audio, block_samples=block_samples)
    for passage, following in itertools.pairwise(found):
        assert passage.end_s <= following.start_s + 1e-6, "nothing comes twice"
    covered = np.zeros(len(audio), bool)
    for passage in found:
        start = round(passage.start_s * SAMPLE_RATE_HZ)
        np.testing.assert_array_equal(passage.clip.samples, audio[start : start + len(passage.clip.samples)])
        covered[start : start + len(passage.clip.samples)] = True
    position = len(quiet(0.5))
    for (is_loud, _), sound in zip(pieces, sounds, strict=True):
        if is_loud and len(sound) >= SPEECH_SAMPLES:
            assert covered[position : position + len(sound)].all(), "all of what is long enough for speech"
        position += len(sound)


def test_how_the_sound_comes_in_changes_nothing() -> None:
    audio = np.concatenate((quiet(1), loud(3), quiet(2), loud(20), quiet(1)))
    by_second, at_once = cut(audio), cut(audio, block_samples=len(audio))
    assert [(each.start_s, each.end_s) for each in by_second] == [(each.start_s, each.end_s) for each in at_once]
