"""Strangers are kept out: every way into a running server, with and without a key."""

import asyncio
import json
import random
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from models.scripted import ScriptedModel
from realtime.doors.gate import COOKIE
from realtime.doors.keys import Key, KeyFile, add_key, remove_key
from realtime.doors.rates import FAILURES_PER_MINUTE
from realtime.doors.tokens import Tokens
from realtime.server import Server, create_app
from realtime.server_options import ServerOptions
from realtime.session import SessionOptions
from tests.servers import serving, serving_app

SECRET = "a secret for tests, of more than 32 characters"
OF_LOGIN = {"dom.js", "icon.svg", "login.css", "login.js", "login_page.js", "page.css", "preferences.js", "words.js"}
PUBLIC = {"/login", "/logout", "/healthz", "/readyz", "/page/words.de.json", "/page/words.en.json"}
PUBLIC |= {f"/page/{name}" for name in OF_LOGIN}


@dataclass(frozen=True, slots=True)
class House:
    """A server with two keys."""

    port: int
    app: FastAPI
    file: Path
    anna: str
    ben: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket(self) -> str:
        return f"ws://127.0.0.1:{self.port}/websocket/offer"

    def kept(self, name: str = "anna") -> Key:
        key = KeyFile(self.file).named(name)
        assert key is not None
        return key

    def token(self, life_s: float = 60, *, secret: str = SECRET, purpose: Any = "token") -> str:
        return Tokens(secret).make(self.kept(), purpose, life_s)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "earpiece.keys"


def house(file: Path, **options: Any) -> Iterator[House]:
    anna, ben = add_key(file, "anna"), add_key(file, "ben")
    options = {"keys": KeyFile(file), "token_secret": SECRET} | options
    with serving_app(ScriptedModel([["Yes."]]), **options) as (port, app):
        yield House(port, app, file, anna, ben)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server for tests that change nothing."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    yield from house(path, allowed_origins=("https://talk.example",), trusted_proxies=("127.0.0.1",))


@pytest.fixture
def own(file: Path) -> Iterator[House]:
    """A server of one test."""
    yield from house(file, max_sessions=4, max_sessions_per_key=1)


def elsewhere() -> dict[str, str]:
    """What a proxy says of a client that has never come before, so that nobody is counted twice."""
    return {"X-Forwarded-For": f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}"}


def bearer(shown: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {shown}"}


async def begin(websocket: ClientConnection, resume: dict[str, Any] | None = None) -> dict[str, Any]:
    """Begins a session that its client may come back to, and gives the first event."""
    start = {"event": "start", "websocket_id": "x", "resume": resume or {"token": "", "after": 0}}
    await websocket.send(json.dumps(start))
    first: dict[str, Any] = json.loads(await asyncio.wait_for(websocket.recv(), 10))
    return first


async def is_answered(websocket: ClientConnection) -> None:
    """Types something, and waits for the end of the answer."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
    await websocket.send(json.dumps({"type": "conversation.item.create", "item": item}))
    await websocket.send(json.dumps({"type": "response.create"}))
    async with asyncio.timeout(10):
        while json.loads(await websocket.recv())["type"] != "response.done":
            pass


# ---- Who shows nothing good ----

STRANGERS = {
    "no key": lambda house: {},
    "a wrong key": lambda house: bearer("ep_" + "x" * 43),
    "no key at all": lambda house: bearer("x"),
    "nothing": lambda house: {"Authorization": "Bearer"},
    "another scheme": lambda house: {"Authorization": f"Basic {house.anna}"},
    "an expired token": lambda house: bearer(house.token(-1)),
    "somebody else's token": lambda house: bearer(house.token(secret="another secret, which is long enough too")),
    "a login where a token should be": lambda house: bearer(house.token(purpose="login")),
    "a token where a login should be": lambda house: {"Cookie": f"{COOKIE}={house.token()}"},
    "an expired login": lambda house: {"Cookie": f"{COOKIE}={house.token(-1, purpose='login')}"},
    "another origin": lambda house: {**bearer(house.anna), "Origin": "https://evil.example"},
    "another host": lambda house: {**bearer(house.anna), "Host": "evil.example"},
}
FORBIDDEN = ("another origin", "another host")


def routes(app: FastAPI, *, sockets: bool) -> list[tuple[str, str]]:
    """Path and method of each route that is not public."""
    found = [(getattr(route, "path", ""), getattr(route, "methods", None)) for route in app.routes]
    return [
        (re.sub(r"{\w+}", "x", path), next(iter(methods)) if methods else "")
        for path, methods in found
        if sockets == (not methods) and path not in PUBLIC
    ]


def told(answer: httpx.Response) -> Any:
    """What a stranger learns from an answer."""
    return answer.status_code, answer.content, {name: text for name, text in answer.headers.items() if name != "date"}


@pytest.mark.parametrize("who", STRANGERS)
async def test_a_stranger_gets_the_same_refusal_everywhere(who: str, shared: House) -> None:
    asked = routes(shared.app, sockets=False)
    assert {path for path, _ in asked} >= {
        "/",
        "/health",
        "/metrics",
        "/webrtc/offer",
        "/page/main.js",
        "/tokens",
        "/session/close",
    }
    async with httpx.AsyncClient(base_url=shared.address) as http:
        answers = {
            (path, method): told(await http.request(method, path, headers=STRANGERS[who](shared) | elsewhere()))
            for path, method in [*asked, ("/nothing/here", "GET"), ("/nothing/here", "POST"), ("/", "DELETE")]
        }
    expected = answers["/nothing/here", "GET"]
    assert expected[0] == (403 if who in FORBIDDEN else 401)
    assert {key: answer for key, answer in answers.items() if answer != expected} == {}
    assert "scripted" not in str(expected) and "Yes." not in str(expected)


@pytest.mark.parametrize("who", STRANGERS)
async def test_a_stranger_opens_no_websocket(who: str, shared: House, caplog: pytest.LogCaptureFixture) -> None:
    sockets = routes(shared.app, sockets=True)
    assert sockets
    refusals = set()
    for path in [*(path for path, _ in sockets), "/nothing/here"]:
        headers = STRANGERS[who](shared) | elsewhere()
        host = headers.pop("Host", f"127.0.0.1:{shared.port}")
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{host}{path}", host="127.0.0.1", port=shared.port, additional_headers=headers)
        refusals.add((refused.value.response.status_code, bytes(refused.value.response.body or b"")))
    ((status, _),) = refusals
    assert status == (403 if who in FORBIDDEN else 401)
    assert not caplog.records, "strangers do not fill the log"


async def test_only_the_login_is_public(shared: House) -> None:
    async with httpx.AsyncClient(base_url=shared.address) as http:
        for path in PUBLIC - {"/login", "/logout"}:
            assert (await http.get(path)).status_code == 200, path
        page = await http.get("/", headers={"Accept": "text/html"})
        assert page.status_code == 401 and page.headers["cache-control"] == "no-store"
        assert "login_page.js" in page.text and "main.js" not in page.text
        for file in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert f"/{file}" in PUBLIC
        assert (await http.get("/health", headers={"Accept": "text/html"})).content == page.content
        imported = [re.findall(r'from "./([^"]+)"', (await http.get(f"/page/{name}")).text) for name in OF_LOGIN]
        assert {name for names in imported for name in names} <= OF_LOGIN


# ---- Who shows something good ----


async def test_a_key_opens_everything(shared: House) -> None:
    async with httpx.AsyncClient(base_url=shared.address, headers=bearer(shared.anna)) as http:
        assert (await http.get("/health")).json()["status"] == "ok"
        assert "main.js" in (await http.get("/")).text
        assert (await http.get("/nothing/here")).status_code == 404
        assert (await http.post("/webrtc/offer", json={})).status_code == 422


def ways_of_showing(house: House) -> dict[str, tuple[dict[str, Any], str, str | None]]:
    """Arguments of a handshake, what follows its address, and the protocol that the server names."""

    def protocols(*names: str) -> dict[str, Any]:
        return {"subprotocols": [Subprotocol(name) for name in names]}

    token = house.token()
    return {
        "a key": ({"additional_headers": bearer(house.anna)}, "", None),
        "a token": ({"additional_headers": bearer(token)}, "", None),
        "a login": ({"additional_headers": {"Cookie": f"a=b; {COOKIE}={house.token(purpose='login')}"}}, "", None),
        "a token as a protocol": (protocols("earpiece", f"earpiece-token.{token}"), "", "earpiece"),
        "a token as the only protocol": (protocols(f"earpiece-token.{token}"), "", f"earpiece-token.{token}"),
        "a key as OpenAI's clients do": (
            protocols("realtime", f"openai-insecure-api-key.{house.anna}"),
            "",
            "realtime",
        ),
        "a token as OpenAI's clients do": (protocols("realtime", f"openai-insecure-api-key.{token}"), "", "realtime"),
        "a token in the address": ({}, f"?rate=16000&token={token}", None),
    }


async def test_a_websocket_opens(shared: House) -> None:
    for how, (arguments, query, protocol) in ways_of_showing(shared).items():
        async with connect(shared.websocket + query, **arguments) as websocket:
            assert websocket.subprotocol == protocol, how
            assert (await begin(websocket))["type"] == "session.created", how


async def test_a_key_is_not_taken_where_it_would_be_kept(shared: House) -> None:
    with pytest.raises(InvalidStatus, match="401"):
        await connect(f"{shared.websocket}?token={shared.anna}", additional_headers=elsewhere())
    with pytest.raises(InvalidStatus, match="401"):
        shown = [Subprotocol(f"earpiece-token.{shared.anna}")]
        await connect(shared.websocket, subprotocols=shown, additional_headers=elsewhere())


async def test_a_page_elsewhere_may_show_a_token(shared: House) -> None:
    origin = {"Origin": "https://talk.example"}
    async with httpx.AsyncClient(base_url=shared.address, headers=origin) as http:
        first = await http.options("/webrtc/offer")
        assert first.status_code == 204 and "authorization" in first.headers["access-control-allow-headers"]
        assert (await http.options("/nothing/here")).headers == first.headers
        answer = await http.post("/webrtc/offer", json={}, headers=bearer(shared.token()))
        assert answer.status_code == 422
        refused = await http.post("/webrtc/offer", json={})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://talk.example", "so that it can be read"


async def test_a_token_is_made_for_whoever_shows_a_key(shared: House) -> None:
    async with httpx.AsyncClient(base_url=shared.address) as http:
        made = await http.post("/tokens", headers=bearer(shared.anna))
        assert made.status_code == 200 and made.headers["cache-control"] == "no-store"
        token = made.json()["token"]
        assert made.json() == {"token": token, "expires_in_s": 600}
        assert (await http.get("/health", headers=bearer(token))).status_code == 200
        refused = await http.post("/tokens", headers=bearer(token))
        assert refused.status_code == 403 and "whoever shows a key" in refused.json()["message"]


async def test_a_person_logs_in_and_out(shared: House) -> None:
    async with httpx.AsyncClient(base_url=shared.address) as http:
        for wrong in ('{"key": 5}', "{}", "[", "5", '{"key": "' + "x" * 400 + '"}'):
            assert (await http.post("/login", content=wrong)).status_code in (413, 422)
        refused = await http.post("/login", json={"key": "ep_wrong"})
        assert refused.status_code == 401 and "set-cookie" not in refused.headers
        given = await http.post("/login", json={"key": f" {shared.anna}\n"})
        assert given.status_code == 204
        cookie = given.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and "max-age=604800" in cookie
        assert "secure" not in cookie
        assert (await http.get("/page/settings.json")).json()["login"] == "anna"
        async with connect(
            shared.websocket, additional_headers={"Cookie": f"{COOKIE}={http.cookies[COOKIE]}"}
        ) as socket:
            assert (await begin(socket))["type"] == "session.created"
        assert (await http.post("/tokens")).status_code == 403
        assert (await http.post("/logout")).status_code == 204
        assert (await http.get("/page/settings.json")).status_code == 401


@pytest.mark.parametrize(
    "headers", [{"X-Forwarded-Proto": "https"}, {"Origin": "https://127.0.0.1", "Host": "127.0.0.1"}]
)
async def test_over_tls_the_login_goes_over_tls_alone(headers: dict[str, str], shared: House) -> None:
    async with httpx.AsyncClient(base_url=shared.address, headers=headers) as http:
        given = await http.post("/login", json={"key": shared.anna})
        assert "secure" in given.headers["set-cookie"].lower()


@pytest.mark.parametrize("other", ['settings={"a": [1, 2]}', "no cookie at all", f"{COOKIE}=planted", "a=\xe9"])
async def test_a_login_is_found_beside_what_others_left_at_this_host(other: str, shared: House) -> None:
    """Cookies are those of all ports of a host, and its neighbours can plant some."""
    login = f"{COOKIE}={shared.token(purpose='login')}"
    async with httpx.AsyncClient(base_url=shared.address) as http:
        for cookies in (f"{other}; {login}", f"{login}; {other}"):
            answer = await http.get("/health", headers={"Cookie": cookies.encode("latin-1")} | elsewhere())
            assert answer.status_code == 200, cookies


async def test_without_keys_there_is_no_login() -> None:
    with serving(ScriptedModel([["Yes."]])) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            for path in ("/login", "/tokens", "/logout"):
                assert (await http.post(path)).status_code == 404
            assert (await http.get("/page/settings.json", headers=bearer("x"))).json()["login"] is None


# ---- What one key has ----


async def test_a_key_that_is_removed_takes_logins_and_tokens_with_it(own: House) -> None:
    shown = [bearer(own.anna), bearer(own.token()), {"Cookie": f"{COOKIE}={own.token(purpose='login')}"}]
    async with httpx.AsyncClient(base_url=own.address) as http:
        assert [(await http.get("/health", headers=each)).status_code for each in shown] == [200] * 3
        remove_key(own.file, "anna")
        assert [(await http.get("/health", headers=each)).status_code for each in shown] == [401] * 3
        add_key(own.file, "anna")
        assert [(await http.get("/health", headers=each)).status_code for each in shown] == [401] * 3
        assert (await http.get("/health", headers=bearer(own.ben))).status_code == 200
        own.file.unlink()
        assert (await http.get("/health", headers=bearer(own.ben))).status_code == 200, "the keys it had are good"


async def test_a_key_that_is_removed_ends_its_conversations(own: House) -> None:
    """Those with a client, that of one who is away, and what waits to begin; those of others go on."""
    anna = connect(own.websocket, additional_headers=bearer(own.anna))
    ben = connect(own.websocket, additional_headers=bearer(own.ben))
    async with anna as hers, ben as his, httpx.AsyncClient(base_url=own.address) as http:
        created = await begin(hers)
        await begin(his)
        remove_key(own.file, "anna")
        again = add_key(own.file, "anna")
        async with asyncio.timeout(6):
            last = [json.loads(message) async for message in hers][-1]
        assert last["type"] == "session.ended" and last["reason"] == "its key was removed"
        await is_answered(his)
        health = (await http.get("/health", headers=bearer(own.ben))).json()
        assert health["sessions"] == 1
        resume = {"token": created["resume_token"], "after": created["sequence"]}
        async with connect(own.websocket, additional_headers=bearer(again)) as newcomer:
            assert not (await begin(newcomer, resume))["resumed"]


async def test_a_session_whose_client_is_away_ends_with_its_key(own: House) -> None:
    async with connect(own.websocket, additional_headers=bearer(own.anna)) as websocket:
        await begin(websocket)
    unready = connect(own.websocket, additional_headers=bearer(own.ben))  # it has a place, and has not said `start`
    async with unready as waits, httpx.AsyncClient(base_url=own.address) as http:
        third = bearer(add_key(own.file, "clara"))
        assert (await http.get("/health", headers=third)).json()["sessions"] == 2
        remove_key(own.file, "anna")
        remove_key(own.file, "ben")
        last = json.loads(await asyncio.wait_for(waits.recv(), 6))
        assert last["type"] == "session.ended" and last["reason"] == "its key was removed"
        for _ in range(100):
            if not (n_sessions := (await http.get("/health", headers=third)).json()["sessions"]):
                break
            await asyncio.sleep(0.05)
        assert n_sessions == 0


async def test_a_token_that_expires_ends_no_session(own: House) -> None:
    token = own.token(1)
    async with connect(own.websocket, additional_headers=bearer(token)) as websocket:
        await begin(websocket)
        async with httpx.AsyncClient(base_url=own.address) as http:
            for _ in range(100):
                if expired := (await http.get("/health", headers=bearer(token))).status_code == 401:
                    break
                await asyncio.sleep(0.1)
        assert expired
        await is_answered(websocket)


async def test_nobody_comes_back_with_another_key(own: House) -> None:
    async with connect(own.websocket, additional_headers=bearer(own.anna)) as websocket:
        created = await begin(websocket)
    resume = {"token": created["resume_token"], "after": created["sequence"]}
    for shown, is_resumed in ((own.ben, False), (own.token(), True)):
        async with connect(own.websocket, additional_headers=bearer(shown)) as websocket:
            assert (await begin(websocket, resume))["resumed"] is is_resumed
    async with httpx.AsyncClient(base_url=own.address) as http:
        query = f"/conversation/audio/x?session={resume['token']}"
        missing = [(await http.get(query, headers=bearer(key))).json()["message"] for key in (own.ben, own.anna)]
        assert "there was none" in missing[0] and "no audio of this message" in missing[1]
        await http.post("/session/close", content=resume["token"], headers=bearer(own.ben))
        assert "no audio" in (await http.get(query, headers=bearer(own.anna))).json()["message"], "it goes on"
        await http.post("/session/close", content=resume["token"], headers=bearer(own.anna))
        assert "ended" in (await http.get(query, headers=bearer(own.anna))).json()["message"]


async def test_one_key_has_no_more_places_than_it_may(own: House) -> None:
    async with connect(own.websocket, additional_headers=bearer(own.anna)) as first:
        assert (await begin(first))["type"] == "session.created"
        async with connect(own.websocket, additional_headers=bearer(own.token())) as second:
            refused = await begin(second)
            assert refused["type"] == "error"
            assert refused["message"] == "the only place is taken that one key may have; end a conversation first"
        async with connect(own.websocket, additional_headers=bearer(own.ben)) as other:
            assert (await begin(other))["type"] == "session.created"
    async with connect(own.websocket, additional_headers=bearer(own.anna)) as websocket:
        assert (await begin(websocket))["type"] == "session.created", "the one that waits for its client gives way"


# ---- How often ----


async def test_requests_are_counted_by_key_and_by_address(file: Path) -> None:
    for own in house(file, rate_limit=3, trusted_proxies=("127.0.0.1",)):
        anna, ben = bearer(own.anna), bearer(own.ben)
        here = elsewhere()
        async with httpx.AsyncClient(base_url=own.address) as http:
            for _ in range(3):
                assert (await http.post("/webrtc/offer", headers=anna | here)).status_code == 422
                assert (await http.get("/health", headers=anna | here)).status_code == 200
            for headers in (anna | elsewhere(), ben | here):  # the key from elsewhere, and another from there
                refused = await http.post("/webrtc/offer", headers=headers)
                assert refused.status_code == 429
                wait_s = int(refused.headers["retry-after"])
                assert 1 <= wait_s <= 60 and f"try again in {wait_s} seconds" in refused.json()["message"]
            assert (await http.post("/webrtc/offer", headers=ben | elsewhere())).status_code == 422
            assert (await http.get("/health", headers=anna | here)).status_code == 200, "reading is free"
        with pytest.raises(InvalidStatus, match="429"):
            await connect(own.websocket, additional_headers=anna | here)


async def test_a_key_that_is_named_anonymous_is_counted_like_any_other(file: Path) -> None:
    shown = add_key(file, "anonymous")
    for own in house(file, rate_limit=3, trusted_proxies=("127.0.0.1",)):
        async with httpx.AsyncClient(base_url=own.address, headers=bearer(shown)) as http:
            answers = [await http.post("/webrtc/offer", headers=elsewhere()) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [422, 422, 422, 429]


async def test_wrong_keys_are_counted_and_shut_out_nobody_else(own: House) -> None:
    wrong = "ep_" + "x" * 43
    async with httpx.AsyncClient(base_url=own.address) as http:
        tries = [await http.post("/login", json={"key": wrong}) for _ in range(FAILURES_PER_MINUTE)]
        assert {answer.status_code for answer in tries} == {401}
        for refused in (await http.post("/login", json={"key": wrong}), await http.get("/", headers=bearer(wrong))):
            assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
        assert (await http.get("/health")).status_code == 401, "who shows nothing guesses nothing"
        assert (await http.post("/login", json={"key": own.ben})).status_code == 204


async def test_only_a_trusted_proxy_says_where_clients_are(own: House) -> None:
    """This server trusts none, so what is said to come from many addresses comes from one."""
    async with httpx.AsyncClient(base_url=own.address) as http:
        tries = [await http.get("/", headers=bearer("ep_x") | elsewhere()) for _ in range(FAILURES_PER_MINUTE + 1)]
    assert tries[-1].status_code == 429


# ---- A thousand connections ----


@pytest.fixture
async def here(file: Path) -> Any:
    """A server within this test, so that its tasks are counted; gives its port and a key."""
    key = add_key(file, "anna")
    options = ServerOptions(keys=KeyFile(file), max_sessions=4, drain_limit_s=1)
    app = create_app(ScriptedModel([["Yes."]]), SessionOptions(), options)
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(app, options)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()[1], key
    server.should_exit = True
    await running
    listener.close()


def held() -> dict[str, int]:
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }


async def one_connection(number: int, url: str, key: str) -> None:
    """One of those that are refused, that never start, that are cut off, and that talk."""
    if number % 4 == 0:
        shown = bearer("ep_x") if number % 8 else {}
        with pytest.raises(InvalidStatus, match=r"401|429"):
            await connect(url, additional_headers=shown)
        return
    websocket = await connect(url, additional_headers=bearer(key))
    with suppress(WebSocketException):
        if number % 10 == 1:
            await websocket.send('{"event": "start", "websocket_id": "x"}')
            await websocket.recv()
    if number % 4 == 1:
        websocket.transport.abort()
        await websocket.wait_closed()
    else:
        await websocket.close()


async def test_a_thousand_connections_leave_nothing_behind(here: tuple[int, str]) -> None:
    port, key = here
    url = f"ws://127.0.0.1:{port}/websocket/offer"
    for number in range(20):  # what is made once
        await one_connection(number, url, key)
    await asyncio.sleep(0.5)
    before = held()
    for number in range(1000):
        await one_connection(number, url, key)
    for _ in range(100):
        left = {name: more for name, more in held().items() if more > before[name]}
        if not left:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{left} instead of {before}")
