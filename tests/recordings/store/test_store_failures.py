"""What is wrong with a store is said in a sentence, and a session whose store fails goes on."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.scripted import ScriptedModel
from realtime.recordings.store import writer as writing
from realtime.recordings.store.database import open_store
from realtime.recordings.store.deleting import delete_conversations
from realtime.recordings.store.errors import StoreError
from realtime.recordings.store.reading import list_conversations, search
from realtime.recordings.store.stored_session import STOPPED, TOO_SLOW
from realtime.recordings.store.writer import StoreWriter
from tests.doors.clients import no_sessions_left, websocket_client
from tests.recordings.store.conftest import Place
from tests.recordings.store.keeping import keeping, read, samples_of
from tests.servers import serving
from tests.session.conversing import loud, quiet
from tests.small_disk import mounted


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("/dev/null/talks.db", "/dev/null.*can be written"),
        ("/proc/earpiece.db", "/proc/earpiece.db: .*can be written"),
        ("/tmp", "/tmp: this is a folder; give the path of a file in it, like /tmp/conversations.db"),
        ("mysql://somebody@host/x", "--store: an address of mysql is not taken; give a path, sqlite:///PATH or"),
        ("sqlite://", "--store: an address of sqlite is not taken"),
        ("nonsense://", "--store: an address of nonsense is not taken"),
        ("://x", "--store: this address cannot be read"),
        ("postgresql://me:secret@127.0.0.1:1/x", r"me:\*\*\*@127.0.0.1:1/x: .*is the database there"),
    ],
)
def test_an_address_that_cannot_be_is_refused_in_a_sentence(address: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=complaint) as refusal:
        open_store(address, tmp_path / "sounds")
    assert "\n" not in str(refusal.value) and "secret" not in str(refusal.value)


def test_a_server_needs_a_folder_for_the_sound() -> None:
    with pytest.raises(StoreError, match="give one with --store-audio"):
        open_store("postgresql://me@127.0.0.1:1/x")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"This is a letter to my aunt.\n" * 100, "it is damaged, or no database; bring back a copy of it"),
        ("CREATE TABLE pets (name); INSERT INTO pets VALUES ('Rex')", "this is a database of something else"),
        ("CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('9999')", "a newer version"),
    ],
)
def test_a_file_that_is_no_store_of_this_version_is_not_touched(
    content: bytes | str, complaint: str, sqlite_place: Place
) -> None:
    path = Path(sqlite_place.address)
    path.parent.mkdir()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with sqlite3.connect(path) as connection:
            connection.executescript(content)
        connection.close()
    before = contents(path.parent)
    with pytest.raises(StoreError, match=complaint):
        sqlite_place.open()
    assert contents(path.parent) == before


async def test_a_damaged_store_is_called_so(sqlite_place: Place) -> None:
    async with keeping(ScriptedModel([["Yes."]]), sqlite_place.open) as kept:
        await kept.conversation.hear(loud(0.5), quiet(1.5))
    damage(Path(sqlite_place.address))
    with pytest.raises(StoreError, match="it is damaged; bring back a copy of it, or move it away to begin anew"):
        store = sqlite_place.open()
        try:
            list_conversations(store)
        finally:
            store.close()


async def test_a_session_goes_on_when_its_conversation_is_deleted(place: Place) -> None:
    async with keeping(ScriptedModel([["Yes."]]), place.open) as kept:
        await kept.conversation.hear(loud(0.5), quiet(1.5))
        assert await kept.stored.confirmed()
        store = place.open()
        delete_conversations(store, [kept.stored.id])
        store.close()
        for _ in range(2):
            await kept.conversation.hear(loud(0.5), quiet(2.5))
        await kept.conversation.until("response.done", 3)
        assert not await kept.stored.confirmed()
        await kept.conversation.session_caught_up()
    assert kept.told == [(STOPPED, True)]
    assert "belongs to a conversation that was deleted meanwhile" in str(kept.stored.failure)
    store = place.open()
    assert list_conversations(store) == [] and not (store.sounds / kept.stored.id).exists()
    store.close()


async def test_the_client_is_told_once_that_nothing_is_stored_any_more(sqlite_place: Place) -> None:
    store = sqlite_place.open()
    store.sounds.rmdir()
    store.sounds.touch()  # where the folder of the sound was
    with serving(ScriptedModel([["Yes."]]), store=StoreWriter(store)) as port:
        async with websocket_client(port) as client:
            assert (await client.until("session.created"))["stored"]
            await client.say(loud(0.1))
            stopped = await client.until("session.storing_stopped")
            await client.say(loud(0.1))
            await client.type_text("Are you there?")
            await client.until("response.done")
            assert len(client.of("session.storing_stopped")) == 1
        await no_sessions_left(port)
    assert stopped["message"] == STOPPED


async def test_sound_that_a_slow_disk_does_not_take_is_counted_and_told_once(
    sqlite_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MAX_WAITING_SAMPLES", 16_000)
    go_on = threading.Event()
    async with keeping(ScriptedModel([["Yes."]]), sqlite_place.open) as kept:
        assert await kept.stored.confirmed()
        kept.writer.put(lambda: bool(go_on.wait(20)) and None, lambda _: None)
        await kept.conversation.hear(loud(0.5), quiet(2.5))
        kept.conversation.session.submit_text("mango")
        await kept.conversation.until("response.done", 2)
        go_on.set()
        assert not await kept.stored.confirmed()
        lost_samples = kept.stored.lost_samples
        await kept.conversation.hear(loud(0.32))
    assert kept.told == [(TOO_SLOW, False)]
    assert lost_samples == kept.stored.lost_samples and abs(lost_samples - 2 * 16_000) < 1000
    store = sqlite_place.open()
    assert len(search(store, "mango")) == 1, "words are kept"
    heard = samples_of(read(store, kept.stored.id).sounds[0].path)
    assert heard[-len(loud(0.32)) :].all() and not heard[16_000 + 640 : -len(loud(0.32))].any(), "in its place"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a third of a megabyte."""
    with mounted(tmp_path / "disk", 320) as folder:
        yield folder


async def test_a_session_goes_on_when_the_disk_is_full(small_disk: Path) -> None:
    rng = np.random.default_rng(0)
    place = Place(str(small_disk / "talks.db"), None)
    async with keeping(ScriptedModel([["Yes."]]), place.open) as kept:
        for _ in range(5):
            noise = np.clip(rng.normal(scale=0.3, size=32_000), -1, 1).astype(np.float32)
            await kept.conversation.hear(noise)
        await kept.conversation.hear(loud(0.5), quiet(2.5))
        assert not await kept.stored.confirmed()
        await kept.conversation.until("response.done")
        await kept.conversation.session_caught_up()
    assert kept.told == [(STOPPED, True)]
    assert "make room, or give another --store" in str(kept.stored.failure)
    store = place.open()
    assert [head.id for head in list_conversations(store)] == [kept.stored.id]
    sounds = read(store, kept.stored.id).sounds
    assert len(samples_of(sounds[0].path)) > 16_000, "what was written before is there"


def test_a_disk_that_is_full_at_the_start_is_named(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(310 * 1024))
    with pytest.raises(StoreError, match=r"talks.db: .*make room, or give another --store"):
        open_store(str(small_disk / "talks.db"))
