"""What is made of words and sound at a pause, by the shipped weights."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.types import Transcript
from realtime.turns.completeness import features, judge


def named(text: str, *, sound: float | None = 0.5, asked: str = "") -> set[str]:
    """The names of the features that a text has."""
    return {name for name, value in features(sound, text, asked).items() if value and name != "sound"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "no_words"),
        ("Uh,", "filler"),
        ("I would like, um", "filler"),
        ("It's, you know,", "filler"),
        ("I stayed at home because", "open_word"),
        ("What is the capital of", "open_word"),
        ("My number is 555", "open_number"),
        ("My number is 555-014", "open_number"),
        ("My phone number is five five five", "open_number"),
        ("My phone number is five five five four", "open_number"),
        ("One two three five", "open_number"),
        ("555", "open_number"),
        ("My phone number is 555-014-2769.", "whole_number"),
        ("It's J-O-H", "open_spelling"),
        ("My email is john dot", "open_spelling"),
        ("My email is john at gmail dot com.", "whole_address"),
        ("We need eggs, milk,", "open_list"),
        ("Good morning!", "greeting"),
        ("What is the capital of France?", "question"),
        ("Hi, can you hear me", "question"),
        ("I was thinking about, what is the capital of France?", "question"),
        ("Yes.", "short_answer"),
        ("Thank you very much.", "short_answer"),
        ("Could you turn on the light?", "question"),
        ("Okay computer, turn on the light.", "request"),
        ("I would like a coffee.", "request"),
        ("I live in a small house.", "statement"),
        ("Turn left,", "comma"),
        ("Really?", "question_mark"),
        ("Berlin.", "one_word"),
    ],
)
def test_a_text_has_the_feature_that_its_end_is_named_after(text: str, name: str) -> None:
    assert name in named(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("42", "open_number"),
        ("When he came home, he was tired.", "question"),
        ("He came home, which was nice.", "question"),
        ("What is the capital of France?", "statement"),
        ("In 1984.", "open_number"),
        ("What is the capital of", "question"),
        ("Yes, please.", "open_list"),
        ("Thank you, bye.", "open_list"),
        ("We need eggs, milk, and bread.", "open_list"),
        ("Okay.", "filler"),
        ("I have a plan", "open_spelling"),
    ],
)
def test_and_not_one_that_looks_like_it(text: str, name: str) -> None:
    assert name not in named(text)


def test_a_few_words_answer_a_question_of_ours_and_nothing_else() -> None:
    assert "answers_us" in named("In Berlin.", asked="I see. Where do you live?")
    assert "answers_us" not in named("In Berlin.", asked="I see.")
    assert "answers_us" not in named("In", asked="Where do you live?")


def test_a_number_is_awaited_where_we_asked_for_it_last() -> None:
    assert "open_number" in named("5 5", asked="I see. What is your order number?")
    assert "open_number" not in named("I would like that one.", asked="You can call me any time. What would you like?")


@pytest.mark.parametrize("asked", ["", "Shall I go on?"])
def test_a_question_or_an_answer_is_more_complete_than_what_was_broken_off(asked: str) -> None:
    whole = ("What is the capital of France?", "Yes.", "Thank you.", "Turn on the light in the kitchen.")
    broken = ("What is the capital of", "I stayed at home because", "So,", "My number is 555", "It's J-O-H")
    least = min(judge(0.5, Transcript(text), asked).probability for text in whole)
    most = max(judge(0.5, Transcript(text), asked).probability for text in broken)
    assert least > 0.5 > most


@pytest.mark.parametrize(
    "text",
    [
        "Hold on.",
        "Wait.",
        "Okay, wait a second.",
        "My number is, hang on,",
        "Let me think about it.",
        "One moment.",
        "One moment, please.",
        "Hold on, um,",
        "Wait a second, okay?",
    ],
)
def test_who_says_so_asks_to_wait(text: str) -> None:
    assert judge(0.9, Transcript(text), "").asks_to_wait


@pytest.mark.parametrize("text", ["How long do I have to wait?", "I cannot wait.", "Hold on to the rail.", "Yes.", ""])
def test_and_who_only_uses_the_words_does_not(text: str) -> None:
    assert not judge(0.9, Transcript(text), "").asks_to_wait


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("One minute.", "How long should the timer run?"),
        ("Just a minute, please.", "For how many minutes?"),
        ("Set a timer for, um, one minute.", ""),
    ],
)
def test_nor_who_says_how_long_something_takes(text: str, asked: str) -> None:
    assert not judge(0.9, Transcript(text), asked).asks_to_wait
    assert judge(0.9, Transcript("One minute."), "What is your order number?").asks_to_wait
    assert judge(0.9, Transcript("Hold on."), asked).asks_to_wait


@pytest.mark.parametrize(
    "text", ["Go ahead.", "Okay, go ahead.", "That's all.", "My number is 555, that's it.", "Go ahead, please."]
)
def test_go_ahead_gives_the_floor(text: str) -> None:
    assert judge(0.1, Transcript(text), "").probability > 0.95


@pytest.mark.parametrize("transcript", [None, Transcript("", is_foreign=True)])
def test_without_words_that_are_understood_the_sound_is_taken_as_it_is(transcript: Transcript | None) -> None:
    assert judge(0.3, transcript, "").probability == 0.3
    assert judge(None, transcript, "").probability == 0.5


@given(st.text(max_size=300), st.text(max_size=100), st.none() | st.floats(0, 1))
def test_whatever_is_written_has_a_probability(text: str, asked: str, sound: float | None) -> None:
    probability = judge(sound, Transcript(text), asked).probability
    assert 0 <= probability <= 1
    assert not math.isnan(probability)


@given(st.sampled_from(["What is the", "Yes.", "My number is 555", ""]), st.floats(0, 1), st.floats(0, 1))
def test_what_sounds_more_complete_is_taken_for_more_complete(text: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert judge(low, Transcript(text), "").probability <= judge(high, Transcript(text), "").probability
