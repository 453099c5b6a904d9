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
        "Guys, can you hear me?",
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


@pytest.mark.parametrize("opening", ["Thanks", "Great", "Actually", "Also", "Today", "Sure", "Wow", "Maybe", "First"])
def test_a_word_before_a_comma_is_not_always_a_name(opening: str) -> None:
    assert judge_address(f"{opening}, can you tell me the time?") >= MIN_PROBABILITY
    assert judge_address(f"{opening}, what is the time?") >= MIN_PROBABILITY


def test_after_an_answer_less_is_enough_and_unknown_words_are_answered() -> None:
    between = (MIN_PROBABILITY + MIN_AFTER_ANSWER) / 2
    assert is_addressed(between, follows_answer=True)
    assert not is_addressed(between, follows_answer=False)
    assert not is_addressed(0.0, follows_answer=True)
    assert is_addressed(None, follows_answer=False)


@pytest.mark.parametrize("answer", ["Yes.", "Yeah.", "No.", "Okay.", "Yes, yes, well.", "In Berlin."])
def test_a_few_words_soon_after_a_question_of_ours_answer_it(answer: str) -> None:
    probability = judge_address(answer, asked="I can. Shall I go on?")
    assert is_addressed(probability, follows_answer=True)
    assert not is_addressed(judge_address("Yes.", asked="Shall I go on?"), follows_answer=False)
    assert not is_addressed(judge_address("Yes.", asked="I see."), follows_answer=True)
    assert not is_addressed(judge_address("Tom, are you coming?", asked="Shall I go on?"), follows_answer=True)


@given(st.text())
def test_any_text_has_a_probability_and_the_same_features(text: str) -> None:
    assert 0 <= judge_address(text) <= 1
    assert features(text).keys() == features("Hello.").keys()
