"""Reads conversations out of a store: all of them, one with everything in it, and those in which something was said.

What it gives is frozen, and knows neither rows nor a terminal. Read `exporting.py` for what becomes of it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    LABEL_STYLE_TABLENAME_PLUS_COL,
    ColumnElement,
    Connection,
    Select,
    func,
    literal_column,
    select,
    text,
)

from models.types import Word
from realtime.recordings.store import tables
from realtime.recordings.store.database import Store
from realtime.recordings.store.errors import StoreError
from realtime.recordings.store.rows import StoredMessage, plain

MAX_FOUND = 100  # messages of one search
MAX_TITLE_CHARACTERS = 60


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
class ConversationHead:
    """What a list shows of a conversation.

    Attributes:
        id: of the conversation.
        model: that answered.
        started_s: seconds since 1970.
        ended_s: the same; None: it goes on, or was cut off.
        n_messages: in it.
        title: how it begins.
    """

    id: str
    model: str
    started_s: float
    ended_s: float | None
    n_messages: int = 0
    title: str = ""

    @property
    def started(self) -> str:
        """When it began, in UTC."""
        return f"{datetime.fromtimestamp(self.started_s, UTC):%Y-%m-%d %H:%M:%S}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConversation:
    """One conversation: what was said in it, and where its sound is."""

    head: ConversationHead
    said: tuple[Said, ...] = ()
    sounds: tuple[Sound, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A message in which something was found."""

    conversation: str
    started_s: float
    role: str
    words: str


def list_conversations(store: Store) -> list[ConversationHead]:
    """Gives all conversations, the newest first."""
    messages, conversations = tables.messages, tables.conversations
    counted = select(messages.c.conversation, func.count().label("n"), func.min(messages.c.id).label("first"))
    of_each = counted.group_by(messages.c.conversation).subquery()
    query = (
        select(conversations, of_each.c.n, messages.c.words)
        .outerjoin(of_each, of_each.c.conversation == conversations.c.id)
        .outerjoin(messages, messages.c.id == of_each.c.first)
        .order_by(conversations.c.started_s.desc(), conversations.c.id.desc())
    )
    with store.reading() as connection:
        return [_head_of(row) for row in connection.execute(query)]


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


def read_conversation(store: Store, conversation: str) -> StoredConversation:
    """Gives one conversation; raises `StoreError` if there is none of that id."""
    table = tables.conversations
    with store.reading() as connection:
        row = connection.execute(select(table).where(table.c.id == conversation)).first()
        if row is None:
            raise StoreError(f"{conversation}: it is not in the store any more")
        said = _said_in(connection, conversation)
        sounds = connection.execute(
            select(tables.sounds).where(tables.sounds.c.conversation == conversation).order_by(tables.sounds.c.track)
        ).all()
    title = _title(said[0].shown) if said else ""
    head = ConversationHead(
        id=row.id,
        model=row.model,
        started_s=row.started_s,
        ended_s=row.ended_s,
        n_messages=len(said),
        title=title,
    )
    tracks = (Sound(track=row.track, path=store.sounds / row.path, rate_hz=row.rate_hz) for row in sounds)
    return StoredConversation(head=head, said=said, sounds=tuple(tracks))


def search(store: Store, query: str) -> list[Found]:
    """Gives the messages in which all words of a query are, the newest conversation first.

    Raises:
        StoreError: there is no word in the query.
    """
    words = re.findall(r"\w+", plain(query))
    if not words:
        raise StoreError("there is no word to search for; give one or more")
    messages, conversations = tables.messages, tables.conversations
    found = (
        select(messages.c.conversation, conversations.c.started_s, messages.c.role, messages.c.words)
        .join(conversations, conversations.c.id == messages.c.conversation)
        .where(_contains(store, words))
        .order_by(conversations.c.started_s.desc(), messages.c.id)
        .limit(MAX_FOUND)
    )
    with store.reading() as connection:
        return [
            Found(conversation=row.conversation, started_s=row.started_s, role=row.role, words=row.words)
            for row in connection.execute(found)
        ]


def _contains(store: Store, words: Sequence[str]) -> ColumnElement[bool]:
    if store.is_sqlite:
        rowids: Select[Any] = select(literal_column("rowid")).select_from(text("word_index"))
        quoted = " ".join(f'"{word}"' for word in words)  # as words, not as operators
        return tables.messages.c.id.in_(rowids.where(text("word_index MATCH :query").bindparams(query=quoted)))
    query = func.plainto_tsquery(text("'simple'"), " ".join(words))
    return literal_column("messages.word_index").op("@@", is_comparison=True)(query)


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


def _head_of(row: Any) -> ConversationHead:
    return ConversationHead(
        id=row.id,
        model=row.model,
        started_s=row.started_s,
        ended_s=row.ended_s,
        n_messages=row.n or 0,
        title=_title(row.words or ""),
    )


def _title(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= MAX_TITLE_CHARACTERS else f"{line[: MAX_TITLE_CHARACTERS - 1]}…"
