"""Connections that are lost and come back, over real wires in every order."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from models.scripted import ScriptedModel
from models.types import Samples
from tests.doors.clients import Client, no_sessions_left, webrtc_client, websocket_client
from tests.servers import serving

WORDS = [f"{number} " for number in range(40)]
NEW = {"token": "", "after": 0}

Connect = Callable[..., Any]
WIRES = pytest.mark.parametrize("then", [websocket_client, webrtc_client], ids=["websocket", "webrtc"])
FIRST_WIRES = pytest.mark.parametrize("first", [websocket_client, webrtc_client], ids=["websocket", "webrtc"])


def name_of(connect: Connect, name: str) -> dict[str, str]:
    return {"name": name} if connect is webrtc_client else {}


def is_whole(*clients: Client) -> bool:
    """Whether all events have come, each once and in their order; the greeting of who comes back has no number."""
    numbers = [event["sequence"] for event in clients[0].events]
    for client in clients[1:]:
        numbers += [event["sequence"] for event in client.events[1:]]
    return numbers == list(range(1, len(numbers) + 1))


@FIRST_WIRES
@WIRES
async def test_an_answer_goes_on_over_the_next_connection(first: Connect, then: Connect) -> None:
    with serving(ScriptedModel([WORDS], word_s=0.02), max_sessions=1) as port:
        async with first(port, resume=NEW, **name_of(first, "one")) as before:
            await before.type_text("count")
            await before.until("response.output_text.delta", 5)
            async with then(port, resume=before.resume, **name_of(then, "two")) as after:
                assert after.events[0]["resumed"]
                await after.until("response.done")
                assert after.events[0]["session_id"] == before.events[0]["session_id"]
                heard = [*before.of("response.output_text.delta"), *after.of("response.output_text.delta")]
                by_number = {event["sequence"]: event["delta"] for event in heard}
                assert [by_number[number] for number in sorted(by_number)] == WORDS
                await after.send({"type": "session.close"})
                await no_sessions_left(port)


@WIRES
async def test_a_connection_that_vanishes_in_mid_answer_loses_no_event(then: Connect) -> None:
    with serving(ScriptedModel([WORDS], word_s=0.01), max_sessions=1) as port:
        async with websocket_client(port, resume=NEW) as before:
            await before.type_text("count")
            await before.until("response.output_text.delta", 3)
            before.websocket.transport.abort()
        await asyncio.sleep(0.3)
        async with then(port, resume=before.resume) as after:
            await after.until("response.done")
            await after.until("session.metrics")
            assert is_whole(before, after)
            await after.type_text("again")
            await after.until("response.done", 2)


async def test_after_a_restart_the_server_begins_anew() -> None:
    with serving(ScriptedModel([WORDS])) as port:
        async with websocket_client(port, resume=NEW) as before:
            await before.type_text("count")
            await before.until("response.done")
    with serving(ScriptedModel([WORDS])) as port:
        async with websocket_client(port, resume=before.resume) as after:
            created = after.events[0]
            assert (created["resumed"], created["sequence"]) == (False, 1)
            assert created["resume_token"] != before.resume["token"]


async def test_what_was_said_meanwhile_comes_over_either_wire(speech: Callable[[str], Samples]) -> None:
    """A data channel takes audio as a WebSocket does: what was kept while there was no connection."""
    with serving(ScriptedModel([["Paris."]])) as port:
        async with webrtc_client(port, resume=NEW) as client:
            for message in client.media(speech("question_capital")):
                await client.send(message)
            added = await client.until("conversation.item.created")
            assert added["audio_s"] > 1.5
            await client.until("response.done")


async def test_a_beacon_of_a_closed_tab_frees_the_place_at_once() -> None:
    with serving(ScriptedModel([WORDS]), max_sessions=1) as port:
        async with websocket_client(port, resume=NEW) as client:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                answer = await http.post("/session/close", content="of nobody")
                assert answer.status_code == 204, "who guesses learns nothing"
                assert (await http.get("/health")).json()["sessions"] == 1
                answer = await http.post("/session/close", content=client.resume["token"])
                assert answer.status_code == 204
            await no_sessions_left(port)


@pytest.mark.parametrize(
    "resume", [None, "x", {}, {"token": 5, "after": 0}, {"token": "x", "after": -1}, {"token": "x" * 65, "after": 0}]
)
async def test_a_wrong_resume_is_explained(resume: Any) -> None:
    with serving(ScriptedModel([WORDS])) as port:
        async with websocket_client(port, start=False) as client:
            await client.send({"event": "start", "websocket_id": "x", "resume": resume})
            assert "resume_token" in (await client.until("error"))["message"]
            await client.send({"event": "start", "websocket_id": "x"})
            await client.until("session.created")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            offer = {"sdp": "v=0", "type": "offer", "webrtc_id": "x", "resume": resume}
            answer = await http.post("/webrtc/offer", json=offer)
            assert answer.status_code == 422 and "resume_token" in answer.json()["meta"]["message"]
