"""Deletes conversations: their rows, their words in the index, and the files of their sound.

SQLite overwrites what is deleted with zeros, index and file are made anew without it, and the log of what was written
is cut off, so that no word is left in the store's files. What a disk or a backup keeps of old blocks is beyond us; so
is what PostgreSQL keeps in its pages and its log until it writes over them, although it is asked to clean up at once.
"""

import logging
import shutil
import time
from collections.abc import Sequence

from sqlalchemy import delete, select

from realtime.recordings.store import tables
from realtime.recordings.store.database import Store
from realtime.recordings.store.errors import StoreError, TracesLeft

logger = logging.getLogger(__name__)

DAY_S = 86_400.0


def delete_conversations(store: Store, conversations: Sequence[str]) -> None:
    """Deletes these conversations, and then cleans up.

    Raises:
        StoreError: one cannot be deleted; or `TracesLeft`, which is one.
    """
    for conversation in conversations:
        _delete_sound(store, conversation)  # before its rows, which say that there is some
    with store.writing() as connection:
        table = tables.conversations
        for conversation in conversations:
            for words in (tables.messages, tables.notes):  # by themselves: their triggers keep the index
                connection.execute(delete(words).where(words.c.conversation == conversation))
            connection.execute(delete(table).where(table.c.id == conversation))
    if conversations:
        clean_up(store)


def delete_older(store: Store, days: float, *, now_s: float | None = None) -> int:
    """Deletes the conversations that began more than so many days ago; gives how many there were.

    Raises:
        StoreError: they cannot be deleted.
    """
    before_s = (time.time() if now_s is None else now_s) - days * DAY_S
    table = tables.conversations
    with store.reading() as connection:
        old = connection.scalars(select(table.c.id).where(table.c.started_s < before_s)).all()
    delete_conversations(store, list(old))
    return len(old)


def _delete_sound(store: Store, conversation: str) -> None:
    folder = store.sounds / conversation
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(
            f"{folder}: the sound cannot be deleted ({error.strerror}); delete it, and try again"
        ) from error


def clean_up(store: Store) -> None:
    """Removes what deleted rows leave behind.

    Raises:
        TracesLeft: that is not possible yet; the message says until when.
        StoreError: the store cannot be written.
    """
    if not store.is_sqlite:
        with store.alone() as connection:
            connection.exec_driver_sql("VACUUM messages, captions, answers, sounds, notes, reviews, conversations")
        return
    with store.writing() as connection:
        for index in ("word_index", "note_index"):
            connection.exec_driver_sql(f"INSERT INTO {index}({index}) VALUES ('rebuild')")
    with store.alone() as connection:
        connection.exec_driver_sql("VACUUM")
        is_busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    if is_busy:
        raise TracesLeft(
            f"{store.shown}: what was deleted is gone, but traces are left in {store.shown}-wal, because another "
            "process reads; they go when that has ended"
        )
