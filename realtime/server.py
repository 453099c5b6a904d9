"""The server: puts model, sessions, lobby, doors and page together, and lets everybody end well.

When it is told to end (Ctrl-C, SIGTERM) it drains the lobby first: nobody new is let in, answers under way end (after
Ctrl-C they are cut off), every client is told why; then the connections are closed, and the model at last.
Read `doors/__init__.py` for the ways in.
"""

import asyncio
import ipaddress
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI

from models.base import AudioLanguageModel, Voice
from models.watched import SILENCE_LIMIT_S, WatchedModel
from realtime.doors import DoorOptions, open_doors
from realtime.doors.attendance import Attendance
from realtime.doors.connections import HttpConnection, WebSocketConnection
from realtime.doors.entrance import Entrance, is_loopback, read_origin
from realtime.doors.gate import Gate
from realtime.doors.keys import KeyFile
from realtime.doors.lobby import Lobby
from realtime.doors.operations import why_not_ready
from realtime.doors.page import login_page
from realtime.doors.tokens import check_secret
from realtime.doors.turn_servers import TurnAccount, TurnServers
from realtime.hearing.vad import SileroBatch, SpeechDetector
from realtime.load import MAX_ANSWERS_WITH_SPECULATION, AnswerLoad
from realtime.metrics import SessionMetrics
from realtime.recordings.recorder import SessionRecorder
from realtime.recordings.store.stored_session import StoredSession
from realtime.recordings.store.tidying import looked_after
from realtime.recordings.store.writer import StoreWriter
from realtime.session import Session, SessionOptions
from realtime.taps import Tap
from realtime.telemetry.collectors import Gauges
from realtime.telemetry.engines import engines_of, failure_of
from realtime.telemetry.numbers import Numbers
from realtime.turns.endpointing import EndOfTurnScorer
from realtime.turns.interruption import BackchannelScorer

if TYPE_CHECKING:
    from realtime.telemetry.tracing import Tracing

logger = logging.getLogger(__name__)

MAX_WAITING = 32  # in the queue for a place: twice as many as there are places
DRAIN_LIMIT_S = 8.0  # for answers under way to end, and clients to read why; service managers wait 10 s or more
INTERRUPT_LIMIT_S = 1.0  # the same after Ctrl-C: somebody sits there and waits
CONNECTIONS_LIMIT_S = 2  # for uvicorn to close what is open then
SIGNALS_EVERY_S = 0.1  # looked for while the lobby is drained
MAX_WEBSOCKET_BYTES = 2**20  # of one message
PING_EVERY_S, PONG_WITHIN_S = 3.0, 7.0  # a client that vanishes without a word is noticed within 10 s
BACKLOG = 128  # connections that wait to be accepted; asyncio accepts so many at once


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Everything the server can be told.

    Attributes:
        host: where it listens.
        port: where it listens; 0 for any free one.
        allowed_origins: of pages elsewhere that may talk to it, as browsers name them; if there are any, it answers to
            their hosts, its own and any address, else to any host unless it is bound to this machine alone.
        max_sessions: clients at one time.
        max_waiting: clients that may wait for a place when all are taken; 0: they are refused at once.
        max_session_s: the longest a session may last; None: for ever.
        speculate_below: provisional answers are made while fewer answers than this are generated.
        ice_servers: STUN and TURN servers of both sides, as the WebRTC API takes them.
        turn: whose relays are used beside them.
        record: folder in which every session is kept; None: nothing is.
        store_days: what a store keeps is deleted after so many days; None: never.
        answer_timeout_s: the longest that the model may be silent in an answer, until that is given up.
        drain_limit_s: how long clients have, when the server goes down, until they are cut off.
        keys: of those who may come; None: everybody may.
        no_auth: everybody may, although other machines reach the server.
        token_secret: signs logins and tokens; None: a secret of this process alone.
        rate_limit: requests a minute that begin or change something, of one key and of one address; None: any number.
        max_sessions_per_key: places that one key may take; None: all.
        trusted_proxies: addresses or networks whose word about their clients' addresses, and TLS, is taken.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    allowed_origins: tuple[str, ...] = ()
    max_sessions: int = 16
    max_waiting: int = MAX_WAITING
    max_session_s: float | None = None
    speculate_below: int = MAX_ANSWERS_WITH_SPECULATION
    ice_servers: tuple[dict[str, Any], ...] = ()
    turn: TurnAccount | None = None
    record: Path | None = None
    store_days: float | None = None
    answer_timeout_s: float = SILENCE_LIMIT_S
    drain_limit_s: float = DRAIN_LIMIT_S
    keys: KeyFile | None = None
    no_auth: bool = False
    token_secret: str | None = None
    rate_limit: int | None = None
    max_sessions_per_key: int | None = None
    trusted_proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.port < 2**16:
            raise ValueError(f"--port {self.port}: ports are numbers from 0 to 65535")
        if self.max_sessions < 1:
            raise ValueError(f"--max-sessions {self.max_sessions}: nobody could connect; give 1 or more")
        if self.max_waiting < 0:
            raise ValueError(f"--max-waiting {self.max_waiting}: it must be 0 (nobody waits) or more")
        if not 0 <= self.drain_limit_s < float("inf"):
            raise ValueError(f"--drain-seconds {self.drain_limit_s:g}: it must be 0 or more")
        if self.max_session_s is not None and not 0 < self.max_session_s < float("inf"):
            raise ValueError(f"--max-session-minutes {self.max_session_s / 60:g}: it must be more than 0")
        if not 0 < self.answer_timeout_s < float("inf"):
            raise ValueError(f"--answer-timeout {self.answer_timeout_s:g}: it must be more than 0")
        if self.store_days is not None and not 0 < self.store_days < float("inf"):
            raise ValueError(f"--store-days {self.store_days:g}: it must be more than 0")
        if self.speculate_below < 0:
            raise ValueError(f"--speculate-below {self.speculate_below}: it must be 0 (never) or more")
        for origin in self.allowed_origins:
            try:
                read_origin(origin)
            except ValueError as error:
                raise ValueError(f"--allow-origin: {error}") from None
        self._check_access()

    def _check_access(self) -> None:
        if self.keys is None and not self.no_auth and not is_loopback(self.host):
            raise ValueError(
                f"--host {self.host}: other machines reach the server there, and anybody could talk to it; make a key "
                "(python app.py key new NAME) and give --api-keys FILE, or say --no-auth"
            )
        check_secret(self.token_secret)
        if self.rate_limit is not None and self.rate_limit < 1:
            raise ValueError(f"--rate-limit {self.rate_limit}: nobody could connect; give 1 or more")
        if self.max_sessions_per_key is not None:
            if self.keys is None:
                raise ValueError("--max-sessions-per-key: there are no keys; give --api-keys FILE")
            if self.max_sessions_per_key < 1:
                raise ValueError(f"--max-sessions-per-key {self.max_sessions_per_key}: it must be 1 or more")
        for proxy in self.trusted_proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise ValueError(
                    f"--trust-proxy {proxy}: it must be an address like 10.0.0.7, or a network like 10.0.0.0/8"
                ) from None


def open_session(
    model: AudioLanguageModel,
    options: SessionOptions,
    *,
    scorer: EndOfTurnScorer | None = None,
    sound_scorer: BackchannelScorer | None = None,
    voice: Voice | None = None,
    load: AnswerLoad | None = None,
    batch: SileroBatch | None = None,
    record: Path | None = None,
    taps: Sequence[Tap] = (),
    metrics: SessionMetrics | None = None,
    store: StoreWriter | None = None,
) -> Session:
    """Makes one session.

    Args:
        model: answers; shared.
        options: of the session.
        scorer: judges at pauses whether a turn is complete; shared.
        sound_scorer: judges sounds over an answer; shared.
        voice: reads answers aloud; shared.
        load: decides when provisional answers are given up; shared.
        batch: scores the audio of all sessions in one call; shared.
        record: folder in which the session gets a folder of its own; nothing is kept if not given, or if it cannot be.
        taps: listen to it, beside the recorder.
        metrics: where it counts.
        store: writes into the store in which the session is kept; shared; nothing is if not given.
    """
    recorder = None
    if record is not None:
        folder = record / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
        try:
            recorder = SessionRecorder(folder)
        except OSError as error:
            logger.error("%s: this session is not recorded: %s", folder, error)

    def make_detector(speaker: str) -> SpeechDetector:
        return SpeechDetector(options.vad, batch=batch, speaker=speaker)

    listening: list[Tap] = [*taps] if recorder is None else [recorder, *taps]
    if store is not None:
        listening.append(
            StoredSession(store, lambda message, is_over: session.report_storing(message, has_stopped=is_over))
        )
        options = replace(options, stored=True)
    session = Session(
        model,
        options,
        make_detector=make_detector,
        scorer=scorer,
        sound_scorer=sound_scorer,
        voice=voice,
        load=load,
        taps=listening,
        metrics=metrics,
    )
    return session


def _make_lobby(
    model: AudioLanguageModel,
    session_options: SessionOptions,
    options: ServerOptions,
    *,
    load: AnswerLoad,
    attendance: Attendance,
    make_taps: Callable[[SessionMetrics], Sequence[Tap]],
    scorer: EndOfTurnScorer | None,
    sound_scorer: BackchannelScorer | None,
    voice: Voice | None,
    store: StoreWriter | None,
) -> Lobby:
    batch = SileroBatch()

    def open_one() -> Session:
        metrics = SessionMetrics()
        return open_session(
            model,
            session_options,
            scorer=scorer,
            sound_scorer=sound_scorer,
            voice=voice,
            load=load,
            batch=batch,
            record=options.record,
            taps=make_taps(metrics),
            metrics=metrics,
            store=store,
        )

    return Lobby(
        open_one,
        model_name=model.info.name,
        max_sessions=options.max_sessions,
        max_waiting=options.max_waiting,
        max_session_s=options.max_session_s,
        attendance=attendance,
        max_sessions_per_key=options.max_sessions_per_key,
    )


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

    Returns:
        The application; its `state.lobby` is the lobby.

    Raises:
        ModelUnavailable: what finds speech is missing or altered.
    """
    options = options or ServerOptions()
    SpeechDetector(session_options.vad)  # loads what finds speech, before anybody comes
    watched = WatchedModel(model, options.answer_timeout_s)
    load, attendance, engines = AnswerLoad(options.speculate_below), Attendance(), engines_of(model)
    numbers = Numbers(model.info.name, attendance=attendance, engines=engines)
    lobby = _make_lobby(
        watched,
        session_options,
        options,
        load=load,
        attendance=attendance,
        make_taps=lambda metrics: [numbers.tap(metrics), *([] if tracing is None else [tracing.tap()])],
        scorer=scorer,
        sound_scorer=sound_scorer,
        voice=voice,
        store=store,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with numbers.watching_the_loop(), looked_after(store, options.store_days):
            yield
            await lobby.drain(0)  # a server that is not ours has not drained it
        await watched.close()
        if tracing is not None:
            await tracing.close()

    app = FastAPI(title="Earpiece", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.lobby = lobby
    gate = Gate(options.keys, secret=options.token_secret, per_minute=options.rate_limit)
    door_options = _door_options(
        model,
        options,
        voice,
        failure=lambda: watched.failure or failure_of(engines),
        exposition=numbers.exposition,
        gate=gate,
    )
    numbers.watch(_gauges(lobby, load, door_options))
    ways = open_doors(app, lobby, door_options)
    app.add_middleware(
        Entrance,
        ways=ways,
        host=options.host,
        allowed_origins=[read_origin(origin) for origin in options.allowed_origins],
        gate=gate,
        login_page=login_page(),
        is_closing=lambda: lobby.is_draining,
    )
    return app


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
    gate: Gate,
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
        gate=gate,
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
