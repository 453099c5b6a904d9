"""Notes, owners and recordings in a store, and stores that an older version made."""

import io
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from models.scripted import ScriptedModel
from realtime.events import NotesUpdated
from realtime.notes.minutes import Note, Span
from realtime.recordings.store import exporting, rows
from realtime.recordings.store.database import Store
from realtime.recordings.store.deleting import delete_conversations
from realtime.recordings.store.errors import NotStored
from realtime.recordings.store.mixing import HEADER_BYTES, MixedSound
from realtime.recordings.store.reading import list_conversations, read_conversation, search, unfinished
from realtime.recordings.store.tracks import Tracks, user_track
from tests.recordings.store.conftest import Place
from tests.recordings.store.keeping import files_with, keeping, read
from tests.session.conversing import loud, quiet

TASK = Note(
    id="note_1",
    kind="action_item",
    text="Order the tents.",
    spans=(Span(start_s=1.5, end_s=4.0, speaker="speaker 1"),),
    owner="speaker 1",
    deadline="by Monday",
)
DECISION = Note(id="note_2", kind="decision", text="The party is in July.", spans=(Span(start_s=9.0, end_s=12.0),))


def make_older(store: Store) -> None:
    """Takes the store back to the first version, and puts a conversation into it."""
    config = Config()
    folder = Path(rows.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    with store.writing() as connection:
        for table in ("notes", "reviews", *(("note_index",) if store.is_sqlite else ())):
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("DROP INDEX ix_conversations_owner"))
        for column in ("kind", "name", "owner"):
            connection.execute(text(f"ALTER TABLE conversations DROP COLUMN {column}"))
        config.attributes["connection"] = connection
        command.stamp(config, "0001")
        connection.execute(text("INSERT INTO conversations VALUES ('old', 'pocket', 1.0, 2.0)"))
        connection.execute(
            text(
                "INSERT INTO messages (conversation, item, role, text, words, start_ms, end_ms, interrupted, "
                "is_addressed) VALUES ('old', 'item_1', 'user', 'a quince', 'a quince', 0, 1000, false, true)"
            )
        )
    store.close()


def test_a_store_of_the_first_version_is_brought_up_to_date(place: Place) -> None:
    make_older(place.open())
    store = place.open()
    (head,) = list_conversations(store, owner="")
    assert (head.id, head.kind, head.owner, head.title, head.duration_s) == ("old", "conversation", "", "a quince", 1.0)
    assert [found.conversation for found in search(store, "quince")] == ["old"]
    with store.writing() as connection:
        rows.put_notes(connection, "old", [TASK])
    assert read(store, "old").notes == (TASK,)


def add_recording(store: Store, name: str = "meeting", owner: str = "") -> None:
    with store.writing() as connection:
        rows.add_conversation(
            connection, name, model="m", started_s=5.0, kind="recording", name="Meeting.mp3", owner=owner
        )
        rows.add_review(connection, name, about="a party", n_speakers=2)
        message = rows.StoredMessage(
            item="line_1", role="user", text="", start_ms=1500, end_ms=4000, track="user", speaker="speaker 1"
        )
        rows.add_message(connection, name, message)
        rows.put_notes(connection, name, [TASK, DECISION])


def test_notes_are_found_changed_named_and_removed(place: Place) -> None:
    store = place.open()
    add_recording(store)
    assert [note.id for note in read_conversation(store, "meeting").notes] == ["note_2", "note_1"], "decisions first"
    found = search(store, "tents monday")
    assert [(each.role, each.start_s, each.conversation) for each in found] == [("note", 1.5, "meeting")]
    with store.writing() as connection:
        rows.change_note(connection, "meeting", replace(TASK, text="Order the chairs.", is_done=True))
        rows.name_speakers(connection, "meeting", {"speaker 1": "Anna\0"})
        assert rows.remove_note(connection, "meeting", "note_2") and not rows.remove_note(connection, "meeting", "no")
    assert not search(store, "tents") and not search(store, "July")
    assert [each.words for each in search(store, "chairs anna")] == ["Order the chairs.\nAnna\ufffd\nby Monday"]
    meeting = read(store, "meeting")
    (note,) = meeting.notes
    assert note.is_done and note.owner == note.spans[0].speaker == meeting.said[0].message.speaker == "Anna\ufffd"


def test_two_speakers_may_change_their_names(sqlite_place: Place) -> None:
    store = sqlite_place.open()
    add_recording(store)
    with store.writing() as connection:
        rows.name_speakers(connection, "meeting", {"speaker 1": "speaker 2", "speaker 2": "speaker 1"})
        rows.name_speakers(connection, "meeting", {})
    assert read(store, "meeting").said[0].message.speaker == "speaker 2"


def test_a_recording_is_its_owners_alone(place: Place) -> None:
    store = place.open()
    add_recording(store, "annas", owner="anna 0123")
    add_recording(store, "everybodys")
    assert [head.id for head in list_conversations(store, owner="anna 0123")] == ["annas"]
    assert [head.id for head in list_conversations(store, owner="")] == ["everybodys"]
    assert len(list_conversations(store)) == 2 and unfinished(store) == ["annas", "everybodys"]
    assert {found.conversation for found in search(store, "tents", owner="anna 0123")} == {"annas"}
    for owner in ("", "anna 4567", "ben 0123"):
        with pytest.raises(NotStored, match="not in the store any more"):
            read_conversation(store, "annas", owner=owner)
    store.close()


def test_a_deleted_recording_leaves_no_note(place: Place, tmp_path: Path) -> None:
    store = place.open()
    add_recording(store)
    if store.is_sqlite:
        assert files_with(tmp_path, "tents")
    delete_conversations(store, ["meeting"])
    assert not search(store, "tents") and not unfinished(store)
    store.close()
    assert not store.is_sqlite or not files_with(tmp_path, "tents")


def test_a_recording_reads_like_minutes(sqlite_place: Place) -> None:
    store = sqlite_place.open()
    add_recording(store)
    with store.writing() as connection:
        rows.change_review(connection, "meeting", state="ready", duration_s=75.0, remarks=["It is noisy."])
    meeting = read(store, "meeting")
    assert meeting.head.duration_s == 75.0 and meeting.head.title == "Meeting.mp3"
    shown = exporting.to_markdown(meeting)
    assert shown.startswith("# Meeting.mp3\n\n1970-01-01 00:00:05 UTC; 1:15 long")
    assert "- [ ] Order the tents. (speaker 1, by Monday) [0:01–0:04]" in shown and "- It is noisy." in shown
    assert exporting.to_json(meeting)["notes"][0]["text"] == "The party is in July."


async def test_the_notes_of_a_call_are_stored(place: Place) -> None:
    async with keeping(ScriptedModel([["Yes."]]), place.open) as kept:
        await kept.conversation.hear(quiet(0.5))
        kept.stored.take_event(NotesUpdated(notes=(TASK, DECISION)))
        kept.stored.take_event(NotesUpdated(notes=(replace(TASK, is_done=True),)))
    assert read(place.open(), kept.stored.id).notes == (replace(TASK, is_done=True),)


async def test_what_is_played_is_the_same_from_every_place_on(sqlite_place: Place) -> None:
    async with keeping(ScriptedModel([["Yes."]]), sqlite_place.open) as kept:
        await kept.conversation.hear(loud(1.0), quiet(1.5))
    store = sqlite_place.open()
    tracks = Tracks(store, kept.stored.id)
    tracks.write(user_track("b"), 24_000, np.full(36_001, 1000, np.int16))
    tracks.close()
    n_samples = len(loud(1.0)) + len(quiet(1.5))
    sound = MixedSound(read(store, kept.stored.id))
    whole = b"".join(sound.content(0, sound.n_bytes - 1))
    assert len(whole) == sound.n_bytes
    with wave.open(io.BytesIO(whole)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (16_000, 1, n_samples)
        played = np.frombuffer(file.readframes(n_samples), np.int16)
    assert abs(int(played[20_000]) - 1000) <= 1 and not played[-1000:].any(), "both tracks, the shorter one to its end"
    for first, last in ((0, 0), (40, 47), (44, 45), (1001, 70_000), (60_001, 2 * n_samples + 43)):
        part, same = b"".join(sound.content(first, last)), whole[first : last + 1]
        assert len(part) == len(same) and part[: max(0, HEADER_BYTES - first)] == same[: max(0, HEADER_BYTES - first)]
        if first >= HEADER_BYTES:
            begin, end = (first - HEADER_BYTES) % 2, len(part) - (last + 1 - HEADER_BYTES) % 2
            levels, wanted = (np.frombuffer(each[begin:end], np.int16).astype(int) for each in (part, same))
            assert np.abs(levels - wanted)[100:].max(initial=0) <= 2, "the resampler needs a moment"
