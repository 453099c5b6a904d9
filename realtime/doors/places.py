"""Who has a place, who may wait for one, and who gives way: the arithmetic of the lobby, and the tables that it counts.

A place is taken from the admission of a visit until the session that it carries has ended and its transport is closed.
A session whose client is away keeps its place until a newcomer finds no other. Whoever finds no place waits in a queue;
nobody who asks later comes before, unless it waits for a place that its own key has to give back. Nothing here is told
to a client, but the position in the queue. Read `lobby.py` for who asks, `queue.py` for the order of those who wait.
"""

from collections.abc import Iterator
from typing import Literal

from realtime.doors.callers import Caller, Owner
from realtime.doors.queue import PlaceQueue
from realtime.doors.stay import Stay
from realtime.doors.transport import Ending
from realtime.doors.visit import NoPlace, Visit

MAX_RETURNING = 8  # connections that come back to one session and have not begun; a page that is honest has two
PLACE_NEEDED = "its client was away, and somebody else needed the place"

Room = Literal["place", "queue", "guest"]  # a guest has neither: it may still say that it comes back to a session


class Places:
    """The visits and the sessions that are in, and those that wait.

    Args:
        max_sessions: places.
        max_waiting: visits that may wait for one.
        max_per_key: places that one key may take; None: all of them.

    Attributes:
        visits: connections that are in, by name.
        stays: sessions that have not ended, by token.
    """

    def __init__(self, max_sessions: int, *, max_waiting: int, max_per_key: int | None) -> None:
        self.visits: dict[str, Visit] = {}
        self.stays: dict[str, Stay] = {}
        self._max_sessions = max_sessions
        self._max_per_key = max_sessions if max_per_key is None else max_per_key
        self._guests: set[Visit] = set()
        self._queue: PlaceQueue[Visit] = PlaceQueue(max_waiting)

    # Who comes and goes.

    def find_room(self, caller: Caller, returning: Stay | None, *, as_guest: bool) -> Room:
        """Says where there is room for one more visit.

        Args:
            caller: who comes.
            returning: the session that it comes back to.
            as_guest: it may still come back to one.

        Raises:
            NoPlace: nowhere.
        """
        if returning is not None:
            if self._n_returning(returning) >= MAX_RETURNING:
                raise NoPlace("too many connections come back to this session at once; try again in 20 seconds")
            return "place"
        full = self._why_no_place(caller)
        if full is None and not self._queue:
            return "place"
        if self._may_wait(caller):
            return "queue"
        if as_guest and self._n_guests(caller.owner) < self._n_that_may_move(caller.owner):
            return "guest"
        raise NoPlace(full or self._all_taken())

    def add(self, visit: Visit, room: Room) -> None:
        """Takes in a visit, where there is room for it."""
        self.visits[visit.name] = visit
        if room == "guest":
            self._guests.add(visit)
        elif room == "queue":
            self._queue.join(visit)
            self.advance()  # all who are before it may wait for sessions of their own keys

    def remove(self, visit: Visit) -> None:
        """Forgets a visit, which has ended."""
        self._guests.discard(visit)
        self._queue.leave(visit)
        del self.visits[visit.name]

    def go_on(self, visit: Visit) -> None:
        """Notes that a visit goes on with a session that has a place, and needs none."""
        self._guests.discard(visit)
        self._queue.leave(visit)

    def claim(self, visit: Visit) -> bool:
        """Says whether a visit has a place for a session of its own now; one that has none waits in the queue.

        Where all places are taken, the session gives way that has waited the longest for its client.

        Raises:
            NoPlace: there is none, and it may not wait.
        """
        is_guest = visit in self._guests
        self._guests.discard(visit)
        if visit not in self._queue:
            full = self._why_no_place(visit.caller, visit)
            if full is not None or (is_guest and self._queue):
                self._send_to_queue(visit, full or self._all_taken(), at_front=not is_guest and visit.stay is None)
        if visit in self._queue:
            return False
        owner = visit.caller.owner
        self._make_room(self._max_per_key - self._n_beginning(visit, owner) - 1, owner)
        self._make_room(self._max_sessions - self._n_beginning(visit) - 1)
        return True

    def advance(self) -> None:
        """Gives the places that are free to those who have waited the longest, and tells the others where they are.

        Who waits for a session of its own key to end lets others pass. Each is asked once: who is let in has a place.
        """
        for _, visit in self._queue.positions():
            if visit in self._queue and self._why_no_place(visit.caller, visit) is None:
                self._queue.leave(visit)
                visit.let_in()
        self._tell_positions()

    # How many there are.

    @property
    def n_sessions(self) -> int:
        """Places that are taken."""
        return len(self.stays) + sum(visit not in self._queue for visit in self.without_session())

    @property
    def n_waiting(self) -> int:
        """Visits in the queue."""
        return len(self._queue)

    def without_session(self) -> Iterator[Visit]:
        """Gives the visits that have not begun, or whose session has ended before their transport was closed."""
        return (visit for visit in self.visits.values() if visit.stay is None or visit.stay.token not in self.stays)

    # The queue.

    def _may_wait(self, caller: Caller, visit: Visit | None = None) -> bool:
        """Whether one more visit may wait: there is room, and its key has not all it may have, or waits for it."""
        if not self._queue.has_room or self._max_per_key >= self._max_sessions:
            return self._queue.has_room
        staying = sum(not stay.is_waiting for stay in self._of(caller.owner))
        queued = sum(other.caller.owner == caller.owner for _, other in self._queue.positions())
        return staying + queued + self._n_beginning(visit, caller.owner) < self._max_per_key

    def _send_to_queue(self, visit: Visit, full: str, *, at_front: bool) -> None:
        """Has a visit wait that is in, and finds that the place it counted on is somebody's again.

        Raises:
            NoPlace: it may not wait.
        """
        if not self._may_wait(visit.caller, visit):
            raise NoPlace(full)
        self._queue.join(visit, at_front=at_front)
        self._tell_positions()

    def _tell_positions(self) -> None:
        for position, visit in self._queue.positions():
            visit.stand_at(position)

    # Places.

    def _make_room(self, n_sessions: int, owner: Owner | None = None) -> None:
        """Ends the sessions, all or those of one owner, that have waited the longest for their clients.

        So many are left at most.
        """
        staying = [stay for stay in self._of(owner) if stay.ending is not Ending.GAVE_WAY]
        waiting = sorted((stay for stay in staying if stay.is_waiting), key=lambda stay: stay.waits_since_s)
        for stay in waiting[: max(0, len(staying) - n_sessions)]:
            stay.end(Ending.GAVE_WAY, PLACE_NEEDED)

    def _why_no_place(self, caller: Caller, visit: Visit | None = None) -> str | None:
        """Why a newcomer, who may be in already, can have no place; None if it can.

        There are places that are free, and those of clients that are away.
        """
        if not self._has_place(self._max_sessions, visit):
            return self._all_taken()
        if not self._has_place(self._max_per_key, visit, caller.owner):
            return f"{_full(self._max_per_key)} that one key may have; end a conversation first"
        return None

    def _has_place(self, n_places: int, visit: Visit | None, owner: Owner | None = None) -> bool:
        """Whether one of so many places, of all or of one owner, is free or will be.

        A session that gives way takes a while to end. No more of them do so at a time than there are places.
        """
        staying = sum(not stay.is_waiting for stay in self._of(owner))
        leaving = sum(stay.ending is Ending.GAVE_WAY for stay in self._of(owner))
        return staying + self._n_beginning(visit, owner) < n_places and leaving < n_places

    def _of(self, owner: Owner | None) -> Iterator[Stay]:
        return (stay for stay in self.stays.values() if owner in (None, stay.owner))

    def _n_beginning(self, visit: Visit | None, owner: Owner | None = None) -> int:
        """How many others, of all or of one owner, have a place and no session (any more)."""
        others = (other for other in self.without_session() if other is not visit and other not in self._guests)
        return sum(other not in self._queue and owner in (None, other.caller.owner) for other in others)

    def _n_returning(self, stay: Stay) -> int:
        """How many connections have been offered for a session and do not carry it yet."""
        return sum(visit.stay is stay and not visit.has_begun for visit in self.visits.values())

    def _n_guests(self, owner: Owner) -> int:
        return sum(guest.caller.owner == owner for guest in self._guests)

    def _n_that_may_move(self, owner: Owner) -> int:
        """How many sessions of an owner could go on over another connection although theirs seems to be there."""
        return sum(stay.may_be_resumed and not stay.is_waiting for stay in self._of(owner))

    def _all_taken(self) -> str:
        return f"{_full(self._max_sessions)}; try again in a minute"


def _full(n_places: int) -> str:
    return "the only place is taken" if n_places == 1 else f"all {n_places} places are taken"
