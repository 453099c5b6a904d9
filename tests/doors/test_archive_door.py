"""Recordings over HTTP, from a client's side."""

import asyncio
import io
import json
import wave
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from realtime.doors import connections
from realtime.doors.keys import KeyFile, add_key
from realtime.doors.ranges import range_of
from realtime.doors.refusal import Refusal
from realtime.notes.published import minutes_schema
from realtime.recordings.store.database import open_store
from realtime.recordings.store.writer import StoreWriter
from realtime.server_options import ServerOptions
from tests.archive.bringing import SAID, Secretary, meeting, wav
from tests.conftest import silence
from tests.doors.clients import websocket_client
from tests.servers import serving

MAX_BYTES = 2_000_000


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    store = StoreWriter(open_store(str(tmp_path_factory.mktemp("store") / "kept.db")))
    with serving(Secretary(), store=store, max_upload_bytes=MAX_BYTES) as port:
        yield port


@pytest.fixture
async def http(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        yield http


@pytest.fixture
async def kept(http: httpx.AsyncClient) -> AsyncIterator[str]:
    """A recording on which the work is done."""
    path = await bring(http, name="Garden party.ogg", about="A party")
    await events_of(http, "GET", f"{path}/events")
    yield path
    await http.delete(path)


async def bring(http: httpx.AsyncClient, content: bytes | None = None, **query: str) -> str:
    answer = await http.post("/archive", params=query, content=content or meeting())
    assert answer.status_code == 202, answer.text
    return f"/archive/{answer.json()['id']}"


async def events_of(http: httpx.AsyncClient, method: str, path: str, **more: Any) -> list[dict[str, Any]]:
    async with http.stream(method, path, **more) as answer:
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in answer.aiter_lines()]
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


async def test_a_recording_is_brought_and_listened_to(http: httpx.AsyncClient) -> None:
    path = await bring(http, name="  über \n <b>alles</b>.ogg ")
    first, *events = await events_of(http, "GET", f"{path}/events")
    assert first["type"] == "recording" and first["recording"]["name"] == "über <b>alles</b>.ogg"
    assert [event["line"]["text"] for event in events if event["type"] == "line"] == list(SAID)
    assert events[-1] == {"type": "progress", "state": "ready", "share": 1.0, "failure": ""}
    recording = (await http.get(path)).json()
    jsonschema.validate(recording["minutes"], minutes_schema())
    assert recording["kind"] == "recording" and recording["has_sound"] and not recording["can_try_again"]
    assert [note["kind"] for note in recording["minutes"]["notes"]] == ["summary", "decision", "action_item"]
    listed = (await http.get("/archive")).json()
    assert listed["is_lasting"] and listed["max_bytes"] == MAX_BYTES
    assert [each["id"] for each in listed["recordings"]] == [recording["id"]]
    found = (await http.get("/archive", params={"q": "tents monday"})).json()["found"]
    assert [(each["role"], each["recording"]) for each in found] == [
        ("note", recording["id"]),
        ("user", recording["id"]),
    ]
    assert found[1]["start_s"] == recording["minutes"]["lines"][1]["start_s"]
    assert (await http.delete(path)).status_code == 204
    for gone in (path, f"{path}/audio", f"{path}/events", f"{path}/download"):
        assert (await http.get(gone)).status_code == 404
    assert (await http.get("/archive")).json()["recordings"] == []


async def test_any_range_of_the_sound_is_given(http: httpx.AsyncClient, kept: str) -> None:
    whole = await http.get(f"{kept}/audio")
    assert whole.status_code == 200 and whole.headers["accept-ranges"] == "bytes"
    with wave.open(io.BytesIO(whole.content)) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(31.2425, abs=0.01)
    n_bytes = len(whole.content)
    for asked, first, last in (
        ("bytes=0-", 0, n_bytes - 1),
        ("bytes=300001-600000", 300_001, 600_000),
        ("bytes=-7", n_bytes - 7, n_bytes - 1),
        (f"bytes={n_bytes - 1}-9999999999", n_bytes - 1, n_bytes - 1),
    ):
        part = await http.get(f"{kept}/audio", headers={"range": asked})
        assert part.status_code == 206 and part.content == whole.content[first : last + 1]
        assert part.headers["content-range"] == f"bytes {first}-{last}/{n_bytes}"
    beyond = await http.get(f"{kept}/audio", headers={"range": f"bytes={n_bytes}-"})
    assert beyond.status_code == 416 and beyond.headers["content-range"] == f"bytes */{n_bytes}"


@pytest.mark.parametrize("header", [None, "", "bytes=-", "bytes=a-b", "bytes=0-1,5-6", "lines=0-1", "bytes=1-2-3"])
def test_a_range_that_is_none_asks_for_all(header: str | None) -> None:
    assert range_of(header, 100) is None


def test_a_range_with_nothing_in_it_is_refused() -> None:
    for header in ("bytes=100-", "bytes=5-4", "bytes=-0"):
        with pytest.raises(Refusal):
            range_of(header, 100)


async def test_a_recording_is_downloaded_in_every_form(http: httpx.AsyncClient, kept: str) -> None:
    async def load(form: str) -> httpx.Response:
        answer = await http.get(f"{kept}/download", params={"format": form})
        assert answer.status_code == 200 and "Garden%20party." in answer.headers["content-disposition"]
        return answer

    assert "- [ ] Order the tents. (by Monday)" in (await load("markdown")).text
    assert (await load("json")).json()["conversation"]["kind"] == "recording"
    assert (await load("srt")).text.startswith("1\n00:00:00,") and (await load("vtt")).text.startswith("WEBVTT")
    assert (await load("wav")).content[:4] == b"RIFF"
    with zipfile.ZipFile(io.BytesIO((await load("zip")).content)) as archive:
        assert {name.rpartition(".")[2] for name in archive.namelist()} == {"md", "json", "srt", "vtt", "oga"}
    assert (await http.get(f"{kept}/download", params={"format": "exe"})).status_code == 422


async def test_notes_names_and_speakers_are_changed(http: httpx.AsyncClient, kept: str) -> None:
    task, decision = f"{kept}/notes/note_1", f"{kept}/notes/note_2"
    assert (await http.patch(task, json={"is_done": True, "owner": "Ben", "deadline": ""})).status_code == 204
    assert (await http.delete(decision)).status_code == 204
    assert (await http.delete(decision)).status_code == 404
    assert (await http.patch(kept, content=b'{"name": "x\\ud800"}')).json()["name"] == "x?"
    changed = (await http.patch(kept, json={"name": "Party"})).json()
    assert changed["name"] == "Party"
    notes = {note["id"]: note for note in changed["minutes"]["notes"]}
    assert notes["note_1"] | {"is_done": True, "owner": "Ben", "deadline": None} == notes["note_1"]
    assert "note_2" not in notes
    for wrong in ({"name": ""}, {"name": 7}, {"speakers": ["a"]}, {"speakers": {"a": ""}}, {"color": "red"}):
        assert (await http.patch(kept, json=wrong)).status_code == 422
    assert (await http.patch(kept, json={"speakers": {"nobody": "Anna"}})).status_code == 404
    for wrong in ({"text": " "}, {"text": 3}, {"kind": "decision"}):
        assert (await http.patch(task, json=wrong)).status_code == 422, wrong
    assert (await http.patch(task, content=b"{")).status_code == 422


async def test_questions_are_answered_as_they_come(http: httpx.AsyncClient, kept: str) -> None:
    events = await events_of(http, "POST", f"{kept}/questions", json={"text": "What was ordered?"})
    assert [event["type"] for event in events] == ["searched", "delta", "delta", "done"]
    assert events[-1]["spans"][0]["start_s"] > 3
    events = await events_of(http, "POST", f"{kept}/questions", json={"text": "By when?", "note": "note_1"})
    assert "".join(event.get("delta", "") for event in events) == "It was about tents; 1 clips."
    for wrong in ({"text": " "}, {"text": "?" * 2001}, {"note": "note_1"}, {"text": "Why?", "note": 1}, {"x": 1}):
        assert (await http.post(f"{kept}/questions", json=wrong)).status_code == 422
    assert (await http.post(f"{kept}/questions", json={"text": "?", "note": "x"})).status_code == 404


@pytest.mark.parametrize(
    ("content", "query", "status", "says"),
    [
        (b"", {}, 422, "empty"),
        (b"x", {"speakers": "many"}, 422, "number of people"),
        (b"x", {"speakers": "²"}, 422, "number of people"),
        (b"x", {"speakers": "1" * 5000}, 422, "number of people"),
        (b"x", {"about": "x" * 8001}, 422, "8000"),
    ],
)
async def test_what_cannot_be_taken_is_refused(
    http: httpx.AsyncClient, content: bytes, query: dict[str, str], status: int, says: str
) -> None:
    answer = await http.post("/archive", params=query, content=content)
    assert answer.status_code == status and says in answer.json()["message"]
    assert (await http.get("/archive")).json()["recordings"] == []


async def test_a_file_that_is_too_large_is_refused(port: int, http: httpx.AsyncClient) -> None:
    async def without_length() -> AsyncIterator[bytes]:
        for _ in range(MAX_BYTES // 100_000):
            yield bytes(100_000)
        yield b"x"

    answer = await http.post("/archive", content=without_length())
    assert answer.status_code == 413 and "larger than 2 MB" in answer.json()["message"]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /archive HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2000001\r\n\r\n")
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    assert (await http.get("/archive")).json()["recordings"] == []


async def test_a_file_that_is_no_recording_says_why(http: httpx.AsyncClient) -> None:
    path = await bring(http, b"Dear aunt, I am well. " * 100, name="letter.wav")
    *_, last = await events_of(http, "GET", f"{path}/events")
    assert last["state"] == "failed" and "original" not in last["failure"]
    recording = (await http.get(path)).json()
    assert recording["failure"] == last["failure"] and not recording["has_sound"] and not recording["can_try_again"]
    assert (await http.post(f"{path}/retry")).status_code == 404
    assert (await http.get(f"{path}/audio")).status_code == 404
    assert (await http.get("/archive", params={"q": "?!"})).status_code == 422
    assert (await http.delete(path)).status_code == 204


async def test_a_session_is_listed_beside_recordings(port: int, http: httpx.AsyncClient) -> None:
    async with websocket_client(port) as client:
        await client.type_text("What about tents?")
        await client.until("response.done")
    async with asyncio.timeout(10):
        kept = (await http.get("/archive")).json()["recordings"]
        while not kept or kept[0]["duration_s"] is None:  # the session ends a moment after its client
            await asyncio.sleep(0.1)
            kept = (await http.get("/archive")).json()["recordings"]
    assert kept[0]["kind"] == "conversation" and kept[0]["name"] == "What about tents?"
    recording = (await http.get(path := f"/archive/{kept[0]['id']}")).json()
    assert [line["speaker"] for line in recording["minutes"]["lines"]] == ["You", "Earpiece"]
    assert (await http.delete(path)).status_code == 204


async def test_what_still_goes_on_is_not_changed(port: int, http: httpx.AsyncClient) -> None:
    async with websocket_client(port) as client:
        await client.type_text("What about chairs?")
        await client.until("response.done")
        async with asyncio.timeout(10):
            kept = (await http.get("/archive")).json()["recordings"]
            while not kept or not kept[0]["n_messages"]:
                await asyncio.sleep(0.1)
                kept = (await http.get("/archive")).json()["recordings"]
        path = f"/archive/{kept[0]['id']}"
        assert (await http.get(path)).status_code == 200
        refused = await http.patch(f"{path}/notes/note_1", json={"is_done": True})
        assert refused.status_code == 409 and "still goes on" in refused.json()["message"]
    async with asyncio.timeout(10):
        while (await http.delete(path)).status_code != 204:  # noqa: ASYNC110  # of what no event tells
            await asyncio.sleep(0.1)


async def test_an_answer_that_takes_long_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT_S", 1.0)
    gate = asyncio.Semaphore(0)
    with serving(Secretary(ears_gate=gate)) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            path = await bring(http)
            watching = asyncio.create_task(events_of(http, "GET", f"{path}/events"))
            await asyncio.sleep(3.0)  # three times as long as a request may take
            assert not watching.done()
            assert (await http.delete(path)).status_code == 204
            assert (await watching)[-1]["failure"] == "it was deleted"


async def test_recordings_are_their_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    anna, ben = ({"Authorization": f"Bearer {add_key(file, name)}"} for name in ("anna", "ben"))
    store = StoreWriter(open_store(str(tmp_path / "kept.db")))
    with serving(Secretary(), store=store, keys=KeyFile(file)) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            assert (await http.get("/archive")).status_code == 401
            answer = await http.post("/archive", content=wav(silence(3.0)), headers=anna)
            path = f"/archive/{answer.json()['id']}"
            await events_of(http, "GET", f"{path}/events", headers=anna)
            assert len((await http.get("/archive", headers=anna)).json()["recordings"]) == 1
            assert (await http.get("/archive", headers=ben)).json()["recordings"] == []
            for method, part in (
                ("GET", ""),
                ("GET", "/events"),
                ("GET", "/audio"),
                ("GET", "/download"),
                ("DELETE", ""),
                ("POST", "/retry"),
                ("DELETE", "/notes/note_1"),
            ):
                assert (await http.request(method, path + part, headers=ben)).status_code == 404
            for method, part, body in (
                ("PATCH", "", {"name": "mine"}),
                ("PATCH", "/notes/note_1", {"is_done": True}),
                ("POST", "/questions", {"text": "What was said?"}),
            ):
                assert (await http.request(method, path + part, headers=ben, json=body)).status_code == 404
            assert (await http.get(path, headers=anna)).json()["name"] == "Recording"


async def test_visitors_of_an_open_server_see_their_own() -> None:
    with serving(Secretary(), trusted_proxies=("127.0.0.1",)) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            mine, yours = ({"Cookie": f"earpiece_visitor={digit * 48}"} for digit in "ab")
            answer = await http.post("/archive", content=wav(silence(3.0)), headers=mine)
            path = f"/archive/{answer.json()['id']}"
            assert (await http.get(path, headers=mine)).status_code == 200
            assert (await http.get(path, headers=yours)).status_code == 404
            assert (await http.get("/archive", headers=yours)).json()["recordings"] == []
            for guessed in ({}, {"Cookie": "earpiece_visitor="}, {"Cookie": "earpiece_visitor=nobody"}):
                refused = await http.get("/archive", headers=guessed)
                assert refused.status_code == 403 and "cookie" in refused.json()["message"]
                assert (await http.get(path, headers=guessed)).status_code == 403


@pytest.mark.parametrize(
    ("options", "is_open"),
    [({}, False), ({"host": "10.0.0.1"}, True), ({"trusted_proxies": ("10.0.0.1",)}, True)],
)
def test_a_server_that_strangers_reach_tells_them_apart(options: dict[str, Any], is_open: bool) -> None:
    assert ServerOptions(no_auth=True, **options).is_open is is_open
