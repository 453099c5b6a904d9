"""Who finds no place waits in a queue: in order, told where, let in without asking again, and never counted twice."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from models.scripted import ScriptedModel
from realtime.doors import visit as visit_module
from realtime.doors.callers import Caller
from realtime.doors.lobby import Lobby, Refused
from realtime.doors.protocol import CloseSession, Resume
from realtime.doors.queue import PlaceQueue
from realtime.doors.transport import Ending
from realtime.doors.visit import Visit
from realtime.events import ResponseDone, SessionCreated, SessionEnded, SessionQueued
from realtime.server import Server, create_app
from realtime.server_options import ServerOptions
from realtime.session import Session, SessionOptions
from realtime.turns.options import SessionKind
from tests.doors.clients import no_sessions_left, webrtc_client, websocket_client
from tests.doors.fakes import FakeTransport, admit, ask, open_session
from tests.doors.siege import siege
from tests.servers import serving

FIRST_TIME = Resume("", 0)
N_CONNECTS = 1000
AT_ONCE = 100


# ---- The queue itself ----


def test_who_came_first_is_first_and_who_leaves_moves_the_others() -> None:
    queue: PlaceQueue[str] = PlaceQueue(4)
    for name in ("a", "b", "c"):
        queue.join(name)
    queue.leave("b")
    queue.leave("nobody")
    queue.join("z", at_front=True)
    assert list(queue.positions()) == [(1, "z"), (2, "a"), (3, "c")]
    queue.leave("z")
    assert list(queue.positions()) == [(1, "a"), (2, "c")] and len(queue) == 2 and "z" not in queue


def test_nobody_joins_a_queue_that_is_full() -> None:
    queue: PlaceQueue[str] = PlaceQueue(1)
    queue.join("a")
    with pytest.raises(ValueError, match="1 wait already"):
        queue.join("b")
    assert not PlaceQueue[str](0).has_room


# ---- In front of real sessions ----


@pytest.fixture
async def lobby() -> AsyncIterator[Lobby]:
    lobby = Lobby(open_session(ScriptedModel([["Yes."]])), model_name="m", max_sessions=1, max_waiting=3)
    yield lobby
    await lobby.drain(5)
    assert lobby.health() == {"status": "draining", "model": "m", "sessions": 0, "waiting": 0}


async def come(lobby: Lobby, resume: Resume | None = None) -> tuple[Visit, FakeTransport]:
    """Connects and is ready; what comes then is somebody's session, or a place in the queue."""
    transport = FakeTransport()
    visit = admit(lobby, transport, resume=resume)
    visit.begin()
    await transport.until(object)
    return visit, transport


async def go(visit: Visit) -> None:
    visit.leave()
    await visit.ended()


def positions(transport: FakeTransport) -> list[int]:
    return [event.position for event in transport.events if isinstance(event, SessionQueued)]


async def test_each_is_told_its_place_at_every_change_and_let_in_by_itself(lobby: Lobby) -> None:
    first, _ = await come(lobby)
    (second, at_second), (third, at_third), (_, at_fourth) = [await come(lobby) for _ in range(3)]
    assert [positions(transport) for transport in (at_second, at_third, at_fourth)] == [[1], [2], [3]]
    assert lobby.health()["sessions"] == 1 and lobby.health()["waiting"] == 3
    await go(third)
    await at_fourth.until(SessionQueued, 2)
    await go(first)
    await at_second.until(SessionCreated)
    assert at_second.sequences == [0, 1], "its session's first event has the number 1"
    await go(second)
    await at_fourth.until(SessionCreated)
    assert positions(at_fourth) == [3, 2, 1] and positions(at_third) == [2]


async def test_beyond_the_longest_queue_they_are_refused_as_ever(lobby: Lobby) -> None:
    for _ in range(4):
        await come(lobby)
    with pytest.raises(Refused, match="the only place is taken; try again in a minute") as refused:
        admit(lobby, FakeTransport())
    assert refused.value.why == "full"


async def test_a_place_that_is_free_is_not_the_newcomers_while_somebody_waits(lobby: Lobby) -> None:
    """Its session is away, so its place could be had, for the moment in which the lobby is not told yet."""
    first, _ = await come(lobby, FIRST_TIME)
    _, at_second = await come(lobby)
    first.leave()
    newcomer = FakeTransport()
    admit(lobby, newcomer).begin()
    await at_second.until(SessionCreated)
    await newcomer.until(SessionQueued)
    assert not any(isinstance(event, SessionCreated) for event in newcomer.events)


async def test_what_is_said_and_typed_in_the_queue_is_ignored(lobby: Lobby) -> None:
    first, _ = await come(lobby)
    second, at_second = await come(lobby)
    second.listen(16_000, np.zeros(320, np.int16))
    second.skip(0.1)
    ask(second)
    assert not second.reject("nobody hears it")
    second.begin()
    second.postpone(0)  # it has begun to wait: its time to begin is not counted any more
    await asyncio.sleep(0)
    await go(first)
    await at_second.until(SessionCreated)
    assert second.stay is not None and second.stay.n_received == 0
    ask(second)
    await at_second.until(ResponseDone)


async def test_who_waits_may_go_with_a_word(lobby: Lobby) -> None:
    await come(lobby)
    second, at_second = await come(lobby)
    second.obey(CloseSession())
    await asyncio.wait_for(second.ended(), 5)
    assert at_second.endings == [Ending.LEFT] and lobby.health()["waiting"] == 0


async def test_whose_turn_comes_before_it_is_ready_has_the_place_and_begins_later(lobby: Lobby) -> None:
    first, _ = await come(lobby)
    transport = FakeTransport()
    slow = admit(lobby, transport)
    _, at_third = await come(lobby)
    await go(first)
    await at_third.until(SessionQueued, 2)
    assert lobby.health()["sessions"] == 1 and not transport.events
    slow.begin()
    await transport.until(SessionCreated)
    assert positions(at_third) == [2, 1]


async def test_who_is_not_ready_in_time_leaves_the_queue(lobby: Lobby) -> None:
    await come(lobby)
    transport = FakeTransport()
    late = admit(lobby, transport, within_s=0)
    _, at_third = await come(lobby)
    await asyncio.wait_for(late.ended(), 5)
    assert transport.endings == [Ending.LATE]
    await at_third.until(SessionQueued)
    assert positions(at_third)[-1] == 1


async def test_who_comes_back_to_a_session_passes_the_queue(lobby: Lobby) -> None:
    """Also where its door learns only from its first message that it is somebody's."""
    _, before = await come(lobby, FIRST_TIME)
    token = next(event for event in before.events if isinstance(event, SessionCreated)).resume_token
    _, at_second = await come(lobby)
    returning = FakeTransport()
    admit(lobby, returning, as_guest=True).begin(Resume(token, 1))
    created = await returning.until(SessionCreated)
    assert isinstance(created, SessionCreated) and created.resumed
    assert positions(at_second) == [1] and lobby.health()["waiting"] == 1


async def test_a_guest_who_is_nobodys_joins_the_end_of_the_queue(lobby: Lobby) -> None:
    await come(lobby, FIRST_TIME)
    waiting = [await come(lobby) for _ in range(3)]
    transport = FakeTransport()
    guest = admit(lobby, transport, as_guest=True)
    await go(waiting[0][0])
    guest.begin(FIRST_TIME)
    await transport.until(SessionQueued)
    assert positions(transport) == [3]
    refused = FakeTransport()
    stranger = admit(lobby, refused, as_guest=True)
    stranger.begin(FIRST_TIME)
    await asyncio.wait_for(stranger.ended(), 5)
    assert refused.endings == [Ending.FULL]


async def test_who_was_promised_the_place_of_somebody_who_came_back_is_next(lobby: Lobby) -> None:
    first, before = await come(lobby, FIRST_TIME)
    token = next(event for event in before.events if isinstance(event, SessionCreated)).resume_token
    await go(first)
    promised, behind = FakeTransport(), FakeTransport()
    visit = admit(lobby, promised)
    admit(lobby, behind).begin()
    await behind.until(SessionQueued)
    returned, _ = await come(lobby, Resume(token, 1))
    visit.begin()
    await promised.until(SessionQueued)
    await behind.until(SessionQueued, 2)
    assert positions(promised) == [1] and positions(behind) == [1, 2]
    await go(returned)
    await promised.until(SessionCreated)


async def test_a_key_that_has_all_it_may_have_takes_no_place_in_the_queue() -> None:
    """What it has and what it waits for count together, so that nobody waits in vain before others."""
    lobby = Lobby(open_session(), max_sessions=2, max_waiting=4, max_sessions_per_key=2)
    limited = Lobby(open_session(), max_sessions=3, max_waiting=4, max_sessions_per_key=2)
    greedy, other = Caller("greedy", is_let_in=True), Caller("other", is_let_in=True)
    for _ in range(3):
        admit(lobby, FakeTransport(), caller=greedy).begin()
    assert lobby.health()["waiting"] == 1, "where a key may have all places it may wait for more"
    for caller in (other, other, greedy):
        admit(limited, FakeTransport(), caller=caller).begin()
    at_second = FakeTransport()
    admit(limited, at_second, caller=greedy).begin()
    await at_second.until(SessionQueued)
    for caller in (greedy, other):
        with pytest.raises(Refused, match="places are taken"):
            admit(limited, FakeTransport(), caller=caller)
    await lobby.drain(5)
    await limited.drain(5)


async def test_a_session_that_cannot_begin_lets_the_next_in() -> None:
    n_opened = 0

    def open_all_but_the_second(kind: SessionKind, caller: Caller) -> Session:
        nonlocal n_opened
        n_opened += 1
        if n_opened == 2:
            raise OSError("no space left")
        return open_session()(kind, caller)

    lobby = Lobby(open_all_but_the_second, max_sessions=1, max_waiting=2)
    first, _ = await come(lobby)
    (_, at_second), (_, at_third) = await come(lobby), await come(lobby)
    await go(first)
    await at_third.until(SessionCreated)
    assert at_second.endings == [Ending.FAILED]
    await lobby.drain(5)


async def test_draining_tells_the_queue_and_lets_nobody_in(lobby: Lobby) -> None:
    _, at_first = await come(lobby)
    _, at_second = await come(lobby)
    await lobby.drain(5)
    for transport in (at_first, at_second):
        last = transport.events[-1]
        assert isinstance(last, SessionEnded) and "going down" in last.reason
        assert transport.endings == [Ending.SENT_AWAY]
    assert positions(at_second) == [1] and lobby.is_draining


async def test_who_reads_nothing_in_the_queue_is_given_up(lobby: Lobby, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit_module, "SEND_TIMEOUT_S", 0.02)
    await come(lobby)
    deaf = FakeTransport(hang=True)
    visit = admit(lobby, deaf)
    visit.begin()
    await asyncio.wait_for(visit.ended(), 5)
    assert lobby.health()["waiting"] == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["come", "go", "lose", "pause"]), st.integers(0, 7)), max_size=24))
def test_whatever_happens_places_are_kept_and_the_order_holds(happenings: list[tuple[str, int]]) -> None:
    async def play() -> None:
        lobby = Lobby(open_session(), max_sessions=2, max_waiting=4)
        here: list[tuple[Visit, FakeTransport]] = []
        let_in: list[FakeTransport] = []
        came: list[FakeTransport] = []
        for what, number in happenings:
            if what == "come":
                transport = FakeTransport(gone_after=number if number > 5 else None)
                try:
                    visit = admit(lobby, transport, resume=FIRST_TIME if number % 2 else None)
                except Refused:
                    assert lobby.health()["waiting"] == 4
                    continue
                visit.begin()
                here.append((visit, transport))
                came.append(transport)
            elif what == "go" and here:
                here.pop(number % len(here))[0].leave_for_good()
            elif what == "lose" and here:
                here.pop(number % len(here))[0].leave()
            await asyncio.sleep(0.001 if what == "pause" else 0)
            assert lobby.health()["waiting"] <= 4
            let_in += [t for t in came if t not in let_in and any(isinstance(e, SessionCreated) for e in t.events)]
        assert [came.index(transport) for transport in let_in] == sorted(came.index(t) for t in let_in)
        await lobby.drain(5)
        assert lobby.health()["sessions"] == lobby.health()["waiting"] == 0

    asyncio.run(play())


# ---- Over the wires ----


@pytest.mark.parametrize("client_of", [websocket_client, webrtc_client])
async def test_a_client_waits_over_every_wire_and_then_talks(client_of: Callable[..., Any]) -> None:
    with serving(ScriptedModel([["Yes."]]), max_sessions=1, max_waiting=1) as port:
        async with websocket_client(port) as first, client_of(port, greeting="session.queued") as waiting:
            assert waiting.of("session.queued") == [{"type": "session.queued", "position": 1}]
            assert await waiting_at(port) == 1
            await waiting.type_text("Is anybody there?")
            await waiting.send({"event": "media", "media": {"payload": "////"}})
            await first.send({"event": "stop"})
            created = await waiting.until("session.created")
            assert created["sequence"] == 1 and created["received"] == 0
            await waiting.type_text("And now?")
            assert (await waiting.until("response.done"))["text"] == "Yes."
            assert len(waiting.of("response.done")) == 1


async def test_pings_are_answered_in_the_queue_and_nonsense_is_explained() -> None:
    with serving(ScriptedModel([["Yes."]]), max_sessions=1, max_waiting=1) as port:
        async with websocket_client(port), websocket_client(port, greeting="session.queued") as waiting:
            await waiting.send({"event": "ping"})
            await waiting.send("[")
            assert "not JSON" in (await waiting.until("error"))["message"]
            assert {"event": "pong"} in waiting.events
            async with websocket_client(port, start=False) as refused:
                assert "the only place is taken" in (await refused.until("error"))["message"]
                await asyncio.wait_for(refused.websocket.wait_closed(), 10)
                assert refused.websocket.close_code == 1013
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                body = {"sdp": "v=0", "type": "offer", "webrtc_id": "late"}
                answer = await http.post("/webrtc/offer", json=body)
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")


@pytest.mark.parametrize("client_of", [websocket_client, webrtc_client])
async def test_who_vanishes_from_the_queue_leaves_it(client_of: Callable[..., Any]) -> None:
    with serving(ScriptedModel([["Yes."]]), max_sessions=1, max_waiting=2) as port:
        async with websocket_client(port):
            async with client_of(port, greeting="session.queued"):
                behind = await asyncio.wait_for(_enter_queue(port), 10)
                assert behind["position"] == 2
            await _until_waiting(port, 0)
        await no_sessions_left(port)


async def _enter_queue(port: int) -> dict[str, Any]:
    async with websocket_client(port, greeting="session.queued") as client:
        return client.of("session.queued")[0]


async def waiting_at(port: int) -> int:
    """How many wait, as the server says."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        return int((await http.get("/health")).json()["waiting"])


async def _until_waiting(port: int, count: int) -> None:
    for _ in range(300):
        if await waiting_at(port) == count:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"not {count} but {await waiting_at(port)} wait")


# ---- In a process of its own, whose places, tasks, threads and descriptors are counted ----

START = '{"event": "start", "websocket_id": "w"}'


async def connect_and_go(port: int, number: int) -> str:
    """Connects, waits for the first event and goes in one of five ways; gives the event's type."""
    async with connect(f"ws://127.0.0.1:{port}/websocket/offer", compression=None, close_timeout=0.2) as websocket:
        if number % 5 == 4:
            websocket.transport.pause_reading()  # reads nothing, not even where it is
        with suppress(ConnectionClosed):  # it was refused, and is told why all the same
            if number % 7:
                await websocket.send(START)
        if number % 5 == 4 or not number % 7:
            websocket.transport.abort()
            return "nothing"
        kind: str = json.loads(await websocket.recv())["type"]
        if number % 5 == 1:
            websocket.transport.abort()
        elif number % 5 == 2:
            websocket.transport.write_eof()  # half of it is closed
        elif number % 5 == 3:
            with suppress(ConnectionClosed):
                await websocket.send('{"event": "stop"}')
    return kind


async def a_thousand_connects(port: int) -> None:
    """Some have a place, some wait, some are refused; all go."""
    kinds: set[str] = set()
    for start in range(0, N_CONNECTS, AT_ONCE):
        kinds |= set(await asyncio.gather(*(connect_and_go(port, start + number) for number in range(AT_ONCE))))
    assert {"session.queued", "session.created", "error"} <= kinds


@pytest.mark.alone
async def test_a_thousand_connects_leave_nothing_behind() -> None:
    with siege(max_sessions=4, max_waiting=32) as under_attack:
        outcome = await under_attack.attack(a_thousand_connects)
        assert not outcome.left, f"{outcome}"
        assert outcome.neighbour_s < 2


async def test_going_down_tells_who_waits_and_refuses_who_comes_with_a_time_to_come_back() -> None:
    """While an answer is let end, a proxy reads from the status and `Retry-After` that it should try another server."""
    gate = asyncio.Semaphore(0)
    app = create_app(
        ScriptedModel([["Yes", "."]], gate=gate), SessionOptions(), ServerOptions(max_sessions=1, drain_limit_s=20)
    )
    server, listener = Server(app, ServerOptions(drain_limit_s=20)), socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    serve = asyncio.create_task(server.serve(sockets=[listener]))
    async with (
        websocket_client(port) as busy,
        websocket_client(port, greeting="session.queued") as waiting,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        await busy.type_text("Are you there?")
        await busy.until("response.created")
        server.should_exit = True
        assert "going down" in (await waiting.until("session.ended"))["reason"]
        await waiting.websocket.wait_closed()
        assert waiting.websocket.close_code == 1001
        for answer in (await http.get("/"), await http.post("/webrtc/offer", json={})):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
            assert "going down" in answer.json()["meta"]["message"]
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{port}/websocket/offer")
        assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (503, "60")
        health = (await http.get("/health")).json()
        assert (health["status"], health["sessions"], health["waiting"]) == ("draining", 1, 0)
        gate.release()
        gate.release()
        assert (await busy.until("response.done"))["text"] == "Yes."
    await asyncio.wait_for(serve, 20)
    listener.close()
