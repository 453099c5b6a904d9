"""What a store holds, as this version knows it: five tables, beside an index of all words.

Times are milliseconds on the conversation's clock, which is that of the user's sound; beside it only the beginning and
the end of a conversation have a date. `messages.words` is all that can be searched for: what was typed or answered, and
what was understood. The database derives the index from it, so that nobody has to keep the two in step.
Read `migrations/` for how a database gets there, `rows.py` for what writes them.
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
