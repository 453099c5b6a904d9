"""Notes of a call while it goes on: taken when nothing is more urgent, edited by people, and played again."""

import json
from pathlib import Path

import numpy as np

from models.ears.beside import ModelWithEars
from models.scripted import ScriptedModel
from realtime.calls import call_options
from realtime.events import NotesUpdated
from realtime.inbox import NoteEdited
from realtime.recordings.recorder import SessionRecorder
from realtime.recordings.replay import read_recording, replay
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, loudness_detector, quiet
from tests.session.test_speakers import speak_together

NOTED = call_options(OPTIONS, takes_notes=True)
TASK = "I will send you the offer by Friday."
ANSWER = json.dumps({"kind": "task", "text": "Send the offer", "owner": "I", "deadline": "by Friday"})


def model_of(*answers: str, says: str = TASK) -> ModelWithEars:
    """A model that gives these answers, and ears that always write the same."""
    ears = ScriptedModel([["no"]], sounds=[says], languages=("en",))
    return ModelWithEars(ScriptedModel([[answer] for answer in answers]), ears)


def notes_of(conversation: Conversation) -> NotesUpdated:
    found = [event for event in conversation.events if isinstance(event, NotesUpdated)]
    return found[-1]


async def say_it(conversation: Conversation) -> None:
    mine = np.concatenate((loud(2.0), quiet(3.0)))
    await speak_together(conversation.session, mine, np.zeros_like(mine))
    await conversation.until("call.notes.updated")


async def test_a_promise_of_mine_becomes_a_task_with_its_place_and_replays(tmp_path: Path) -> None:
    recorder = SessionRecorder(tmp_path / "one")
    async with conversing(model_of(ANSWER), NOTED, taps=[recorder]) as conversation:
        await say_it(conversation)
        (note,) = notes_of(conversation).notes
        assert (note.kind, note.owner, note.deadline) == ("action_item", "me", "by Friday")
        (span,) = note.spans
        assert (span.speaker, span.start_s < 0.2, 1.9 < span.end_s < 2.2) == ("me", True, True)
        conversation.session.edit_note(NoteEdited(note_id=note.id, text="Send it", owner="", is_done=True))
        await conversation.until("call.notes.updated", 2)
        (edited,) = notes_of(conversation).notes
        assert (edited.text, edited.owner, edited.deadline, edited.is_done) == ("Send it", None, "by Friday", True)
    recording = read_recording(tmp_path / "one")
    detectors = {name: loudness_detector(OPTIONS.vad, name) for name in NOTED.speakers}
    assert (await replay(recording, detectors=detectors)).difference is None


async def test_a_note_that_was_removed_does_not_come_back() -> None:
    async with conversing(model_of(ANSWER), NOTED) as conversation:
        await say_it(conversation)
        (note,) = notes_of(conversation).notes
        conversation.session.edit_note(NoteEdited(note_id=note.id, is_removed=True))
        await conversation.until("call.notes.updated", 2)
        assert notes_of(conversation).notes == ()
        conversation.session.edit_note(NoteEdited(note_id=note.id, text="Again"))
        assert "no such note" in str(await conversation.until("error"))


async def test_an_empty_note_is_refused() -> None:
    async with conversing(model_of(ANSWER), NOTED) as conversation:
        conversation.session.edit_note(NoteEdited(note_id="1", text=" "))
        assert "needs some text" in str(await conversation.until("error"))


async def test_a_call_without_notes_asks_the_model_for_none() -> None:
    model = model_of(ANSWER)
    async with conversing(model, call_options(OPTIONS)) as conversation:
        mine = np.concatenate((loud(2.0), quiet(3.0)))
        await speak_together(conversation.session, mine, np.zeros_like(mine))
        assert not [event for event in conversation.events if isinstance(event, NotesUpdated)]
