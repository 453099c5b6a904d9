"""The WebRTC door, and what it shares with the WebSocket door, with real clients on real speech."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from fastapi import FastAPI

from models.scripted import ScriptedModel
from models.types import Samples
from realtime.doors.callers import Caller
from realtime.doors.webrtc import MAX_LATER_CANDIDATES
from realtime.server import create_app
from realtime.server_options import ServerOptions
from realtime.session import SessionOptions
from tests.conftest import silence
from tests.doors.clients import SpeakingTrack, WebRtcClient, no_sessions_left, webrtc_client, websocket_client
from tests.servers import serving

ANSWER = ["The ", "capital ", "of ", "France ", "is ", "Paris."]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(ScriptedModel([ANSWER]), max_sessions=3) as port:
        yield port


@pytest.mark.alone
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
        await client.send({"type": "push_to_talk.press"})
        await client.say(speech("question_capital"))
        await client.send({"type": "push_to_talk.release"})
        assert (await client.until("response.done"))["text"] == "".join(ANSWER)
        await client.send({"type": "session.update", "session": {"muted": True, "turn_detection": {}}})
        assert (await client.until("session.updated", 3))["muted"]
        await client.say(speech("question_capital"))
        await client.send({"type": "session.metrics"})
        metrics = await client.until("session.metrics", 2)
        assert metrics["turns"] == 1
        assert len(client.of("conversation.window")) == 1


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


@pytest.mark.parametrize("client_of", [websocket_client, webrtc_client])
async def test_a_session_that_fails_gives_its_place_back(client_of: Callable[..., object]) -> None:
    no_text: Any = 5
    with serving(ScriptedModel([[no_text]])) as port:
        async with client_of(port) as client:  # type: ignore[attr-defined]
            await client.type_text("hello")
            assert "reconnect" in (await client.until("error"))["message"]
            await no_sessions_left(port)


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


async def offer_of(peer: RTCPeerConnection) -> str:
    """The description that a peer offers."""
    await peer.setLocalDescription(await peer.createOffer())
    return str(peer.localDescription.sdp)


async def whole_offer() -> str:
    """An offer as it should be, of a peer that never connects."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio")
    peer.createDataChannel("events")
    sdp = await offer_of(peer)
    await peer.close()
    return sdp


def offered(sdp: Any, name: str = "peer") -> dict[str, Any]:
    return {"sdp": sdp, "type": "offer", "webrtc_id": name}


def on_this_loop(app: FastAPI) -> httpx.AsyncClient:
    """A client of an application that runs in the test itself, so that its tasks can be seen."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1")


FASTRTC_TASKS = ("WebRTCConnectionMixin", "AudioCallback", "player_worker_decode", "PeerHandler", "Peer.")


def tasks_of_fastrtc() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if any(name in str(task.get_coro()) for name in FASTRTC_TASKS)]


async def no_tasks_left() -> None:
    for _ in range(20):  # one may begin another
        if tasks := tasks_of_fastrtc():
            await asyncio.wait(tasks, timeout=2)
    assert not tasks_of_fastrtc()


async def test_an_offer_whose_bundle_does_not_name_its_parts_keeps_no_place() -> None:
    sdp = re.sub(r"a=group:BUNDLE (\S+) \S+", r"a=group:BUNDLE \1", await whole_offer())
    with serving(ScriptedModel([ANSWER]), max_sessions=2) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            for number in range(20):
                answer = await http.post("/webrtc/offer", json=offered(sdp, f"broken{number}"))
                assert answer.status_code == 422 and "BUNDLE" in answer.json()["meta"]["message"]
        async with webrtc_client(port, "good") as client:
            await client.type_text("hello")
            await client.until("response.done")


async def test_what_raises_while_a_connection_is_closed_keeps_no_place(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The same offer, if it reached aiortc."""
    monkeypatch.setattr("realtime.doors.webrtc.check_sdp", lambda _: None)
    sdp = (await whole_offer()).replace("a=mid:0", "a=mid:7", 1)
    app = create_app(ScriptedModel([ANSWER]), SessionOptions(), ServerOptions(max_sessions=1))
    async with on_this_loop(app) as http:
        for _ in range(3):
            assert (await http.post("/webrtc/offer", json=offered(sdp))).status_code == 422
        assert app.state.lobby.health()["sessions"] == 0
    assert "realtime.doors.transport" in {record.name for record in caplog.records}, "aiortc raised in `close`"
    await no_tasks_left()


LONGEST = 262_144  # characters, of one message over a data channel


async def test_the_longest_message_is_explained_and_never_echoed(port: int) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTrack(SpeakingTrack())
    channel = peer.createDataChannel("events")
    client = WebRtcClient(SpeakingTrack(), channel)
    tasks: list[asyncio.Task[None]] = []
    channel.on("open", lambda: channel.send("x" * LONGEST))
    channel.on("message", lambda message: tasks.append(asyncio.ensure_future(client.take(message))))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        answer = (await http.post("/webrtc/offer", json=offered(await offer_of(peer), "long"))).json()
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    await client.until("session.created")
    channel.send("x" * LONGEST)
    await client.until("error")
    await client.type_text("And now?")
    await client.until("response.done")
    assert not client.of("log"), "FastRTC's echo"
    await peer.close()


async def test_an_event_that_is_too_long_for_a_client_is_replaced_by_an_error(port: int) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTrack(SpeakingTrack())
    channel = peer.createDataChannel("events")
    client = WebRtcClient(SpeakingTrack(), channel)
    tasks: list[asyncio.Task[None]] = []
    channel.on("message", lambda message: tasks.append(asyncio.ensure_future(client.take(message))))
    sdp = re.sub(r"max-message-size:\d+", "max-message-size:600", await offer_of(peer))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        answer = (await http.post("/webrtc/offer", json=offered(sdp, "short"))).json()
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    await client.until("session.created")
    await client.send({"type": "session.metrics"})
    assert "too long" in (await client.until("error"))["message"]
    await client.type_text("And now?")
    await client.until("response.done")
    await peer.close()


async def test_one_id_is_one_connection(port: int) -> None:
    sdp = await whole_offer()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        answers = await asyncio.gather(*(http.post("/webrtc/offer", json=offered(sdp, "twelve")) for _ in range(12)))
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 11
        assert (await http.get("/health")).json()["sessions"] == 1
        (refused, *_) = [answer for answer in answers if answer.status_code == 409]
        assert refused.json()["meta"]["error"] == "connection_already_exists"
    await no_sessions_left(port)


@pytest.mark.alone
async def test_hostile_descriptions_are_refused_at_once(port: int) -> None:
    sdp = await whole_offer()
    audio = sdp[sdp.index("m=audio") : sdp.index("m=application")]
    candidate = "a=candidate:1 1 udp 1 10.0.0.1 1 typ host\r\n"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for hostile in (sdp + 60 * audio, sdp + 5000 * candidate, sdp + 2000 * candidate, sdp + 3 * audio, 5, ["x"]):
            began_s = time.perf_counter()
            answer = await http.post("/webrtc/offer", json=offered(hostile, "hostile"))
            assert answer.status_code in (413, 422)
            assert time.perf_counter() - began_s < 0.5
        broken = b'{"type": "offer", "webrtc_id": "x", "sdp": NaN}'
        assert (await http.post("/webrtc/offer", content=broken)).status_code == 422
        for name in ("", "x" * 65, "a\nWARNING:root:forged"):
            assert (await http.post("/webrtc/offer", json=offered(sdp, name))).status_code == 422
        assert (await http.get("/health")).json()["sessions"] == 0


async def test_candidates_that_follow_an_offer_are_few_and_short(port: int) -> None:
    def candidate(text: str, name: str = "later") -> dict[str, Any]:
        fields = {"candidate": text, "sdpMid": "0", "sdpMLineIndex": 0}
        return {"type": "ice-candidate", "webrtc_id": name, "candidate": fields}

    good = "candidate:1 1 udp 2122260223 127.0.0.1 9 typ host generation 0"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        unknown = await http.post("/webrtc/offer", json=candidate(good))
        assert unknown.json()["meta"]["error"] == "unknown_connection"
        assert (await http.post("/webrtc/offer", json=offered(await whole_offer(), "later"))).status_code == 200
        assert (await http.post("/webrtc/offer", json=candidate(good))).json() == {"status": "success"}
        assert (await http.post("/webrtc/offer", json=candidate(""))).json() == {"status": "success"}
        assert (await http.post("/webrtc/offer", json=candidate(good + " x" * 300))).status_code == 422
        for _ in range(MAX_LATER_CANDIDATES):
            last = await http.post("/webrtc/offer", json=candidate(good))
        assert last.json()["meta"]["error"] == "invalid_candidate_format"
    await no_sessions_left(port)


@pytest.mark.parametrize("missing", ["audio", "channel"])
async def test_half_a_connection_loses_its_place(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.doors.webrtc.CONNECT_TIMEOUT_S", 0.5)
    app = create_app(ScriptedModel([ANSWER]), SessionOptions())
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio", direction="recvonly" if missing == "audio" else "sendonly")
    channel = peer.createDataChannel("events")
    sdp = await offer_of(peer)
    closed = asyncio.Event()
    peer.on("connectionstatechange", lambda: closed.set() if peer.connectionState == "closed" else None)
    async with on_this_loop(app) as http:
        answer = (await http.post("/webrtc/offer", json=offered(sdp))).json()
    if missing == "channel":
        channel.close()
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    assert app.state.lobby.health()["sessions"] == 1
    await asyncio.wait_for(closed.wait(), 10)
    await no_tasks_left()
    assert app.state.lobby.health()["sessions"] == 0
    await peer.close()


async def test_a_connection_that_ends_leaves_no_task() -> None:
    app = create_app(ScriptedModel([ANSWER]), SessionOptions())
    for _ in range(2):
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.addTrack(SpeakingTrack())
        channel = peer.createDataChannel("events")
        greeted = asyncio.Event()
        channel.on("message", lambda _, greeted=greeted: greeted.set())
        async with on_this_loop(app) as http:
            answer = (await http.post("/webrtc/offer", json=offered(await offer_of(peer)))).json()
        await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
        await asyncio.wait_for(greeted.wait(), 10)
        assert tasks_of_fastrtc()
        visit = app.state.lobby.find("webrtc", "peer", Caller())
        await peer.close()
        await asyncio.wait_for(visit.ended(), 10)
        await no_tasks_left()
    assert app.state.lobby.health()["sessions"] == 0


@pytest.mark.parametrize("client_of", [websocket_client, webrtc_client])
async def test_the_last_event_says_why_a_session_ends(client_of: Callable[..., object]) -> None:
    with serving(ScriptedModel([ANSWER]), max_session_s=0.3) as port:
        async with client_of(port) as client:  # type: ignore[attr-defined]
            assert "start again" in (await client.until("session.ended"))["reason"]
            await no_sessions_left(port)
            assert client.events[-1]["type"] == "session.ended"
