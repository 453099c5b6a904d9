"""Keys that may have few places: none of them holds up the queue, or keeps others out of what is theirs."""

import asyncio

import pytest

from realtime.doors.callers import Caller
from realtime.doors.lobby import Lobby, Refused
from realtime.doors.protocol import Resume
from realtime.doors.transport import Ending
from realtime.events import SessionCreated, SessionQueued
from tests.doors.fakes import FakeTransport, admit, open_session

ANNA, BEN, CLEO = (Caller(name, is_let_in=True, key_id=name) for name in ("anna", "ben", "cleo"))
FIRST_TIME = Resume("", 0)


async def test_a_key_whose_own_session_still_ends_holds_up_nobody() -> None:
    """Anna's next place is that of a session that gives way; who came later, and needs none of hers, is let in."""
    lobby = Lobby(open_session(), max_sessions=3, max_waiting=4, max_sessions_per_key=1)
    for _ in range(2):  # the second has the first give way, and both are away when the third comes
        away = admit(lobby, FakeTransport(), caller=ANNA)
        away.begin(FIRST_TIME)
        away.leave()
    third, ben = FakeTransport(), FakeTransport()
    waiting = admit(lobby, third, caller=ANNA)
    waiting.begin()
    admit(lobby, ben, caller=BEN).begin()
    gone = admit(lobby, FakeTransport(), caller=CLEO)
    gone.leave()
    async with asyncio.timeout(10):
        await gone.ended()
        await ben.until(SessionCreated)
        await third.until(SessionCreated)
    assert [type(event) for event in third.events[:2]] == [SessionQueued, SessionCreated]
    assert type(ben.events[0]) is SessionCreated
    await lobby.drain(5)
    assert lobby.health()["sessions"] == 0


async def test_only_who_may_have_a_session_to_come_back_to_is_a_guest() -> None:
    lobby = Lobby(open_session(), max_sessions=1)
    first = FakeTransport()
    admit(lobby, first, caller=BEN).begin(FIRST_TIME)
    created = await first.until(SessionCreated)
    assert isinstance(created, SessionCreated)
    with pytest.raises(Refused, match="the only place is taken"):
        admit(lobby, FakeTransport(), caller=ANNA, as_guest=True)
    second = FakeTransport()
    admit(lobby, second, caller=BEN, as_guest=True).begin(Resume(created.resume_token, 1))
    resumed = await second.until(SessionCreated)
    assert isinstance(resumed, SessionCreated) and resumed.resumed
    await lobby.drain(5)
    assert first.endings == [Ending.MOVED]
