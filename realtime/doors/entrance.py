"""The entrance: what every HTTP request and every WebSocket passes before any door.

Four questions are asked. Is the server spoken to by a name it answers to (`Host`), so that no other site's name can be
pointed at it? Does the page that asks, where a browser names one (`Origin`), come from this server or from an origin
that was allowed? Who comes, and may they (`gate.py`)? Is this one of the ways in that the doors have declared?
Everything else is refused with a sentence; who may not come in learns nothing of the ways. Bodies are read here, up to
the limit of their way, and all answers get the headers that keep a browser within this server. Pure ASGI; the doors
behind it know of it only who has come (`callers.py`). Read `lobby.py` for who is given a session.
"""

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from realtime.doors.callers import set_caller
from realtime.doors.gate import Gate, without_tokens
from realtime.doors.refusal import GOING_DOWN, RETRY_AFTER_S, Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

BODY_TIMEOUT_S = 10.0  # for a whole body to come

_HOST = r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way in, declared by a door.

    Attributes:
        path: with names in braces for those of its parts that may be anything.
        kind: of the connection.
        methods: of HTTP requests.
        max_body_bytes: of a request; 0: it may have no body.
        is_streamed: the door reads the body as it comes, and keeps to the limit; otherwise it is read here.
        is_public: nobody is asked for a key; what is behind it says nothing that a stranger may not know.
        begins: what comes this way begins something, and is refused while the server goes down.
    """

    path: str
    kind: Literal["http", "websocket"] = "http"
    methods: tuple[str, ...] = ("GET",)
    max_body_bytes: int = 0
    is_streamed: bool = False
    is_public: bool = False
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a page comes from: scheme, host and port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    def is_at(self, host: str, port: int | None) -> bool:
        """Whether the `Host` of a request names the same place; a proxy may have spoken TLS for us."""
        return self.host == host and self.port == (_DEFAULT_PORTS[self.scheme] if port is None else port)


def read_origin(text: str) -> Origin:
    """Reads what browsers send as `Origin`.

    Raises:
        ValueError: it is none, like the "null" of a page without an address.
    """
    match = re.fullmatch(f"(https?)://{_HOST}", text.lower())
    if match is None:
        raise ValueError(f"{text[:100]!r} is no origin; one looks like https://talk.example or http://10.0.0.7:7860")
    scheme, host, port = match.groups()
    return Origin(scheme, host, int(port) if port else _DEFAULT_PORTS[scheme])


class Entrance:
    """Middleware around the application.

    Args:
        app: the doors.
        ways: what they have declared.
        host: to which the server is bound.
        allowed_origins: pages that may talk to this server although they come from another.
        gate: says who comes; None: everybody is let in.
        login_page: what a browser is shown in which nobody has logged in.
        is_closing: whether the server goes down.
    """

    def __init__(
        self,
        app: App,
        *,
        ways: Sequence[Way],
        host: str = "127.0.0.1",
        allowed_origins: Sequence[Origin] = (),
        gate: Gate | None = None,
        login_page: bytes = b"",
        is_closing: Callable[[], bool] = lambda: False,
    ) -> None:
        self._app = app
        self._gate = gate or Gate()
        self._login_page = login_page
        self._is_closing = is_closing
        self._ways = {(way.kind, way.path): way for way in ways if "{" not in way.path}
        self._named_ways = [(_pattern_of(way.path), way) for way in ways if "{" in way.path]
        self._allowed_origins = frozenset(allowed_origins)
        self._any_address = not is_loopback(host)  # a name can be pointed at us by a stranger, an address cannot
        self._any_host = self._any_address and not allowed_origins
        self._hosts = {_in_brackets(host.lower()), *(origin.host for origin in allowed_origins)}
        self._headers = _security_headers(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one connection through, or refuses it."""
        if scope["type"] == "http":
            await self._take_request(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._take_websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _take_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        added = list(self._headers)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message.get("headers", [])}
                more = [(name, value) for name, value in added if name not in given]
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        try:
            origin = self._check_names(scope)
            if origin is not None and origin in self._allowed_origins:
                added += [(b"access-control-allow-origin", str(origin).encode()), (b"vary", b"origin")]
            if scope["method"] == "OPTIONS" and origin in self._allowed_origins:
                return await _allow_cross_origin(send_guarded)  # browsers ask first, and show no key when they do
            way = await self._ask(scope)
            if scope["method"] not in way.methods:
                raise Refusal(405, "method_not_allowed", f"only {', '.join(way.methods)} is understood here")
            if way.is_streamed:
                _check_announced(scope, way.max_body_bytes)
            else:
                receive = _replaying(await _read_body(scope, receive, way.max_body_bytes), receive)
        except Refusal as refusal:
            return await self._refuse(scope, refusal, send_guarded)
        return await self._app(scope, receive, send_guarded)

    async def _take_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check_names(scope)
            await self._ask(scope)
        except Refusal as refusal:
            await receive()  # the request to connect
            if "websocket.http.response" in scope.get("extensions", {}):
                kind = "websocket.http.response"
                return await _answer(send, refusal.status, refusal.body(), headers=refusal.headers, kind=kind)
            return await send({"type": "websocket.close", "code": 1008})
        return await self._app(scope, receive, _naming_protocol(scope, send))

    async def _ask(self, scope: Scope) -> Way:
        """Has the gate say who comes, and gives the way that is taken; who is refused does not learn whether it is one.

        Raises:
            Refusal: nobody comes this way.
        """
        way = self._find_way(scope)
        set_caller(scope, await self._gate.identify(scope, is_public=way is not None and way.is_public))
        if way is None:
            raise Refusal(404, "not_found", "there is nothing here; the page is at /")
        if way.begins and self._is_closing():
            headers = [(b"retry-after", str(RETRY_AFTER_S).encode())]
            raise Refusal(503, "going_down", GOING_DOWN, headers=headers)
        return way

    async def _refuse(self, scope: Scope, refusal: Refusal, send: Send) -> None:
        is_for_people = scope["method"] == "GET" and any("text/html" in value for value in _values(scope, b"accept"))
        if refusal.status == 401 and is_for_people and self._login_page:
            headers = [*refusal.headers, (b"cache-control", b"no-store")]
            await _answer(send, 401, self._login_page, headers=headers, media_type=b"text/html; charset=utf-8")
        else:
            await _answer(send, refusal.status, refusal.body(), headers=refusal.headers)

    def _check_names(self, scope: Scope) -> Origin | None:
        """Gives the origin, where one is named.

        Raises:
            Refusal: the host is not ours, or the origin is another.
        """
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        match = re.fullmatch(_HOST, hosts[0].lower()) if len(hosts) == 1 else None
        if match is None:
            raise Refusal(400, "bad_host", "a request names its server once, in the header Host")
        host, port = match[1], int(match[2]) if match[2] else None
        if not (self._any_host or host in self._hosts or is_loopback(host) or (self._any_address and _address(host))):
            raise Refusal(403, "foreign_host", f"this server does not answer to {host}; see --allow-origin")
        if not origins:
            return None
        try:
            (text,) = origins
            origin = read_origin(text)
        except ValueError:
            raise Refusal(403, "foreign_origin", "pages without an address may not talk to this server") from None
        if not origin.is_at(host, port) and origin not in self._allowed_origins:
            raise Refusal(403, "foreign_origin", f"pages of {origin} may not talk to this server; see --allow-origin")
        return origin

    def _find_way(self, scope: Scope) -> Way | None:
        kind, path = scope["type"], scope["path"]
        if (way := self._ways.get((kind, path))) is not None:
            return way
        return next((way for pattern, way in self._named_ways if way.kind == kind and pattern.fullmatch(path)), None)


def _pattern_of(path: str) -> re.Pattern[str]:
    """What a path with names in braces looks like; a name is one part of it."""
    parts = re.split(r"\{\w+\}", path)
    return re.compile("[^/]+".join(map(re.escape, parts)))


def is_loopback(host: str) -> bool:
    """Whether an address, or a name, is that of this machine for itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _in_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _values(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == wanted]


def _security_headers(allowed_origins: Sequence[Origin]) -> Headers:
    framing = " ".join(["'self'", *map(str, allowed_origins)])
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "media-src 'self' blob:; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors {framing}"
    )
    return [
        (b"content-security-policy", policy.encode()),
        (b"permissions-policy", b"microphone=(self), autoplay=(self)"),  # also where the page is shown in a frame
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]


def _check_announced(scope: Scope, limit: int) -> Refusal:
    """Refuses a body that is announced as longer than `limit` bytes; gives the refusal, for one that proves to be."""
    too_long = Refusal(413, "too_long", f"the request is longer than {limit} bytes")
    announced = _values(scope, b"content-length")
    if announced and (not announced[0].isdecimal() or len(announced[0]) > 9 or int(announced[0]) > limit):
        raise too_long
    return too_long


async def _read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Reads a whole body.

    Raises:
        Refusal: it is longer than `limit` bytes, whatever was announced, or does not come.
    """
    too_long = _check_announced(scope, limit)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(400, "incomplete", "the request ended before its body")
                body += message.get("body", b"")
                if len(body) > limit:
                    raise too_long
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refusal(408, "too_slow", f"the request took more than {BODY_TIMEOUT_S:g} s") from None


def _replaying(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again


async def _allow_cross_origin(send: Send) -> None:
    headers = [
        (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
        (b"access-control-allow-headers", b"authorization, content-type"),
    ]
    await _answer(send, 204, b"", headers=headers)


def _naming_protocol(scope: Scope, send: Send) -> Send:
    """Has a client that has sent a token as a protocol told a protocol, as browsers demand; the door sees no token."""
    offered = scope.get("subprotocols", [])
    scope["subprotocols"] = without_tokens(offered)
    if len(offered) == len(scope["subprotocols"]):
        return send
    first = next(iter([*scope["subprotocols"], *offered]))

    async def send_named(message: Message) -> None:
        if message["type"] == "websocket.accept" and message.get("subprotocol") is None:
            message = {**message, "subprotocol": first}
        await send(message)

    return send_named


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    kind: str = "http.response",
    media_type: bytes = b"application/json",
) -> None:
    described = [(b"content-type", media_type), (b"content-length", str(len(body)).encode())] if body else []
    await send({"type": f"{kind}.start", "status": status, "headers": [*described, *headers]})
    await send({"type": f"{kind}.body", "body": body})
