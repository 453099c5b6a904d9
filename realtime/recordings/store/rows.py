"""Writes the rows of a conversation; each function is (part of) one transaction, which its caller begins.

Read `tables.py` for what they mean, `stored_session.py` for who calls.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, case, delete, insert, select, update

from realtime.events import MessageTranscribed, ResponseDone
from realtime.notes.minutes import Line, Note
from realtime.recordings.store import tables

StoredKind = Literal["conversation", "call", "recording"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A message as it is kept.

    Attributes:
        item: names it on the wire.
        role: whose it is: "user" or "assistant".
        text: what was typed, or answered.
        start_ms: where it begins on the conversation's clock.
        end_ms: where it ends.
        track: in which its sound is; None: there is none.
        speaker: who of several spoke.
        file_name: of the file from which its sound came.
        interrupted: an answer that was cut off.
        is_addressed: whether it was meant for the assistant.
    """

    item: str
    role: str
    text: str
    start_ms: int
    end_ms: int
    track: str | None = None
    speaker: str | None = None
    file_name: str | None = None
    interrupted: bool = False
    is_addressed: bool = True


def plain(text: str) -> str:
    """Text as every database takes it: without zeros and halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def add_conversation(
    connection: Connection,
    conversation: str,
    *,
    model: str,
    started_s: float,
    kind: StoredKind = "conversation",
    name: str = "",
    owner: str = "",
) -> None:
    """Begins a conversation.

    Args:
        connection: to the store.
        conversation: its id.
        model: that answers.
        started_s: when it began, in seconds since 1970.
        kind: what it is.
        name: as people read it.
        owner: whose it is; "" where nobody is asked for a key.
    """
    values = {"id": conversation, "model": plain(model), "started_s": started_s, "ended_s": None}
    values |= {"kind": kind, "name": plain(name), "owner": owner}
    connection.execute(insert(tables.conversations).values(values))


def change_conversation(connection: Connection, conversation: str, **changes: Any) -> None:
    """Changes columns of a conversation: `name`, or `ended_s`."""
    table = tables.conversations
    connection.execute(update(table).where(table.c.id == conversation).values(changes))


def end_conversation(connection: Connection, conversation: str, *, ended_s: float, n_samples: dict[str, int]) -> None:
    """Ends it; `n_samples` says how long each of its tracks is."""
    table = tables.conversations
    connection.execute(update(table).where(table.c.id == conversation).values(ended_s=ended_s))
    for track, length in n_samples.items():
        row = (tables.sounds.c.conversation == conversation) & (tables.sounds.c.track == track)
        connection.execute(update(tables.sounds).where(row).values(n_samples=length))


def add_message(connection: Connection, conversation: str, message: StoredMessage) -> int:
    """Adds a message, and gives the number of its row."""
    text = plain(message.text)
    values = asdict(message) | {"conversation": conversation, "text": text, "words": text}
    for name in ("speaker", "file_name"):
        values[name] = None if values[name] is None else plain(values[name])
    added = connection.execute(insert(tables.messages).values(values))
    return int(added.inserted_primary_key[0]) if added.inserted_primary_key else 0


def remove_message(connection: Connection, conversation: str, item: str) -> None:
    """Removes a message, and with it its caption and what is known of the answer that it is."""
    connection.execute(delete(tables.messages).where(_named(conversation, item)))


def add_caption(connection: Connection, conversation: str, words: MessageTranscribed) -> None:
    """Adds the words of a message that was spoken, or replaces them; does nothing where the message has gone."""
    table = tables.messages
    found = connection.execute(select(table.c.id, table.c.text).where(_named(conversation, words.item_id))).first()
    if found is None:
        return
    row, transcript = found.id, plain(words.transcript)
    searched = "\n".join(part for part in (found.text, transcript) if part)
    connection.execute(update(table).where(table.c.id == row).values(words=searched))
    connection.execute(delete(tables.captions).where(tables.captions.c.message == row))
    each = [asdict(word) | {"text": plain(word.text)} for word in words.words]
    caption = {"message": row, "transcript": transcript, "words": each, "is_foreign": words.is_foreign}
    connection.execute(insert(tables.captions).values(caption))


def add_answer(connection: Connection, conversation: str, done: ResponseDone, message: int | None) -> None:
    """Adds how an answer went; `message` is the row of what it said, if it said something."""
    values: dict[str, Any] = {
        "conversation": conversation,
        "response": done.response_id,
        "message": message,
        "status": done.status,
        "response_latency_s": done.response_latency_s,
        "ttft_s": done.ttft_s,
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
    }
    connection.execute(insert(tables.answers).values(values))


def add_sound(connection: Connection, conversation: str, track: str, *, path: str, rate_hz: int) -> None:
    """Says where the sound of a track is kept."""
    values = {"conversation": conversation, "track": track, "path": path, "rate_hz": rate_hz, "n_samples": None}
    connection.execute(insert(tables.sounds).values(values))


def put_notes(connection: Connection, conversation: str, notes: Iterable[Note]) -> None:
    """Puts these notes in the place of all that the conversation had."""
    connection.execute(delete(tables.notes).where(tables.notes.c.conversation == conversation))
    for note in notes:
        connection.execute(insert(tables.notes).values({"conversation": conversation} | _note_values(note)))


def change_note(connection: Connection, conversation: str, note: Note) -> None:
    """Puts a note in the place of the one of the same id."""
    table = tables.notes
    row = (table.c.conversation == conversation) & (table.c.note == note.id)
    connection.execute(update(table).where(row).values(_note_values(note)))


def remove_note(connection: Connection, conversation: str, note: str) -> bool:
    """Removes a note; whether there was one."""
    table = tables.notes
    row = (table.c.conversation == conversation) & (table.c.note == note)
    return connection.execute(delete(table).where(row)).rowcount > 0


def name_speakers(connection: Connection, conversation: str, names: Mapping[str, str]) -> None:
    """Gives speakers other names, in all that was said and noted; all at once, so that two may change theirs."""
    if not names:
        return
    names = {old: plain(new) for old, new in names.items()}
    messages, notes = tables.messages, tables.notes
    newer = case(names, value=messages.c.speaker)
    named = (messages.c.conversation == conversation) & messages.c.speaker.in_(names)
    connection.execute(update(messages).where(named).values(speaker=newer))
    for row in connection.execute(select(notes).where(notes.c.conversation == conversation)).all():
        spans = [{**span, "speaker": names.get(span["speaker"], span["speaker"])} for span in row.spans]
        owner = names.get(row.owner, row.owner)
        values = {"spans": spans, "owner": owner, "words": _words_of(row.text, owner, row.deadline)}
        connection.execute(update(notes).where(notes.c.id == row.id).values(values))


def remove_sounds(connection: Connection, conversation: str) -> list[str]:
    """Says that no track is kept any more, and gives where they were, in the folder of the sound."""
    here = tables.sounds.c.conversation == conversation
    paths = list(connection.scalars(select(tables.sounds.c.path).where(here)))
    connection.execute(delete(tables.sounds).where(here))
    return paths


def add_line(connection: Connection, conversation: str, number: int, line: Line, *, track: str) -> None:
    """Adds a line of a recording; `track` is where its sound is."""
    span, item = line.span, f"line_{number}"
    message = StoredMessage(
        item=item,
        role="user",
        text="",
        start_ms=round(span.start_s * 1000),
        end_ms=round(span.end_s * 1000),
        track=track,
        speaker=span.speaker,
    )
    add_message(connection, conversation, message)
    if line.text:
        words = tuple(
            replace(word, start_s=round(word.start_s - span.start_s, 3), end_s=round(word.end_s - span.start_s, 3))
            for word in line.words
        )
        add_caption(connection, conversation, MessageTranscribed(item_id=item, transcript=line.text, words=words))


def tell_speakers(connection: Connection, conversation: str, lines: Sequence[Line]) -> None:
    """Says who speaks in each line of a recording, once that is known."""
    for number, line in enumerate(lines, 1):
        tell_speaker(connection, conversation, f"line_{number}", line.span.speaker)


def tell_speaker(connection: Connection, conversation: str, item: str, speaker: str | None) -> None:
    """Says who speaks in one message."""
    named = _named(conversation, item)
    connection.execute(update(tables.messages).where(named).values(speaker=_plain(speaker)))


def add_review(connection: Connection, conversation: str, *, about: str, n_speakers: int | None) -> None:
    """Says that the work on a recording is to be done."""
    values: dict[str, Any] = {"conversation": conversation, "state": "queued", "failure": "", "about": plain(about)}
    values |= {"n_speakers": n_speakers, "duration_s": 0.0, "remarks": []}
    connection.execute(insert(tables.reviews).values(values))


def change_review(connection: Connection, conversation: str, **changes: Any) -> None:
    """Says how far the work has come: changes columns of `reviews`."""
    table = tables.reviews
    connection.execute(update(table).where(table.c.conversation == conversation).values(changes))


def _note_values(note: Note) -> dict[str, Any]:
    note = replace(note, text=plain(note.text))
    values: dict[str, Any] = {"note": note.id, "kind": note.kind, "text": note.text, "owner": _plain(note.owner)}
    values |= {"deadline": _plain(note.deadline), "is_done": note.is_done, "spans": [asdict(s) for s in note.spans]}
    return values | {"words": _words_of(note.text, values["owner"], values["deadline"])}


def _words_of(*texts: str | None) -> str:
    return "\n".join(text for text in texts if text)


def _plain(text: str | None) -> str | None:
    return None if text is None else plain(text)


def _named(conversation: str, item: str) -> Any:
    return (tables.messages.c.conversation == conversation) & (tables.messages.c.item == item)
