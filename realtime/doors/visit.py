"""One connection's stay in the lobby: from its admission until its transport is closed.

    admitted ── begin() ──► carries a session ──► last events ──► transport closed ──► place free
       │           └──► waits in the queue ──┘ (when its turn comes)      │
       └── no begin() in time, or the client leaves ──────────────────────┘

What a door does with its visit (`begin`, `listen`, `obey`, `reject`, `leave`) neither blocks nor raises. What is done
with a transport (`send`, `close`) may block and raise: it is bounded in time, and what is raised is logged.
Read `stay.py` for the session that a visit carries, `lobby.py` for who is admitted.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from realtime.doors.callers import Caller
from realtime.doors.playing import play
from realtime.doors.protocol import CloseSession, Command, Resume
from realtime.doors.stay import Stay
from realtime.doors.transport import Ending, Transport, finish, log_failure
from realtime.events import ErrorReported, SessionEnded, SessionEvent, SessionQueued
from realtime.hearing.audio import CaptureCounters, RawSamples
from realtime.turns.options import SessionKind

logger = logging.getLogger(__name__)

SEND_TIMEOUT_S = 10.0  # for one event; a client that takes none for so long has gone
LAST_EVENTS_S = 2.0  # for the client to read what was sent before the session ended
CLOSE_TIMEOUT_S = 1.0  # for a transport to close

MOVED_ON = "the conversation goes on over another connection, in another tab or window"


class NoPlace(Exception):
    """There is no place for the visit now; the message is for the client."""


class Visit:
    """One connection. `Lobby.admit` makes it.

    Args:
        name: of the door and of the client, for logs.
        transport: what the door brought.
        caller: who comes.
        begin_within_s: it ends if `begin` was not called by then.
        enter: gives the session that it carries, its old one or a new one, or None if it is to wait until `let_in`;
            raises `NoPlace` if that cannot be.
        resume: the session that it goes on with, where its door knows that before `begin`.
        returning: that session, if there is one.
        kind: of the session that it begins, if it begins one.
        release: is told when its place is free.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        *,
        caller: Caller,
        begin_within_s: float,
        enter: Callable[["Visit", Resume | None], tuple[Stay, int] | None],
        resume: Resume | None,
        returning: Stay | None,
        kind: SessionKind,
        release: Callable[["Visit"], None],
    ) -> None:
        self.name = name
        self.transport = transport
        self.caller = caller
        self.kind = kind
        self._enter = enter
        self._resume = resume
        self._returning = returning
        self._counters = CaptureCounters() if returning is None else returning.counters
        self._stay: Stay | None = None
        self._sent = 0  # number of the last event that the client has
        self._ending: Ending | None = None
        self._farewell: SessionEvent | None = None
        self._decided = asyncio.Event()  # whether there will be a session
        self._waits = False  # its client is ready, and there is no place yet
        self._position = 0  # in the queue; 0: not in it
        self._moved = asyncio.Event()  # it has another position, or waits no longer
        self._sending: asyncio.Task[None] | None = None
        self._deadline = asyncio.get_running_loop().call_later(begin_within_s, self._end, Ending.LATE)
        self._task = asyncio.create_task(self._stay_until_the_end(), name=f"visit {name}")
        self._task.add_done_callback(lambda _: release(self))
        self._task.add_done_callback(lambda task: log_failure(name, task))

    # What a door calls: none of it blocks or raises.

    @property
    def counters(self) -> CaptureCounters:
        """What was wrong with the audio."""
        return self._counters if self._stay is None else self._stay.counters

    def postpone(self, begin_within_s: float) -> None:
        """Gives the visit so much time, from now on, to begin."""
        if not self._decided.is_set() and not self._waits:
            self._deadline.cancel()
            self._deadline = asyncio.get_running_loop().call_later(begin_within_s, self._end, Ending.LATE)

    def begin(self, resume: Resume | None = None) -> None:
        """Begins the session, once the connection can carry its events, or the wait for it; the second time: nothing.

        Args:
            resume: the session that it goes on with, if its door knows that only now.
        """
        if self._decided.is_set() or self._waits:
            return
        self._resume = resume or self._resume
        self._go_in()

    def _go_in(self) -> None:
        try:
            entered = self._enter(self, self._resume)
        except NoPlace as refusal:
            self._farewell = ErrorReported(error_type="server_error", message=str(refusal))
            self._end(Ending.FULL)
            return
        except Exception:
            logger.exception("%s: the session could not begin", self.name)
            self._end(Ending.FAILED)
            return
        self._deadline.cancel()  # who waits may wait for ever: a connection that is lost is noticed by its door
        self._waits = entered is None
        if entered is not None:
            self._stay, self._sent = entered
            self._decided.set()
        self._moved.set()

    def listen(self, rate_hz: int, samples: RawSamples, track: str | None = None) -> None:
        """Takes audio: mono, any shape, int16 or float, of the speaker `track`; before `begin` it is ignored."""
        if (stay := self._carried) is not None:
            stay.listen(rate_hz, samples, track)

    def skip(self, missing_s: float) -> None:
        """Leaves a gap before the audio that comes next, of which some may have passed as silence already."""
        if (stay := self._carried) is not None:
            stay.skip(missing_s)

    def obey(self, command: Command) -> None:
        """Does what the client asks; before there is a session only `CloseSession` is, for who waits may go."""
        if isinstance(command, CloseSession) and (self._carried is not None or self._waits):
            self.leave_for_good()
        elif (stay := self._carried) is not None:
            stay.obey(command)

    def reject(self, message: str) -> bool:
        """Has the session tell the client what was wrong with its message, and count it; False if there is none."""
        if (stay := self._carried) is not None:
            stay.reject(message)
        return stay is not None

    def leave(self) -> None:
        """The connection has ended; whoever calls it, and how often, it is noticed once."""
        self._end(Ending.LEFT)

    def leave_for_good(self) -> None:
        """The client goes, and will not come back for its session."""
        if (stay := self._carried) is not None:
            stay.end(Ending.LEFT)
        self._end(Ending.LEFT)

    async def ended(self) -> None:
        """Waits until the place is free, or its session waits for the next connection."""
        await asyncio.wait([self._task])

    # What the lobby calls.

    @property
    def stay(self) -> Stay | None:
        """The session that it carries or has carried, or comes back to."""
        return self._stay or self._returning

    @property
    def has_begun(self) -> bool:
        """Whether it has, or has had, a session."""
        return self._stay is not None

    def stand_at(self, position: int) -> None:
        """Notes its position in the queue, 1 for the next; the client is told so, from `begin` on."""
        if position != self._position:
            self._position = position
            self._moved.set()

    def let_in(self) -> None:
        """Its turn has come: it has a place, and begins if its client is ready."""
        self._position = 0
        if self._waits and not self._decided.is_set():
            self._go_in()

    def make_way(self) -> None:
        """Another connection goes on with its session."""
        self._farewell = SessionEnded(reason=MOVED_ON)
        self._end(Ending.MOVED)

    def send_away(self, reason: str) -> None:
        """Ends the session, or without one the visit, with a last event that says why."""
        if (stay := self._carried) is not None:
            stay.end(Ending.SENT_AWAY, reason)
        elif self._ending is None:
            self._farewell = SessionEnded(reason=reason)
            self._end(Ending.SENT_AWAY)

    def cancel(self) -> None:
        """Ends everything at once."""
        self._task.cancel()

    # How it goes.

    @property
    def _carried(self) -> Stay | None:
        """The session, as long as it is this connection's."""
        return self._stay if self._stay is not None and self._stay.carries(self) else None

    def _end(self, ending: Ending) -> None:
        if self._ending is not None:
            return
        self._ending = ending
        self._decided.set()
        self._moved.set()
        if self._sending is not None:
            self._sending.cancel()
        if self._stay is not None:
            self._stay.detach(self)

    async def _stay_until_the_end(self) -> None:
        try:
            await self._wait()
            if self._stay is not None and self._ending is None:
                await self._carry(self._stay)
        finally:
            self._deadline.cancel()
            if self._stay is not None:
                self._stay.detach(self)
            ending = self._ending = self._ending or (self._stay and self._stay.ending) or Ending.LEFT
            logger.info("%s: %s", self.name, ending.value)
            try:
                if self._stay is not None and self._stay.ending is not None and ending is not Ending.MOVED:
                    await asyncio.wait([self._stay.living])
            finally:  # also where the lobby does not wait so long
                try:
                    await finish(self.name, CLOSE_TIMEOUT_S, asyncio.create_task(self._say_farewell()))
                finally:  # nor for a client that reads no farewell
                    await finish(self.name, CLOSE_TIMEOUT_S, asyncio.create_task(self.transport.close(ending)))

    async def _wait(self) -> None:
        """Waits until there is a session, or none will be; tells the client meanwhile where in the queue it is.

        A client that reads slowly is told its newest position, and not those before.
        """
        told = 0
        while not self._decided.is_set():
            self._moved.clear()
            if self._waits and self._position not in (0, told):
                told = self._position
                telling = self._sending = asyncio.create_task(self._tell(SessionQueued(position=told)))
                await asyncio.wait([telling])
            else:
                await self._moved.wait()

    async def _tell(self, event: SessionEvent) -> None:
        await self._send(event)

    async def _carry(self, stay: Stay) -> None:
        """Sends the session's events until it has ended, or this connection."""
        sending = self._sending = asyncio.create_task(self._send_events(stay))
        playing = asyncio.create_task(self._play(stay))
        try:
            await asyncio.wait([sending, stay.living], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([sending], timeout=LAST_EVENTS_S)
        finally:
            sending.cancel()  # of a client that reads nothing
            playing.cancel()
            await finish(self.name, CLOSE_TIMEOUT_S, sending, playing)

    async def _play(self, stay: Stay) -> None:
        try:
            await play(stay.session.playout, self.transport)
        except Exception as error:
            logger.info("%s: the client takes no sound (%s: %s)", self.name, type(error).__name__, error)
            self.leave()

    async def _send_events(self, stay: Stay) -> None:
        if self._sent and stay.created is not None:
            greeting = replace(stay.created, resumed=True, received=stay.n_received)
            if not await self._send(greeting):
                return
        while (kept := await stay.log.next_after(self._sent)) is not None:
            number, event = kept
            if (n_lost := number - self._sent - 1) and not await self._send(_loss_of(n_lost)):
                return
            self._sent = number
            if not await self._send(event):
                return
            await asyncio.sleep(0)  # neither waits while there is more: others have their turn

    async def _send(self, event: SessionEvent) -> bool:
        """Sends one event, numbered like the last that the client has; False if it takes nothing any more."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self.transport.send(event, self._sent)
        except Exception as error:
            logger.info("%s: the client takes nothing (%s: %s)", self.name, type(error).__name__, error)
            self.leave()
            return False
        return True

    async def _say_farewell(self) -> None:
        if self._farewell is not None:
            try:
                await self.transport.send(self._farewell, self._sent)
            except Exception as error:
                logger.info("%s: the client is not there for a last word (%s)", self.name, type(error).__name__)


def _loss_of(n_lost: int) -> ErrorReported:
    message = f"{n_lost} events were lost, because too many waited to be read; what is shown may be incomplete"
    return ErrorReported(error_type="server_error", message=message)
