"""A model is asked for notes: what it is told, what becomes of its answer, and what is said where it fell short."""

from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from models.errors import GenerationFailed
from models.scripted import ScriptedModel
from models.types import AudioClip
from realtime.notes.keeping import edit, remove
from realtime.notes.minutes import Minutes
from realtime.notes.noting import (
    CUT_OFF,
    MAX_WINDOW_LINES,
    NO_LINES,
    NO_SPEAKERS,
    cut_windows,
    note_lines,
    write_minutes,
)
from realtime.notes.prompts import EXAMPLE
from realtime.notes.published import minutes_schema, to_json
from realtime.notes.schema import ANSWER_SCHEMA, read_answer
from tests.notes.scripts import NOTHING, lines, model_of, note

SAID = lines(
    "Anna: Hello. We take the green one, agreed?",
    "Ben: Agreed. I will order the tents by Monday.",
    "Anna: Who pays for the server?",
    "Ben: I have no idea.",
)
FOUND = (
    note("decision", "The green one is taken."),
    note("task", "Order the tents.", "Ben", "by Monday"),
    note("open question", "Who pays for the server?"),
    NOTHING,
)


async def minutes_of(model: ScriptedModel, said: Any = SAID, **wishes: Any) -> Minutes:
    return await write_minutes(model, said, title="meeting.wav", duration_s=20.0, **wishes)


async def test_minutes_have_a_summary_and_notes_with_their_places() -> None:
    model, shares = model_of(*FOUND, "They took the green one."), list[float]()
    minutes = await minutes_of(model, progress=shares.append)
    assert [(note.kind, note.spans[0].start_s) for note in minutes.notes] == [
        ("summary", 0.0),
        ("decision", 0.0),
        ("action_item", 5.0),
        ("open_question", 10.0),
    ]
    assert minutes.remarks == ()
    assert shares == sorted(shares)
    assert (len(shares), shares[-1]) == (5, 1.0)
    assert model.forgotten == ["notes"]
    Draft202012Validator(dict(minutes_schema())).validate(to_json(minutes))


async def test_the_prompt_begins_the_same_whatever_was_said() -> None:
    model = model_of(*FOUND)
    await note_lines(model, SAID)
    await note_lines(model, lines("Carla: Something else again."))
    beginnings = {tuple(message.id for message in request[:-1]) for request in model.requests}
    assert len(beginnings) == 1
    assert model.requests[-1][-1].text.endswith("The line:\nCarla: Something else again.")


async def test_what_it_is_about_is_told() -> None:
    model = model_of(NOTHING)
    await note_lines(model, SAID, context="a garden party")
    assert all("About this meeting: a garden party" in request[0].text for request in model.requests)


async def test_lines_before_are_shown_and_not_asked_about() -> None:
    model = model_of(NOTHING)
    await note_lines(model, SAID, n_before=3)
    (request,) = model.requests
    assert request[-1].text.endswith(
        "Anna: Who pays for the server?\nBen: I have no idea.\n\nThe line:\nBen: I have no idea."
    )


async def test_running_notes_keep_what_people_did() -> None:
    kept = await note_lines(model_of(*FOUND), SAID)
    decision, task, question = kept.notes
    kept = remove(edit(kept, task.id, owner="Carla", text="Something else."), question.id)
    again = await note_lines(model_of(*FOUND), SAID, known=kept)
    assert [(note.id, note.owner) for note in again.notes] == [(decision.id, None), (task.id, "Carla")]
    assert again.notes[1].text == "Something else."


async def test_no_words_ask_nothing() -> None:
    model = model_of(NOTHING)
    assert (await note_lines(model, [])).notes == ()
    assert (await note_lines(model, lines("Anna: Yes, sure."))).notes == ()
    minutes = await minutes_of(model, lines("Anna: "))
    assert model.requests == []
    assert minutes.notes == ()
    assert minutes.remarks[0] == NO_LINES


async def test_a_note_that_was_cut_off_is_missing_and_that_is_said() -> None:
    minutes = await minutes_of(model_of(FOUND[0], FOUND[1][:-5], *FOUND[2:], "They met."))
    assert [note.kind for note in minutes.notes] == ["summary", "decision", "open_question"]
    assert CUT_OFF in minutes.remarks


async def test_what_could_not_be_judged_is_said() -> None:
    said = [*lines("We take the green one."), *lines("", "", "")[1:]]
    minutes = await minutes_of(model_of(NOTHING, "They met."), said)
    assert minutes.remarks == (NO_SPEAKERS, "Somebody spoke whose words were not understood, at 0:05, 0:10.")


async def test_a_model_that_listens_gets_the_sound() -> None:
    clip = AudioClip(np.zeros(1600, np.float32))
    model = model_of(note("decision", "The blue one."))
    minutes = await minutes_of(model, lines("Anna: "), sound=lambda span: clip)
    assert model.requests[0][-1].clips == (clip,)
    assert [note.kind for note in minutes.notes] == ["decision"]


async def test_long_recordings_are_summarised_window_by_window() -> None:
    said = lines(*(f"Anna: The word number{number} is said." for number in range(MAX_WINDOW_LINES + 5)))
    model = model_of(*[NOTHING] * len(said), "One.", "Two.", "One and two.")
    minutes = await minutes_of(model, said)
    assert [note.text for note in minutes.notes] == ["One and two."]
    assert "- One.\n- Two." in model.requests[-1][-1].text


@pytest.mark.parametrize("max_characters", [1, 30, 100, 10_000])
def test_windows_hold_every_line_and_go_on(max_characters: int) -> None:
    said = lines(*(f"Anna: number {number}" for number in range(90)))
    windows = cut_windows(said, max_characters)
    assert [line for window in windows for line in window] == said
    assert all(len(window) <= MAX_WINDOW_LINES for window in windows)


class Shelf(dict[str, Any]):
    """Keeps answers."""

    def find(self, name: str) -> Any:
        """What was kept."""
        return self.get(name)

    def keep(self, name: str, found: Any) -> None:
        """Keeps it."""
        self[name] = found


async def test_what_was_answered_before_is_not_asked_again() -> None:
    shelf = Shelf()
    with pytest.raises(GenerationFailed):
        await minutes_of(ScriptedModel([[FOUND[0]], [FOUND[1]], [GenerationFailed("gone")]]), answers=shelf)
    model = model_of(*FOUND[2:], "They met.")
    minutes = await minutes_of(model, answers=shelf)
    assert len(model.requests) == 3
    assert len(minutes.notes) == 4


def test_the_answers_of_the_example_keep_to_the_schema() -> None:
    for _, answer in EXAMPLE:
        Draft202012Validator(ANSWER_SCHEMA).validate(answer)
    kinds = [answer["kind"] for _, answer in EXAMPLE]
    assert {"decision", "task", "open question", "maybe", "done", "nothing"} <= set(kinds)


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "{}", "3", '{"kind": "task"}', '{"kind": "task", "text": " "}', NOTHING, '{"kind": null}'],
)
def test_an_answer_of_another_form_is_no_note(text: str) -> None:
    assert read_answer(text) is None
