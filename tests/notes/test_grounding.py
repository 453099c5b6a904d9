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


def test_what_a_model_saw_ahead_is_placed_where_it_was_said() -> None:
    note = grounded(1, "Order the tents.", "I", "by next Monday")
    assert note is not None
    assert (note.spans, note.owner) == ((SAID[1].span,), "Ben Smith")


def test_the_deadline_of_another_task_is_taken_away() -> None:
    said = lines("Anna: I order it today.", "Ben: Clean the fridge, Carla.", "Carla: Sure, tomorrow.")
    for deadline, known_as in (("today", None), ("tomorrow", "tomorrow")):
        note = ground(Draft(kind="action_item", text="Clean the fridge.", deadline=deadline), said, 1)
        assert note is not None
        assert note.deadline == known_as


def test_who_says_yes_takes_on_the_deadline_of_the_question() -> None:
    said = lines("Anna: Could you clean the fridge today?", "Ben: Sure, will do.")
    note = ground(Draft(kind="action_item", text="Clean the fridge.", owner="Ben", deadline="today"), said, 1)
    assert note is not None
    assert (note.owner, note.deadline) == ("Ben", "today")


def test_who_says_somebody_does_not_take_it_on() -> None:
    said = lines("Anna: Somebody should clean the fridge.")
    assert said_owner("Anna", said[0], said) is None


def test_a_line_without_words_is_believed() -> None:
    said = lines("Anna: ")
    note = ground(Draft(kind="decision", text="They take the blue one."), said, 0)
    assert note is not None
    assert note.spans == (said[0].span,)


def test_an_open_question_was_asked() -> None:
    said = lines(
        "Anna: The server is slow.",
        "Ben: If it stays slow, I call them.",
        "Anna: Who pays for the server?",
        "Ben: No idea.",
    )
    drafts = [ground(Draft(kind="open_question", text="Who pays for the server?"), said, at) for at in range(4)]
    assert [draft is not None for draft in drafts] == [False, True, True, True]  # of the second, the model looked ahead
