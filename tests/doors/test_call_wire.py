"""A call over the WebSocket: two tracks of one connection, with real speech; what is suggested is scripted here."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, Samples
from tests.doors.clients import Client, websocket_client
from tests.servers import serving

SUGGESTION = ["It ", "is ", "Paris."]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(ScriptedModel([SUGGESTION]), max_sessions=3) as port:
        yield port


def tracks(client: Client, me: Samples, them: Samples) -> Iterator[dict[str, Any]]:
    """Gives the messages of both tracks, side by side."""
    for mine, theirs in zip(client.media(me), client.media(them), strict=True):
        for track, message in (("me", mine), ("them", theirs)):
            yield {"event": "media", "media": {**message["media"], "track": track}}


async def test_a_question_of_theirs_has_a_suggestion_and_each_turn_is_its_speakers(
    port: int, speech: Callable[[str], Samples]
) -> None:
    question = speech("question_capital")
    spoken = np.concatenate((question, np.zeros(2 * SAMPLE_RATE_HZ, np.float32)))
    async with websocket_client(port, query="?kind=call") as client:
        for me, them in ((np.zeros_like(spoken), spoken), (spoken, np.zeros_like(spoken))):
            for message in tracks(client, me, them):
                await client.send(message)
            await client.until("conversation.item.created", 2)
        await client.until("conversation.item.created", 3)
        created = client.of("session.created")[0]
        assert (created["kind"], created["speakers"]) == ("call", ["me", "them"])
        items = client.of("conversation.item.created")
        assert [item.get("speaker") for item in items if item["role"] == "user"] == ["them", "me"]
        (suggestion,) = [item["text"] for item in items if item["role"] == "assistant"]
        assert suggestion == "It is Paris."
        assert client.of("response.created")[-1]["item_id"] == items[0]["item_id"], "it names the turn that it is for"


@pytest.mark.parametrize(("kind", "track"), [("call", "somebody"), ("conversation", "them")])
async def test_a_track_that_is_not_there_is_refused_in_a_sentence(port: int, kind: str, track: str) -> None:
    async with websocket_client(port, query=f"?kind={kind}") as client:
        payload = base64.b64encode(bytes(160)).decode()
        await client.send({"event": "media", "media": {"payload": payload, "track": track}})
        message = (await client.until("error"))["message"]
        assert track in message and ("me" in message or "user" in message)


async def test_a_kind_that_is_none_is_refused_in_a_sentence(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/websocket/offer?kind=party") as websocket:
        assert "conversation and call" in str(await websocket.recv())
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
