"""Opens a store: an SQLite file or a PostgreSQL database, brought to this version, and a folder for the sound.

It refuses, without changing anything, a database of a newer version, one of something else, and one that cannot be
written; a sentence says which. Several processes may have one store: SQLite lets one write at a time, and the others
wait; the first one that comes makes the tables. Read `tables.py` for what is in it.
"""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from realtime.recordings.recorder import make_private_folder
from realtime.recordings.store.errors import StoreError

BUSY_TIMEOUT_S = 10.0  # for others to end what they write
CONNECT_TIMEOUT_S = 10
MIGRATION_LOCK = 0x45617270  # any number that nobody else takes for an advisory lock in this database
BEGIN = "earpiece_begin"  # how a transaction begins; None: not at all
FORMS = "give a path, sqlite:///PATH or postgresql+psycopg://USER@HOST/DATABASE"

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
SQLITE_REASONS = (  # what SQLite says, and what that means to a person
    ("disk is full", "the disk is full; make room, or give another --store"),
    ("disk i/o error", "the disk cannot be written; make room, or give another --store"),
    ("readonly", "it cannot be written; give a --store that you may write"),
    ("unable to open", "it cannot be opened; give a --store in a folder that you may write"),
    ("not a database", "it is damaged, or no database; bring back a copy of it, or move it away to begin anew"),
    ("malformed", "it is damaged; bring back a copy of it, or move it away to begin anew"),
    ("locked", f"another process has been writing for more than {BUSY_TIMEOUT_S:g} s; try again when it has ended"),
)


class Store:
    """An open store.

    Args:
        engine: of the database.
        sounds: the folder of the sound.
        shown: the store's address, as a person may see it.
    """

    def __init__(self, engine: Engine, sounds: Path, shown: str) -> None:
        self.sounds = sounds
        self.shown = shown
        self.engine = engine
        self._writing = engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Gives a connection that sees one state of the database; raises `StoreError`."""
        with self.understandable(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Gives a connection whose changes are all made at the end, or none of them; raises `StoreError`."""
        with self.understandable(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Gives a connection outside of any transaction, for what keeps the database itself; raises `StoreError`."""
        options = {BEGIN: None} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        with self.understandable(), self.engine.execution_options(**options).connect() as connection:
            yield connection

    @contextmanager
    def understandable(self) -> Iterator[None]:
        """Turns whatever goes wrong inside into a `StoreError`."""
        with understandable(self.shown):
            yield

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


@contextmanager
def understandable(shown: str) -> Iterator[None]:
    """Turns what a database or a disk says into a `StoreError` that names the store, and no words out of it."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreError(f"{shown}: {_reason_of(error)}") from error
    except OSError as error:
        remedy = (
            "make room, or give another --store" if error.errno in NO_ROOM else "give a --store that can be written"
        )
        raise StoreError(f"{shown}: {error.strerror or error}; {remedy}") from error


def _reason_of(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None)
    if isinstance(error, IntegrityError):
        return "what is written belongs to a conversation that was deleted meanwhile"
    said = str(cause if cause is not None else error).strip().partition("\n")[0]  # the lines that follow may quote rows
    if isinstance(cause, sqlite3.Error):
        return next((reason for words, reason in SQLITE_REASONS if words in said.lower()), said)
    return f"{said}; is the database there, and may this user write into it?"


def open_store(address: str, sounds: Path | None = None, *, must_exist: bool = False) -> Store:
    """Opens a store, and makes it first if there is none.

    Args:
        address: a path, or an URL of SQLite or PostgreSQL.
        sounds: the folder of the sound; beside the file, where SQLite has one, if not given.
        must_exist: an SQLite file is not made.

    Raises:
        StoreError: it cannot be used; the message says why.
    """
    url = _url_of(address)
    shown = url.database or "" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite":
        path = Path(shown)
        sounds = sounds or path.with_name(f"{path.name}-audio")
        _prepare_file(path, must_exist=must_exist)
    elif sounds is None:
        raise StoreError(f"{shown}: a database on a server has no folder for the sound; give one with --store-audio")
    try:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=_connect_arguments(url))
    except ImportError as error:
        raise StoreError(f"{shown}: PostgreSQL needs a package more; pip install 'psycopg[binary]'") from error
    _listen(engine)
    store = Store(engine, sounds, shown)
    try:
        with understandable(f"the folder {sounds}"):
            make_private_folder(sounds)
        _bring_up_to_date(store)
    except BaseException:
        store.close()
        raise
    return store


def _url_of(address: str) -> URL:
    if "://" not in address:
        return URL.create("sqlite", database=str(Path(address).expanduser().absolute()))
    try:
        url = make_url(address)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise StoreError(f"--store: this address cannot be read; {FORMS}") from None
    if backend == "postgresql" and url.drivername in ("postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:" and not url.query:
        return url.set(database=str(Path(url.database).expanduser().absolute()))
    raise StoreError(f"--store: an address of {url.drivername} is not taken; {FORMS}")


def _prepare_file(path: Path, *, must_exist: bool) -> None:
    """Makes an empty file that its owner alone can read, if there is none; SQLite would let others read it."""
    if path.is_dir():
        raise StoreError(f"{path}: this is a folder; give the path of a file in it, like {path / 'conversations.db'}")
    if path.exists():
        return
    if must_exist:
        raise StoreError(f"{path}: there is no store; give the --store that the server was given")
    with understandable(str(path)):
        make_private_folder(path.parent)
        path.touch(mode=0o600)


def _connect_arguments(url: URL) -> dict[str, Any]:
    return {"timeout": BUSY_TIMEOUT_S} if url.get_backend_name() == "sqlite" else {"connect_timeout": CONNECT_TIMEOUT_S}


def _listen(engine: Engine) -> None:
    """Has every connection to an SQLite file set up; what is to be written begins so that others wait from then on."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # we begin and end transactions, not Python
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten with zeros
        connection.execute("PRAGMA synchronous = FULL")  # what was committed outlives a power cut

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if (statement := connection.get_execution_options().get(BEGIN, "BEGIN")) is not None:
            connection.exec_driver_sql(statement)


def _bring_up_to_date(store: Store) -> None:
    """Runs the migrations that the database has not seen."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    with store.reading() as connection:
        if _is_current(connection, script, store.shown):
            return
    if store.is_sqlite:
        with store.alone() as connection:  # people read while somebody writes; the file remembers it
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    with store.writing() as connection:
        if not store.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        if not _is_current(connection, script, store.shown):  # nobody has been faster
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _is_current(connection: Connection, script: ScriptDirectory, shown: str) -> bool:
    """Whether the database has this version.

    Raises:
        StoreError: it has a newer one, or is no store.
    """
    names = inspect(connection).get_table_names()
    if "alembic_version" not in names:
        if names and connection.dialect.name == "sqlite":
            raise StoreError(f"{shown}: this is a database of something else; give another --store")
        return False
    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    known = {revision.revision for revision in script.walk_revisions()}
    if version is not None and version not in known:
        raise StoreError(
            f"{shown}: it was made by a newer version of Earpiece, and nothing was changed; use that version, "
            "or give another --store"
        )
    return bool(version == script.get_current_head())
