"""Who is in: the one place that gives out sessions, and takes every place back.

A door brings its transport here, says who comes, and gets a `Visit`, or is `Refused`. A place is taken from the
admission of a visit until the session that it carries has ended and its transport is closed, whoever ends it and
whatever goes wrong on the way. A session whose client is away keeps its place until a newcomer finds no other. Who
finds no place at all waits in a queue and is let in when its turn comes; nobody who asks later comes before. A door
keeps no list of its own, and there is no other way to a session, so a door that forgets to ask cannot be built. A
session is that of one caller: nobody with another key comes back to it.
Read `visit.py` for what a door does with its visit, `stay.py` for sessions that outlive their connections, `queue.py`
for the order of those who wait.
"""

import asyncio
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, Literal, ParamSpec

from realtime.doors.attendance import Attendance
from realtime.doors.callers import Caller
from realtime.doors.protocol import Resume
from realtime.doors.queue import PlaceQueue
from realtime.doors.refusal import GOING_DOWN
from realtime.doors.stay import Stay
from realtime.doors.transport import Ending, Transport
from realtime.doors.visit import CLOSE_TIMEOUT_S, LAST_EVENTS_S, NoPlace, Visit
from realtime.session import Session

MAX_RETURNING = 8  # connections that come back to one session and have not begun; a page that is honest has two
PLACE_NEEDED = "its client was away, and somebody else needed the place"


class Refused(Exception):
    """Nobody is admitted; the message says why, in a sentence for the client.

    Attributes:
        why: "full", "known" (somebody with that id is in), or "closing".
    """

    def __init__(self, why: Literal["full", "known", "closing"], message: str) -> None:
        super().__init__(message)
        self.why = why


Admission = ParamSpec("Admission")


def _counting_refusals(
    admit: Callable[Concatenate["Lobby", Transport, Admission], Visit],
) -> Callable[Concatenate["Lobby", Transport, Admission], Visit]:
    """Has every refusal of an admission counted, by its door."""

    @functools.wraps(admit)
    def admit_or_count(
        lobby: "Lobby", transport: Transport, /, *args: Admission.args, **asked: Admission.kwargs
    ) -> Visit:
        try:
            return admit(lobby, transport, *args, **asked)
        except Refused as refusal:
            lobby.attendance.refuse(str(asked["door"]), refusal.why)
            raise

    return admit_or_count


class Lobby:
    """Lets clients in, one place each.

    Args:
        open_session: makes the session of one visit.
        model_name: what answers, for `health`.
        max_sessions: places.
        max_waiting: clients that may wait for one; 0: who finds none is refused at once.
        max_session_s: the longest a session may last; None: for ever.
        max_sessions_per_key: of these places; None: all of them.
        attendance: where it counts who comes and goes.

    Attributes:
        attendance: as given.
    """

    def __init__(
        self,
        open_session: Callable[[], Session],
        *,
        model_name: str = "",
        max_sessions: int = 16,
        max_waiting: int = 0,
        max_session_s: float | None = None,
        attendance: Attendance | None = None,
        max_sessions_per_key: int | None = None,
    ) -> None:
        self.attendance = attendance or Attendance()
        self._open_session = open_session
        self._model_name = model_name
        self._max_sessions = max_sessions
        self._max_session_s = max_session_s
        self._max_sessions_per_key = max_sessions if max_sessions_per_key is None else max_sessions_per_key
        self._visits: dict[str, Visit] = {}
        self._guests: set[Visit] = set()
        self._queue: PlaceQueue[Visit] = PlaceQueue(max_waiting)
        self._stays: dict[str, Stay] = {}  # by token
        self._numbers = itertools.count(1)
        self._draining = False

    @property
    def is_draining(self) -> bool:
        """Whether nobody is let in any more, because the server goes down."""
        return self._draining

    @_counting_refusals
    def admit(
        self,
        transport: Transport,
        caller: Caller,
        *,
        door: str,
        begin_within_s: float,
        client_id: str | None = None,
        resume: Resume | None = None,
        as_guest: bool = False,
    ) -> Visit:
        """Gives a place to a client, or has it wait for one, or lets it come back to the one it has.

        Args:
            transport: the way back to it.
            caller: who comes, as the entrance has found out (`caller_of`).
            door: through which it comes.
            begin_within_s: the place is lost if `Visit.begin` was not called by then.
            client_id: the client's own name, if its door needs to find it again; nobody with the same may be in.
            resume: the session that it goes on with, if its door knows that already.
            as_guest: its door does not know yet: where it can neither have a place nor wait for one, it may still say,
                in `Visit.begin`, that it has one. There are no more guests than sessions that could be meant.

        Raises:
            Refused: with a sentence for the client.
            PermissionError: the door lets in somebody whom the entrance has not.
        """
        if not caller.is_let_in:
            raise PermissionError(f"{door}: nobody has a session who was not let in; is its way public?")
        name = f"{door} {next(self._numbers)}" if client_id is None else _name(door, client_id)
        if self._draining:
            raise Refused("closing", GOING_DOWN)
        if name in self._visits:
            raise Refused("known", "a client with this id is connected; make up another")
        returning = self._resumable(resume, caller)
        room = self._find_room(caller, returning, as_guest=as_guest)
        if returning is not None:
            returning.await_return()
        visit = self._visits[name] = Visit(
            name,
            transport,
            caller=caller,
            begin_within_s=begin_within_s,
            enter=self._enter,
            resume=resume,
            returning=returning,
            release=self._take_back,
        )
        if room == "guest":
            self._guests.add(visit)
        elif room == "queue":
            self._queue.join(visit)
            visit.stand_at(len(self._queue))
        return visit

    def find(self, door: str, client_id: str, caller: Caller) -> Visit | None:
        """Gives the visit of a client that is in, to the one who has it."""
        visit = self._visits.get(_name(door, client_id))
        return visit if visit is not None and visit.caller.name == caller.name else None

    def session_of(self, token: str, caller: Caller) -> Stay | None:
        """Gives the session whose client knows its token, to the one who has it, unless it has ended."""
        stay = self._stays.get(token)
        return stay if stay is not None and stay.ending is None and stay.owner == caller.name else None

    def health(self) -> dict[str, Any]:
        """Says how things are, for `/health`."""
        status = "draining" if self._draining else "ok"
        n_beginning = sum(visit not in self._queue for visit in self._without_session())
        n_sessions = len(self._stays) + n_beginning
        return {"status": status, "model": self._model_name, "sessions": n_sessions, "waiting": len(self._queue)}

    async def drain(self, limit_s: float) -> None:
        """Lets nobody in any more, and ends all visits within `limit_s`.

        Every client is told why, who waits in the queue too: at once if it waits for no answer, else when its answer
        has ended or the time is nearly over. Visits that have not ended by then are cancelled.
        """
        self._draining = True
        visits, stays = list(self._visits.values()), list(self._stays.values())
        if not visits and not stays:
            return
        within_s = max(0.0, limit_s - LAST_EVENTS_S - CLOSE_TIMEOUT_S)
        dismissals = [asyncio.create_task(stay.dismiss(GOING_DOWN, within_s=within_s)) for stay in stays]
        for visit in self._without_session():
            visit.send_away(GOING_DOWN)
        dismissals += [asyncio.create_task(visit.ended()) for visit in visits]
        await asyncio.wait(dismissals, timeout=limit_s)
        for stay in stays:
            stay.cancel()
        for visit in visits:
            visit.cancel()
        await asyncio.wait(dismissals, timeout=2 * CLOSE_TIMEOUT_S)

    # Places.

    def _find_room(
        self, caller: Caller, returning: Stay | None, *, as_guest: bool
    ) -> Literal["place", "queue", "guest"]:
        """Says where there is room for one more visit.

        Raises:
            Refused: it cannot.
        """
        if returning is not None:
            if self._n_returning(returning) >= MAX_RETURNING:
                raise Refused("full", "too many connections come back to this session at once; try again in 20 seconds")
            return "place"
        full = self._why_no_place(caller)
        if full is None and not self._queue:
            return "place"
        if self._may_wait(caller):
            return "queue"
        if as_guest and len(self._guests) < self._n_that_may_move():
            return "guest"
        raise Refused("full", full or self._all_taken())

    def _enter(self, visit: Visit, resume: Resume | None) -> tuple[Stay, int] | None:
        """Gives the session that a visit carries from now on, and the number of the last event that its client has.

        None: it waits in the queue, and is told so.
        """
        is_guest = visit in self._guests
        self._guests.discard(visit)
        stay = self._resumable(resume, visit.caller)
        if stay is not None and resume is not None:
            self._queue.leave(visit)
            stay.attach(visit, lasting=True)
            self._advance()  # it needs no place of its own
            return stay, max(1, resume.after)
        owner = visit.caller.name
        if visit not in self._queue:
            full = self._why_no_place(visit.caller, visit)
            if full is not None or (is_guest and self._queue):
                self._send_to_queue(visit, full or self._all_taken(), at_front=not is_guest and visit.stay is None)
        if visit in self._queue:
            return None
        self._make_room(self._max_sessions_per_key - self._n_beginning(visit, owner) - 1, owner)
        self._make_room(self._max_sessions - self._n_beginning(visit) - 1)
        session = self._open_session()
        stay = Stay(
            visit.name,
            session,
            visit.counters,
            owner=owner,
            max_session_s=self._max_session_s,
            release=self._forget,
        )
        self._stays[stay.token] = stay
        self.attendance.begin(_door_of(stay.name))
        stay.attach(visit, lasting=resume is not None)
        return stay, 0

    def _may_wait(self, caller: Caller, visit: Visit | None = None) -> bool:
        """Whether one more visit may wait: there is room, and its key has not all it may have, or waits for it."""
        if not self._queue.has_room or self._max_sessions_per_key >= self._max_sessions:
            return self._queue.has_room
        staying = sum(not stay.is_waiting for stay in self._of(caller.name))
        queued = sum(other.caller.name == caller.name for _, other in self._queue.positions())
        return staying + queued + self._n_beginning(visit, caller.name) < self._max_sessions_per_key

    def _send_to_queue(self, visit: Visit, full: str, *, at_front: bool) -> None:
        """Has a visit wait that is in, and finds that the place it counted on is somebody's again.

        Raises:
            NoPlace: it may not wait.
        """
        if not self._may_wait(visit.caller, visit):
            self.attendance.refuse(_door_of(visit.name), "full")
            raise NoPlace(full)
        self._queue.join(visit, at_front=at_front)
        self._tell_positions()

    def _advance(self) -> None:
        """Gives the places that are free to those who have waited the longest, and tells the others where they are."""
        while self._queue and not self._draining and self._has_place(self._max_sessions, None):
            self._queue.take_first().let_in()
        self._tell_positions()

    def _tell_positions(self) -> None:
        for position, visit in self._queue.positions():
            visit.stand_at(position)

    def _make_room(self, n_sessions: int, owner: str | None = None) -> None:
        """Ends the sessions, all or those of one owner, that have waited the longest for their clients.

        So many are left at most.
        """
        staying = [stay for stay in self._of(owner) if stay.ending is not Ending.GAVE_WAY]
        waiting = sorted((stay for stay in staying if stay.is_waiting), key=lambda stay: stay.waits_since_s)
        for stay in waiting[: max(0, len(staying) - n_sessions)]:
            stay.end(Ending.GAVE_WAY, PLACE_NEEDED)

    def _resumable(self, resume: Resume | None, caller: Caller) -> Stay | None:
        stay = None if resume is None else self.session_of(resume.token, caller)
        if stay is None or resume is None or not stay.may_be_resumed or resume.after > stay.log.last:
            return None  # nobody has seen more than there was: this is not the client that it was told to
        return stay

    def _why_no_place(self, caller: Caller, visit: Visit | None = None) -> str | None:
        """Why a newcomer, who may be in already, can have no place; None if it can.

        There are places that are free, and those of clients that are away.
        """
        if not self._has_place(self._max_sessions, visit):
            return self._all_taken()
        if not self._has_place(self._max_sessions_per_key, visit, caller.name):
            return f"{_full(self._max_sessions_per_key)} that one key may have; end a conversation first"
        return None

    def _has_place(self, n_places: int, visit: Visit | None, owner: str | None = None) -> bool:
        """Whether one of so many places, of all or of one owner, is free or will be.

        A session that gives way takes a while to end. No more of them do so at a time than there are places.
        """
        staying = sum(not stay.is_waiting for stay in self._of(owner))
        leaving = sum(stay.ending is Ending.GAVE_WAY for stay in self._of(owner))
        return staying + self._n_beginning(visit, owner) < n_places and leaving < n_places

    def _of(self, owner: str | None) -> Iterator[Stay]:
        return (stay for stay in self._stays.values() if owner in (None, stay.owner))

    def _n_beginning(self, visit: Visit | None, owner: str | None = None) -> int:
        """How many others, of all or of one owner, have a place and no session (any more)."""
        others = (other for other in self._without_session() if other is not visit and other not in self._guests)
        return sum(other not in self._queue and owner in (None, other.caller.name) for other in others)

    def _n_returning(self, stay: Stay) -> int:
        """How many connections have been offered for a session and do not carry it yet."""
        return sum(visit.stay is stay and not visit.has_begun for visit in self._visits.values())

    def _n_that_may_move(self) -> int:
        """How many sessions could go on over another connection although theirs seems to be there."""
        return sum(stay.may_be_resumed and not stay.is_waiting for stay in self._stays.values())

    def _without_session(self) -> Iterator[Visit]:
        """Gives the visits that have not begun, or whose session has ended before their transport was closed."""
        return (visit for visit in self._visits.values() if visit.stay is None or visit.stay.token not in self._stays)

    def _all_taken(self) -> str:
        return f"{_full(self._max_sessions)}; try again in a minute"

    def _take_back(self, visit: Visit) -> None:
        self._guests.discard(visit)
        self._queue.leave(visit)
        del self._visits[visit.name]
        self._advance()

    def _forget(self, stay: Stay) -> None:
        del self._stays[stay.token]
        self.attendance.end(_door_of(stay.name), stay.ending)
        self._advance()


def _full(n_places: int) -> str:
    return "the only place is taken" if n_places == 1 else f"all {n_places} places are taken"


def _name(door: str, client_id: str) -> str:
    return f"{door} {client_id}"


def _door_of(name: str) -> str:
    return name.partition(" ")[0]
