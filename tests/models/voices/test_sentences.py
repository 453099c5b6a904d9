import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.voices.sentences import MOST_WORDS, PhraseCutter


def cut(text: str) -> list[str]:
    cutter = PhraseCutter()
    phrases = [phrase for piece in re.findall(r"\s*\S+|\s+$", text) for phrase in cutter.push(piece)]
    return [phrase.text.strip() for phrase in (*phrases, *cutter.finish())]


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("Yes. It is here.", ["Yes.", "It is here."]),
        ("Sure, I can do that for you.", ["Sure,", "I can do that for you."]),
        ("The capital of France is Paris.", ["The capital of France", "is Paris."]),
        (
            "It is. Dr. Smith paid $3.50, i.e. too much. Why?",
            ["It is.", "Dr. Smith paid $3.50, i.e. too much.", "Why?"],
        ),
        ("First:\n1. Eggs\n2. Milk", ["First:", "1. Eggs", "2. Milk"]),
        ('He said "stop!" Then he left.', ['He said "stop!"', "Then he left."]),
        ("J. R. Smith", ["J. R. Smith"]),
        ("Hello", ["Hello"]),
        ("😀", []),
        ("", []),
    ],
)
def test_an_answer_is_cut_where_a_reader_takes_breath(text: str, phrases: list[str]) -> None:
    assert cut(text) == phrases


def test_the_first_phrase_is_short_and_what_follows_are_sentences() -> None:
    long = "You could for example walk along the river and look at the old bridges of the city in the evening sun."
    first, *rest = cut(f"{long} {long}")
    assert 3 <= len(first.split()) <= 8
    assert rest[-1] == long


def test_a_sentence_without_an_end_is_cut_all_the_same() -> None:
    phrases = cut("word " * 100)
    assert max(len(phrase.split()) for phrase in phrases) <= MOST_WORDS
    assert sum(len(phrase.split()) for phrase in phrases) == 100


def test_a_phrase_is_given_as_soon_as_it_is_whole() -> None:
    cutter = PhraseCutter()
    assert cutter.push("It is") == []
    assert cutter.push(" here.") == []  # it may be "here.com"
    assert [phrase.text for phrase in cutter.push(" And")] == ["It is here."]


@given(st.text(alphabet="ab .,!?\n1-é😀", max_size=300))
def test_no_letter_is_lost_and_each_phrase_is_where_it_says(text: str) -> None:
    cutter = PhraseCutter()
    phrases = [phrase for letter in text for phrase in cutter.push(letter)] + cutter.finish()
    assert all(text[phrase.start :].startswith(phrase.text) for phrase in phrases)
    letters = "".join(character for phrase in phrases for character in phrase.text if character.isalnum())
    assert letters == "".join(character for character in text if character.isalnum())
