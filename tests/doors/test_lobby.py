"""Every way a visit can end gives its place back once; the doors here are fakes, the sessions are real."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from models.scripted import ScriptedModel
from realtime.doors import visit as visit_module
from realtime.doors.callers import Caller
from realtime.doors.lobby import Lobby, Refused
from realtime.doors.protocol import AddText, ChangeSettings, PressToTalk, ReleaseToTalk, RequestMetrics
from realtime.doors.transport import Ending
from realtime.doors.visit import Visit
from realtime.events import (
    ErrorReported,
    ResponseCreated,
    ResponseDone,
    SessionCreated,
    SessionEnded,
)
from realtime.session import Session
from realtime.turns.options import SessionKind
from tests.doors.fakes import SOMEBODY, FakeTransport, admit, ask, open_session
from tests.doors.timeless import run_timeless


@pytest.fixture
async def lobby() -> AsyncIterator[Lobby]:
    lobby = Lobby(open_session(), model_name="scripted", max_sessions=2)
    yield lobby
    await lobby.drain(5)
    assert lobby.health()["sessions"] == 0


async def test_a_visit_from_door_to_door(lobby: Lobby) -> None:
    transport = FakeTransport()
    visit = admit(lobby, transport)
    visit.begin()
    visit.begin()
    ask(visit)
    await transport.until(ResponseDone)
    visit.obey(PressToTalk())
    visit.obey(ReleaseToTalk())
    visit.obey(ChangeSettings({"muted": True}))
    visit.obey(RequestMetrics())
    visit.listen(8_000, np.zeros(160, np.int16))
    assert visit.reject("no such thing")
    error = await transport.until(ErrorReported)
    assert isinstance(error, ErrorReported) and error.message == "no such thing"
    visit.leave()
    await visit.ended()
    assert sum(isinstance(event, SessionCreated) for event in transport.events) == 1
    assert transport.endings == [Ending.LEFT]
    assert lobby.health() == {"status": "ok", "model": "scripted", "sessions": 0, "waiting": 0}


async def test_nothing_a_door_calls_raises_before_or_after_the_session(lobby: Lobby) -> None:
    visit = admit(lobby, FakeTransport())
    for _ in range(2):
        visit.listen(16_000, np.zeros(320, np.int16))
        ask(visit)
        visit.leave()
        await visit.ended()
        visit.begin()
        visit.postpone(1)
    assert not visit.reject("nobody hears it")


async def test_broken_audio_is_counted_and_not_raised(lobby: Lobby, caplog: pytest.LogCaptureFixture) -> None:
    visit = admit(lobby, FakeTransport())
    visit.begin()
    broken: Any = ["no", "samples"]
    visit.listen(16_000, broken)
    assert visit.counters.failed_chunks == 1
    assert "a chunk of audio was lost" in caplog.text


async def test_a_command_that_breaks_the_session_is_logged_and_not_raised(
    lobby: Lobby, caplog: pytest.LogCaptureFixture
) -> None:
    visit = admit(lobby, FakeTransport())
    visit.begin()
    no_text: Any = 5
    visit.obey(AddText(no_text))
    assert "AddText was not done" in caplog.text


async def test_places_are_counted_from_admission_to_the_end(lobby: Lobby) -> None:
    first, second = admit(lobby, FakeTransport(), client_id="one"), admit(lobby, FakeTransport(), client_id="two")
    with pytest.raises(Refused, match="all 2 places are taken") as refused:
        admit(lobby, FakeTransport(), client_id="three")
    assert refused.value.why == "full"
    assert lobby.find("fake", "one", SOMEBODY) is first and lobby.find("fake", "three", SOMEBODY) is None
    first.leave()
    assert lobby.health()["sessions"] == 2, "its transport is not closed yet"
    await first.ended()
    assert lobby.health()["sessions"] == 1
    with pytest.raises(Refused, match="make up another") as refused:
        admit(lobby, FakeTransport(), client_id="two")
    assert refused.value.why == "known"
    second.leave()
    await second.ended()


async def test_who_does_not_begin_in_time_loses_the_place(lobby: Lobby) -> None:
    transport = FakeTransport()
    await asyncio.wait_for(admit(lobby, transport, within_s=0).ended(), 5)
    assert transport.endings == [Ending.LATE]
    visit = admit(lobby, transport, within_s=0)
    visit.postpone(60)
    visit.begin()
    await transport.until(SessionCreated)


async def test_a_session_that_cannot_begin_is_told_by_the_ending() -> None:
    def fail(_: SessionKind, __: Caller) -> Session:
        raise OSError("no space left")

    transport, lobby = FakeTransport(), Lobby(fail)
    visit = admit(lobby, transport)
    visit.begin()
    await asyncio.wait_for(visit.ended(), 5)
    assert transport.endings == [Ending.FAILED]
    assert lobby.health()["sessions"] == 0


async def test_a_session_that_fails_gives_its_place_back(caplog: pytest.LogCaptureFixture) -> None:
    no_text: Any = 5
    transport, lobby = FakeTransport(), Lobby(open_session(ScriptedModel([[no_text]])))
    visit = admit(lobby, transport)
    visit.begin()
    ask(visit)
    await asyncio.wait_for(visit.ended(), 20)
    assert transport.endings == [Ending.FAILED]
    assert any(isinstance(event, ErrorReported) for event in transport.events)
    assert lobby.health()["sessions"] == 0


async def test_the_longest_session_ends_with_a_reason() -> None:
    transport, lobby = FakeTransport(), Lobby(open_session(), max_session_s=0.05)
    visit = admit(lobby, transport)
    visit.begin()
    await asyncio.wait_for(visit.ended(), 20)
    last = transport.events[-1]
    assert isinstance(last, SessionEnded) and "start again" in last.reason
    assert transport.endings == [Ending.SENT_AWAY]


RUDE: dict[str, Callable[[], FakeTransport]] = {
    "reads nothing": lambda: FakeTransport(hang=True),
    "is gone at once": lambda: FakeTransport(gone_after=0),
    "is gone later": lambda: FakeTransport(gone_after=1),
    "cannot be closed": lambda: FakeTransport(close_fails=True),
    "does not close": lambda: FakeTransport(close_hangs=True),
    "reads nothing and does not close": lambda: FakeTransport(hang=True, close_hangs=True),
}


async def leave(lobby: Lobby, visit: Visit) -> None:
    visit.leave()


async def begin(lobby: Lobby, visit: Visit) -> None:
    visit.begin()


async def talk(lobby: Lobby, visit: Visit) -> None:
    ask(visit)
    visit.listen(16_000, np.zeros(16_000, np.int16))


async def wait(lobby: Lobby, visit: Visit) -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def send_away(lobby: Lobby, visit: Visit) -> None:
    visit.send_away("because")


async def drain(lobby: Lobby, visit: Visit) -> None:
    await lobby.drain(1)


HAPPENINGS: tuple[Callable[[Lobby, Visit], Awaitable[None]], ...] = (leave, begin, talk, wait, send_away, drain)


@pytest.mark.parametrize("how", RUDE)
def test_a_rude_client_loses_its_place(how: str) -> None:
    async def play() -> None:
        transport, lobby = RUDE[how](), Lobby(open_session())
        visit = admit(lobby, transport)
        visit.begin()
        ask(visit)
        if "gone" not in how and "nothing" not in how:
            await transport.until(ResponseDone)
            visit.leave()
        await asyncio.wait_for(visit.ended(), 20)
        assert lobby.health()["sessions"] == 0
        assert len(transport.endings) == 1

    run_timeless(play())


@pytest.mark.parametrize("how", ["is polite", *RUDE])
def test_whatever_happens_in_whatever_order_the_place_comes_back_once(how: str) -> None:
    """All orders of four happenings, with one client of each kind; at last, everybody leaves."""

    async def play(order: tuple[Callable[[Lobby, Visit], Awaitable[None]], ...]) -> None:
        transport, lobby = RUDE.get(how, FakeTransport)(), Lobby(open_session(), max_sessions=1)
        visit = admit(lobby, transport)
        for happening in order:
            await happening(lobby, visit)
        visit.leave()
        await asyncio.wait_for(visit.ended(), 20)
        assert len(transport.endings) == 1, order
        assert lobby.health()["sessions"] == 0
        if drain not in order:
            again = admit(lobby, FakeTransport())
            again.leave()
            await again.ended()

    async def play_all() -> None:
        await asyncio.gather(*(play(order) for order in itertools.permutations(HAPPENINGS, 4)))

    run_timeless(play_all())


async def test_who_is_cut_off_while_the_session_ends_slowly_has_the_connection_closed() -> None:
    class SlowToForget(ScriptedModel):
        async def forget(self, *, dialogue: str) -> None:
            await asyncio.Event().wait()

    lobby, transport = Lobby(open_session(SlowToForget([["Yes."]]))), FakeTransport()
    visit = admit(lobby, transport)
    visit.begin()
    ask(visit)
    await transport.until(ResponseDone)
    visit.leave()
    await asyncio.sleep(0.05)  # it waits for the end of its session
    await lobby.drain(0)
    assert transport.endings == [Ending.LEFT] and lobby.health()["sessions"] == 0


async def test_draining_lets_an_answer_end_and_nobody_in() -> None:
    gate = asyncio.Semaphore(0)
    lobby = Lobby(open_session(ScriptedModel([["Yes", "."]], gate=gate)), max_sessions=3)
    answered, idle, waiting = FakeTransport(), FakeTransport(), FakeTransport()
    for transport in (answered, idle):
        admit(lobby, transport).begin()
    visit = admit(lobby, FakeTransport(), client_id="x")
    visit.leave()
    await visit.ended()
    admit(lobby, waiting)
    busy = lobby.find("fake", "1", SOMEBODY)
    assert busy is not None
    ask(busy)
    await answered.until(ResponseCreated)
    draining = asyncio.create_task(lobby.drain(20))
    ended = await idle.until(SessionEnded)
    assert isinstance(ended, SessionEnded) and "server is going down" in ended.reason
    assert not draining.done() and lobby.health()["status"] == "draining"
    with pytest.raises(Refused, match="going down"):
        admit(lobby, FakeTransport())
    gate.release()
    gate.release()
    await asyncio.wait_for(draining, 20)
    kinds = [type(event) for event in answered.events]
    assert kinds.index(ResponseDone) < kinds.index(SessionEnded) == len(kinds) - 1
    assert waiting.endings == [Ending.SENT_AWAY]
    assert waiting.events == [ended], "who has not begun is told, too"
    assert lobby.health() == {"status": "draining", "model": "", "sessions": 0, "waiting": 0}
    await lobby.drain(1)


async def test_draining_does_not_wait_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit_module, "LAST_EVENTS_S", 0.1)
    monkeypatch.setattr(visit_module, "CLOSE_TIMEOUT_S", 0.1)
    lobby = Lobby(open_session(ScriptedModel([["never"]], gate=asyncio.Semaphore(0))))
    transport = FakeTransport()
    visit = admit(lobby, transport)
    visit.begin()
    ask(visit)
    await transport.until(ResponseCreated)
    await asyncio.wait_for(lobby.drain(0.4), 5)
    assert isinstance(transport.events[-1], SessionEnded)
    assert lobby.health()["sessions"] == 0
