"""Doors without a wire, in front of real sessions."""

import asyncio
from collections.abc import Callable
from functools import partial

from models.scripted import ScriptedModel
from models.types import Samples
from realtime.doors.callers import Caller
from realtime.doors.lobby import Lobby
from realtime.doors.protocol import AddText, RequestAnswer, Resume
from realtime.doors.transport import Ending
from realtime.doors.visit import Visit
from realtime.events import SessionEvent
from realtime.session import Session
from realtime.turns.options import SessionKind
from tests.session.conversing import OPTIONS, loudness_detector

SOMEBODY = Caller(is_let_in=True)


class FakeTransport:
    """A client on the other side of nothing.

    Args:
        hang: `send` never returns.
        gone_after: `send` raises after so many events.
        close_fails: `close` raises.
        close_hangs: `close` never returns, even if it is cancelled once.
    """

    def __init__(
        self, *, hang: bool = False, gone_after: int | None = None, close_fails: bool = False, close_hangs: bool = False
    ) -> None:
        self.events: list[SessionEvent] = []
        self.sequences: list[int] = []
        self.endings: list[Ending] = []
        self.sound: list[Samples] = []
        self._hang, self._gone_after = hang, gone_after
        self._close_fails, self._close_hangs = close_fails, close_hangs
        self._changed = asyncio.Condition()

    async def send(self, event: SessionEvent, sequence: int) -> None:
        if self._hang:
            await asyncio.Event().wait()
        if self._gone_after is not None and len(self.events) >= self._gone_after:
            raise ConnectionResetError("gone")
        async with self._changed:
            self.events.append(event)
            self.sequences.append(sequence)
            self._changed.notify_all()

    async def play(self, response_id: str, samples: Samples) -> None:
        self.sound.append(samples)

    async def close(self, ending: Ending) -> None:
        self.endings.append(ending)
        if self._close_fails:
            raise KeyError("0")
        if self._close_hangs:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)

    async def until(self, kind: type, count: int = 1) -> SessionEvent:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: sum(isinstance(event, kind) for event in self.events) >= count)
        return [event for event in self.events if isinstance(event, kind)][-1]


def open_session(model: ScriptedModel | None = None) -> Callable[[SessionKind, Caller], Session]:
    model = model or ScriptedModel([["Yes."]])
    return lambda _kind, _caller: Session(model, OPTIONS, make_detector=partial(loudness_detector, OPTIONS.vad))


def ask(visit: Visit) -> None:
    """Types something and asks for an answer."""
    visit.obey(AddText("hello"))
    visit.obey(RequestAnswer())


def admit(
    lobby: Lobby,
    transport: FakeTransport,
    *,
    within_s: float = 60,
    client_id: str | None = None,
    resume: Resume | None = None,
    as_guest: bool = False,
    caller: Caller = SOMEBODY,
) -> Visit:
    """Lets a client in through a door that is none."""
    return lobby.admit(
        transport, caller, door="fake", begin_within_s=within_s, client_id=client_id, resume=resume, as_guest=as_guest
    )
