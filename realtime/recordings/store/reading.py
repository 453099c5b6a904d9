"""Reads conversations out of a store: all of them, one with everything in it, and those in which something was said.

What it gives is frozen, and knows neither rows nor a terminal. Read `exporting.py` for what becomes of it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import (
    LABEL_STYLE_TABLENAME_PLUS_COL,
    ColumnElement,
    Connection,
    Select,
    Table,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
)

from models.types import Word
from realtime.notes.keeping import KIND_ORDER
from realtime.notes.minutes import Note, Span
from realtime.recordings.store import tables
from realtime.recordings.store.database import Store
from realtime.recordings.store.errors import NotStored, NoWords, StoreError
from realtime.recordings.store.rows import StoredKind, StoredMessage, plain

MAX_FOUND = 100  # messages and notes of one search
MAX_TITLE_CHARACTERS = 60
NOTE = "note"  # the role of a note that was found

ReviewState = Literal["queued", "listening", "noting", "ready", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """What was understood of a message that was spoken."""

    transcript: str
    words: tuple[Word, ...]
    is_foreign: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """How an answer went; `ResponseDone` says what each number means."""

    response: str
    status: str
    response_latency_s: float | None
    ttft_s: float | None
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message with all that is known of it."""

    message: StoredMessage
    caption: Caption | None = None
    answer: StoredAnswer | None = None

    @property
    def shown(self) -> str:
        """What was typed and said, in words."""
        transcript = "" if self.caption is None else self.caption.transcript
        return "\n".join(part for part in (self.message.text, transcript) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """One track of a conversation."""

    track: str
    path: Path
    rate_hz: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """How far the work on a recording has come.

    Attributes:
        state: what is done now, or was done at last.
        failure: why it failed, in a sentence; "" if it did not.
        about: what a person said of the recording.
        n_speakers: in one channel; 0: that is found out; None: they are not told apart.
        duration_s: of the recording, as far as it was read.
        remarks: sentences that a person should read.
    """

    state: ReviewState
    failure: str = ""
    about: str = ""
    n_speakers: int | None = None
    duration_s: float = 0.0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationHead:
    """What a list shows of a conversation.

    Attributes:
        id: of the conversation.
        model: that answered.
        started_s: seconds since 1970.
        ended_s: the same; None: it goes on, or was cut off.
        n_messages: in it.
        title: its name, or how it begins.
        kind: what it is.
        owner: whose it is; "" where nobody was asked for a key.
        review: of a recording; None of anything else.
    """

    id: str
    model: str
    started_s: float
    ended_s: float | None
    n_messages: int = 0
    title: str = ""
    kind: StoredKind = "conversation"
    owner: str = ""
    review: Review | None = None

    @property
    def duration_s(self) -> float | None:
        """Its length in seconds; None while nobody knows."""
        if self.review is not None:
            return self.review.duration_s
        return None if self.ended_s is None else self.ended_s - self.started_s

    @property
    def started(self) -> str:
        """When it began, in UTC."""
        return f"{datetime.fromtimestamp(self.started_s, UTC):%Y-%m-%d %H:%M:%S}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConversation:
    """One conversation: what was said and noted in it, and where its sound is."""

    head: ConversationHead
    said: tuple[Said, ...] = ()
    sounds: tuple[Sound, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A message or a note in which something was found.

    Attributes:
        conversation: in which it is.
        started_s: when that began, in seconds since 1970.
        role: whose message it is, or `NOTE`.
        words: of the message or the note.
        start_s: where it is in the sound.
    """

    conversation: str
    started_s: float
    role: str
    words: str
    start_s: float


def list_conversations(store: Store, *, owner: str | None = None) -> list[ConversationHead]:
    """Gives all conversations, or those of one owner, the newest first."""
    messages, conversations, reviews = tables.messages, tables.conversations, tables.reviews
    counted = select(messages.c.conversation, func.count().label("n"), func.min(messages.c.id).label("first"))
    of_each = counted.group_by(messages.c.conversation).subquery()
    query = (
        select(conversations, reviews, of_each.c.n, messages.c.words)
        .set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
        .outerjoin(of_each, of_each.c.conversation == conversations.c.id)
        .outerjoin(messages, messages.c.id == of_each.c.first)
        .outerjoin(reviews, reviews.c.conversation == conversations.c.id)
        .where(_of(owner))
        .order_by(conversations.c.started_s.desc(), conversations.c.id.desc())
    )
    with store.reading() as connection:
        rows = [row._mapping for row in connection.execute(query)]
    return [_head_of(row, n_messages=row[of_each.c.n] or 0, begins=row["messages_words"] or "") for row in rows]


def full_id(store: Store, beginning: str) -> str:
    """Gives the id of the one conversation that begins so.

    Raises:
        StoreError: there is none, or more than one.
    """
    column = tables.conversations.c.id
    with store.reading() as connection:
        ids = connection.scalars(select(column).where(column.startswith(beginning, autoescape=True)).limit(2)).all()
    if len(ids) == 1:
        return str(ids[0])
    if beginning in ids:
        return beginning
    what = "there is no conversation" if not ids else "there is more than one conversation"
    raise StoreError(f"{beginning!r}: {what} whose id begins so; `store list` lists them")


def read_conversation(store: Store, conversation: str, *, owner: str | None = None) -> StoredConversation:
    """Gives one conversation; raises `NotStored` if there is none of that id, or it is another's than the owner's."""
    table, notes, reviews = tables.conversations, tables.notes, tables.reviews
    query = (
        select(table, reviews)
        .set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
        .outerjoin(reviews, reviews.c.conversation == table.c.id)
        .where(table.c.id == conversation, _of(owner))
    )
    with store.reading() as connection:
        row = connection.execute(query).first()
        if row is None:
            raise NotStored(f"{conversation}: it is not in the store any more")
        said = _said_in(connection, conversation)
        noted = connection.execute(select(notes).where(notes.c.conversation == conversation).order_by(notes.c.id)).all()
        sounds = connection.execute(
            select(tables.sounds).where(tables.sounds.c.conversation == conversation).order_by(tables.sounds.c.track)
        ).all()
    head = _head_of(row._mapping, n_messages=len(said), begins=said[0].shown if said else "")
    tracks = (Sound(track=each.track, path=store.sounds / each.path, rate_hz=each.rate_hz) for each in sounds)
    in_order = sorted(map(_note_of, noted), key=lambda note: (KIND_ORDER.index(note.kind), note.spans[0].start_s))
    return StoredConversation(head=head, said=said, sounds=tuple(tracks), notes=tuple(in_order))


def unfinished(store: Store) -> list[str]:
    """Gives the recordings on which there is work to be done, the oldest first."""
    reviews, conversations = tables.reviews, tables.conversations
    query = (
        select(reviews.c.conversation)
        .join(conversations, conversations.c.id == reviews.c.conversation)
        .where(reviews.c.state.in_(("queued", "listening", "noting")))
        .order_by(conversations.c.started_s, conversations.c.id)
    )
    with store.reading() as connection:
        return list(connection.scalars(query))


def search(store: Store, query: str, *, owner: str | None = None) -> list[Found]:
    """Gives the messages and notes in which all words of a query are, the newest conversation first.

    Raises:
        NoWords: there is no word in the query.
    """
    words = re.findall(r"\w+", plain(query))
    if not words:
        raise NoWords("there is no word to search for; give one or more")
    messages, notes, conversations = tables.messages, tables.notes, tables.conversations
    said = select(messages.c.conversation, messages.c.words, messages.c.role, messages.c.start_ms.label("place"))
    noted = select(notes.c.conversation, notes.c.words, literal(NOTE).label("role"), notes.c.spans.label("place"))
    found: list[Found] = []
    with store.reading() as connection:
        for chosen, table, index in ((noted, notes, "note_index"), (said, messages, "word_index")):
            rows = connection.execute(
                chosen.add_columns(conversations.c.started_s)
                .join(conversations, conversations.c.id == table.c.conversation)
                .where(_contains(store, table, index, words), _of(owner))
                .order_by(conversations.c.started_s.desc(), table.c.id)
                .limit(MAX_FOUND)
            )
            found += [_found_of(row) for row in rows]
    return sorted(found, key=lambda each: each.started_s, reverse=True)[:MAX_FOUND]


def excerpt(words: str, searched: Sequence[str], n_characters: int) -> str:
    """The part of some words where the first of those is that were searched for, in one line."""
    line = " ".join(words.split())
    places = [place for word in searched if (place := line.casefold().find(word.casefold())) >= 0]
    start = max(0, min(places, default=0) - n_characters // 2)
    end = start + n_characters
    return f"{'…' if start else ''}{line[start:end]}{'…' if end < len(line) else ''}"


def _of(owner: str | None) -> ColumnElement[bool]:
    return true() if owner is None else tables.conversations.c.owner == owner


def _contains(store: Store, table: Table, index: str, words: Sequence[str]) -> ColumnElement[bool]:
    if store.is_sqlite:
        rowids: Select[Any] = select(literal_column("rowid")).select_from(text(index))
        quoted = " ".join(f'"{word}"' for word in words)  # as words, not as operators
        return table.c.id.in_(rowids.where(text(f"{index} MATCH :query").bindparams(query=quoted)))
    query = func.plainto_tsquery(text("'simple'"), " ".join(words))
    return literal_column(f"{table.name}.word_index").op("@@", is_comparison=True)(query)


def _found_of(row: Any) -> Found:
    start_s = row.place[0]["start_s"] if row.role == NOTE else row.place / 1000
    return Found(
        conversation=row.conversation, started_s=row.started_s, role=row.role, words=row.words, start_s=start_s
    )


def _said_in(connection: Connection, conversation: str) -> tuple[Said, ...]:
    messages, captions, answers = tables.messages, tables.captions, tables.answers
    query = (
        select(messages, captions, answers)
        .set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
        .outerjoin(captions, captions.c.message == messages.c.id)
        .outerjoin(answers, answers.c.message == messages.c.id)
        .where(messages.c.conversation == conversation)
        .order_by(messages.c.id)
    )
    return tuple(_said_of(row._mapping) for row in connection.execute(query))


def _said_of(row: Any) -> Said:
    names = StoredMessage.__dataclass_fields__
    message = StoredMessage(**{name: row[f"messages_{name}"] for name in names})
    caption = answer = None
    if row["captions_message"] is not None:
        words = tuple(Word(**word) for word in row["captions_words"])
        caption = Caption(transcript=row["captions_transcript"], words=words, is_foreign=row["captions_is_foreign"])
    if row["answers_id"] is not None:
        answer = StoredAnswer(**{name: row[f"answers_{name}"] for name in StoredAnswer.__dataclass_fields__})
    return Said(message=message, caption=caption, answer=answer)


def _note_of(row: Any) -> Note:
    return Note(
        id=row.note,
        kind=row.kind,
        text=row.text,
        spans=tuple(Span(**span) for span in row.spans),
        owner=row.owner,
        deadline=row.deadline,
        is_done=row.is_done,
    )


def _head_of(row: Any, *, n_messages: int, begins: str) -> ConversationHead:
    names = ("id", "model", "started_s", "ended_s", "kind", "owner")
    return ConversationHead(
        **{name: row[f"conversations_{name}"] for name in names},
        n_messages=n_messages,
        title=row["conversations_name"] or _title(begins),
        review=None if row["reviews_state"] is None else _review_of(row),
    )


def _review_of(row: Any) -> Review:
    names = ("state", "failure", "about", "n_speakers", "duration_s")
    return Review(**{name: row[f"reviews_{name}"] for name in names}, remarks=tuple(row["reviews_remarks"]))


def _title(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= MAX_TITLE_CHARACTERS else f"{line[: MAX_TITLE_CHARACTERS - 1]}…"
