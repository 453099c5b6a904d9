"""The sound of an answer goes on over the next connection, from where the last one was lost."""

import asyncio
from dataclasses import replace
from functools import partial

from models.scripted import ScriptedModel, ScriptedVoice
from models.types import VOICE_RATE_HZ
from realtime.doors.lobby import Lobby
from realtime.doors.protocol import Resume
from realtime.events import AudioStarted, AudioStopped, SessionCreated
from realtime.session import Session
from realtime.speaking import SpeakingOptions
from tests.doors.fakes import FakeTransport, admit, ask
from tests.session.conversing import OPTIONS, loudness_detector

SPOKEN = replace(OPTIONS, speaking=SpeakingOptions(spoken=True))
WORDS = [f"{number} " for number in range(10)]  # 2 s of sound


def seconds(transport: FakeTransport) -> float:
    return sum(map(len, transport.sound)) / VOICE_RATE_HZ


async def test_what_a_lost_connection_did_not_play_is_played_over_the_next() -> None:
    model, voice = ScriptedModel([WORDS]), ScriptedVoice()
    make_detector = partial(loudness_detector, OPTIONS.vad)
    lobby = Lobby(
        lambda _kind, _caller: Session(model, SPOKEN, voice=voice, make_detector=make_detector), max_sessions=1
    )
    before, after = FakeTransport(), FakeTransport()
    visit = admit(lobby, before, resume=Resume("", 0))
    visit.begin()
    created = await before.until(SessionCreated)
    assert isinstance(created, SessionCreated)
    ask(visit)
    await before.until(AudioStarted)
    await asyncio.sleep(0.3)  # of a second or two
    visit.leave()
    await visit.ended()
    assert 0.3 < seconds(before) < 1.5
    visit = admit(lobby, after, resume=Resume(created.resume_token, len(before.events)))
    visit.begin()
    await after.until(AudioStopped)
    assert abs(seconds(before) + seconds(after) - 10 * 0.2) < 0.01
    await lobby.drain(5)
