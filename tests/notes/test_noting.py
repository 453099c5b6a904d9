"""A model is asked for notes: what it is told, what becomes of its answer, and what is said where it fell short."""

import json
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
from realtime.notes.prompts import EXAMPLE_ANSWER, EXAMPLE_LINES
from realtime.notes.published import minutes_schema, to_json
from realtime.notes.schema import answer_schema, read_answer
from tests.notes.scripts import answer, lines, model_of, note

SAID = lines(
    "Anna: Hello. We take the green one, agreed?",
    "Ben: Agreed. I will order the tents by Monday.",
    "Anna: Who pays for the server?",
    "Ben: I have no idea.",
)
FOUND = answer(
    note("1 Anna", "decision", "The green one is taken."),
    note("2 Ben", "task", "Order the tents.", "Ben", "by Monday"),
    note("3 Anna", "open question", "Who pays for the server?"),
    note("4 Ben", "small talk", "Ben has no idea."),
)


async def minutes_of(model: ScriptedModel, said: Any = SAID, **wishes: Any) -> Minutes:
    return await write_minutes(model, said, title="meeting.wav", duration_s=20.0, **wishes)


async def test_minutes_have_a_summary_and_notes_with_their_places() -> None:
    model, shares = model_of(FOUND, "They took the green one."), list[float]()
    minutes = await minutes_of(model, progress=shares.append)
    assert [(note.kind, note.spans[0].start_s) for note in minutes.notes] == [
        ("summary", 0.0),
        ("decision", 0.0),
        ("action_item", 5.0),
        ("open_question", 10.0),
    ]
    assert minutes.remarks == ()
    assert shares == [0.5, 1.0]
    assert model.forgotten == ["notes"]
    Draft202012Validator(dict(minutes_schema())).validate(to_json(minutes))


async def test_the_summary_continues_the_prompt_of_the_notes() -> None:
    model = model_of(FOUND, "They met.")
    await minutes_of(model)
    asked, summarised = model.requests
    assert [message.parts for message in summarised[: len(asked)]] == [message.parts for message in asked]


async def test_the_prompt_begins_the_same_whatever_was_said() -> None:
    model = model_of(FOUND)
    await note_lines(model, SAID)
    await note_lines(model, lines("Carla: Something else."), context="a party")
    first, second = model.requests
    assert [message.parts for message in first[:-1]] == [message.parts for message in second[:-1]]
    assert second[-1].text == "About this meeting: a party\n\n[1 Carla] Something else."


async def test_running_notes_keep_what_people_did() -> None:
    kept = await note_lines(model_of(FOUND), SAID)
    decision, task, question = kept.notes
    kept = remove(edit(kept, task.id, owner="Carla"), question.id)
    again = await note_lines(model_of(FOUND), SAID, known=kept)
    assert [(note.id, note.owner) for note in again.notes] == [(decision.id, None), (task.id, "Carla")]


async def test_no_lines_ask_nothing() -> None:
    model = model_of(FOUND)
    assert (await note_lines(model, [])).notes == ()
    minutes = await minutes_of(model, lines("Anna: "))
    assert model.requests == []
    assert minutes.notes == ()
    assert minutes.remarks[0] == NO_LINES


async def test_an_answer_that_was_cut_off_gives_what_was_whole() -> None:
    minutes = await minutes_of(model_of(FOUND[: FOUND.index('"line": "3')], "They met."))
    assert [note.kind for note in minutes.notes] == ["summary", "decision", "action_item"]
    assert CUT_OFF in minutes.remarks


async def test_what_could_not_be_judged_is_said() -> None:
    said = [*lines("We take the green one."), *lines("", "", "")[1:]]
    minutes = await minutes_of(model_of(answer(), "They met."), said)
    assert minutes.remarks == (NO_SPEAKERS, "Somebody spoke whose words were not understood, at 0:05, 0:10.")


async def test_a_model_that_listens_gets_the_sound() -> None:
    clip = AudioClip(np.zeros(1600, np.float32))
    model = model_of(answer(note("1 Anna", "decision", "The blue one.")), "They met.")
    minutes = await minutes_of(model, lines("Anna: "), sound=lambda span: clip)
    assert model.requests[0][-1].clips == (clip,)
    assert [note.kind for note in minutes.notes] == ["summary", "decision"]


async def test_long_recordings_are_noted_window_by_window() -> None:
    said = lines(*(f"Anna: The word number{number} is said." for number in range(MAX_WINDOW_LINES + 5)))
    first = answer(note("1 Anna", "decision", "The word number0 is said."))
    second = answer(note("9 Anna", "decision", f"The word number{MAX_WINDOW_LINES + 4} is said."))
    model = model_of(first, "One.", second, "Two.", "One and two.")
    minutes = await minutes_of(model, said)
    assert [note.text for note in minutes.notes if note.kind == "summary"] == ["One and two."]
    places_s = [note.spans[0].start_s for note in minutes.notes if note.kind == "decision"]
    assert places_s == [0.0, 5.0 * (MAX_WINDOW_LINES + 4)]


@pytest.mark.parametrize("max_characters", [1, 30, 100, 10_000])
def test_windows_hold_every_line_and_go_on(max_characters: int) -> None:
    said = lines(*(f"Anna: number {number}" for number in range(90)))
    windows = cut_windows(said, max_characters)
    assert list(dict.fromkeys(line for window in windows for line in window)) == said
    assert all(len(window) <= MAX_WINDOW_LINES for window in windows)
    starts_s = [window[0].span.start_s for window in windows]
    assert starts_s == sorted(set(starts_s))


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
        await minutes_of(ScriptedModel([[FOUND], [GenerationFailed("gone")]]), answers=shelf)
    model = model_of("They met.")
    minutes = await minutes_of(model, answers=shelf)
    assert len(model.requests) == 1
    assert len(minutes.notes) == 4


def test_the_example_keeps_to_the_schema_and_to_its_lines() -> None:
    said = lines(*(f"{line.split(']')[0].split()[1]}:{line.split(']')[1]}" for line in EXAMPLE_LINES.splitlines()))
    Draft202012Validator(answer_schema(said)).validate(EXAMPLE_ANSWER)
    assert [draft.line for draft in read_answer(json.dumps(EXAMPLE_ANSWER))] == [4, 5, 7, 8, 11]


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "{}", '{"notes": 3}', '{"notes": [3]}', '{"notes": [{}]}', '{"notes": [{"line": null}]}'],
)
def test_an_answer_of_another_form_has_no_notes(text: str) -> None:
    assert read_answer(text) == ()
