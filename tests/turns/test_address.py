"""Whom words are meant for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.turns.address import MIN_AFTER_ANSWER, MIN_PROBABILITY, features, is_addressed, judge_address


@pytest.mark.parametrize(
    "text",
    [
        "What is the highest mountain in Africa?",
        "Tell me something about whales.",
        "Could you set a timer for ten minutes?",
        "I'd like a large coffee, please.",
        "Computer, stop.",
        "Hey, Earpiece. They said it would rain.",
        "What do you think, assistant?",
    ],
)
def test_questions_commands_wishes_and_its_name_are_for_the_assistant(text: str) -> None:
    assert judge_address(text) >= MIN_PROBABILITY


@pytest.mark.parametrize(
    "text",
    [
        "Yeah, and then he told her that they weren't going to pay for it.",
        "We should probably ask the others first, I mean, it's their money.",
        "Peter, did you bring the keys?",
        "Are you coming, mum?",
        "The treaty was signed in the spring, and the soldiers went home to their villages.",
        "Um, right, so, so that's kind of what we had.",
        "The computer was in their office, and they took it with them.",
        "",
        "…",
    ],
)
def test_talk_of_others_names_of_others_and_readings_are_not(text: str) -> None:
    assert judge_address(text) < MIN_PROBABILITY


def test_after_an_answer_less_is_enough_and_unknown_words_are_answered() -> None:
    between = (MIN_PROBABILITY + MIN_AFTER_ANSWER) / 2
    assert is_addressed(between, follows_answer=True)
    assert not is_addressed(between, follows_answer=False)
    assert not is_addressed(0.0, follows_answer=True)
    assert is_addressed(None, follows_answer=False)


@given(st.text())
def test_any_text_has_a_probability_and_the_same_features(text: str) -> None:
    assert 0 <= judge_address(text) <= 1
    assert features(text).keys() == features("Hello.").keys()
