"""Relays of an account, asked for over HTTP from a server of this machine."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from commands.errors import UsageError
from commands.parser import build_parser
from commands.serve import serve
from models.scripted import ScriptedModel
from realtime.doors import turn_servers
from realtime.doors.turn_servers import HuggingFaceTurn, TurnAccount, TurnServers, TurnUnavailable, TwilioTurn
from realtime.server import create_app
from realtime.server_options import ServerOptions
from realtime.session import SessionOptions

RELAY = {"urls": ["turn:relay.example:3478?transport=udp"], "username": "u", "credential": "c"}


class Lender:
    """Answers every request with the same, and notes what it was asked.

    Attributes:
        asked: method, path with query, headers and body of each request.
    """

    def __init__(self) -> None:
        self.status, self.answer = 200, ""
        self.delay_s = 0.0
        self.asked: list[tuple[str, str, dict[str, str], str]] = []
        self.url = ""
        self.answering: set[asyncio.Task[None]] = set()

    def lend(self, content: Any, status: int = 200) -> None:
        self.status, self.answer = status, content if isinstance(content, str) else json.dumps(content)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.answering.add(asyncio.create_task(self._answer(reader, writer)))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._read_and_write(reader, writer)
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def _read_and_write(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, _ = (await reader.readline()).decode().split()
        headers = {}
        while line := (await reader.readline()).decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
        self.asked.append((method, path, headers, body))
        await asyncio.sleep(self.delay_s)
        head = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(self.answer)}\r\nConnection: close\r\n\r\n"
        writer.write((head + self.answer).encode())
        await writer.drain()


@pytest.fixture
async def lender(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lender]:
    lender = Lender()
    server = await asyncio.start_server(lender.serve, "127.0.0.1", 0)
    lender.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/credentials"
    monkeypatch.setattr("fastrtc.credentials.CLOUDFLARE_FASTRTC_TURN_URL", lender.url)
    yield lender
    server.close()
    for task in lender.answering:
        task.cancel()
    await asyncio.gather(*lender.answering, return_exceptions=True)


async def test_hugging_face_is_asked_with_the_token(lender: Lender) -> None:
    lender.lend({"iceServers": [RELAY | {"unknown": 1}]})
    assert await HuggingFaceTurn("hf_x").fetch(600) == [RELAY]
    ((method, path, headers, _),) = lender.asked
    assert method == "GET" and parse_qs(urlsplit(path).query) == {"ttl": ["600"]}
    assert headers["authorization"] == "Bearer hf_x"


async def test_twilio_is_asked_with_account_and_token(lender: Lender) -> None:
    lender.lend({"ice_servers": [{"url": "stun:x", "urls": "stun:x"}, RELAY]}, 201)
    account = TwilioTurn("AC1", "secret", lender.url + "/{account}.json")
    assert await account.fetch(600) == [{"urls": "stun:x"}, RELAY]
    ((method, path, headers, body),) = lender.asked
    assert (method, path, body) == ("POST", "/credentials/AC1.json", "Ttl=600")
    assert headers["authorization"] == "Basic " + base64.b64encode(b"AC1:secret").decode()


@pytest.mark.parametrize("kind", ["huggingface", "twilio"])
@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        ({"error": "no"}, 401, "check"),
        ("<html>", 200, ""),
        ({"iceServers": "x", "ice_servers": [5]}, 200, "--ice-servers"),
        ([], 200, "--ice-servers"),
    ],
)
async def test_a_refusal_says_what_to_do(lender: Lender, kind: str, content: Any, status: int, reason: str) -> None:
    lender.lend(content, status)
    account: TurnAccount = HuggingFaceTurn("hf_x") if kind == "huggingface" else TwilioTurn("AC1", "s", lender.url)
    with pytest.raises(TurnUnavailable, match=r".{20,}") as unavailable:
        await account.fetch(600)
    assert reason in str(unavailable.value) and "hf_x" not in str(unavailable.value)


async def test_who_cannot_be_reached_is_named() -> None:
    with pytest.raises(TurnUnavailable, match="Twilio"):
        await TwilioTurn("AC1", "s", "http://127.0.0.1:1/").fetch(600)


class Account:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.n_asked = 0
        self.fails = False

    async def fetch(self, life_s: int) -> list[dict[str, Any]]:
        self.n_asked += 1
        await asyncio.sleep(0)
        if self.fails:
            raise TurnUnavailable("check the token")
        return [{"urls": f"turn:{self.n_asked}"}]


async def test_relays_are_renewed_at_half_their_life_and_kept_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    account, now_s = Account(), 0.0
    servers = TurnServers(account, now=lambda: now_s)
    given = await asyncio.gather(*(servers.current() for _ in range(5)))
    assert given == [[{"urls": "turn:1"}]] * 5 and account.n_asked == 1
    now_s = turn_servers.LIFE_S / 2 + 1
    assert await servers.current() == [{"urls": "turn:2"}]
    account.fails, now_s = True, 2 * now_s
    with caplog.at_level(logging.ERROR):
        assert await servers.current() == [{"urls": "turn:2"}], "what there is can still be used"
    assert "check the token" in caplog.text and "WebSocket" in caplog.text
    assert await servers.current() and account.n_asked == 3, "not asked again at once"
    now_s += turn_servers.LIFE_S / 2
    assert await servers.current() == []
    account.fails, now_s = False, now_s + turn_servers.RETRY_AFTER_S + 1
    assert await servers.current() == [{"urls": "turn:5"}]


async def test_who_answers_too_late_is_not_waited_for(lender: Lender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_servers, "FETCH_TIMEOUT_S", 0.1)
    lender.lend({"iceServers": [RELAY]})
    lender.delay_s = 5
    assert await TurnServers(HuggingFaceTurn("hf_x")).current() == []


async def test_a_page_is_given_all_of_them_for_each_connection() -> None:
    fixed = {"urls": "stun:mine"}
    app = create_app(ScriptedModel([["Yes."]]), SessionOptions(), ServerOptions(ice_servers=(fixed,), turn=Account()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as http:
        answer = await http.get("/webrtc/ice-servers")
    assert answer.json() == {"iceServers": [fixed, {"urls": "turn:1"}]}


@pytest.mark.parametrize(
    ("turn", "environment", "missing"),
    [
        ("huggingface", {}, "HF_TOKEN"),
        ("huggingface", {"HF_TOKEN": " "}, "HF_TOKEN"),
        ("twilio", {"TWILIO_ACCOUNT_SID": "AC1"}, "TWILIO_AUTH_TOKEN"),
        ("twilio", {}, "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"),
    ],
)
def test_a_token_that_is_missing_is_named(turn: str, environment: dict[str, str], missing: str) -> None:
    options = build_parser(environment).parse_args(["--turn", turn])
    with pytest.raises(UsageError, match=missing):
        serve(options)
