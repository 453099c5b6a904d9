"""The transports, with real clients on real speech; what the model says is scripted here."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from aiortc import RTCPeerConnection
from aiortc.rtp import RtpPacket
from websockets.asyncio.client import connect

from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, GenerationOptions, Samples
from realtime.doors.webrtc import PacketOrder, hear_at_once
from realtime.hearing.audio import CaptureCounters
from realtime.outbox import MAX_UNREAD_EVENTS
from realtime.session import SessionOptions
from tests.conftest import silence
from tests.doors.clients import webrtc_client, websocket_client
from tests.servers import serving
from tests.voiced import first_voiced_sample

ANSWER = ["The ", "capital ", "of ", "France ", "is ", "Paris."]


async def no_sessions_left(port: int) -> None:
    """Waits until the server has ended all sessions."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for _ in range(600):
            if not (await http.get("/health")).json()["sessions"]:
                return
            await asyncio.sleep(0.05)
    raise AssertionError("sessions are left")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(ScriptedModel([ANSWER]), max_sessions=3) as port:
        yield port


@pytest.mark.parametrize("client_of", [websocket_client, webrtc_client])
async def test_speech_is_answered(
    client_of: Callable[..., object], port: int, speech: Callable[[str], Samples]
) -> None:
    async with client_of(port) as client:  # type: ignore[attr-defined]
        await client.say(speech("question_capital"))
        await client.say(silence(1.5))
        done = await client.until("response.done")
        assert done["text"] == "The capital of France is Paris."
        assert len(client.of("response.output_text.delta")) == len(ANSWER)
        assert client.of("response.output_text.delta")[0]["provisional"]
        assert 0 < done["response_latency_s"] < 1


@pytest.mark.parametrize("first", [1, 0xFFFF - 5])
@pytest.mark.parametrize("jump", [30_000, -30_000])
def test_audio_packets_are_handed_on_as_they_come_and_in_order(first: int, jump: int) -> None:
    counters = CaptureCounters()
    order = PacketOrder(counters)

    def heard(*numbers: int) -> list[int]:
        found = []
        for number in numbers:
            packet = RtpPacket(sequence_number=(first + number) % 2**16, timestamp=number * 960)
            packet._data = bytes([number])  # type: ignore[attr-defined]  # as the receiver puts it there
            if (frame := order.add(packet)[1]) is not None:
                assert frame.timestamp == frame.data[0] * 960
                found.append(frame.data[0])
        return found

    assert heard(0, 1, 2) == [0, 1, 2]
    assert heard(4, 3, 5) == [3, 4], "one comes late"
    assert heard(7, 8, 6, 9) == [5, 6, 7], "another"
    assert heard(11, 12, 10, 12) == [8, 9, 10, 11], "and one twice"
    assert heard(14, 15, 16, 13) == [12, 14], "13 came too late"
    assert heard(60, 61, 62, 63) == [15, 16, 60, 61], "a gap"
    assert (counters.lost_packets, counters.late_packets) == (1 + 43, 1)
    first += jump
    assert heard(64, 65, 66, 67, 68) == [62, 63, 64, 65, 66], "a new count"
    assert counters.lost_packets == 1 + 43


async def test_audio_of_a_peer_goes_through_our_buffer() -> None:
    peer = RTCPeerConnection()
    receiver = peer.addTransceiver("audio").receiver
    (name,) = (name for name in vars(receiver) if name.endswith("jitter_buffer"))
    hear_at_once(peer, CaptureCounters())
    assert isinstance(getattr(receiver, name), PacketOrder)
    await peer.close()


@pytest.mark.parametrize("client_of", [websocket_client, webrtc_client])
async def test_typed_text_is_answered(client_of: Callable[..., object], port: int) -> None:
    async with client_of(port) as client:  # type: ignore[attr-defined]
        await client.type_text("What is the capital of France?")
        assert (await client.until("response.done"))["text"] == "".join(ANSWER)
        await client.send({"type": "conversation.clear"})
        await client.until("conversation.cleared")
        await client.send({"type": "response.cancel"})
        await client.send({"type": "no.such.command"})
        assert "no.such.command" in (await client.until("error"))["message"]


@pytest.mark.parametrize("client_of", [websocket_client, webrtc_client])
async def test_push_to_talk_mute_protection_and_metrics(
    client_of: Callable[..., object], port: int, speech: Callable[[str], Samples]
) -> None:
    async with client_of(port) as client:  # type: ignore[attr-defined]
        await client.send({"type": "session.update", "session": {"turn_detection": None, "protect_answer": True}})
        updated = await client.until("session.updated")
        assert (updated["turn_detection"], updated["protect_answer"], updated["muted"]) == (False, True, False)
        await client.send({"type": "input_audio_buffer.clear"})
        await client.say(speech("question_capital"))
        await client.send({"type": "input_audio_buffer.commit"})
        assert (await client.until("response.done"))["text"] == "".join(ANSWER)
        await client.send({"type": "session.update", "session": {"muted": True, "turn_detection": {}}})
        assert (await client.until("session.updated", 3))["muted"]
        await client.say(speech("question_capital"))
        await client.send({"type": "session.metrics"})
        metrics = await client.until("session.metrics", 2)
        assert metrics["turns"] == 1
        assert len(client.of("conversation.window")) == 1


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
        ('{"type": "response.create"}', "empty"),
        (
            '{"type": "conversation.item.create", "item": {"role": "system", '
            '"content": [{"type": "input_text", "text": "x"}]}}',
            "wrong fields",
        ),
        ('{"type": "session.update"}', "wrong fields"),
        ('{"type": "session.update", "session": {"muted": 1}}', "true or false"),
        ('{"type": "session.update", "session": {"voice": "alloy"}}', "'voice'"),
        ('{"type": "session.update", "session": {"turn_detection": false}}', "null or an object"),
        ("[" * 100_000, "not JSON"),
    ],
)
async def test_a_malformed_message_is_explained_and_the_connection_goes_on(
    message: str, complaint: str, port: int
) -> None:
    async with websocket_client(port) as client:
        await client.send(message)
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


async def test_two_people_do_not_hear_each_other_and_a_fourth_is_told_to_wait(port: int) -> None:
    async with websocket_client(port) as first, websocket_client(port) as second, webrtc_client(port):
        async with websocket_client(port, start=False) as fourth:
            assert "places are taken" in (await fourth.until("error"))["message"]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            refused = await http.post("/webrtc/offer", json={"sdp": "v=0", "type": "offer", "webrtc_id": "fifth"})
            assert refused.json()["meta"]["error"] == "concurrency_limit_reached"
        await first.type_text("only for me")
        await first.until("response.done")
        assert [event["type"] for event in second.events] == ["session.created"]


async def test_a_connection_has_its_place_from_the_beginning() -> None:
    with serving(ScriptedModel([ANSWER]), max_sessions=1) as port:
        async with websocket_client(port, start=False) as first, websocket_client(port, start=False) as second:
            assert "places are taken" in (await second.until("error"))["message"]
            await first.send({"event": "start", "websocket_id": "first"})
            await first.until("session.created")


@pytest.mark.parametrize("client_of", [websocket_client, webrtc_client])
async def test_a_session_that_fails_gives_its_place_back(client_of: Callable[..., object]) -> None:
    no_text: Any = 5
    with serving(ScriptedModel([[no_text]])) as port:
        async with client_of(port) as client:  # type: ignore[attr-defined]
            await client.type_text("hello")
            assert "reconnect" in (await client.until("error"))["message"]
            await no_sessions_left(port)


async def test_a_client_that_reads_nothing_loses_its_place() -> None:
    with serving(ScriptedModel([ANSWER])) as port:
        address = f"ws://127.0.0.1:{port}/websocket/offer"
        async with connect(address, compression=None, ping_interval=None) as websocket:
            websocket.transport.pause_reading()
            await websocket.send('{"event": "start", "websocket_id": "deaf"}')
            for _ in range(4 * MAX_UNREAD_EVENTS):
                await websocket.send('{"type": "session.metrics"}')
                await asyncio.sleep(0)
            await no_sessions_left(port)
            websocket.transport.abort()


async def test_an_offer_that_never_connects_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.doors.webrtc.CONNECT_TIMEOUT_S", 0.2)
    peer = RTCPeerConnection()
    peer.createDataChannel("events")
    peer.addTransceiver("audio")
    await peer.setLocalDescription(await peer.createOffer())
    with serving(ScriptedModel([ANSWER])) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            offer = {"sdp": peer.localDescription.sdp, "type": "offer", "webrtc_id": "lost"}
            assert "sdp" in (await http.post("/webrtc/offer", json=offer)).json()
            assert (await http.get("/health")).json()["sessions"] == 1
        await no_sessions_left(port)
    await peer.close()


async def test_a_connection_that_does_not_start_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.doors.webrtc.START_TIMEOUT_S", 0.5)
    with serving(ScriptedModel([ANSWER])) as port:
        async with websocket_client(port, start=False) as client:
            await client.send({"event": "ping"})
            assert "no start within" in (await client.until("error"))["message"]
            await asyncio.wait_for(client.websocket.wait_closed(), 10)
            assert client.websocket.close_code == 1008


async def test_bad_offers_are_explained_and_keep_no_place(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for number in range(5):
            for sdp in (None, "", "v=0 nonsense"):
                body = {"sdp": sdp, "type": "offer", "webrtc_id": f"bad{number}{sdp}"}
                answer = await http.post("/webrtc/offer", json=body)
                assert answer.status_code == 422
                assert answer.json()["meta"]["error"] == "invalid_offer"
        assert (await http.get("/health")).json()["status"] == "ok"
    async with webrtc_client(port, "good") as client:
        await client.type_text("hello")
        await client.until("response.done")


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
