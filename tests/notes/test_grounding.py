"""A note rests on lines that were said, and its owner and deadline on their words."""

import pytest

from realtime.notes.grounding import Grounded, ground, said_deadline, said_owner
from realtime.notes.schema import Draft
from tests.notes.scripts import lines

SAID = lines(
    "Anna: Good morning, how are you?",
    "Ben Smith: I will order the tents by next Monday.",
    "Anna: Wonderful. Could Carla call the baker?",
    "Ben Smith: She will. Did you sleep well?",
    "Anna: The hall is booked until Friday evening.",
)


def grounded(line: int, text: str, owner: str | None = None, deadline: str | None = None) -> Grounded | None:
    return ground(Draft(kind="action_item", text=text, owner=owner, deadline=deadline), SAID, line - 1)


def test_a_note_has_the_place_of_its_line() -> None:
    note = grounded(2, "Order the tents.", "I", "by next Monday")
    assert note == Grounded(
        kind="action_item",
        text="Order the tents.",
        spans=(SAID[1].span,),
        owner="Ben Smith",
        deadline="by next Monday",
    )


def test_what_nobody_spoke_of_is_left_out() -> None:
    assert grounded(3, "Paint the garage.") is None


@pytest.mark.parametrize(
    ("owner", "known_as"),
    [
        ("I", "Ben Smith"),
        ("ben", "Ben Smith"),
        ("Ben Smith", "Ben Smith"),
        ("Carla", "Carla"),
        ("carla.", "carla"),
        ("Dora", None),
        ("Car", None),
        ("somebody", None),
        ("We", None),
        ("null", None),
        ("", None),
        (None, None),
    ],
)
def test_an_owner_is_a_speaker_or_was_named(owner: str | None, known_as: str | None) -> None:
    assert said_owner(owner, SAID[1], SAID) == known_as


def test_i_of_nobody_is_nobody() -> None:
    said = lines("I will order the tents.")
    assert said_owner("I", said[0], said) is None


@pytest.mark.parametrize(
    ("deadline", "said"),
    [
        ("by next Monday", "by next Monday"),
        ("By next monday.", "By next monday"),
        ("before next Monday", "next Monday"),
        ("until Tuesday", None),
        ("Mon", None),
        ("null", None),
        (" ", None),
        (None, None),
    ],
)
def test_a_deadline_was_said(deadline: str | None, said: str | None) -> None:
    assert said_deadline(deadline, SAID[:3]) == said


def test_a_deadline_that_was_said_of_something_else_is_taken_away() -> None:
    note = grounded(2, "Order the tents.", "Ben", "until Friday evening")  # three lines further on
    assert note is not None
    assert note.deadline is None


def test_a_line_without_words_is_believed() -> None:
    said = lines("Anna: ")
    note = ground(Draft(kind="decision", text="They take the blue one."), said, 0)
    assert note is not None
    assert note.spans == (said[0].span,)
