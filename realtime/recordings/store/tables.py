"""What a store holds, as this version knows it: seven tables, beside an index of all words.

A conversation here is whatever has a clock of its own: one with the assistant, a call, or a recording that somebody
brought; its lines are messages, too. Times are milliseconds on the conversation's clock, which is that of the user's
sound; beside it only the beginning and the end of a conversation have a date. `messages.words` and `notes.words` are
all that can be searched for: what was typed or answered, what was understood, and what was noted. The database derives
the index from it, so that nobody has to keep the two in step. Read `migrations/` for how a database gets there,
`rows.py` for what writes them.
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()


def _conversation() -> Column[str]:
    return Column(
        "conversation", String, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False, index=True
    )


conversations = Table(
    "conversations",
    metadata,
    Column("id", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("started_s", Float, nullable=False),  # since 1970
    Column("ended_s", Float),  # none while it goes on, and where the process died
    Column("kind", String, nullable=False),  # "conversation", "call" or "recording"
    Column("name", Text, nullable=False),  # that a person gave it, or its file had
    Column("owner", String, nullable=False, index=True),  # the key of whoever began it; "" where none was asked for
)

messages = Table(
    "messages",
    metadata,
    Column("id", Integer, primary_key=True),
    _conversation(),
    Column("item", String, nullable=False),  # its name on the wire
    Column("role", String, nullable=False),
    Column("text", Text, nullable=False),  # what was typed, or answered
    Column("words", Text, nullable=False),
    Column("start_ms", Integer, nullable=False),
    Column("end_ms", Integer, nullable=False),
    Column("track", String),  # in which its sound is
    Column("speaker", String),
    Column("file_name", String),
    Column("interrupted", Boolean, nullable=False),
    Column("is_addressed", Boolean, nullable=False),
    UniqueConstraint("conversation", "item"),
)

captions = Table(
    "captions",
    metadata,
    Column("message", Integer, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("transcript", Text, nullable=False),
    Column("words", JSON, nullable=False),  # one by one, with their times and probabilities
    Column("is_foreign", Boolean, nullable=False),
)

answers = Table(
    "answers",
    metadata,
    Column("id", Integer, primary_key=True),
    _conversation(),
    Column("response", String, nullable=False),  # its name on the wire
    Column("message", Integer, ForeignKey("messages.id", ondelete="CASCADE"), index=True),  # none if it had no words
    Column("status", String, nullable=False),
    Column("response_latency_s", Float),
    Column("ttft_s", Float),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
)

sounds = Table(
    "sounds",
    metadata,
    Column("conversation", String, ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
    Column("track", String, primary_key=True),
    Column("path", String, nullable=False),  # in the folder of the sound
    Column("rate_hz", Integer, nullable=False),
    Column("n_samples", Integer),  # none until the conversation has ended
)

notes = Table(
    "notes",
    metadata,
    Column("id", Integer, primary_key=True),
    _conversation(),
    Column("note", String, nullable=False),  # its name on the wire
    Column("kind", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("owner", Text),
    Column("deadline", Text),
    Column("is_done", Boolean, nullable=False),
    Column("spans", JSON, nullable=False),  # in seconds on the conversation's clock
    Column("words", Text, nullable=False),
    UniqueConstraint("conversation", "note"),
)

reviews = Table(  # of recordings alone: how far the work on them has come
    "reviews",
    metadata,
    Column("conversation", String, ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
    Column("state", String, nullable=False),
    Column("failure", Text, nullable=False),
    Column("about", Text, nullable=False),  # what a person said of it
    Column("n_speakers", Integer),  # in one channel; 0: that is to be found out, none: they are not told apart
    Column("duration_s", Float, nullable=False),
    Column("remarks", JSON, nullable=False),
)
