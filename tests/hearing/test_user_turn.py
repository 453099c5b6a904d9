"""The message of a turn: the same one for the same position, until something is typed."""

import numpy as np
import pytest

from models.types import Samples
from realtime.hearing.audio import AudioChunk
from realtime.hearing.intake import Intake, IntakeCounters
from realtime.hearing.speech import SpeechLog
from realtime.hearing.user_turn import UserTurn
from realtime.turns.actions import Turn
from realtime.turns.observations import DetectedFrame

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
    turn = UserTurn("item", SPOKEN, intake, SpeechLog())
    message = turn.message(300)
    assert positions(message.clips[0].samples) == (100, 300)
    assert turn.message(300) is message
    longer = turn.message(400)
    assert positions(longer.clips[0].samples) == (100, 400)
    assert longer.id == message.id == "item"


def test_what_is_typed_stands_before_what_is_said(intake: Intake) -> None:
    turn = UserTurn("item", SPOKEN, intake, SpeechLog(), speaker="Ann")
    assert turn.message(300).speaker == "Ann"
    turn.add_text("and this")
    assert [type(part).__name__ for part in turn.message(300).parts] == ["str", "AudioClip"]
    finished = turn.newly_finished(100)
    assert finished is not None
    assert finished.parts[0] == "and this", "a beginning of the whole"


def test_a_typed_turn_has_no_audio_until_it_is_spoken_too(intake: Intake) -> None:
    turn = UserTurn("item", TYPED, intake, SpeechLog())
    turn.add_text("hello")
    assert turn.message(500).parts == ("hello",)
    assert turn.newly_finished(100) is None
    turn.add_audio(SPOKEN)
    assert positions(turn.message(500).clips[0].samples) == (100, 500)
    assert turn.message(500).text == "hello"


def test_finished_windows_are_given_once(intake: Intake) -> None:
    turn = UserTurn("item", SPOKEN, intake, SpeechLog())
    first = turn.newly_finished(400)
    assert first is not None
    assert positions(first.clips[0].samples) == (100, 900)
    assert turn.newly_finished(400) is None
    intake.take(AudioChunk(np.arange(1000, 1300, dtype=np.float32), 1000), 0.0)
    second = turn.newly_finished(400)
    assert second is not None
    assert positions(second.clips[0].samples) == (100, 1300)


def test_a_turn_that_began_with_a_voice_says_how_much_of_it_is_speech(intake: Intake) -> None:
    speech = SpeechLog()
    speech.add([DetectedFrame(320, None, 320), DetectedFrame(640, None, 0), DetectedFrame(960, None, 320)])
    turn = UserTurn("item", Turn(speaker="user", start_sample=100, onset_sample=320), intake, speech)
    assert turn.message(400).clips[0].speech_s == 80 / 16_000
    assert turn.message(900).clips[0].speech_s == 320 / 16_000
    by_key = UserTurn("item", SPOKEN, intake, speech)
    assert by_key.message(900).clips[0].speech_s is None, "who holds a key may be too quiet for the detector"
