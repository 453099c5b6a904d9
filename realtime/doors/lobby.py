"""Who is in: the one place that gives out sessions, and takes every place back.

A door brings its transport here, says who comes, and gets a `Visit`, or is `Refused`. A place is taken from the
admission of a visit until the session that it carries has ended and its transport is closed, whoever ends it and
whatever goes wrong on the way. Who finds no place waits, and is let in when its turn comes. A door keeps no list of its
own, and there is no other way to a session, so a door that forgets to ask cannot be built. A session is that of one
caller: nobody with another key comes back to it.
Read `places.py` for who has a place, `visit.py` for what a door does with its visit, `stay.py` for sessions that
outlive their connections.
"""

import asyncio
import itertools
from collections.abc import Callable, Collection
from typing import Any, Literal

from realtime.doors.attendance import Attendance
from realtime.doors.callers import Caller, Owner
from realtime.doors.places import Places
from realtime.doors.protocol import Resume
from realtime.doors.refusal import GOING_DOWN
from realtime.doors.stay import Stay
from realtime.doors.transport import Ending, Transport
from realtime.doors.visit import CLOSE_TIMEOUT_S, LAST_EVENTS_S, NoPlace, Visit
from realtime.session import Session
from realtime.turns.options import SessionKind

Reason = Literal["full", "known", "closing"]


class Refused(Exception):
    """Nobody is admitted; the message says why, in a sentence for the client.

    Attributes:
        why: "full", "known" (somebody with that id is in), or "closing".
    """

    def __init__(self, why: Reason, message: str) -> None:
        super().__init__(message)
        self.why = why


class Lobby:
    """Lets clients in, one place each.

    Args:
        open_session: makes the session of one visit, of this kind and for whoever comes.
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
        open_session: Callable[[SessionKind, Caller], Session],
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
        self._max_session_s = max_session_s
        self._places = Places(max_sessions, max_waiting=max_waiting, max_per_key=max_sessions_per_key)
        self._numbers = itertools.count(1)
        self._draining = False

    @property
    def is_draining(self) -> bool:
        """Whether nobody is let in any more, because the server goes down."""
        return self._draining

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
        kind: SessionKind = "conversation",
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
                in `Visit.begin`, that it has one. There are no more guests of one key than of its
                sessions that could be meant.
            kind: of the session, if it begins one.

        Raises:
            Refused: with a sentence for the client.
            PermissionError: the door lets in somebody whom the entrance has not.
        """
        if not caller.is_let_in:
            raise PermissionError(f"{door}: nobody has a session who was not let in; is its way public?")
        name = f"{door} {next(self._numbers)}" if client_id is None else _name(door, client_id)
        if self._draining:
            raise self._refuse(door, "closing", GOING_DOWN)
        if name in self._places.visits:
            raise self._refuse(door, "known", "a client with this id is connected; make up another")
        returning = self._resumable(resume, caller)
        try:
            room = self._places.find_room(caller, returning, as_guest=as_guest)
        except NoPlace as full:
            raise self._refuse(door, "full", str(full)) from None
        if returning is not None:
            returning.await_return()
        visit = Visit(
            name,
            transport,
            caller=caller,
            begin_within_s=begin_within_s,
            enter=self._enter,
            resume=resume,
            returning=returning,
            kind=kind,
            release=self._take_back,
        )
        self._places.add(visit, room)
        return visit

    def find(self, door: str, client_id: str, caller: Caller) -> Visit | None:
        """Gives the visit of a client that is in, to the one who has it."""
        visit = self._places.visits.get(_name(door, client_id))
        return visit if visit is not None and visit.caller.owner == caller.owner else None

    def session_of(self, token: str, caller: Caller) -> Stay | None:
        """Gives the session whose client knows its token, to the one who has it, unless it has ended."""
        stay = self._places.stays.get(token)
        return stay if stay is not None and stay.ending is None and stay.owner == caller.owner else None

    def health(self) -> dict[str, Any]:
        """Says how things are, for `/health`."""
        status = "draining" if self._draining else "ok"
        places = self._places
        return {"status": status, "model": self._model_name, "sessions": places.n_sessions, "waiting": places.n_waiting}

    def send_away_all_but(self, owners: Collection[Owner], reason: str) -> None:
        """Ends what anybody else has begun, or waits for, at once, and tells the client why."""
        for stay in list(self._places.stays.values()):
            if stay.owner not in owners:
                stay.end(Ending.SENT_AWAY, reason)
        for visit in list(self._places.visits.values()):
            if visit.caller.owner not in owners:
                visit.send_away(reason)

    async def drain(self, limit_s: float) -> None:
        """Lets nobody in any more, and ends all visits within `limit_s`.

        Every client is told why, who waits in the queue too: at once if it waits for no answer, else when its answer
        has ended or the time is nearly over. Visits that have not ended by then are cancelled.
        """
        self._draining = True
        visits, stays = list(self._places.visits.values()), list(self._places.stays.values())
        if not visits and not stays:
            return
        within_s = max(0.0, limit_s - LAST_EVENTS_S - CLOSE_TIMEOUT_S)
        dismissals = [asyncio.create_task(stay.dismiss(GOING_DOWN, within_s=within_s)) for stay in stays]
        for visit in self._places.without_session():
            visit.send_away(GOING_DOWN)
        dismissals += [asyncio.create_task(visit.ended()) for visit in visits]
        await asyncio.wait(dismissals, timeout=limit_s)
        for stay in stays:
            stay.cancel()
        for visit in visits:
            visit.cancel()
        await asyncio.wait(dismissals, timeout=2 * CLOSE_TIMEOUT_S)

    # What happens to a visit.

    def _enter(self, visit: Visit, resume: Resume | None) -> tuple[Stay, int] | None:
        """Gives the session that a visit carries from now on, and the number of the last event that its client has.

        None: it waits in the queue, and is told so.

        Raises:
            NoPlace: there is no place for it now.
        """
        stay = self._resumable(resume, visit.caller)
        if stay is not None and resume is not None:
            self._places.go_on(visit)
            stay.attach(visit, lasting=True)
            self._advance()  # it needs no place of its own
            return stay, max(1, resume.after)
        try:
            has_place = self._places.claim(visit)
        except NoPlace:
            self.attendance.refuse(_door_of(visit.name), "full")
            raise
        return (self._begin(visit, is_lasting=resume is not None), 0) if has_place else None

    def _begin(self, visit: Visit, *, is_lasting: bool) -> Stay:
        """Begins the session of a visit that has a place."""
        stay = Stay(
            visit.name,
            self._open_session(visit.kind, visit.caller),
            visit.counters,
            owner=visit.caller.owner,
            max_session_s=self._max_session_s,
            release=self._forget,
        )
        self._places.stays[stay.token] = stay
        self.attendance.begin(_door_of(stay.name))
        stay.attach(visit, lasting=is_lasting)
        return stay

    def _resumable(self, resume: Resume | None, caller: Caller) -> Stay | None:
        stay = None if resume is None else self.session_of(resume.token, caller)
        if stay is None or resume is None or not stay.may_be_resumed or resume.after > stay.log.last:
            return None  # nobody has seen more than there was: this is not the client that it was told to
        return stay

    def _take_back(self, visit: Visit) -> None:
        self._places.remove(visit)
        self._advance()

    def _forget(self, stay: Stay) -> None:
        del self._places.stays[stay.token]
        self.attendance.end(_door_of(stay.name), stay.ending)
        self._advance()

    def _advance(self) -> None:
        if not self._draining:  # who waits has been sent away
            self._places.advance()

    def _refuse(self, door: str, why: Reason, message: str) -> Refused:
        """Counts a client that is not let in, and gives what it is told."""
        self.attendance.refuse(door, why)
        return Refused(why, message)


def _name(door: str, client_id: str) -> str:
    return f"{door} {client_id}"


def _door_of(name: str) -> str:
    return name.partition(" ")[0]
