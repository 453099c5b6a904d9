"""Calls and recordings beside conversations: whose they are, notes that can be searched, and how a review went.

What was kept before has no owner: it belongs to whoever runs the server.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CASCADE = "CASCADE"

SQLITE_INDEX = (  # the words themselves are in `notes` alone
    "CREATE VIRTUAL TABLE note_index USING fts5(words, content='notes', content_rowid='id')",
    "CREATE TRIGGER note_added AFTER INSERT ON notes BEGIN "
    "INSERT INTO note_index(rowid, words) VALUES (new.id, new.words); END",
    "CREATE TRIGGER note_removed AFTER DELETE ON notes BEGIN "
    "INSERT INTO note_index(note_index, rowid, words) VALUES ('delete', old.id, old.words); END",
    "CREATE TRIGGER note_changed AFTER UPDATE OF words ON notes BEGIN "
    "INSERT INTO note_index(note_index, rowid, words) VALUES ('delete', old.id, old.words); "
    "INSERT INTO note_index(rowid, words) VALUES (new.id, new.words); END",
)
POSTGRESQL_INDEX = (
    "ALTER TABLE notes ADD COLUMN word_index tsvector "
    "GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, words)) STORED",
    "CREATE INDEX ix_notes_word_index ON notes USING gin (word_index)",
)


def upgrade() -> None:
    """Adds the columns and the tables."""
    for column in (
        sa.Column("kind", sa.String, nullable=False, server_default="conversation"),
        sa.Column("name", sa.Text, nullable=False, server_default=""),
        sa.Column("owner", sa.String, nullable=False, server_default=""),
    ):
        op.add_column("conversations", column)
    op.create_index("ix_conversations_owner", "conversations", ["owner"])
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer, primary_key=True),
        _conversation(index=True),
        sa.Column("note", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("deadline", sa.Text),
        sa.Column("is_done", sa.Boolean, nullable=False),
        sa.Column("spans", sa.JSON, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.UniqueConstraint("conversation", "note"),
    )
    op.create_table(
        "reviews",
        _conversation(primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("failure", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("n_speakers", sa.Integer),
        sa.Column("duration_s", sa.Float, nullable=False),
        sa.Column("remarks", sa.JSON, nullable=False),
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_INDEX if is_sqlite else POSTGRESQL_INDEX:
        op.execute(statement)


def _conversation(*, primary_key: bool = False, index: bool = False) -> "sa.Column[str]":
    reference = sa.ForeignKey("conversations.id", ondelete=CASCADE)
    return sa.Column("conversation", sa.String, reference, primary_key=primary_key, nullable=False, index=index)
