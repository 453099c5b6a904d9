"""The message of a turn: the same one until more is heard or typed."""

import numpy as np
import pytest

from models.types import Samples
from realtime.hearing.audio import AudioChunk
from realtime.hearing.intake import Intake
from realtime.hearing.user_turn import UserTurn
from realtime.metrics import SessionMetrics


@pytest.fixture
def intake() -> Intake:
    """Has heard 1000 samples, each its own position."""
    intake = Intake(SessionMetrics())
    intake.take(AudioChunk(np.arange(1000, dtype=np.float32), 0), 0.0)
    return intake


def positions(samples: Samples) -> tuple[int, int]:
    return int(samples[0]), int(samples[-1]) + 1


def test_a_message_stays_the_same_until_the_turn_goes_on(intake: Intake) -> None:
    turn = UserTurn("item", intake, 100)
    assert turn.heard is None and not turn.has_message
    message = turn.message(300)
    assert positions(message.clips[0].samples) == (100, 300)
    assert turn.message(400) is message
    assert turn.end_sample == 300
    turn.goes_on()
    longer = turn.message(400)
    assert positions(longer.clips[0].samples) == (100, 400)
    assert longer.id == message.id == "item"
    assert turn.heard is longer.clips[0].samples


def test_what_is_typed_follows_what_is_said(intake: Intake) -> None:
    turn = UserTurn("item", intake, 100)
    turn.message(300)
    turn.add_text("and this")
    assert [type(part).__name__ for part in turn.message(300).parts] == ["AudioClip", "str"]


def test_a_typed_turn_hears_nothing(intake: Intake) -> None:
    turn = UserTurn("item", intake, None)
    turn.add_text("hello")
    assert turn.message(500).parts == ("hello",)
    assert (turn.heard, turn.end_sample, turn.n_samples(500)) == (None, 0, 0)
    assert turn.newly_finished(100, 500) is None


def test_finished_windows_are_given_once(intake: Intake) -> None:
    turn = UserTurn("item", intake, 100)
    assert turn.newly_finished(200, 299) is None
    first = turn.newly_finished(200, 350)
    assert first is not None and positions(first.clips[0].samples) == (100, 300)
    assert turn.newly_finished(200, 450) is None
    second = turn.newly_finished(200, 700)
    assert second is not None and positions(second.clips[0].samples) == (100, 700)
