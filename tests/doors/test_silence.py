"""Every way in which a client can go silent ends its turn, and loses no word."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from models.scripted import ScriptedModel
from models.types import Samples
from realtime.doors import silence as silence_module
from realtime.doors.silence import PassingSilence
from tests.conftest import silence
from tests.doors.clients import Client, WebRtcClient, webrtc_client, websocket_client
from tests.servers import serving

LONG_S = 3600.0


async def send_silence(client: Client) -> None:
    await client.say(silence(2.0))


async def send_nothing(client: Client) -> None:
    if isinstance(client, WebRtcClient):
        client.track.packet_each_s = LONG_S


async def send_a_packet_now_and_then(client: Client) -> None:
    """As Opus does in silence, when it is to save bytes (DTX)."""
    assert isinstance(client, WebRtcClient)
    client.track.packet_each_s = 0.4


async def end_the_track(client: Client) -> None:
    assert isinstance(client, WebRtcClient)
    client.track.stop()


CASES = [
    (websocket_client, send_silence),
    (websocket_client, send_nothing),
    (webrtc_client, send_silence),
    (webrtc_client, send_nothing),
    (webrtc_client, send_a_packet_now_and_then),
    (webrtc_client, end_the_track),
]


@pytest.mark.parametrize(("client_of", "go_silent"), CASES)
async def test_a_turn_ends_however_its_speaker_goes_silent(
    client_of: Callable[[int], object], go_silent: Callable[[Client], object], speech: Callable[[str], Samples]
) -> None:
    with serving(ScriptedModel([["Paris."]])) as port:
        async with client_of(port) as client:  # type: ignore[attr-defined]
            await client.say(speech("question_capital"))
            await go_silent(client)  # type: ignore[misc]
            done = await client.until("response.done", timeout_s=10)
            assert done["text"] == "Paris."
            assert done["response_latency_s"] < 2.5


@pytest.mark.parametrize("loses_timestamps", [False, True])
async def test_who_comes_back_is_heard_and_the_clock_has_gone_on(
    loses_timestamps: bool, speech: Callable[[str], Samples]
) -> None:
    with serving(ScriptedModel([["Yes."]])) as port:
        async with webrtc_client(port) as client:
            client.track.loses_timestamps = loses_timestamps
            for n_answers in (1, 2):
                await client.say(speech("question_capital"))
                client.track.packet_each_s = 2.5
                await client.until("response.done", n_answers)
                await asyncio.sleep(1)
                client.track.packet_each_s = 0.02
            await client.send({"type": "session.metrics"})
            metrics = await client.until("session.metrics", 3)
            assert abs(metrics["clock_drift_s"]) < 0.5
            assert metrics["turns"] == 2


async def test_a_script_that_sends_a_file_as_fast_as_it_can_is_answered(speech: Callable[[str], Samples]) -> None:
    with serving(ScriptedModel([["Paris."]])) as port:
        async with websocket_client(port) as client:
            await client.send_at_once(speech("question_capital"))
            assert (await client.until("response.done", timeout_s=10))["text"] == "Paris."
            assert client.of("conversation.item.created")[0]["audio_s"] == pytest.approx(2.0, abs=0.5)


@asynccontextmanager
async def passing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[PassingSilence, list[float]]]:
    monkeypatch.setattr(silence_module, "PATIENCE_S", 0.05)
    monkeypatch.setattr(silence_module, "STEP_S", 0.01)
    monkeypatch.setattr(silence_module, "LONGEST_S", 0.2)
    added: list[float] = []
    passing_silence = PassingSilence(added.append)
    yield passing_silence, added
    passing_silence.stop()


async def test_silence_passes_as_wall_time_does_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async with passing(monkeypatch) as (passing_silence, added):
        await asyncio.sleep(0.1)
        assert not added, "nobody has spoken"
        passing_silence.note_audio(0.02)
        await asyncio.sleep(0.5)
        n_steps = len(added)
        assert added[0] >= 0.07 and n_steps > 3
        assert 0.2 <= sum(added) < 0.35
        await asyncio.sleep(0.1)
        assert len(added) == n_steps, "a turn has ended long ago"


async def test_who_sends_long_pieces_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with passing(monkeypatch) as (passing_silence, added):
        for _ in range(4):
            passing_silence.note_audio(0.1)
            await asyncio.sleep(0.1)
        assert not added


async def test_silence_that_a_sender_left_out_does_not_pass_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    async with passing(monkeypatch) as (passing_silence, added):
        passing_silence.note_audio(0.02)
        await asyncio.sleep(0.5)
        passing_silence.note_audio(0.02)  # one packet may be held back until the next one comes
        assert passing_silence.claim(5.0) == pytest.approx(5.0 - sum(added))
        assert passing_silence.claim(1.0) == 1.0
        await asyncio.sleep(0.5)
        for _ in range(30):
            passing_silence.note_audio(0.02)
        assert passing_silence.claim(1.0) == 1.0, "that was a stall: the audio went on where it had stopped"
