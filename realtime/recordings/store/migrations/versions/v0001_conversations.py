"""The first version: conversations, their messages, captions, answers and sounds, and an index of all words."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CASCADE = "CASCADE"

SQLITE_INDEX = (  # the words themselves are in `messages` alone
    "CREATE VIRTUAL TABLE word_index USING fts5(words, content='messages', content_rowid='id')",
    "CREATE TRIGGER words_added AFTER INSERT ON messages BEGIN "
    "INSERT INTO word_index(rowid, words) VALUES (new.id, new.words); END",
    "CREATE TRIGGER words_removed AFTER DELETE ON messages BEGIN "
    "INSERT INTO word_index(word_index, rowid, words) VALUES ('delete', old.id, old.words); END",
    "CREATE TRIGGER words_changed AFTER UPDATE OF words ON messages BEGIN "
    "INSERT INTO word_index(word_index, rowid, words) VALUES ('delete', old.id, old.words); "
    "INSERT INTO word_index(rowid, words) VALUES (new.id, new.words); END",
)
POSTGRESQL_INDEX = (
    "ALTER TABLE messages ADD COLUMN word_index tsvector "
    "GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, words)) STORED",
    "CREATE INDEX ix_messages_word_index ON messages USING gin (word_index)",
)


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "conversations",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("started_s", sa.Float, nullable=False),
        sa.Column("ended_s", sa.Float),
    )
    _make_messages()
    op.create_table(
        "captions",
        sa.Column("message", sa.Integer, sa.ForeignKey("messages.id", ondelete=CASCADE), primary_key=True),
        sa.Column("transcript", sa.Text, nullable=False),
        sa.Column("words", sa.JSON, nullable=False),
        sa.Column("is_foreign", sa.Boolean, nullable=False),
    )
    op.create_table(
        "answers",
        sa.Column("id", sa.Integer, primary_key=True),
        _conversation(),
        sa.Column("response", sa.String, nullable=False),
        sa.Column("message", sa.Integer, sa.ForeignKey("messages.id", ondelete=CASCADE), index=True),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("response_latency_s", sa.Float),
        sa.Column("ttft_s", sa.Float),
        sa.Column("prompt_tokens", sa.Integer, nullable=False),
        sa.Column("completion_tokens", sa.Integer, nullable=False),
    )
    op.create_table(
        "sounds",
        sa.Column("conversation", sa.String, sa.ForeignKey("conversations.id", ondelete=CASCADE), primary_key=True),
        sa.Column("track", sa.String, primary_key=True),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("rate_hz", sa.Integer, nullable=False),
        sa.Column("n_samples", sa.Integer),
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_INDEX if is_sqlite else POSTGRESQL_INDEX:
        op.execute(statement)


def _make_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer, primary_key=True),
        _conversation(),
        sa.Column("item", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("start_ms", sa.Integer, nullable=False),
        sa.Column("end_ms", sa.Integer, nullable=False),
        sa.Column("track", sa.String),
        sa.Column("speaker", sa.String),
        sa.Column("file_name", sa.String),
        sa.Column("interrupted", sa.Boolean, nullable=False),
        sa.Column("is_addressed", sa.Boolean, nullable=False),
        sa.UniqueConstraint("conversation", "item"),
    )


def _conversation() -> "sa.Column[str]":
    return sa.Column(
        "conversation", sa.String, sa.ForeignKey("conversations.id", ondelete=CASCADE), nullable=False, index=True
    )
