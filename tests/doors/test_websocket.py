"""The WebSocket door, with real clients; what the model says is scripted here."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, GenerationOptions, Samples
from realtime.outbox import MAX_UNREAD_EVENTS
from realtime.session import SessionOptions
from tests.doors.clients import no_sessions_left, websocket_client
from tests.servers import serving
from tests.voiced import first_voiced_sample

ANSWER = ["The ", "capital ", "of ", "France ", "is ", "Paris."]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(ScriptedModel([ANSWER]), max_sessions=3) as port:
        yield port


async def test_real_speech_over_a_long_answer_stops_it(speech: Callable[[str], Samples]) -> None:
    """The answer's words come every 20 ms; none comes later than a quarter of a second after the voice."""
    options = SessionOptions(generation=GenerationOptions(max_new_tokens=10_000))
    with serving(ScriptedModel([[f"{number} " for number in range(10_000)]], word_s=0.02), options) as port:
        async with websocket_client(port) as client:
            await client.type_text("count")
            await client.until("response.output_text.delta", 10)
            began_s = asyncio.get_running_loop().time()
            clip = speech("interrupt_stop")
            voiced_s = first_voiced_sample(clip) / SAMPLE_RATE_HZ
            await client.say(clip)
            assert (await client.until("response.done"))["status"] == "cancelled"
            done = next(index for index, event in enumerate(client.events) if event["type"] == "response.done")
            deltas = [
                time_s
                for event, time_s in zip(client.events[:done], client.times_s, strict=False)
                if event["type"] == "response.output_text.delta"
            ]
            assert 0 < deltas[-1] - (began_s + voiced_s) < 0.5, "twice the goal: the machine may be busy"


async def test_a_client_that_vanishes_in_the_middle_of_a_turn_leaves_nothing_behind(
    speech: Callable[[str], Samples],
) -> None:
    model = ScriptedModel([["never"]])
    with serving(model) as port:
        async with websocket_client(port) as client:
            await client.say(speech("question_capital")[: 2 * SAMPLE_RATE_HZ // 3 * 2])
            await client.until("input_audio_buffer.speech_started")
            client.websocket.transport.abort()
        await no_sessions_left(port)
    assert model.requests == []
    assert len(model.forgotten) == 1


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("{not json", "not JSON"),
        ("[1, 2]", "JSON object"),
        ('{"hello": 1}', '"type"'),
        ('{"event": "start"}', "websocket_id"),
        ('{"event": "start", "websocket_id": "again"}', "once"),
        ('{"event": "media"}', "payload"),
        ('{"event": "media", "media": {"payload": "%%%"}}', "base64"),
        ('{"event": "media", "media": {"payload": "é"}}', "base64"),
        ('{"event": "dance"}', "dance"),
        ('{"type": "response.create"}', "nothing to answer"),
        ('{"type": "input_audio_buffer.commit"}', "nothing to answer"),
        (b"\x00\x01\xff\xfe", "not text"),
        (
            '{"type": "conversation.item.create", "item": {"role": "system", '
            '"content": [{"type": "input_text", "text": "x"}]}}',
            "role",
        ),
        ('{"type": "session.update"}', "wrong fields"),
        ('{"type": "session.update", "session": {"muted": 1}}', "true or false"),
        ('{"type": "session.update", "session": {"singing": true}}', "'singing'"),
        ('{"type": "session.update", "session": {"turn_detection": false}}', "null or {}"),
        ("[" * 20_000, "not JSON"),
    ],
)
async def test_a_malformed_message_is_explained_and_the_connection_goes_on(
    message: str | bytes, complaint: str, port: int
) -> None:
    async with websocket_client(port) as client:
        await client.websocket.send(message)
        assert complaint in (await client.until("error"))["message"]
        await client.send({"event": "media", "media": {"payload": ""}})
        await client.type_text("still there?")
        await client.until("response.done")
        assert (await client.until("session.metrics"))["rejected"] == 1


async def test_stop_and_silence_before_start_end_quietly(port: int) -> None:
    async with websocket_client(port, start=False) as client:
        await client.send({"event": "media", "media": {"payload": "AAAA"}})
        assert "start" in (await client.until("error"))["message"]
        await client.send({"type": "session.metrics"})
        assert "start" in (await client.until("error", 2))["message"]
        await client.send({"event": "ping"})
        await client.send({"event": "stop"})
        await asyncio.wait_for(client.websocket.wait_closed(), 10)


async def test_what_comes_in_one_burst_with_the_start_is_obeyed(port: int) -> None:
    for _ in range(5):
        async with websocket_client(port, start=False) as client:
            await client.send({"event": "start", "websocket_id": "eager"})
            await client.send({"type": "session.update", "session": {"muted": True}})
            await client.type_text("at once")
            assert (await client.until("session.updated"))["muted"]
            await client.until("response.done")


@pytest.mark.parametrize("rate", ["0", "abc", "1000000", "9" * 5000])
async def test_an_impossible_rate_is_refused(rate: str, port: int) -> None:
    async with websocket_client(port, start=False, query=f"?rate={rate}") as client:
        assert rate[:20] in (await client.until("error"))["message"]


async def test_a_connection_has_its_place_from_the_beginning() -> None:
    with serving(ScriptedModel([ANSWER]), max_sessions=1) as port:
        async with websocket_client(port, start=False) as first, websocket_client(port, start=False) as second:
            assert "the only place is taken" in (await second.until("error"))["message"]
            await first.send({"event": "start", "websocket_id": "first"})
            await first.until("session.created")


async def test_a_client_that_reads_nothing_loses_its_place() -> None:
    with serving(ScriptedModel([ANSWER])) as port:
        address = f"ws://127.0.0.1:{port}/websocket/offer"
        async with connect(address, compression=None, ping_interval=None) as websocket:
            websocket.transport.pause_reading()
            await websocket.send('{"event": "start", "websocket_id": "deaf"}')
            with suppress(ConnectionClosed):  # the server may be faster
                for _ in range(4 * MAX_UNREAD_EVENTS):
                    await websocket.send('{"type": "session.metrics"}')
                    await asyncio.sleep(0)
            await no_sessions_left(port)
            websocket.transport.abort()


async def test_a_connection_that_does_not_start_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.doors.websocket.START_TIMEOUT_S", 0.5)
    with serving(ScriptedModel([ANSWER])) as port:
        async with websocket_client(port, start=False) as client:
            await client.send({"event": "ping"})
            assert "no start within" in (await client.until("error"))["message"]
            await asyncio.wait_for(client.websocket.wait_closed(), 10)
            assert client.websocket.close_code == 1008


async def test_a_client_that_vanishes_leaves_nothing_behind() -> None:
    gate = asyncio.Semaphore(0)
    model = ScriptedModel([["never"]], gate=gate)
    with serving(model) as port:
        async with websocket_client(port) as client:
            await client.type_text("hello")
            await client.until("response.created")
            client.websocket.transport.abort()
        await no_sessions_left(port)
    assert model.cancelled == 1
    assert len(model.forgotten) == 1


async def test_who_sends_faster_than_real_time_without_end_is_bounded(port: int) -> None:
    """Two minutes of audio at once: much of it is dropped, others are served meanwhile, the connection goes on."""
    payload = base64.b64encode(bytes([0x55, 0xD5] * 160)).decode()  # 20 ms
    media = json.dumps({"event": "media", "media": {"payload": payload}})
    async with websocket_client(port) as hasty, websocket_client(port) as other:

        async def hurry() -> None:
            for _ in range(6000):
                await hasty.send(media)

        hurrying = asyncio.create_task(hurry())
        await other.type_text("Is anybody there?")
        await other.until("response.done", timeout_s=5)
        await hurrying
        await hasty.send({"type": "session.metrics"})
        metrics = await hasty.until("session.metrics")
        assert metrics["dropped_samples"] > 0
        await hasty.type_text("And now?")
        await hasty.until("response.done")


async def test_an_end_is_noticed_before_a_backlog_is_worked_off() -> None:
    payload = base64.b64encode(bytes([0x55, 0xD5] * 8000)).decode()  # a second
    media = json.dumps({"event": "media", "media": {"payload": payload}})
    with serving(ScriptedModel([ANSWER])) as port:
        async with websocket_client(port) as client:
            for _ in range(200):
                await client.send(media)
            client.websocket.transport.abort()
        began_s = asyncio.get_running_loop().time()
        await no_sessions_left(port)
        assert asyncio.get_running_loop().time() - began_s < 12


@pytest.mark.parametrize("number", range(3))
async def test_binary_and_broken_messages_in_a_row_do_not_end_the_connection(number: int, port: int) -> None:
    async with websocket_client(port) as client:
        for message in (b"\x00\xff", b"[", b"{}", b""):
            await client.websocket.send(message)
        await client.until("error", 4)
        await client.websocket.send(b'{"type": "session.metrics"}')
        assert (await client.until("session.metrics"))["rejected"] == 4
