"""The WebRTC door, and what it shares with the WebSocket door, with real clients on real speech."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from aiortc import RTCPeerConnection

from models.scripted import ScriptedModel
from models.types import Samples
from tests.conftest import silence
from tests.doors.clients import no_sessions_left, webrtc_client, websocket_client
from tests.servers import serving

ANSWER = ["The ", "capital ", "of ", "France ", "is ", "Paris."]


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
