"""One session, and the connections that carry it one after the other.

A session ends with its connection, unless its client has said that it can come back. Then the session waits for a
minute: its events are kept, its clock of audio stands still, and it keeps its place until a newcomer needs it. Whoever
brings the session's token goes on with it, over whichever wire, and gets what was said meanwhile. Of two connections
with the same token the later one has the session, because a client that comes back knows more than we do.
Read `visit.py` for one connection, `places.py` for places.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from models.errors import InvalidPrompt
from realtime.doors.callers import Owner
from realtime.doors.event_log import EventLog
from realtime.doors.protocol import Command
from realtime.doors.requests import carry_out
from realtime.doors.track import Track
from realtime.doors.transport import Ending, finish
from realtime.events import ResponseCreated, ResponseDone, ResponseRetracted, SessionCreated
from realtime.hearing.audio import CaptureCounters, RawSamples
from realtime.session import Session

if TYPE_CHECKING:
    from realtime.doors.visit import Visit

logger = logging.getLogger(__name__)

RESUME_WITHIN_S = 60.0  # of the end of a connection; browsers find a new network, and people a better place, in less
MAX_KEPT_EVENTS = 4096  # minutes of a conversation; a minute without a connection has some hundred
MAX_KEPT_BYTES = 8_000_000  # of all sessions that are in: 16 times as much; a long answer with its window has 50,000
END_TIMEOUT_S = 10.0  # for a session to end after it was asked to; it is cancelled then
EVENTS_TIMEOUT_S = 2.0  # for its last events to be collected after it has ended
TOKEN_BYTES = 24

WAITED_IN_VAIN = "the connection was lost, and did not come back in time"


class Stay:
    """A session from its beginning to its end.

    Args:
        name: of its first visit, for logs.
        session: runs at once.
        counters: where what is wrong with the audio is counted.
        owner: who has it; nobody else comes back to it.
        max_session_s: the longest it may last; None: for ever.
        release: is told when it has ended.

    Attributes:
        counters: as given.
    """

    def __init__(
        self,
        name: str,
        session: Session,
        counters: CaptureCounters,
        *,
        owner: Owner,
        max_session_s: float | None,
        release: Callable[["Stay"], None],
    ) -> None:
        self.name = name
        self.owner = owner
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self.session = session
        self.log = EventLog(MAX_KEPT_EVENTS, MAX_KEPT_BYTES)
        self.created: SessionCreated | None = None  # its first event
        self.n_received = 0  # commands, those among them that could not be understood
        self.counters = counters
        self._tracks = {name: Track(session.push_audio, name, counters) for name in session.speakers}
        self._carrier: Visit | None = None
        self._is_lasting = False
        self._ending: Ending | None = None
        self._waits_since_s = 0.0  # on the loop's clock
        self._timers: list[asyncio.TimerHandle] = []
        self._absence: asyncio.TimerHandle | None = None
        self._quiet = asyncio.Event()  # no answer is under way
        self._quiet.set()
        session.metrics.capture = counters
        self._running = asyncio.create_task(session.run(), name=f"session of {name}")
        self.living = asyncio.create_task(self._live(max_session_s), name=f"stay of {name}")
        self.living.add_done_callback(lambda _: release(self))

    @property
    def ending(self) -> Ending | None:
        """Why it ends; None while it goes on."""
        return self._ending

    @property
    def is_waiting(self) -> bool:
        """Whether its client is away, so that its place is a newcomer's if there is no other."""
        return self._carrier is None and self._ending in (None, Ending.GAVE_WAY)

    @property
    def waits_since_s(self) -> float:
        """Since when its client is away, on the loop's clock."""
        return self._waits_since_s

    @property
    def may_be_resumed(self) -> bool:
        """Whether its client could come back, also while its old connection seems to be there."""
        return self._is_lasting and self._ending is None

    # Its connections.

    def attach(self, visit: "Visit", *, lasting: bool) -> None:
        """Goes on over this connection; another one that has the session is told so and closed."""
        before, self._carrier = self._carrier, visit
        self._is_lasting = self._is_lasting or lasting
        self._stop_waiting()
        for track in self._tracks.values():
            track.resume()
        if before is not None:
            before.make_way()

    def detach(self, visit: "Visit") -> None:
        """The connection has ended: the session waits for the next one, or ends, too."""
        if self._carrier is not visit:
            return
        self._carrier = None
        if not self._is_lasting:
            self.end(Ending.LEFT)
            return
        self._stop_tracks()
        self.await_return()

    def await_return(self) -> None:
        """Waits for a connection; from now on, if it waits already, because one has been offered."""
        if self._carrier is None and self._ending is None:
            self._stop_waiting()
            loop = asyncio.get_running_loop()
            self._waits_since_s = loop.time()
            self._absence = loop.call_later(RESUME_WITHIN_S, self.end, Ending.LEFT, WAITED_IN_VAIN)

    def carries(self, visit: "Visit") -> bool:
        """Whether the session is this connection's."""
        return self._carrier is visit

    def _stop_waiting(self) -> None:
        if self._absence is not None:
            self._absence.cancel()
            self._absence = None

    # What comes from its client.

    def listen(self, rate_hz: int, samples: RawSamples, track: str | None = None) -> None:
        """Takes audio: mono, any shape, int16 or float; of the first speaker, unless a track is named."""
        name = self.session.speakers[0] if track is None else track
        if name in self._tracks:
            self._tracks[name].listen(rate_hz, samples)
        else:
            self.reject(f"there is no track {name[:20]!r} here, but {', '.join(self._tracks)}")

    def skip(self, missing_s: float) -> None:
        """Leaves a gap before the first speaker's next audio, of which some may have passed as silence already."""
        self._tracks[self.session.speakers[0]].skip(missing_s)

    def obey(self, command: Command) -> None:
        """Does what the client asks."""
        self.n_received += 1
        try:
            carry_out(command, self.session)
        except Exception:
            logger.exception("%s: %s was not done", self.name, type(command).__name__)

    def reject(self, message: str) -> None:
        """Has the session tell the client what was wrong with its message, and count it."""
        self.n_received += 1
        self.session.report(InvalidPrompt(message))

    def _stop_tracks(self) -> None:
        for track in self._tracks.values():
            track.stop()

    # Its end.

    def end(self, ending: Ending, reason: str = "") -> None:
        """Ends the session; a reason that is not the client's is its last event."""
        if self._ending is not None:
            return
        self._ending = ending
        self._stop_waiting()
        self._stop_tracks()
        self.session.close(reason)
        self._timers.append(asyncio.get_running_loop().call_later(END_TIMEOUT_S, self._running.cancel))

    async def dismiss(self, reason: str, *, within_s: float) -> None:
        """Ends the session as soon as nobody waits for an answer, or after `within_s`; returns when that is done."""
        if self._carrier is not None:
            waiting = asyncio.create_task(self._quiet.wait())
            await asyncio.wait([waiting, self.living], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        carrier = self._carrier
        self.end(Ending.SENT_AWAY, reason)
        await (carrier.ended() if carrier is not None else asyncio.wait([self.living]))

    def cancel(self) -> None:
        """Ends everything at once."""
        self.living.cancel()

    async def _live(self, max_session_s: float | None) -> None:
        """Runs the session to its end, whoever ends it, and keeps its events."""
        running, collecting = self._running, asyncio.create_task(self._collect())
        if max_session_s is not None:
            reason = f"{max_session_s / 60:g} minutes, the longest a session may take, are over; start again"
            loop = asyncio.get_running_loop()
            self._timers.append(loop.call_later(max_session_s, self.end, Ending.SENT_AWAY, reason))
        try:
            await asyncio.wait([running])
            if self._ending is None and not running.cancelled() and running.exception() is not None:
                self._ending = Ending.FAILED  # the session has told the client
            await asyncio.wait([collecting], timeout=EVENTS_TIMEOUT_S)
        finally:
            self._ending = self._ending or Ending.LEFT
            self._stop_waiting()
            self._stop_tracks()
            for timer in self._timers:
                timer.cancel()
            collecting.cancel()
            running.cancel()
            self.log.close()
            await finish(self.name, END_TIMEOUT_S, running, collecting)

    async def _collect(self) -> None:
        async for event in self.session.events():  # all at once that there is: a thousand messages may be brought along
            if isinstance(event, SessionCreated):
                within_s = RESUME_WITHIN_S if self._is_lasting else 0.0
                event = self.created = replace(event, resume_token=self.token, resume_within_s=within_s)  # noqa: PLW2901
            self.log.add(event)
            if isinstance(event, ResponseCreated):
                self._quiet.clear()
            elif isinstance(event, ResponseDone | ResponseRetracted):
                self._quiet.set()
