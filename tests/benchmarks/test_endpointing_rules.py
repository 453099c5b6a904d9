"""Rules of the benchmark on turns whose pauses are made up: what counts as cut off, and who learns from whom."""

import math

import numpy as np
import pytest

from realtime.turns.endpointing import EndpointingOptions
from tests.benchmarks.endpointing_rules import (
    Outcomes,
    Turn,
    by_adapting,
    by_annotated_silence,
    by_endpointing,
    by_threshold,
    outcomes,
    speaker_of,
)
from tests.benchmarks.pauses import Pause

END_S = 3.0
OPTIONS = EndpointingOptions()


def a_turn(*pauses: Pause, path: str = "a.flac", speaker: str | None = "anna", hold_s: float = 1.0) -> Turn:
    """A turn with a hold from 1 s on, and its end at 3 s."""
    row = {"path": path, "speaker": speaker, "seconds": 7.0, "silences": [[1.0, 1.0 + hold_s], [END_S, 7.0]]}
    return Turn(row, pauses)


def a_pause(begin_s: float, end_s: float = math.inf, *, score: float = 0.5, **more: float) -> Pause:
    """A pause noticed after 0.18 s."""
    return Pause(begin_s + 0.18, ((begin_s, end_s),), resumed=end_s < math.inf, speech_s=1.0, score=score, **more)


def test_an_answer_in_a_hold_is_a_cut_off_and_the_one_after_the_end_is_waited_for() -> None:
    turn = a_turn(a_pause(1.0, 2.0), a_pause(END_S))
    found = outcomes([turn], [by_annotated_silence(0.5), by_annotated_silence(1.5)])
    assert found.cuts[:, 0].tolist() == [1, 0]
    assert found.waits_s[:, 0].tolist() == pytest.approx([0.5, 1.5])
    assert found.holds.tolist() == [1]


def test_a_turn_that_is_never_answered_is_waited_for_to_its_end() -> None:
    found = outcomes([a_turn()], [by_endpointing(OPTIONS)])
    assert found.waits_s[0, 0] == pytest.approx(4.0)


@pytest.mark.parametrize(("score", "wait_s"), [(0.9, 0.3), (0.1, 2.0)])
def test_a_score_that_reaches_the_threshold_commits_after_the_delay(score: float, wait_s: float) -> None:
    found = outcomes([a_turn(a_pause(END_S, score=score))], [by_threshold(0.5, 0.3, 2.0)])
    assert found.waits_s[0, 0] == pytest.approx(wait_s)


def test_a_score_counts_no_sooner_than_it_is_ready() -> None:
    soon, late = (a_turn(a_pause(END_S, score=0.999, ready_s=ready_s)) for ready_s in (0.1, 0.7))
    found = outcomes([soon, late], [by_endpointing(OPTIONS)])
    assert found.waits_s[0] == pytest.approx([max(0.2, 0.18 + OPTIONS.score_at_s), 0.7])


def test_a_speaker_who_asks_to_wait_is_waited_for() -> None:
    pause = Pause(END_S + 0.18, ((END_S, math.inf),), resumed=False, speech_s=1.0, score=0.99, asks_to_wait=True)
    assert outcomes([a_turn(pause)], [by_endpointing(OPTIONS)]).waits_s[0, 0] >= OPTIONS.max_wait_s


def test_a_pause_with_a_click_in_it_ends_later() -> None:
    pause = Pause(1.18, ((1.0, 1.5), (1.6, math.inf)), resumed=False, speech_s=1.0)
    assert pause.commit_s(0.4) == pytest.approx(1.4)
    assert pause.commit_s(0.6) == pytest.approx(2.2)


def test_the_rule_learns_from_turns_of_the_same_session_alone() -> None:
    long_holds = [a_turn(a_pause(1.0, 2.5, score=0.1), a_pause(END_S, score=0.5), hold_s=1.5) for _ in range(6)]
    known = outcomes(long_holds, [by_adapting(OPTIONS)]).waits_s[0]
    strangers = [a_turn(*turn.pauses, path=f"{n}.flac", speaker=None) for n, turn in enumerate(long_holds)]
    unknown = outcomes(strangers, [by_adapting(OPTIONS)]).waits_s[0]
    assert known[-1] > known[0]
    assert len(set(unknown)) == 1
    assert speaker_of(strangers[3]) == "3.flac"


def test_figures_of_some_turns_are_those_of_them_alone() -> None:
    found = Outcomes(np.array([[1, 0, 2]]), np.array([[0.2, 0.4, 0.9]]), np.array([1, 2, 1]))
    assert found.of([0, 1]).cut_rate == pytest.approx(1 / 3)
    assert found.of([0, 1]).wait_s == pytest.approx(0.3)
    assert found.of([2]).at_budgets(np.ones((1, 1)))["cutoff_at_600ms"][0] == np.inf


def test_turns_without_holds_are_never_cut_off() -> None:
    found = Outcomes(np.array([[0]]), np.array([[0.3]]), np.array([0]))
    assert found.at_budgets(np.ones((1, 1)))["wait_s_at_5pct"][0] == pytest.approx(0.3)
