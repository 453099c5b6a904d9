"""Everything the server can be told, and what it cannot be told. Read `server.py` for what it does with it."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.watched import SILENCE_LIMIT_S
from realtime.doors.entrance import is_loopback, read_origin
from realtime.doors.keys import KeyFile
from realtime.doors.tokens import check_secret
from realtime.doors.turn_servers import TurnAccount
from realtime.load import MAX_ANSWERS_WITH_SPECULATION

MAX_WAITING = 32  # in the queue for a place: twice as many as there are places
MAX_UPLOAD_BYTES = 500_000_000  # three hours of speech as FLAC, or any music and film that people send
LARGEST_UPLOAD_BYTES = 999_000_000
DRAIN_LIMIT_S = 8.0  # for answers under way to end, and clients to read why; service managers wait 10 s or more


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
        max_upload_bytes: of a recording that somebody brings.
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
    max_upload_bytes: int = MAX_UPLOAD_BYTES
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
        if not 0 < self.max_upload_bytes <= LARGEST_UPLOAD_BYTES:
            most = LARGEST_UPLOAD_BYTES // 1_000_000
            raise ValueError(f"--max-upload-mb {self.max_upload_bytes / 1e6:g}: it must be more than 0, at most {most}")
        if self.speculate_below < 0:
            raise ValueError(f"--speculate-below {self.speculate_below}: it must be 0 (never) or more")
        for origin in self.allowed_origins:
            try:
                read_origin(origin)
            except ValueError as error:
                raise ValueError(f"--allow-origin: {error}") from None
        self._check_access()

    @property
    def is_open(self) -> bool:
        """Whether strangers reach the server, through a proxy perhaps, and nobody is asked for a key."""
        is_reached = not is_loopback(self.host) or bool(self.trusted_proxies) or bool(self.allowed_origins)
        return self.keys is None and is_reached

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
