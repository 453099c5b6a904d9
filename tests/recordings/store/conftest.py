"""Stores of both kinds, new for each test."""

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from realtime.recordings.store.database import Store, open_store
from tests.recordings.store.postgres import postgresql_programs, running_postgresql

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a test's store is."""

    address: str
    sounds: Path | None

    def open(self) -> Store:
        """Opens it once more."""
        return open_store(self.address, self.sounds)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Makes databases on a real server; where there is none these tests are skipped, and in CI they fail."""
    programs = postgresql_programs()
    if programs is None:
        message = "no PostgreSQL was found; install it (Debian: apt-get install postgresql) to run these tests"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    with running_postgresql(programs) as address:

        def make() -> str:
            name = f"earpiece_{next(_numbers)}"
            url = make_url(address.format("postgres"))
            query = {key: str(value) for key, value in url.query.items()}
            with psycopg.connect(user=url.username, dbname="postgres", autocommit=True, **query) as connection:  # type: ignore[arg-type]
                connection.execute(f"CREATE DATABASE {name}".encode())
            return address.format(name)

        yield make


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A store that nobody has opened yet, of each kind."""
    if request.param == "sqlite":
        return Place(str(tmp_path / "store" / "talks.db"), None)
    return Place(request.getfixturevalue("postgresql")(), tmp_path / "sounds")


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Place:
    """An SQLite store that nobody has opened yet."""
    return Place(str(tmp_path / "store" / "talks.db"), None)
