"""The server: puts model, sessions, lobby, doors and page together, and lets everybody end well.

When it is told to end (Ctrl-C, SIGTERM) it drains the lobby first: nobody new is let in, answers under way end (after
Ctrl-C they are cut off), every client is told why; then the connections are closed, and the model at last.
Read `doors/__init__.py` for the ways in.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI

from models.base import AudioLanguageModel, Voice, VoiceReader
from models.watched import WatchedModel
from realtime.archive.archive import Archive
from realtime.calls import call_options
from realtime.doors import DoorOptions, open_doors
from realtime.doors.attendance import Attendance
from realtime.doors.callers import Caller
from realtime.doors.connections import HttpConnection, WebSocketConnection
from realtime.doors.entrance import Entrance, read_origin
from realtime.doors.gate import Gate
from realtime.doors.lobby import Lobby
from realtime.doors.operations import why_not_ready
from realtime.doors.page import login_page
from realtime.doors.removed_keys import ending_what_removed_keys_began
from realtime.doors.turn_servers import TurnServers
from realtime.hearing.vad import SileroBatch, SpeechDetector
from realtime.load import AnswerLoad
from realtime.metrics import SessionMetrics
from realtime.opening import open_session
from realtime.recordings.store.tidying import looked_after
from realtime.recordings.store.writer import StoreWriter
from realtime.server_options import ServerOptions
from realtime.session import Session, SessionOptions
from realtime.telemetry.collectors import Gauges
from realtime.telemetry.engines import engines_of, failure_of
from realtime.telemetry.numbers import Numbers
from realtime.turns.endpointing import EndOfTurnScorer
from realtime.turns.interruption import BackchannelScorer
from realtime.turns.options import SessionKind

if TYPE_CHECKING:
    from realtime.telemetry.tracing import Tracing

logger = logging.getLogger(__name__)

INTERRUPT_LIMIT_S = 1.0  # the same after Ctrl-C: somebody sits there and waits
CONNECTIONS_LIMIT_S = 2  # for uvicorn to close what is open then
SIGNALS_EVERY_S = 0.1  # looked for while the lobby is drained
MAX_WEBSOCKET_BYTES = 2**20  # of one message
PING_EVERY_S, PONG_WITHIN_S = 3.0, 7.0  # a client that vanishes without a word is noticed within 10 s
BACKLOG = 128  # connections that wait to be accepted; asyncio accepts so many at once


def create_app(
    model: AudioLanguageModel,
    session_options: SessionOptions,
    options: ServerOptions | None = None,
    *,
    scorer: EndOfTurnScorer | None = None,
    sound_scorer: BackchannelScorer | None = None,
    voice: Voice | None = None,
    tracing: "Tracing | None" = None,
    store: StoreWriter | None = None,
    voices: VoiceReader | None = None,
) -> FastAPI:
    """Puts all doors around one lobby, and the entrance before them.

    Args:
        model: answers all sessions; closed when the application ends.
        session_options: of every session.
        options: of the server.
        scorer: judges at pauses whether a turn is complete; shared by all sessions.
        sound_scorer: judges sounds over an answer; shared by all sessions.
        voice: reads answers aloud, where a client wants it; shared by all sessions.
        tracing: sends spans of every turn; closed when the application ends.
        store: writes into the store in which all sessions are kept; closed when the application ends.
        voices: tells several people among the others of a call apart; shared by all sessions.

    Returns:
        The application; its `state.lobby` is the lobby.

    Raises:
        ModelUnavailable: what finds speech is missing or altered.
    """
    options = options or ServerOptions()
    SpeechDetector(session_options.vad)  # loads what finds speech, before anybody comes
    watched = WatchedModel(model, options.answer_timeout_s)
    load, attendance, engines = AnswerLoad(options.speculate_below), Attendance(), engines_of(model)
    archive = Archive(watched, load, store=store)
    numbers = Numbers(model.info.name, attendance=attendance, engines=engines)
    open_one = partial(
        open_session,
        watched,
        scorer=scorer,
        sound_scorer=sound_scorer,
        voice=voice,
        voices=voices,
        load=load,
        batch=SileroBatch(),
        record=options.record,
        store=store,
    )

    def open_measured(kind: SessionKind, caller: Caller) -> Session:
        metrics = SessionMetrics()
        taps = [numbers.tap(metrics), *([] if tracing is None else [tracing.tap()])]
        options_of_it = session_options
        if kind == "call":
            options_of_it = call_options(session_options, takes_notes=True, tells_speakers=voices is not None)
        return open_one(options_of_it, taps=taps, metrics=metrics, owner=caller.stored_owner)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        removed_keys = ending_what_removed_keys_began(lobby, options.keys)
        kept = looked_after(store, options.store_days)
        async with numbers.watching_the_loop(), kept, archive.working(), removed_keys:
            yield
            await lobby.drain(0)  # a server that is not ours has not drained it
        await watched.close()
        if tracing is not None:
            await tracing.close()

    lobby = _make_lobby(open_measured, model.info.name, options, attendance)
    door_options = _door_options(
        model,
        options,
        voice,
        failure=lambda: watched.failure or failure_of(engines),
        exposition=numbers.exposition,
        archive=archive,
    )
    numbers.watch(_gauges(lobby, load, door_options))
    app = FastAPI(title="Earpiece", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.lobby = lobby
    _open(app, lobby, options, door_options)
    return app


def _make_lobby(
    open_measured: Callable[[SessionKind, Caller], Session],
    model_name: str,
    options: ServerOptions,
    attendance: Attendance,
) -> Lobby:
    return Lobby(
        open_measured,
        model_name=model_name,
        max_sessions=options.max_sessions,
        max_waiting=options.max_waiting,
        max_session_s=options.max_session_s,
        attendance=attendance,
        max_sessions_per_key=options.max_sessions_per_key,
    )


def _open(app: FastAPI, lobby: Lobby, options: ServerOptions, door_options: DoorOptions) -> None:
    """Opens all doors, and puts the entrance before them."""
    app.add_middleware(
        Entrance,
        ways=open_doors(app, lobby, door_options),
        host=options.host,
        allowed_origins=[read_origin(origin) for origin in options.allowed_origins],
        gate=door_options.gate,
        login_page=login_page(),
        is_closing=lambda: lobby.is_draining,
    )


def _gauges(lobby: Lobby, load: AnswerLoad, options: DoorOptions) -> Gauges:
    """Gives the numbers that are read off the server when its metrics are asked for."""
    return {
        "ready": ("Whether `/readyz` would say so: 1, or 0.", lambda: why_not_ready(lobby, options) is None),
        "answers_in_progress": ("Answers being generated.", lambda: load.running),
        "queue_length": ("Clients that wait for a place.", lambda: lobby.health().get("waiting", 0)),
    }


def _door_options(
    model: AudioLanguageModel,
    options: ServerOptions,
    voice: Voice | None,
    *,
    failure: Callable[[], str | None],
    exposition: Callable[[str], tuple[bytes, str]],
    archive: Archive,
) -> DoorOptions:
    turn = None if options.turn is None else TurnServers(options.turn)
    voices = () if voice is None else voice.voices
    return DoorOptions(
        model=model.info,
        ice_servers=options.ice_servers,
        turn=turn,
        voices=voices,
        failure=failure,
        exposition=exposition,
        archive=archive,
        max_upload_bytes=options.max_upload_bytes,
        gate=Gate(options.keys, secret=options.token_secret, per_minute=options.rate_limit, is_open=options.is_open),
    )


class Server(uvicorn.Server):
    """uvicorn's server, which drains the lobby before it closes any connection.

    Args:
        app: made by `create_app`.
        options: of the server.
    """

    def __init__(self, app: FastAPI, options: ServerOptions) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=options.host,
                port=options.port,
                log_config=None,  # its lines go the way of all others
                log_level="warning",
                http=HttpConnection,
                ws=WebSocketConnection,
                ws_max_size=MAX_WEBSOCKET_BYTES,
                ws_ping_interval=PING_EVERY_S,
                ws_ping_timeout=PONG_WITHIN_S,
                ws_per_message_deflate=False,  # a kilobyte would become a megabyte to be read
                backlog=BACKLOG,
                proxy_headers=bool(options.trusted_proxies),
                forwarded_allow_ips=list(options.trusted_proxies),
                timeout_graceful_shutdown=CONNECTIONS_LIMIT_S,
            )
        )
        self._lobby: Lobby = app.state.lobby
        self._drain_limit_s = options.drain_limit_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ends the server; SIGTERM is an order that was carried out, and no way to die."""
        super().handle_exit(sig, frame)
        if sig == signal.SIGTERM:
            self._captured_signals.remove(sig)
        else:
            self._drain_limit_s = min(self._drain_limit_s, INTERRUPT_LIMIT_S)

    async def shutdown(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Lets everybody end, unless Ctrl-C is pressed again; then closes what is open."""
        draining = asyncio.create_task(self._lobby.drain(self._drain_limit_s))
        while not draining.done() and not self.force_exit:
            await asyncio.wait([draining], timeout=SIGNALS_EVERY_S)
        await super().shutdown(list(sockets) if sockets is not None else None)
