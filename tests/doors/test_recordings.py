"""Files that a person sends, and the audio of what a person said, over real connections."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, Samples
from realtime.doors import recordings
from tests.conftest import CLIPS, silence
from tests.doors.clients import websocket_client
from tests.servers import serving

QUESTION = CLIPS / "question_capital.ogg"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(ScriptedModel([["Paris."]]), max_sessions=4) as port:
        yield port


@pytest.fixture
async def http(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        yield http


def wav(seconds: float) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(round(16_000 * seconds)))
    return content.getvalue()


async def test_a_file_is_a_turn_and_is_answered(port: int, http: httpx.AsyncClient) -> None:
    async with websocket_client(port) as client:
        token = client.resume["token"]
        query = {"session": token, "name": "über <b>alles</b>.ogg"}
        answer = await http.post("/conversation/audio", params=query, content=QUESTION.read_bytes())
        assert answer.status_code == 200
        added = await client.until("conversation.item.created")
        assert added["file_name"] == query["name"] and added["role"] == "user"
        assert added["audio_s"] == pytest.approx(answer.json()["duration_s"], abs=0.01)
        assert (await client.until("response.done"))["status"] == "completed"
        given = await http.get(f"/conversation/audio/{added['item_id']}", params={"session": token})
        assert given.headers["content-type"] == "audio/wav"
        with wave.open(io.BytesIO(given.content)) as file:
            assert file.getframerate() == SAMPLE_RATE_HZ
            assert file.getnframes() / SAMPLE_RATE_HZ == pytest.approx(added["audio_s"], abs=0.01)


async def test_text_that_was_typed_before_is_about_the_file(http: httpx.AsyncClient) -> None:
    model = ScriptedModel([["Paris."]])
    with serving(model) as port:
        async with websocket_client(port) as client, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as there:
            content = [{"type": "input_text", "text": "What is asked?"}]
            item = {"type": "message", "role": "user", "content": content}
            await client.send({"type": "conversation.item.create", "item": item})
            await client.send({"type": "session.metrics"})
            await client.until("session.metrics")
            params = {"session": client.resume["token"]}
            await there.post("/conversation/audio", params=params, content=QUESTION.read_bytes())
            await client.until("response.done")
    (message,) = [message for message in model.requests[-1] if message.role == "user"]
    assert message.text == "What is asked?" and len(message.clips) == 1


async def test_what_was_spoken_can_be_heard_again(
    port: int, http: httpx.AsyncClient, speech: Callable[[str], Samples]
) -> None:
    async with websocket_client(port) as client:
        await client.send_at_once(np.concatenate([speech("question_capital"), silence(2)]))
        added = await client.until("conversation.item.created")
        params = {"session": client.resume["token"]}
        given = await http.get(f"/conversation/audio/{added['item_id']}", params=params)
        with wave.open(io.BytesIO(given.content)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        assert np.abs(samples).max() > 3000
        await client.send({"type": "conversation.clear"})
        await client.until("conversation.cleared")
        gone = await http.get(f"/conversation/audio/{added['item_id']}", params=params)
        assert gone.status_code == 404 and "any more" in gone.json()["message"]
        for token in ("", "guessed"):
            stranger = await http.get(f"/conversation/audio/{added['item_id']}", params={"session": token})
            assert stranger.status_code == 404 and "session has ended" in stranger.json()["message"]


async def test_what_cannot_be_taken_is_explained(
    port: int, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with websocket_client(port) as client:
        params = {"session": client.resume["token"]}
        for content, status, reason in (
            (b"", 415, "not readable"),
            (b"This is a letter and no sound. " * 100, 415, "audio"),
            (wav(200), 413, "longer than 180 s"),
        ):
            answer = await http.post("/conversation/audio", params=params, content=content)
            assert (answer.status_code, reason in answer.json()["message"]) == (status, True), answer.text
            assert "/tmp" not in answer.text
        answer = await http.post("/conversation/audio", content=wav(1))
        assert answer.status_code == 404
        monkeypatch.setattr(recordings, "MAX_FILE_BYTES", 1000)

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(10):
                yield bytes(500)

        answer = await http.post("/conversation/audio", params=params, content=endless())
        assert answer.status_code == 413 and "larger" in answer.json()["message"]
        await client.type_text("still there?")
        await client.until("response.done")


async def test_a_file_that_is_announced_as_too_large_is_not_read(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /conversation/audio HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 30000000\r\n\r\n")
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


async def test_one_file_at_a_time(port: int, http: httpx.AsyncClient) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield wav(1)[:100]
        begun.set()
        await go_on.wait()
        yield wav(1)[100:]

    async with websocket_client(port) as client:
        params = {"session": client.resume["token"]}
        first = asyncio.create_task(http.post("/conversation/audio", params=params, content=slow()))
        await begun.wait()
        async with asyncio.timeout(10):
            while (await http.post("/conversation/audio", params=params, content=wav(1))).status_code != 409:
                pass  # until the first one has arrived
        go_on.set()
        assert (await first).status_code == 200


async def test_a_session_that_ends_while_its_file_comes_does_not_take_it(port: int, http: httpx.AsyncClient) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield wav(1)[:100]
        begun.set()
        await go_on.wait()
        yield wav(1)[100:]

    async with websocket_client(port) as client:
        params = {"session": client.resume["token"]}
        sending = asyncio.create_task(http.post("/conversation/audio", params=params, content=slow()))
        await begun.wait()
        async with asyncio.timeout(10):
            while (await http.post("/conversation/audio", params=params, content=b"")).status_code != 409:
                pass  # until the file is on its way
            await client.send({"type": "session.close"})
            while (await http.get("/conversation/audio/x", params=params)).json()["message"].startswith("there is no"):
                pass  # until that has come
        go_on.set()
        answer = await sending
        assert answer.status_code == 404 and "session has ended" in answer.json()["message"]


async def test_a_client_that_leaves_in_the_middle_of_a_file_is_no_error(
    port: int, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with websocket_client(port) as client:
        token = client.resume["token"]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /conversation/audio?session={token} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000\r\n\r\n"
        writer.write(head.encode() + bytes(1000))
        async with asyncio.timeout(10):
            while (await http.post("/conversation/audio", params={"session": token}, content=b"")).status_code != 409:
                pass  # until it has come
            writer.close()
            while (await http.post("/conversation/audio", params={"session": token}, content=b"")).status_code == 409:
                pass  # until that is noticed
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_long_file_over_a_slow_line_is_not_cut_off_while_it_comes(
    port: int, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.doors.connections.REQUEST_TIMEOUT_S", 1.0)
    content = wav(60)

    async def slow() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]
            await asyncio.sleep(0.2)

    async with websocket_client(port) as client:
        params = {"session": client.resume["token"]}
        answer = await http.post("/conversation/audio", params=params, content=slow())
        assert answer.json() == {"duration_s": 60}


def listed(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_nothing_of_a_file_stays_on_the_disk(
    port: int, http: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with websocket_client(port) as client:
        params = {"session": client.resume["token"]}
        assert (await http.post("/conversation/audio", params=params, content=wav(1))).status_code == 200
    assert await asyncio.to_thread(listed, tmp_path) == []
