"""The message of a turn: the same one for the same position, until something is typed."""

import numpy as np
import pytest

from models.types import Samples
from realtime.hearing.audio import AudioChunk
from realtime.hearing.intake import Intake, IntakeCounters
from realtime.hearing.user_turn import UserTurn
from realtime.turns.actions import Turn

SPOKEN, TYPED = Turn(speaker="user", start_sample=100), Turn(speaker="user", start_sample=None)


@pytest.fixture
def intake() -> Intake:
    """Has taken 1000 samples, each its own position."""
    intake = Intake(IntakeCounters())
    intake.take(AudioChunk(np.arange(1000, dtype=np.float32), 0), 0.0)
    return intake


def positions(samples: Samples) -> tuple[int, int]:
    return int(samples[0]), int(samples[-1]) + 1


def test_a_message_is_the_same_for_the_same_position(intake: Intake) -> None:
    turn = UserTurn("item", SPOKEN, intake)
    message = turn.message(300)
    assert positions(message.clips[0].samples) == (100, 300)
    assert turn.message(300) is message
    longer = turn.message(400)
    assert positions(longer.clips[0].samples) == (100, 400)
    assert longer.id == message.id == "item"


def test_what_is_typed_follows_what_is_said(intake: Intake) -> None:
    turn = UserTurn("item", SPOKEN, intake, speaker="Ann")
    assert turn.message(300).speaker == "Ann"
    turn.add_text("and this")
    assert [type(part).__name__ for part in turn.message(300).parts] == ["AudioClip", "str"]


def test_a_typed_turn_has_no_audio_until_it_is_spoken_too(intake: Intake) -> None:
    turn = UserTurn("item", TYPED, intake)
    turn.add_text("hello")
    assert turn.message(500).parts == ("hello",)
    assert turn.newly_finished(100) is None
    turn.add_audio(SPOKEN)
    assert positions(turn.message(500).clips[0].samples) == (100, 500)
    assert turn.message(500).text == "hello"


def test_finished_windows_are_given_once(intake: Intake) -> None:
    turn = UserTurn("item", SPOKEN, intake)
    first = turn.newly_finished(400)
    assert first is not None
    assert positions(first.clips[0].samples) == (100, 900)
    assert turn.newly_finished(400) is None
    intake.take(AudioChunk(np.arange(1000, 1300, dtype=np.float32), 1000), 0.0)
    second = turn.newly_finished(400)
    assert second is not None
    assert positions(second.clips[0].samples) == (100, 1300)
