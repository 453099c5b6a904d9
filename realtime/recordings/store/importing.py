"""Brings a recording that `--record` made into a store, as if the session had been stored while it went on.

What was said and sent then is taken as it is, in its order; nothing is decided again. Read `replay.py` for how a
recording is read, `stored_session.py` for what keeps it.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.types import Word
from realtime.events import (
    MessageAdded,
    MessageRemoved,
    MessageTranscribed,
    NotesUpdated,
    ResponseCommitted,
    ResponseCreated,
    ResponseDone,
    SessionEvent,
    SpeakerTold,
    UserSpeechDiscarded,
    UserSpeechStarted,
    UserSpeechStopped,
)
from realtime.notes.minutes import Note, Span
from realtime.recordings.recorder import EVENTS_NAME
from realtime.recordings.replay import read_recording
from realtime.recordings.store.deleting import delete_conversations
from realtime.recordings.store.errors import StoreError
from realtime.recordings.store.stored_session import StoredSession
from realtime.recordings.store.writer import StoreWriter

FOLDER_NAME = "%Y%m%d-%H%M%S-%f"  # as the server names recordings
MAX_AHEAD = 1000  # steps that wait to be written
_KINDS = {
    kind.__name__: kind
    for kind in (
        MessageAdded,
        MessageRemoved,
        ResponseCommitted,
        ResponseCreated,
        SpeakerTold,
        UserSpeechDiscarded,
        UserSpeechStarted,
        UserSpeechStopped,
    )
}


async def import_recording(writer: StoreWriter, folder: Path) -> str:
    """Brings one recording into a store, and gives the id of the conversation.

    Args:
        writer: of the store.
        folder: of one session.

    Raises:
        RecordingError: it cannot be read.
        StoreError: it cannot be written; nothing of it is kept then.
    """
    recording = read_recording(folder)
    stored = StoredSession(writer, lambda *_: None, started_s=_started_s(folder))
    stored.start(
        recording.id,
        recording.model,
        recording.options,
        recording.floor,
        caption_languages=recording.caption_languages,
        voices=recording.voices,
    )
    for number, step in enumerate(recording.course):
        if isinstance(step, tuple):
            stored.take_item(*step)
        elif (event := _event_of(json.loads(step))) is not None:
            stored.take_event(event)
        if number % MAX_AHEAD == 0 and not await stored.confirmed():
            break
    await stored.close()
    if not stored.is_whole:
        await writer.run(lambda: delete_conversations(writer.store, [stored.id]))
        raise stored.failure or StoreError(f"{folder}: the disk is too slow; try again")
    return stored.id


def _started_s(folder: Path) -> float:
    try:
        return datetime.strptime(folder.absolute().name, FOLDER_NAME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return (folder / EVENTS_NAME).stat().st_mtime  # somebody has given it another name


def _event_of(fields: dict[str, Any]) -> SessionEvent | None:
    """The event that was recorded, if a store keeps something of it."""
    name = fields.pop("name")
    if name == MessageTranscribed.__name__:
        words = tuple(Word(**_unnamed(word)) for word in fields["words"])
        return MessageTranscribed(**{**fields, "words": words})
    if name == NotesUpdated.__name__:
        return NotesUpdated(notes=tuple(map(_note_of, fields["notes"])))
    if name == ResponseDone.__name__:
        return ResponseDone(**{key: value for key, value in fields.items() if key != "timing"})
    kind = _KINDS.get(name)
    return None if kind is None else kind(**fields)


def _note_of(fields: dict[str, Any]) -> Note:
    spans = tuple(Span(**_unnamed(span)) for span in fields["spans"])
    return Note(**{**_unnamed(fields), "spans": spans})


def _unnamed(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields without the name of their kind."""
    return {key: value for key, value in fields.items() if key != "name"}
