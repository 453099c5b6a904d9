"""A session outlives its connection: nothing is said twice, nothing is lost, and every place comes back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.scripted import ScriptedModel
from realtime.doors import stay as stay_module
from realtime.doors.event_log import EventLog
from realtime.doors.lobby import Lobby, Refused
from realtime.doors.places import MAX_RETURNING
from realtime.doors.protocol import CloseSession, ImportConversation, RequestMetrics, Resume
from realtime.doors.transport import Ending
from realtime.doors.visit import Visit
from realtime.events import (
    ConversationWindow,
    ErrorReported,
    FloorChanged,
    MessageAdded,
    ResponseCreated,
    ResponseDelta,
    ResponseDone,
    SessionCreated,
    SessionEnded,
    SessionMetricsReported,
    WindowMessage,
)
from realtime.inbox import ImportedMessage
from tests.doors.fakes import SOMEBODY, FakeTransport, admit, ask, open_session

FIRST_TIME = Resume("", 0)
WORDS = ["One ", "two ", "three ", "four ", "five."]


@pytest.fixture
async def lobby() -> AsyncIterator[Lobby]:
    lobby = Lobby(open_session(ScriptedModel([WORDS])), max_sessions=2)
    yield lobby
    await lobby.drain(5)
    assert lobby.health()["sessions"] == 0


async def enter(lobby: Lobby, resume: Resume | None = FIRST_TIME) -> tuple[Visit, FakeTransport]:
    transport = FakeTransport()
    visit = admit(lobby, transport, resume=resume)
    visit.begin()
    await transport.until(SessionCreated)
    return visit, transport


def token_of(transport: FakeTransport) -> str:
    return cast(SessionCreated, transport.events[0]).resume_token


async def drop(visit: Visit) -> None:
    """The connection is lost."""
    visit.leave()
    await visit.ended()


async def test_events_are_numbered_from_one(lobby: Lobby) -> None:
    visit, transport = await enter(lobby)
    ask(visit)
    await transport.until(ResponseDone)
    assert transport.sequences == list(range(1, len(transport.events) + 1))
    created = cast(SessionCreated, transport.events[0])
    assert not created.resumed and created.resume_within_s == 60 and len(created.resume_token) >= 32


async def test_an_answer_that_was_cut_in_the_middle_is_read_to_its_end_over_the_next_connection() -> None:
    gate = asyncio.Semaphore(2)
    lobby = Lobby(open_session(ScriptedModel([WORDS], gate=gate)), max_sessions=1)
    visit, before = await enter(lobby)
    ask(visit)
    await before.until(ResponseDelta, 2)
    await drop(visit)
    assert before.endings == [Ending.LEFT] and lobby.health()["sessions"] == 1
    for _ in range(3):
        gate.release()
    await asyncio.sleep(0.05)  # the answer ends while nobody is there
    after = FakeTransport()
    admit(lobby, after, resume=Resume(token_of(before), before.sequences[-1])).begin()
    await after.until(ResponseDone)
    greeting = cast(SessionCreated, after.events[0])
    assert greeting.resumed and greeting.session_id == cast(SessionCreated, before.events[0]).session_id
    numbers = [*before.sequences, *after.sequences[1:]]
    assert numbers == list(range(1, len(numbers) + 1))
    heard = [event.delta for event in (*before.events, *after.events) if isinstance(event, ResponseDelta)]
    assert heard == WORDS
    await lobby.drain(5)


async def play(cuts: list[int], unread: list[int]) -> None:
    """Talks over connections of which each breaks after so many events; the last few of them have never come."""
    lobby = Lobby(open_session(ScriptedModel([WORDS])), max_sessions=1)
    seen: dict[int, object] = {}
    resume = FIRST_TIME
    for cut, n_unread in [*zip(cuts, unread, strict=True), (None, 0)]:
        transport = FakeTransport(gone_after=cut)
        visit = admit(lobby, transport, resume=resume)
        visit.begin()
        if not resume.token:
            ask(visit)
        await transport.until(SessionCreated)
        if cut is not None:
            await asyncio.wait([asyncio.create_task(visit.ended())], timeout=0.02)
            await drop(visit)
        elif not any(isinstance(event, ResponseDone) for event in seen.values()):
            await transport.until(ResponseDone)
        came = list(zip(transport.sequences, transport.events, strict=True))
        came = came[: max(1, len(came) - n_unread)]
        for number, event in came[1 if resume.token else 0 :]:
            assert number not in seen, "an event came twice"
            seen[number] = event
        resume = Resume(resume.token or token_of(transport), max(seen))
    assert sorted(seen) == list(range(1, len(seen) + 1)), "an event never came"
    assert [event.delta for _, event in sorted(seen.items()) if isinstance(event, ResponseDelta)] == WORDS
    await lobby.drain(5)


@pytest.mark.parametrize("n_unread", [0, 1, 3])
@pytest.mark.parametrize("cut", range(1, 18))
async def test_wherever_the_connection_is_cut_each_event_is_seen_once(cut: int, n_unread: int) -> None:
    await play([cut], [n_unread])


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 4)), min_size=2, max_size=5))
def test_however_often_it_is_cut_each_event_is_seen_once(cuts: list[tuple[int, int]]) -> None:
    asyncio.run(play([cut for cut, _ in cuts], [n_unread for _, n_unread in cuts]))


async def test_who_comes_back_is_told_how_many_commands_have_come(lobby: Lobby) -> None:
    visit, before = await enter(lobby)
    ask(visit)  # two
    visit.reject("what is this?")
    await before.until(ResponseDone)
    await drop(visit)
    visit.obey(RequestMetrics())  # over a connection that has gone
    _, after = await enter(lobby, Resume(token_of(before), before.sequences[-1]))
    assert cast(SessionCreated, after.events[0]).received == 3


async def test_who_never_comes_back_loses_the_session_and_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stay_module, "RESUME_WITHIN_S", 0.05)
    model = ScriptedModel([WORDS])
    lobby = Lobby(open_session(model), max_sessions=1)
    visit, transport = await enter(lobby)
    stay = lobby.session_of(token_of(transport), SOMEBODY)
    assert stay is not None
    await drop(visit)
    await asyncio.wait([stay.living], timeout=5)
    assert lobby.health()["sessions"] == 0
    assert len(model.forgotten) == 1
    _, again = await enter(lobby, Resume(token_of(transport), 1))
    created = cast(SessionCreated, again.events[0])
    assert not created.resumed and created.resume_token != token_of(transport)
    await lobby.drain(5)


async def test_who_has_not_said_that_it_can_come_back_ends_with_its_connection(lobby: Lobby) -> None:
    visit, transport = await enter(lobby, None)
    assert cast(SessionCreated, transport.events[0]).resume_within_s == 0
    await drop(visit)
    assert lobby.health()["sessions"] == 0
    _, again = await enter(lobby, Resume(token_of(transport), 1))
    assert not cast(SessionCreated, again.events[0]).resumed


async def test_who_goes_for_good_frees_the_place_at_once(lobby: Lobby) -> None:
    visit, _ = await enter(lobby)
    visit.obey(CloseSession())
    await visit.ended()
    assert lobby.health()["sessions"] == 0


async def test_a_newcomer_pushes_out_who_has_waited_the_longest(lobby: Lobby) -> None:
    visits = [await enter(lobby) for _ in range(2)]
    for visit, _ in visits:
        await drop(visit)
    _, newcomer = await enter(lobby)
    await newcomer.until(SessionCreated)
    _, second = await enter(lobby, Resume(token_of(visits[1][1]), 1))
    assert cast(SessionCreated, second.events[0]).resumed
    with pytest.raises(Refused, match="all 2 places are taken"):
        await enter(lobby, Resume(token_of(visits[0][1]), 1))


async def test_sessions_that_are_slow_to_end_are_not_piled_up() -> None:
    class SlowToForget(ScriptedModel):
        async def forget(self, *, dialogue: str) -> None:
            await forgets.wait()

    forgets = asyncio.Event()
    lobby = Lobby(open_session(SlowToForget([WORDS])), max_sessions=1)
    for _ in range(2):
        await drop((await enter(lobby))[0])
    with pytest.raises(Refused, match="the only place is taken"):
        await enter(lobby)
    assert lobby.health()["sessions"] == 2
    forgets.set()
    await asyncio.sleep(0.05)
    await enter(lobby)
    await lobby.drain(5)
    assert lobby.health()["sessions"] == 0


async def test_an_unknown_token_begins_anew(lobby: Lobby) -> None:
    _, transport = await enter(lobby, Resume("of a server that was restarted", 7))
    assert not cast(SessionCreated, transport.events[0]).resumed and transport.sequences[0] == 1


async def test_who_has_seen_more_than_there_was_has_the_token_of_another_session(lobby: Lobby) -> None:
    visit, transport = await enter(lobby)
    _, other = await enter(lobby, Resume(token_of(transport), 1000))
    assert not cast(SessionCreated, other.events[0]).resumed
    ask(visit)
    await transport.until(ResponseDone)
    assert transport.endings == [], "and the session's own client keeps it"


async def test_of_two_connections_the_later_one_has_the_session(lobby: Lobby) -> None:
    visit, before = await enter(lobby)
    token = token_of(before)
    first, second = FakeTransport(), FakeTransport()
    visits = [admit(lobby, transport, resume=Resume(token, 1)) for transport in (first, second)]
    for later in visits:
        later.begin()
    await second.until(SessionCreated)
    await asyncio.gather(visit.ended(), visits[0].ended())
    for transport in (before, first):
        last = transport.events[-1]
        assert isinstance(last, SessionEnded) and "another tab" in last.reason
        assert transport.endings == [Ending.MOVED]
    visit.obey(CloseSession())
    visits[0].obey(RequestMetrics())  # neither has a say any more
    ask(visits[1])
    await second.until(ResponseDone)
    assert lobby.health()["sessions"] == 1


async def test_a_session_moves_also_when_all_places_are_taken(lobby: Lobby) -> None:
    """A client that does not say at once who it is waits as a guest; a newcomer among guests is refused."""
    (_, before), _ = await enter(lobby), await enter(lobby)
    returning, newcomer = FakeTransport(), FakeTransport()
    guests = [admit(lobby, transport, as_guest=True) for transport in (returning, newcomer)]
    with pytest.raises(Refused, match="places are taken"):
        admit(lobby, FakeTransport(), as_guest=True)
    guests[0].begin(Resume(token_of(before), 1))
    guests[1].begin(FIRST_TIME)
    await returning.until(SessionCreated)
    await guests[1].ended()
    assert newcomer.endings == [Ending.FULL]
    assert "places are taken" in cast(ErrorReported, newcomer.events[-1]).message


async def test_events_that_were_dropped_are_counted_and_told(lobby: Lobby, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stay_module, "MAX_KEPT_EVENTS", 8)
    visit, before = await enter(lobby)
    await drop(visit)
    stay = lobby.session_of(token_of(before), SOMEBODY)
    assert stay is not None
    for _ in range(30):
        stay.obey(RequestMetrics())
    await stay.session.settled()
    await asyncio.sleep(0.02)
    _, after = await enter(lobby, Resume(token_of(before), 1))
    await after.until(SessionMetricsReported, 8)
    lost = [event for event in after.events if isinstance(event, ErrorReported)]
    assert len(lost) == 1 and "22 events were lost" in lost[0].message
    assert after.sequences == [1, 1, *range(24, 32)]


async def test_a_log_keeps_the_newest_and_ends() -> None:
    log = EventLog(max_events=2, max_bytes=10_000)
    for state in ("a", "b", "c"):
        log.add(FloorChanged(state=state))
    assert await log.next_after(0) == (2, FloorChanged(state="b"))
    assert await log.next_after(2) == (3, FloorChanged(state="c"))
    waiting = asyncio.create_task(log.next_after(3))
    await asyncio.sleep(0)
    log.close()
    assert await waiting is None and log.last == 3


@pytest.mark.parametrize(
    "long",
    [
        MessageAdded(item_id="a", role="user", text="long " * 1000, audio_s=0.0),
        ConversationWindow(
            messages=(WindowMessage(item_id="a", role="user", tier="text", tokens=7, audio_s=0.0),) * 80,
            tokens=560,
            max_tokens=1500,
            audio_s=0.0,
            max_audio_s=300.0,
        ),
    ],
)
async def test_a_log_keeps_fewer_events_that_are_long(long: MessageAdded | ConversationWindow) -> None:
    log = EventLog(max_events=100, max_bytes=50_000)
    for _ in range(10):
        log.add(long)
    assert await log.next_after(0) == (9, long)
    log.add(replace(long, text="x" * 100_000) if isinstance(long, MessageAdded) else long)
    found = await log.next_after(10)
    assert found is not None and found[0] == 11, "the newest is kept, however long it is"


async def test_conversations_brought_along_in_a_row_do_not_end_the_session(lobby: Lobby) -> None:
    """Each is a thousand events at once, for a client that reads."""
    visit, transport = await enter(lobby)
    said = tuple(ImportedMessage("user", f"message {number}") for number in range(1000))
    for _ in range(8):
        visit.obey(ImportConversation(said))
    ask(visit)
    await transport.until(ResponseDone)


async def test_connections_that_come_back_and_never_begin_do_not_pile_up(lobby: Lobby) -> None:
    """They need no place of their own, so the lobby counts them."""
    visit, before = await enter(lobby)
    token = token_of(before)
    waiting = [admit(lobby, FakeTransport(), resume=Resume(token, 1)) for _ in range(MAX_RETURNING)]
    with pytest.raises(Refused, match="too many connections come back"):
        admit(lobby, FakeTransport(), resume=Resume(token, 1))
    await drop(waiting[0])
    admit(lobby, FakeTransport(), resume=Resume(token, 1)).begin()
    await visit.ended()
    assert before.endings == [Ending.MOVED]


async def test_what_was_being_said_goes_on_after_the_gap() -> None:
    """The clock of the audio stands still meanwhile, so a sentence that was cut is one turn."""
    model = ScriptedModel([WORDS])
    lobby = Lobby(open_session(model), max_sessions=1)
    visit, before = await enter(lobby)
    voice = (np.tile([16_000, -16_000], 8_000)).astype(np.int16)  # a second
    visit.listen(16_000, voice)
    await before.until(FloorChanged)
    await drop(visit)
    await asyncio.sleep(1.2)  # longer than silence is waited for
    again, after = await enter(lobby, Resume(token_of(before), before.sequences[-1]))
    again.listen(16_000, voice)
    again.listen(16_000, np.zeros(32_000, np.int16))
    added = cast(MessageAdded, await after.until(MessageAdded))
    assert added.audio_s > 2
    await after.until(ResponseCreated)
    assert len(model.requests) == 1
    await lobby.drain(5)


async def test_draining_ends_who_is_away_too() -> None:
    lobby = Lobby(open_session(ScriptedModel([WORDS], gate=asyncio.Semaphore(0))))
    visit, transport = await enter(lobby)
    ask(visit)
    await transport.until(ResponseCreated)
    await drop(visit)
    began_s = asyncio.get_running_loop().time()
    await lobby.drain(8)
    assert asyncio.get_running_loop().time() - began_s < 1
    assert lobby.health()["sessions"] == 0
