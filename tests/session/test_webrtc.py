"""The transports, with real clients on real speech; what the model says is scripted here."""

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest

from models.scripted import ScriptedModel
from models.types import Samples
from tests.conftest import silence
from tests.servers import serving
from tests.session.clients import webrtc_client, websocket_client

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
        ('{"event": "dance"}', "dance"),
        ('{"type": "response.create"}', "empty"),
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


async def test_stop_and_silence_before_start_end_quietly(port: int) -> None:
    async with websocket_client(port, start=False) as client:
        await client.send({"event": "media", "media": {"payload": "AAAA"}})
        assert "start" in (await client.until("error"))["message"]
        await client.send({"event": "ping"})
        await client.send({"event": "stop"})
        await asyncio.wait_for(client.websocket.wait_closed(), 10)


@pytest.mark.parametrize("rate", ["0", "abc", "1000000"])
async def test_an_impossible_rate_is_refused(rate: str, port: int) -> None:
    async with websocket_client(port, start=False, query=f"?rate={rate}") as client:
        assert rate in (await client.until("error"))["message"]


async def test_two_people_do_not_hear_each_other_and_a_fourth_is_told_to_wait(port: int) -> None:
    async with websocket_client(port) as first, websocket_client(port) as second, webrtc_client(port):
        async with websocket_client(port, start=False) as fourth:
            assert "places are taken" in (await fourth.until("error"))["message"]
        await first.type_text("only for me")
        await first.until("response.done")
        assert [event["type"] for event in second.events] == ["session.created"]


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
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            for _ in range(200):
                if not (await http.get("/health")).json()["sessions"]:
                    break
                await asyncio.sleep(0.05)
    assert model.cancelled == 1
    assert len(model.forgotten) == 1
