"""The entrance, in front of an application that says what reached it, and in front of ours."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from models.scripted import ScriptedModel
from realtime.doors import entrance as entrance_module
from realtime.doors.entrance import Entrance, Message, Origin, Receive, Scope, Send, Way, read_origin
from realtime.server import create_app
from realtime.session import SessionOptions
from tests.doors.clients import websocket_client
from tests.servers import serving

WAYS = [Way(path="/"), Way(path="/offer", methods=("POST",), max_body_bytes=10), Way(path="/talk", kind="websocket")]


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that gives back the body it was given."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    body = (await receive())["body"] if scope["method"] == "POST" else b"page"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"Referrer-Policy", b"origin")]})
    await send({"type": "http.response.body", "body": body})


async def ask(
    entrance: Entrance,
    path: str = "/",
    *,
    kind: str = "http",
    method: str = "GET",
    headers: dict[str, str] | None = None,
    pieces: tuple[bytes, ...] = (b"",),
    extensions: tuple[str, ...] = (),
) -> list[Message]:
    """Sends one request, its body in pieces, and gives what came back."""
    fields = {"host": "127.0.0.1:7860"} | (headers or {})
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in fields.items() if value],
        "extensions": {name: {} for name in extensions},
    }
    last = len(pieces) - 1
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": number < last} for number, piece in enumerate(pieces)
    ]
    answered: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        answered.append(message)

    await entrance(scope, receive, send)
    return answered


def statuses(answered: list[Message]) -> int:
    status: int = answered[0]["status"]
    return status


@pytest.mark.parametrize(
    ("host", "allowed", "named", "status"),
    [
        ("127.0.0.1", (), "127.0.0.1:7860", 200),
        ("127.0.0.1", (), "localhost:7860", 200),
        ("127.0.0.1", (), "LOCALHOST", 200),
        ("127.0.0.1", (), "talk.localhost", 200),
        ("127.0.0.1", (), "[::1]:7860", 200),
        ("127.0.0.1", (), "evil.example", 403),
        ("127.0.0.1", (), "127.0.0.1.evil.example", 403),
        ("127.0.0.1", (), "", 400),
        ("127.0.0.1", (), "two words", 400),
        ("127.0.0.1", (), "a:99999999", 400),
        ("0.0.0.0", (), "anything.example", 200),
        ("::", (), "[2001:db8::1]:7860", 200),
        ("0.0.0.0", ("https://talk.example",), "talk.example", 200),
        ("0.0.0.0", ("https://talk.example",), "anything.example", 403),
        ("0.0.0.0", ("https://talk.example",), "10.1.2.3:7860", 200),  # whoever looks whether it is up
        ("0.0.0.0", ("https://talk.example",), "10.1.2.3.evil.example", 403),
        ("10.0.0.7", ("https://talk.example",), "10.0.0.7:7860", 200),
        ("127.0.0.1", ("https://talk.example",), "talk.example", 200),
        ("127.0.0.1", ("https://talk.example",), "localhost", 200),
        ("2001:db8::1", ("https://talk.example",), "[2001:db8::1]:7860", 200),
    ],
)
async def test_hosts(host: str, allowed: tuple[str, ...], named: str, status: int) -> None:
    entrance = Entrance(inside, ways=WAYS, host=host, allowed_origins=[read_origin(text) for text in allowed])
    assert statuses(await ask(entrance, headers={"host": named})) == status


@pytest.mark.parametrize(
    ("origin", "named", "status"),
    [
        ("http://127.0.0.1:7860", "127.0.0.1:7860", 200),
        ("https://localhost", "localhost", 200),  # a proxy speaks TLS
        ("http://localhost", "localhost:80", 200),
        ("http://127.0.0.1:7861", "127.0.0.1:7860", 403),
        ("http://localhost:7860", "127.0.0.1:7860", 403),
        ("http://evil.example", "127.0.0.1:7860", 403),
        ("null", "127.0.0.1:7860", 403),
        ("file://", "127.0.0.1:7860", 403),
        ("https://talk.example", "127.0.0.1:7860", 200),
        ("https://talk.example:443", "127.0.0.1:7860", 200),
        ("http://talk.example", "127.0.0.1:7860", 403),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_origins(origin: str, named: str, status: int, kind: str) -> None:
    entrance = Entrance(inside, ways=WAYS, allowed_origins=[Origin("https", "talk.example", 443)])
    headers = {"host": named, "origin": origin}
    if kind == "http":
        answered = await ask(entrance, headers=headers)
        assert statuses(answered) == status
        given = dict(answered[0]["headers"])
        allowed = given.get(b"access-control-allow-origin")
        assert allowed == (b"https://talk.example" if status == 200 and "talk" in origin else None)
    else:
        answered = await ask(entrance, "/talk", kind="websocket", headers=headers)
        assert answered[0]["type"] == ("websocket.accept" if status == 200 else "websocket.close")
        told = await ask(entrance, "/talk", kind="websocket", headers=headers, extensions=("websocket.http.response",))
        assert told[0]["type"] == ("websocket.accept" if status == 200 else "websocket.http.response.start")


@pytest.mark.parametrize("text", ["talk.example", "https://", "https://a/path", "ftp://a", "https://a:b", "null", "*"])
def test_what_is_no_origin(text: str) -> None:
    with pytest.raises(ValueError, match="no origin"):
        read_origin(text)


@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/redoc", "//", "/offer/", "/gradio_api/info", "/../etc/passwd"]
)
async def test_only_the_ways_that_were_declared_exist(path: str) -> None:
    entrance = Entrance(inside, ways=WAYS)
    assert statuses(await ask(entrance, path)) == 404
    assert (await ask(entrance, path, kind="websocket"))[0]["type"] == "websocket.close"
    assert statuses(await ask(entrance, "/", method="POST")) == 405
    assert statuses(await ask(entrance, "/talk")) == 404


@pytest.mark.parametrize(
    ("pieces", "headers", "status"),
    [
        ((b"12345", b"67890"), {}, 200),
        ((b"",), {}, 200),
        ((b"12345", b"67890", b"1"), {}, 413),
        ((b"12345678901",), {}, 413),
        ((b"1",), {"content-length": "11"}, 413),
        ((b"1",), {"content-length": "9" * 5000}, 413),
        ((b"1",), {"content-length": "ten"}, 413),
        ((b"12345678901",), {"content-length": "1"}, 413),
    ],
)
async def test_bodies_are_counted(pieces: tuple[bytes, ...], headers: dict[str, str], status: int) -> None:
    answered = await ask(Entrance(inside, ways=WAYS), "/offer", method="POST", pieces=pieces, headers=headers)
    assert statuses(answered) == status
    if status == 200:
        assert answered[1]["body"] == b"".join(pieces)


async def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance_module, "BODY_TIMEOUT_S", 0.01)
    answered: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    async def send(message: Message) -> None:
        answered.append(message)

    scope = {"type": "http", "method": "POST", "path": "/offer", "headers": [(b"host", b"localhost")]}
    await Entrance(inside, ways=WAYS)(scope, receive, send)
    assert statuses(answered) == 408


async def test_headers_keep_the_browser_here() -> None:
    for allowed, framing in (
        ((), "frame-ancestors 'self'"),
        (("https://talk.example",), "'self' https://talk.example"),
    ):
        entrance = Entrance(inside, ways=WAYS, allowed_origins=[read_origin(text) for text in allowed])
        for path in ("/", "/nothing"):
            headers = dict((await ask(entrance, path))[0]["headers"])
            policy = headers[b"content-security-policy"].decode()
            assert policy.endswith(framing)
            assert headers[b"permissions-policy"] == b"microphone=(self), autoplay=(self)"
            assert "ws:" not in policy and "unsafe" not in policy
            assert headers[b"x-content-type-options"] == b"nosniff"
    assert (await ask(entrance))[0]["headers"].count((b"Referrer-Policy", b"origin")) == 1, "the door's own word counts"


async def test_a_page_elsewhere_that_was_allowed_may_ask_first() -> None:
    entrance = Entrance(inside, ways=WAYS, allowed_origins=[read_origin("https://talk.example")])
    answered = await ask(entrance, "/offer", method="OPTIONS", headers={"origin": "https://talk.example"})
    headers = dict(answered[0]["headers"])
    assert statuses(answered) == 204
    assert headers[b"access-control-allow-origin"] == b"https://talk.example"
    assert headers[b"access-control-allow-methods"] == b"GET, POST, PATCH, DELETE"
    assert statuses(await ask(entrance, "/offer", method="OPTIONS")) == 405


# ---- In front of our own doors ----


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(ScriptedModel([["Yes."]]), allowed_origins=("https://talk.example",)) as port:
        yield port


def everything() -> list[tuple[str, str]]:
    routes = create_app(ScriptedModel([["Yes."]]), SessionOptions()).routes
    return [(str(getattr(route, "path", "")), type(route).__name__) for route in routes]


ASKED = {  # in another way, or with another answer, than a page
    "/webrtc/offer": ("POST", 422),
    "/page/markdown": ("POST", 422),
    "/session/close": ("POST", 204),
    "/conversation/audio": ("POST", 404),
    "/archive/{recording}/retry": ("POST", 404),
    "/archive/{recording}/questions": ("POST", 422),
    "/archive/{recording}/notes/{note}": ("DELETE", 404),
}
GRADIOS = ("/gradio_api/info", "/gradio_api/startup-events", "/vibe-code/", "/theme.css", "/conversation/audio/x/y")


async def test_every_route_of_ours_is_let_through_and_no_other(port: int) -> None:
    visitor = {"Cookie": f"earpiece_visitor={48 * 'a'}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=visitor) as http:
        for path, kind in everything():
            method, status = ASKED.get(path, ("GET", 404 if "{" in path else 200))
            if kind == "APIRoute":
                answer = await http.request(method, path)
                assert answer.status_code == status and "nothing here" not in answer.text, path
            assert not any(word in path for word in ("gradio", "vibe", "queue", "component")), "FastRTC imports Gradio"
        for path in ("/docs", "/redoc", "/openapi.json", "/config", *GRADIOS, "/telephone/incoming", "/x"):
            answer = await http.get(path)
            assert answer.status_code == 404
            assert "nothing here" in answer.json()["meta"]["message"]
        assert {path for path, _ in everything()} >= {"/", "/page/main.js", "/page/settings.json", "/health"}
        with pytest.raises(InvalidStatus, match="404"):
            await connect(f"ws://127.0.0.1:{port}/telephone/handler")


STRANGERS: list[dict[str, Any]] = [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}]


@pytest.mark.parametrize("headers", STRANGERS)
async def test_strangers_are_refused_by_every_door(headers: dict[str, str], port: int) -> None:
    offer = {"sdp": "v=0", "type": "offer", "webrtc_id": "stranger"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
        assert (await http.get("/")).status_code == 403
        refused = await http.post("/webrtc/offer", json=offer)
        assert refused.status_code == 403
        assert refused.json()["status"] == "failed"
    extra = {name: value for name, value in headers.items() if name != "Host"}
    host = headers.get("Host", f"127.0.0.1:{port}")
    with pytest.raises(InvalidStatus, match="403"):
        await connect(f"ws://{host}/websocket/offer", host="127.0.0.1", port=port, additional_headers=extra)


async def test_pages_of_ours_and_of_allowed_origins_connect(port: int) -> None:
    for origin in (f"http://127.0.0.1:{port}", "https://talk.example"):
        async with connect(
            f"ws://127.0.0.1:{port}/websocket/offer", additional_headers={"Origin": origin}
        ) as websocket:
            await websocket.send(json.dumps({"event": "start", "websocket_id": "page"}))
            assert json.loads(await websocket.recv())["type"] == "session.created"
    async with websocket_client(port) as client:
        await client.type_text("and without a browser")
        await client.until("response.done")


async def test_a_long_offer_is_refused_whatever_it_announces(port: int) -> None:
    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * 10_000

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert (await http.post("/webrtc/offer", content=pieces())).status_code == 413
        assert (await http.post("/webrtc/offer", content=b"x" * 100_001)).status_code == 413
