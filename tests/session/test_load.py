"""Who may speculate: each session counts what the others generate."""

import pytest

from realtime.load import AnswerLoad


def test_each_is_told_when_the_others_are_too_many_and_when_no_longer() -> None:
    load = AnswerLoad(speculate_below=2)
    told: list[bool] = []
    mine, first, second = load.share(told.append), load.share(lambda _: None), load.share(lambda _: None)
    with mine.answering(), first.answering():
        assert load.running == 2
        assert told == [], "the others generate one"
        with second.answering(), second.answering():
            assert told == [False]
        assert told == [False, True]
    assert load.running == 0


def test_a_session_that_comes_late_is_told_at_once() -> None:
    load = AnswerLoad(speculate_below=1)
    told: list[bool] = []
    busy = load.share(lambda _: None)
    with busy.answering():
        mine = load.share(told.append)
        assert told == [False]
        busy.close()
        assert told == [False, True], "a session that has gone generates nothing"
        mine.close()


def test_a_session_that_never_ran_leaves_nothing_behind() -> None:
    load = AnswerLoad(speculate_below=1)
    told: list[bool] = []
    load.share(told.append)
    with load.share(lambda _: None).answering():
        assert told == []


def test_never_is_never() -> None:
    told: list[bool] = []
    AnswerLoad(speculate_below=0).share(told.append)
    assert told == [False]


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="speculate_below"):
        AnswerLoad(-1)
