"""Who is in: the one place that gives out sessions, and takes every place back.

A door brings its transport here and gets a `Visit`, or is `Refused`. A visit has a place from its admission until its
session has ended and its transport is closed, whoever ends it and whatever goes wrong on the way. A door keeps no list
of its own, and there is no other way to a session, so a door that forgets to ask cannot be built.

    admitted ── begin() ──► in session ──► last events ──► transport closed ──► place free
       └── no begin() in time, or the client leaves ─────────────┘

What a door does with its visit (`begin`, `listen`, `obey`, `reject`, `leave`) neither blocks nor raises. What the lobby
does with a transport (`send`, `close`) may block and raise: it is bounded in time, and what is raised is logged.
Read `protocol.py` for the commands, and `websocket.py` for the simplest door.
"""

import asyncio
import enum
import itertools
import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal, Protocol

from models.errors import InvalidPrompt
from models.types import SAMPLE_RATE_HZ
from realtime.doors.protocol import (
    AddText,
    CancelResponse,
    ChangeSettings,
    ClearConversation,
    ClearSpeech,
    Command,
    EndTurn,
    PressToTalk,
    ReleaseToTalk,
    RequestAnswer,
    RequestMetrics,
)
from realtime.doors.silence import PassingSilence
from realtime.events import ResponseCreated, ResponseDone, ResponseRetracted, SessionEvent
from realtime.hearing.audio import Capture, CaptureCounters, RawSamples
from realtime.session import Session

logger = logging.getLogger(__name__)

SEND_TIMEOUT_S = 10.0  # for one event; a client that takes none for so long has gone
LAST_EVENTS_S = 2.0  # for the client to read what was sent before the session ended
CLOSE_TIMEOUT_S = 1.0  # for a transport to close
END_TIMEOUT_S = 10.0  # for a session to end after it was asked to; it is cancelled then

GOING_DOWN = "the server is going down; reconnect in a minute to begin a new conversation"


class Ending(enum.Enum):
    """Why a visit ends."""

    LEFT = "the client has left"
    LATE = "the session did not begin in time"
    FAILED = "the session failed"
    SENT_AWAY = "the server ends it; the client was told why"


class Refused(Exception):
    """Nobody is admitted; the message says why, in a sentence for the client.

    Attributes:
        why: "full", "known" (somebody with that id is in), or "closing".
    """

    def __init__(self, why: Literal["full", "known", "closing"], message: str) -> None:
        super().__init__(message)
        self.why = why


class Transport(Protocol):
    """What a door brings: the way back to its client."""

    async def send(self, event: SessionEvent) -> None:
        """Sends one event; raises whatever it likes once the client has gone."""
        ...

    async def close(self, ending: Ending) -> None:
        """Closes the connection; called once."""
        ...


class Visit:
    """One client's stay. `Lobby.admit` makes it.

    Attributes:
        name: of the door and of the client, for logs.
        transport: what the door brought.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        open_session: Callable[[], Session],
        *,
        begin_within_s: float,
        max_session_s: float | None,
        release: Callable[["Visit"], None],
    ) -> None:
        self.name = name
        self.transport = transport
        self._open_session = open_session
        self._max_session_s = max_session_s
        self._capture = Capture()
        self._silence = PassingSilence(self._let_silence_pass)
        self._session: Session | None = None
        self._ending: Ending | None = None
        self._decided = asyncio.Event()  # whether there will be a session
        self._quiet = asyncio.Event()  # no answer is under way
        self._quiet.set()
        self._running: asyncio.Task[None] | None = None
        self._deadline = asyncio.get_running_loop().call_later(begin_within_s, self._end, Ending.LATE)
        self._stay = asyncio.create_task(self._stay_until_the_end(), name=f"visit {name}")
        self._stay.add_done_callback(lambda _: release(self))
        self._stay.add_done_callback(lambda stay: _log_failure(name, stay))

    # What a door calls: none of it blocks or raises.

    @property
    def counters(self) -> CaptureCounters:
        """What was wrong with the audio."""
        return self._capture.counters

    def postpone(self, begin_within_s: float) -> None:
        """Gives the visit so much time, from now on, to begin."""
        if not self._decided.is_set():
            self._deadline.cancel()
            self._deadline = asyncio.get_running_loop().call_later(begin_within_s, self._end, Ending.LATE)

    def begin(self) -> None:
        """Begins the session, once the connection can carry its events; does nothing the second time."""
        if self._decided.is_set():
            return
        try:
            session = self._open_session()
            session.metrics.capture = self._capture.counters
        except Exception:
            logger.exception("%s: the session could not begin", self.name)
            self._end(Ending.FAILED)
            return
        self._session = session
        self._deadline.cancel()
        self._decided.set()

    def listen(self, rate_hz: int, samples: RawSamples) -> None:
        """Takes audio: mono, any shape, int16 or float; before `begin` it is ignored."""
        if self._session is None:
            return
        try:
            chunk = self._capture.push(rate_hz, samples)
            if len(chunk.samples):
                self._silence.note_audio(len(chunk.samples) / SAMPLE_RATE_HZ)
            self._session.push_audio(chunk)
        except Exception:
            self.counters.failed_chunks += 1
            logger.exception("%s: a chunk of audio was lost", self.name)

    def skip(self, missing_s: float) -> None:
        """Leaves a gap before the audio that comes next, of which some may have passed as silence already."""
        if self._session is not None:
            self._capture.skip(round(self._silence.claim(missing_s) * SAMPLE_RATE_HZ))

    def obey(self, command: Command) -> None:
        """Does what the client asks; before `begin` it is ignored."""
        if self._session is None:
            return
        try:
            _carry_out(command, self._session)
        except Exception:
            logger.exception("%s: %s was not done", self.name, type(command).__name__)

    def reject(self, message: str) -> bool:
        """Has the session tell the client what was wrong with its message, and count it; False if there is none."""
        if self._session is not None:
            self._session.report(InvalidPrompt(message))
        return self._session is not None

    def leave(self) -> None:
        """The client has gone, or goes; whoever calls it, and how often, the place is given back once."""
        self._end(Ending.LEFT)

    async def ended(self) -> None:
        """Waits until the place is free."""
        await asyncio.wait([self._stay])

    # What the lobby calls.

    def send_away(self, reason: str) -> None:
        """Ends the session, if there is one, with a last event that says why."""
        self._end(Ending.SENT_AWAY, reason)

    async def dismiss(self, reason: str, *, within_s: float) -> None:
        """Sends the client away as soon as no answer is under way, or after `within_s`; returns when that is done."""
        waiting = asyncio.create_task(self._quiet.wait())
        await asyncio.wait([waiting, self._stay], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        self.send_away(reason)
        await self.ended()

    def cancel(self) -> None:
        """Ends everything at once."""
        self._stay.cancel()

    # How it goes.

    def _let_silence_pass(self, duration_s: float) -> None:
        if self._session is not None:
            self._session.push_audio(self._capture.silence(round(duration_s * SAMPLE_RATE_HZ)))

    def _end(self, ending: Ending, reason: str = "") -> None:
        if self._ending is not None:
            return
        self._ending = ending
        self._silence.stop()
        self._decided.set()
        if self._session is not None:
            self._session.close(reason)
        if self._running is not None:
            asyncio.get_running_loop().call_later(END_TIMEOUT_S, self._running.cancel)

    async def _stay_until_the_end(self) -> None:
        try:
            await self._decided.wait()
            if self._session is not None:
                await self._converse(self._session)
        finally:
            self._deadline.cancel()
            self._silence.stop()
            ending = self._ending = self._ending or Ending.LEFT
            logger.info("%s: %s", self.name, ending.value)
            closing = asyncio.create_task(self.transport.close(ending))
            await _finish(self.name, CLOSE_TIMEOUT_S, closing)

    async def _converse(self, session: Session) -> None:
        """Runs the session to its end, whoever ends it, and sends its events."""
        loop = asyncio.get_running_loop()
        running = self._running = asyncio.create_task(session.run())
        sending = asyncio.create_task(self._send_events(session))
        timers = []
        if self._max_session_s is not None:
            reason = f"{self._max_session_s / 60:g} minutes, the longest a session may take, are over; start again"
            timers.append(loop.call_later(self._max_session_s, self.send_away, reason))
        if self._ending is not None:  # between `begin` and now
            timers.append(loop.call_later(END_TIMEOUT_S, running.cancel))
        try:
            await asyncio.wait([running])
            if self._ending is None and not running.cancelled() and running.exception() is not None:
                self._ending = Ending.FAILED  # the session has told the client
            await asyncio.wait([sending], timeout=LAST_EVENTS_S)
        finally:
            for timer in timers:
                timer.cancel()
            sending.cancel()  # of a client that reads nothing
            running.cancel()
            await _finish(self.name, END_TIMEOUT_S, running, sending)

    async def _send_events(self, session: Session) -> None:
        async for event in session.events():
            if isinstance(event, ResponseCreated):
                self._quiet.clear()
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self.transport.send(event)
            except Exception as error:
                logger.info("%s: the client takes nothing (%s: %s)", self.name, type(error).__name__, error)
                self.leave()
                return
            if isinstance(event, ResponseDone | ResponseRetracted):
                self._quiet.set()
            await asyncio.sleep(0)  # neither waits while there is more: others have their turn


class Lobby:
    """Lets clients in, one place each.

    Args:
        open_session: makes the session of one visit.
        model_name: what answers, for `health`.
        max_sessions: places.
        max_session_s: the longest a session may last; None: for ever.
    """

    def __init__(
        self,
        open_session: Callable[[], Session],
        *,
        model_name: str = "",
        max_sessions: int = 16,
        max_session_s: float | None = None,
    ) -> None:
        self._open_session = open_session
        self._model_name = model_name
        self._max_sessions = max_sessions
        self._max_session_s = max_session_s
        self._visits: dict[str, Visit] = {}
        self._numbers = itertools.count(1)
        self._draining = False

    def admit(self, transport: Transport, *, door: str, begin_within_s: float, client_id: str | None = None) -> Visit:
        """Gives a place to a client.

        Args:
            transport: the way back to it.
            door: through which it comes.
            begin_within_s: the place is lost if `Visit.begin` was not called by then.
            client_id: the client's own name, if its door needs to find it again; nobody with the same may be in.

        Raises:
            Refused: with a sentence for the client.
        """
        name = f"{door} {next(self._numbers)}" if client_id is None else _name(door, client_id)
        if self._draining:
            raise Refused("closing", GOING_DOWN)
        if name in self._visits:
            raise Refused("known", "a client with this id is connected; make up another")
        if len(self._visits) >= self._max_sessions:
            raise Refused("full", f"all {self._max_sessions} places are taken; try again in a minute")
        visit = self._visits[name] = Visit(
            name,
            transport,
            self._open_session,
            begin_within_s=begin_within_s,
            max_session_s=self._max_session_s,
            release=self._take_back,
        )
        return visit

    def find(self, door: str, client_id: str) -> Visit | None:
        """Gives the visit of a client that is in."""
        return self._visits.get(_name(door, client_id))

    def health(self) -> dict[str, Any]:
        """Says how things are, for `/health`."""
        status = "draining" if self._draining else "ok"
        return {"status": status, "model": self._model_name, "sessions": len(self._visits)}

    async def drain(self, limit_s: float) -> None:
        """Lets nobody in any more, and ends all visits within `limit_s`.

        Every client is told why: at once if it waits for no answer, else when its answer has ended or the time is
        nearly over. Visits that have not ended by then are cancelled.
        """
        self._draining = True
        visits = list(self._visits.values())
        if not visits:
            return
        within_s = max(0.0, limit_s - LAST_EVENTS_S - CLOSE_TIMEOUT_S)
        dismissals = [asyncio.create_task(visit.dismiss(GOING_DOWN, within_s=within_s)) for visit in visits]
        await asyncio.wait(dismissals, timeout=limit_s)
        for visit in visits:
            visit.cancel()
        await asyncio.wait(dismissals, timeout=2 * CLOSE_TIMEOUT_S)

    def _take_back(self, visit: Visit) -> None:
        del self._visits[visit.name]


def _carry_out(command: Command, session: Session) -> None:
    match command:
        case AddText(text):
            session.add_text(text)
        case RequestAnswer():
            session.request_answer()
        case EndTurn():
            session.end_turn()
        case ClearSpeech():
            session.clear_speech()
        case CancelResponse():
            session.cancel()
        case ClearConversation():
            session.clear()
        case PressToTalk():
            session.press_to_talk()
        case ReleaseToTalk():
            session.release_to_talk()
        case RequestMetrics():
            session.request_metrics()
        case ChangeSettings():
            session.change_settings(**asdict(command))


async def _finish(name: str, limit_s: float, *tasks: asyncio.Task[None]) -> None:
    """Waits for tasks that are to end now, whatever they do; what they raised is logged."""
    _, left = await asyncio.wait(tasks, timeout=limit_s)
    for task in tasks:
        if task in left:
            logger.warning("%s: %s does not end", name, task.get_coro())
            task.cancel()
        else:
            _log_failure(name, task)


def _log_failure(name: str, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.warning("%s: %s: %s", name, type(error).__name__, error, exc_info=error)


def _name(door: str, client_id: str) -> str:
    return f"{door} {client_id}"
