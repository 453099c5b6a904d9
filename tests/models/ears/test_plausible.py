"""What can have been said in a time, and what goes round in circles."""

import numpy as np
import pytest

from models.ears.plausible import is_plausible, max_tokens, repeats_itself, without_loops
from models.types import SAMPLE_RATE_HZ, AudioClip


def clip(duration_s: float, speech_s: float | None = None) -> AudioClip:
    return AudioClip(np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.float32), speech_s)


@pytest.mark.parametrize(
    ("text", "speech_s"),
    [
        ("", 0.0),
        ("Four", 0.1),
        ("Seven", 0.16),
        ("No, no, no!", 0.7),
        ("Ha ha ha ha ha ha ha ha!", 1.5),
        ("5 5 5 1 2 1 2", 2.5),
        ("0800 000 000", 3.0),
        ("It costs 1,000,000,000,000.", 2.0),
        ("What is the capital of France?", 1.2),
    ],
)
def test_what_people_say_is_plausible(text: str, speech_s: float) -> None:
    assert is_plausible(text, clip(10, speech_s))


@pytest.mark.parametrize(
    ("text", "speech_s"),
    [
        ("Thank you.", 0.13),
        ("I'm going to go to the next one.", 0.5),
        ("Location, " * 20, 0.8),
        ("Location, " * 20, 9.0),
        ("AHHHHHHHHHHHHHHHHHHHH", 5.0),
        ("BLELELELELELELELELELELELELELELELE", 5.0),
        ("and then I said to him that we should go home, " * 14, 30.0),
    ],
)
def test_what_a_recogniser_makes_up_is_not(text: str, speech_s: float) -> None:
    assert not is_plausible(text, clip(30, speech_s))


@pytest.mark.parametrize("text", ["Location. Location.", "5 5", "No, no, no!", "Press 4, please. Press 4, please."])
def test_one_phrase_said_again_and_again_repeats_itself(text: str) -> None:
    assert repeats_itself(text)


@pytest.mark.parametrize("text", ["", "Location.", "No, nope", "5 5 5 1 2 1 2", "55 5", "No, no, that one"])
def test_everything_else_does_not(text: str) -> None:
    assert not repeats_itself(text)


def test_without_a_detector_the_whole_clip_may_be_speech() -> None:
    assert is_plausible("What is the capital of France?", clip(2))
    assert not is_plausible("What is the capital of France?", clip(0.5))


def test_what_goes_round_in_circles_is_said_once() -> None:
    assert without_loops("Where is it? " + "location " * 50) == "Where is it? location"
    assert without_loops("Location, " + "location, " * 50 + "please") == "Location, please"
    assert without_loops("No, no, no. 5 5 5 1 2 1 2") == "No, no, no. 5 5 5 1 2 1 2"


def test_a_transcript_has_room_for_fast_speech_and_an_end() -> None:
    assert (max_tokens(0), max_tokens(1), max_tokens(30)) == (32, 44, 392)
