"""Spoken answers over real connections: they come, in real time, and stop when somebody speaks."""

import asyncio
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from models.scripted import ScriptedModel, ScriptedVoice
from models.types import VOICE_RATE_HZ, Samples
from tests.conftest import silence
from tests.doors.clients import Client, webrtc_client, websocket_client
from tests.servers import serving

ANSWER = [f"number {number}, " for number in range(10)]
WORD_S = 0.15  # 3 s of sound
SPOKEN = {"type": "session.update", "session": {"spoken": True, "voice": "other"}}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(ScriptedModel([ANSWER]), voice=ScriptedVoice(word_s=WORD_S)) as port:
        yield port


def seconds_heard(client: Client) -> float:
    """How long a tone was to be heard in what came."""
    blocks = client.sound[: len(client.sound) // 240 * 240].reshape(-1, 240)  # 10 ms
    return float((np.abs(blocks).max(axis=1, initial=0.0) > 0.1).sum()) * 240 / VOICE_RATE_HZ


@pytest.mark.parametrize("client_of", [websocket_client, webrtc_client])
async def test_an_answer_is_heard_in_real_time(
    client_of: Callable[..., object], port: int, speech: Callable[[str], Samples]
) -> None:
    async with client_of(port) as client:  # type: ignore[attr-defined]
        created = client.of("session.created")[0]
        assert [voice["name"] for voice in created["voices"]] == ["tone", "other"]
        await client.send(SPOKEN)
        updated = await client.until("session.updated")
        assert (updated["spoken"], updated["voice"]) == (True, "other")
        await client.say(speech("question_capital"))
        saying = asyncio.create_task(client.say(silence(8)))
        await client.until("output_audio_buffer.started")
        began_s = client.times_s[-1]
        await client.until("output_audio_buffer.stopped")
        assert client.times_s[-1] - began_s == pytest.approx(20 * WORD_S, abs=0.4)
        done = await client.until("response.done")
        assert (done["text"], done["status"]) == ("".join(ANSWER), "completed")
        saying.cancel()
        await asyncio.sleep(0.3)  # the last of it is on its way
        assert seconds_heard(client) == pytest.approx(20 * WORD_S, abs=0.2)


@pytest.mark.parametrize("client_of", [websocket_client, webrtc_client])
async def test_who_interrupts_hears_no_more_of_it(
    client_of: Callable[..., object], port: int, speech: Callable[[str], Samples]
) -> None:
    async with client_of(port) as client:  # type: ignore[attr-defined]
        await client.send(SPOKEN)
        await client.say(speech("question_capital"))
        saying = asyncio.create_task(client.say(silence(1.3)))
        await client.until("output_audio_buffer.started")
        await saying
        await client.say(speech("question_capital"))
        await client.until("output_audio_buffer.cleared")
        done = await client.until("response.done")
        assert done["status"] == "cancelled"
        kept = next(event for event in client.of("conversation.item.created") if event["role"] == "assistant")
        assert kept["interrupted"]
        heard_s = kept["text"].count(" ") * WORD_S  # a space follows each word but the last that was heard
        assert 0.3 < heard_s < 2.5
        assert heard_s - 0.2 < seconds_heard(client) < heard_s + 0.2 + WORD_S + 0.3, "and what was sent ahead"


async def test_without_a_voice_there_is_no_track_and_no_choice() -> None:
    with serving(ScriptedModel([ANSWER])) as port:
        async with webrtc_client(port) as client:
            assert client.of("session.created")[0]["voices"] == []
            await client.send(SPOKEN)
            assert "--voice" in (await client.until("error"))["message"]
            assert len(client.sound) == 0


@pytest.mark.parametrize("then", [websocket_client, webrtc_client])
async def test_a_spoken_answer_goes_on_over_the_next_connection(then: Callable[..., object], port: int) -> None:
    """It waits meanwhile; what had been sent ahead and not been played when the connection broke is lost."""
    async with websocket_client(port, resume={"token": "", "after": 0}) as before:
        await before.send(SPOKEN)
        await before.type_text("count")
        await before.until("output_audio_buffer.started")
        await asyncio.sleep(1)
        before.websocket.transport.abort()
    await asyncio.sleep(1)
    async with then(port, resume=before.resume) as after:  # type: ignore[attr-defined]
        assert after.events[0]["resumed"]
        await after.until("output_audio_buffer.stopped")
        assert (await after.until("response.done"))["status"] == "completed"
        await asyncio.sleep(0.3)  # the last of it is on its way
        assert seconds_heard(before) > 0.8 and seconds_heard(after) > 1
        assert seconds_heard(before) + seconds_heard(after) == pytest.approx(20 * WORD_S, abs=0.4)
        await after.send({"type": "session.close"})
