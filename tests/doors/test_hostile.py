"""Clients that mean harm, against a real server in a process of its own: others do not wait, and nothing is left.

Every attack is judged in the same way: the event loop never works for more than 100 ms at once, a neighbour of the
attacker gets its events, and within 10 s the server holds no more places, tasks, threads, descriptors and memory than
before. Work is judged, and not waiting, because three processes and perhaps others share the machine; the log has what
was waited.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import logging
import os
import random
import re
import signal
import socket
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from aioice import stun
from aiortc import InvalidStateError, RTCConfiguration, RTCPeerConnection
from aiortc.rtcsctptransport import DataChunk, ForwardTsnChunk, SackChunk
from aiortc.rtp import RtpPacket
from websockets.frames import Frame, Opcode

from tests.doors.clients import SpeakingTrack, WebRtcClient, webrtc_client, websocket_client
from tests.doors.siege import RETURN_WITHIN_S, Answering, Siege, siege

pytestmark = pytest.mark.alone
logger = logging.getLogger(__name__)

MAX_LATE_S = 0.1  # of the server's loop, in seconds of its work
MAX_WAIT_S = 2.0  # of the neighbour, on however busy a machine
ATTACK_S = 1.0
TRIES = 3  # the second and third in calm: one stroke of the machine is no fault

Attack = Callable[[int], Awaitable[None]]


@pytest.fixture(scope="module")
def besieged() -> Iterator[Siege]:
    with siege(max_sessions=4) as under_attack:
        yield under_attack


# ---- Over TCP: bytes that no library would send ----

UPGRADE = (
    b"GET /websocket/offer?rate=%d HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
POST = b"POST /webrtc/offer HTTP/1.1\r\nHost: 127.0.0.1\r\n"


def text(message: str | dict[str, Any], *, fin: bool = True) -> bytes:
    """One masked frame."""
    content = message if isinstance(message, str) else json.dumps(message)
    return Frame(Opcode.TEXT, content.encode(), fin=fin).serialize(mask=True)


START = text({"event": "start", "websocket_id": "attacker"})


async def send_all(port: int, content: bytes, *, before: bytes = b"", upgrade: int = 0, n_bytes: int = 10**8) -> None:
    """Sends something again and again, reads nothing of what comes back, and vanishes.

    Args:
        port: of the server.
        content: one thing, many times.
        before: what comes once before it.
        upgrade: makes a WebSocket of it first, with this sample rate.
        n_bytes: when to stop, if not after `ATTACK_S`.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if upgrade:
        writer.write(UPGRADE % upgrade)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer and b"deflate" not in answer
    block = content * max(1, 60_000 // len(content))
    writer.write(before)
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(ATTACK_S):
            for _ in range(n_bytes // len(block)):
                writer.write(block)
                await writer.drain()
    writer.transport.abort()


def flooding(content: bytes, **options: Any) -> Attack:
    return lambda port: send_all(port, content, **options)


def talking(content: bytes, rate_hz: int = 16_000) -> Attack:
    return flooding(content, before=START, upgrade=rate_hz)


def typed(n_characters: int) -> bytes:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * n_characters}]}
    return text({"type": "conversation.item.create", "item": item}) + text({"type": "response.create"})


def media(n_bytes: int) -> bytes:
    return text({"event": "media", "media": {"payload": base64.b64encode(os.urandom(n_bytes)).decode()}})


async def idle_sockets(port: int) -> None:
    """More connections than the server keeps, with nothing, half a request, and half a body."""
    openings = (b"", b"GET / HTTP/1.1\r\nHost: 127.", POST + b"Content-Length: 5\r\n\r\n")
    first: asyncio.StreamReader | None = None
    writers = []
    for number in range(900):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(openings[number % len(openings)])
        writers.append(writer)
        first = first or reader
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert (await http.get("/health")).status_code == 200
    with contextlib.suppress(ConnectionResetError):
        assert first is not None and await asyncio.wait_for(first.read(), 5) == b"", (
            "who waited the longest was cut off"
        )
    for writer in writers:
        writer.transport.abort()


async def sockets_that_never_start(port: int) -> None:
    """WebSockets on every place that is left, and on more."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(websocket_client(port, start=False)) for _ in range(8)]
        for client in clients:
            await asyncio.wait_for(client.websocket.wait_closed(), 10)
        assert sorted(client.websocket.close_code or 0 for client in clients) == [1008] * 3 + [1013] * 5


async def half_closed_sockets(port: int) -> None:
    """They say that nothing more will come, in the midst of it or behind it, and wait for the server to close."""
    openings = (b"", POST + b"Content-Length: 5\r\n\r\n", UPGRADE % 16_000, UPGRADE % 16_000 + START)
    opened = []
    for number in range(80):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(openings[number % len(openings)])
        await writer.drain()
        writer.write_eof()
        opened.append((reader, writer))
    for reader, writer in opened:
        with contextlib.suppress(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 10)
        writer.transport.abort()


async def six_loud_clients(port: int) -> None:
    """100 MB each, on two places of three that are left."""
    await asyncio.gather(*(talking(media(740_000), rate)(port) for rate in (8_000, 16_000, 48_000) * 2))


def json_of(inner: str, n_times: int) -> bytes:
    return text('{"event": [' + ",".join([inner] * n_times) + "]}")


SLOW_JSON = (
    json_of("[[[[[[[[[[]]]]]]]]]]", 45_000),
    json_of("{}", 320_000),
    json_of("1.1", 240_000),
    json_of("9" * 4299, 220),
    text('{"a":' + "[" * 900_000),
    text('{"type":"' + "\\u00e9" * 160_000 + '"}'),
)

OVER_TCP: dict[str, Attack] = {
    "half a request for ever": flooding(b"a: b\r\n", before=b"GET / HTTP/1.1\r\n"),
    "tiny pieces of a body": flooding(b"1\r\nx\r\n", before=POST + b"Transfer-Encoding: chunked\r\n\r\n"),
    "a body of 600 MB": flooding(b"x" * 60_000, before=POST + b"Content-Length: 600000000\r\n\r\n", n_bytes=6 * 10**8),
    "pipelined requests": flooding(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    "idle sockets": idle_sockets,
    "sockets that never start": sockets_that_never_start,
    "half-closed sockets": half_closed_sockets,
    "tiny frames": talking(text("")),
    "pings whose pongs are not read": talking(Frame(Opcode.PING, b"x" * 125).serialize(mask=True)),
    "a message that never ends": flooding(
        Frame(Opcode.CONT, b"", fin=False).serialize(mask=True), before=START + text("", fin=False), upgrade=16_000
    ),
    "typed messages": talking(typed(1)),
    "typed messages of ten pages": talking(typed(19_000)),
    "events that are not read": talking(text({"type": "session.metrics"})),
    "complaints that are not read": talking(text("nonsense")),
    "small pieces of audio": talking(media(320)),
    "large pieces of audio": talking(media(740_000), 8_000),
    "six loud clients": six_loud_clients,
    "JSON that takes long to read": talking(b"".join(SLOW_JSON)),
}


# ---- Over WebRTC ----


_numbers = itertools.count()


def new_name() -> str:
    return f"attacker{next(_numbers)}"


@contextlib.asynccontextmanager
async def offering() -> AsyncIterator[tuple[RTCPeerConnection, str]]:
    """A peer and its offer."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTrack(SpeakingTrack())
    peer.createDataChannel("events")
    await peer.setLocalDescription(await peer.createOffer())
    try:
        yield peer, peer.localDescription.sdp
    finally:
        await peer.close()


async def post(port: int, sdp: Any, name: str | None = None) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        body = {"sdp": sdp, "type": "offer", "webrtc_id": name or new_name()}
        return await http.post("/webrtc/offer", json=body, timeout=20)


async def bad_offers(port: int) -> None:
    """More of each kind than there are places: none keeps one."""
    async with offering() as (_, sdp):
        here = sdp.index("a=mid:0")
        lines = {
            "BUNDLE": sdp.replace("BUNDLE 0 1", "BUNDLE 0"),
            "a=mid": sdp.replace("a=mid:1\r\n", ""),
            "tracks": sdp + sdp[sdp.index("m=audio") : sdp.index("m=application")] * 60,
            "no channel": sdp[: sdp.index("m=application")],
            "candidates": sdp[:here] + "a=candidate:1 1 udp 1 10.0.0.1 1 typ host\r\n" * 5000 + sdp[here:],
            "sources": sdp[:here] + "a=ssrc:1 cname:x\r\n" * 5000 + sdp[here:],
            "sections": sdp + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * 500,
            "feedback": sdp[:here] + "a=rtpmap:9 x/8000\r\n" * 200 + "a=rtcp-fb:* nack\r\n" * 200 + sdp[here:],
        }
        for name, bad in lines.items():
            statuses = {(await post(port, bad)).status_code for _ in range(6)}
            assert statuses <= {413, 422}, name


async def offers_that_never_connect(port: int) -> None:
    """On every place that is left, and on more; twelve have one id."""
    async with offering() as (_, sdp):
        same = await asyncio.gather(*(post(port, sdp, "same") for _ in range(12)))
        assert sorted(answer.status_code for answer in same) == [200] + [409] * 11
        others = [(await post(port, sdp)).status_code for _ in range(4)]
        assert others == [200, 200, 503, 503]


async def odd_candidates(port: int) -> None:
    """Names that no one would find, and addresses of everybody."""
    async with offering() as (_, sdp):
        here = sdp.index("a=mid:0")
        for host in ("slow.example.invalid", "x%d.local", "255.255.255.255"):
            hosts = [host % k if "%" in host else host for k in range(90)]
            candidates = "".join(
                f"a=candidate:{k} 1 udp {k + 1} {name} {5000 + k} typ host\r\n" for k, name in enumerate(hosts)
            )
            assert (await post(port, sdp[:here] + candidates + sdp[here:])).status_code in (200, 422)


def connected(attack: Callable[[WebRtcClient], Awaitable[None]]) -> Attack:
    """An attack by a client that has a session."""

    async def run(port: int) -> None:
        async with webrtc_client(port, new_name()) as client:
            with contextlib.suppress(ConnectionError):  # the server has given it up
                await attack(client)

    return run


async def for_a_while(do: Callable[[int], Awaitable[None]]) -> None:
    """Does something as often as possible."""
    end_s, number = time.monotonic() + ATTACK_S, 0
    while time.monotonic() < end_s:
        for _ in range(50):
            await do(number)
            number += 1
        await asyncio.sleep(0.002)


async def commands(client: WebRtcClient) -> None:
    async def send(number: int) -> None:
        if client.channel.bufferedAmount < 100_000:
            await client.type_text("x" * 500)

    await for_a_while(send)


async def sources(client: WebRtcClient) -> None:
    async def send(number: int) -> None:
        source = random.getrandbits(32)
        packet = RtpPacket(96, 0, number % 2**16, 960 * number % 2**32, source, b"x" * 20)
        await client.channel.transport.transport._send_rtp(packet.serialize())

    await for_a_while(send)


async def packets(client: WebRtcClient) -> None:
    async def send(number: int) -> None:
        content = bytes([0xFC]) + os.urandom(60)
        packet = RtpPacket(96, 0, number % 2**16, 960 * number % 2**32, 77, content)
        await client.channel.transport.transport._send_rtp(packet.serialize())

    await for_a_while(send)


async def gaps(client: WebRtcClient) -> None:
    sctp, sack = client.channel.transport, SackChunk()
    sack.cumulative_tsn, sack.advertised_rwnd, sack.duplicates = sctp._last_received_tsn, 100_000, []
    sack.gaps = [(1, 65535)] * 250
    await sctp._send_chunk(sack)
    await asyncio.sleep(0.5)


def chunk(sctp: Any, number: int, flags: int) -> DataChunk:
    made = DataChunk()
    made.flags, made.tsn, made.stream_id, made.stream_seq = flags, (sctp._local_tsn + number) % 2**32, 1, 0
    made.protocol, made.user_data = 51, b"x"
    return made


async def pieces_out_of_order(client: WebRtcClient) -> None:
    sctp = client.channel.transport
    await for_a_while(lambda number: sctp._send_chunk(chunk(sctp, 2 * number + 1, 3)))


async def pieces_without_end(client: WebRtcClient) -> None:
    sctp = client.channel.transport
    await for_a_while(lambda number: sctp._send_chunk(chunk(sctp, number, 0 if number else 2)))


async def streams(client: WebRtcClient) -> None:
    sctp = client.channel.transport

    async def send(number: int) -> None:
        forward = ForwardTsnChunk()
        forward.cumulative_tsn = (sctp._local_tsn + number) % 2**32
        forward.streams = [((250 * number + k) % 2**16, 0) for k in range(250)]
        await sctp._send_chunk(forward)

    await for_a_while(send)


async def broken_text(client: WebRtcClient) -> None:
    await client.channel.transport._send(client.channel.id, 51, b"\xff\xfe")
    await asyncio.sleep(0.5)


async def events_that_are_not_read(port: int) -> None:
    """The server ends the session, although the client goes on."""
    async with webrtc_client(port, new_name()) as client, httpx.AsyncClient() as http:
        client.channel.transport._receive_data_chunk = nothing  # and so it confirms none
        for _ in range(500):
            with contextlib.suppress(InvalidStateError):  # it is closed here, too
                for _ in range(100):
                    client.channel.send('{"type": "session.metrics"}')
            if (await http.get(f"http://127.0.0.1:{port}/health")).json()["sessions"] == 1:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the session goes on")


async def nothing(*_: Any) -> None:
    pass


async def vanish(client: WebRtcClient) -> None:
    """Closes its sockets and says nothing."""
    for protocol in client.channel.transport.transport.transport._connection._protocols:
        protocol.transport.abort()


def server_ports(client: WebRtcClient) -> list[int]:
    ice = client.channel.transport.transport.transport
    return [candidate.port for candidate in ice.getRemoteCandidates()]


async def datagrams(ports: list[int]) -> None:
    """Sends what is no part of a connection, from a socket that has none."""
    garbage = os.urandom(1200)
    kinds = (b"", garbage, b"\x16\xfe\xff" + garbage, b"\x80\x6f", b"\x80\xc8", b"\0\1\0\0" + bytes(16))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)

        async def send(number: int) -> None:
            with contextlib.suppress(BlockingIOError):
                stranger.sendto(kinds[number % len(kinds)], ("127.0.0.1", ports[number % len(ports)]))

        await for_a_while(send)


async def datagrams_from_a_stranger(port: int) -> None:
    """They do not end the session of somebody else."""
    async with webrtc_client(port, new_name()) as victim:
        await datagrams(server_ports(victim))
        await victim.type_text("Am I still here?")
        await victim.until("response.done", timeout_s=10)


async def datagrams_before_the_connection(port: int) -> None:
    async with offering() as (_, sdp):
        answer = (await post(port, sdp)).json()["sdp"]
        await datagrams([int(found) for found in re.findall(r"candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+)", answer)])


async def checks_from_many_ports(port: int) -> None:
    """Each would be a new way to the client, to be tried."""
    async with offering() as (_, sdp):
        answer = (await post(port, sdp)).json()["sdp"]
        (theirs,) = re.findall("ice-ufrag:(.+)\r", answer)[:1]
        (password,) = re.findall("ice-pwd:(.+)\r", answer)[:1]
        (ours,) = re.findall("ice-ufrag:(.+)\r", sdp)[:1]
        (server_port,) = re.findall(r"candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+)", answer)[:1]
        check = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        check.attributes |= {"USERNAME": f"{theirs}:{ours}", "PRIORITY": 1, "ICE-CONTROLLING": 5}
        check.add_message_integrity(password.encode())
        for number in range(600):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.sendto(bytes(check), ("127.0.0.1", int(server_port)))
            if number % 20 == 0:
                await asyncio.sleep(0.005)


OVER_WEBRTC: dict[str, Attack] = {
    "bad offers": bad_offers,
    "offers that never connect": offers_that_never_connect,
    "odd candidates": odd_candidates,
    "typed messages": connected(commands),
    "audio from everywhere": connected(sources),
    "audio far too fast": connected(packets),
    "gaps that cannot be": connected(gaps),
    "pieces out of order": connected(pieces_out_of_order),
    "pieces without end": connected(pieces_without_end),
    "many streams": connected(streams),
    "broken text": connected(broken_text),
    "events that are not read": events_that_are_not_read,
    "gone without a word": connected(vanish),
    "datagrams from a stranger": datagrams_from_a_stranger,
    "datagrams before the connection": datagrams_before_the_connection,
    "checks from many ports": checks_from_many_ports,
}

ATTACKS = {f"tcp: {name}": attack for name, attack in OVER_TCP.items()}
ATTACKS |= {f"webrtc: {name}": attack for name, attack in OVER_WEBRTC.items()}


@pytest.mark.parametrize("name", ATTACKS)
async def test_others_do_not_wait_and_nothing_is_left(name: str, besieged: Siege) -> None:
    for _ in range(TRIES):
        outcome = await asyncio.wait_for(besieged.attack(ATTACKS[name]), 60)
        logger.info("%s: %s", name, outcome)
        assert not outcome.left
        assert outcome.neighbour_s < MAX_WAIT_S
        if outcome.late_work_s <= MAX_LATE_S:
            return
    raise AssertionError(f"the loop was busy for {outcome.late_work_s:.3f} s at once")


# ---- What has to hold besides ----


async def test_a_client_that_does_not_move_any_more_loses_its_place(besieged: Siege) -> None:
    before = besieged.server.ask()["places"]
    stopped = Answering("neighbour", besieged.port)
    stopped.ask()
    assert besieged.server.ask()["places"] == before + 1
    stopped.send_signal(signal.SIGSTOP)  # the kernel still takes what comes for it
    began_s = time.monotonic()
    try:
        while besieged.server.ask()["places"] > before:
            assert time.monotonic() - began_s < RETURN_WITHIN_S + 1
            await asyncio.sleep(0.25)
    finally:
        stopped.send_signal(signal.SIGKILL)
        stopped.end()


def usual_paths() -> set[str]:
    """What FastAPI, Gradio and FastRTC would serve."""
    fastrtc = {"/webrtc/offer", "/websocket/offer", "/telephone/incoming", "/telephone/handler"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from gradio import Blocks
        from gradio.routes import App

        gradio = {str(getattr(route, "path", "")) for route in App.create_app(Blocks()).routes}
    filled = {re.sub(r"\{[^}]*\}", "x", path) for path in gradio}
    assert {"/config", "/favicon.ico"} <= filled
    return (
        filled
        | {f"/gradio_api{path}" for path in (*filled, "/info", "/upload", "/queue/join")}
        | fastrtc
        | {"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}
    )


async def test_there_is_nothing_but_the_page_the_doors_and_the_health(besieged: Siege) -> None:
    ours = set(besieged.server.ask()["routes"])
    assert {path for path in ours if not path.startswith("/page/")} == {
        "/",
        "/calls",
        "/recordings",
        "/archive",
        "/archive/{recording}",
        "/archive/{recording}/audio",
        "/archive/{recording}/download",
        "/archive/{recording}/events",
        "/archive/{recording}/notes/{note}",
        "/archive/{recording}/questions",
        "/archive/{recording}/retry",
        "/health",
        "/healthz",
        "/readyz",
        "/metrics",
        "/session/close",
        "/conversation/audio",
        "/conversation/audio/{item_id}",
        "/webrtc/ice-servers",
        "/webrtc/offer",
        "/websocket/offer",
    }
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{besieged.port}") as http:
        for path in sorted(usual_paths() - ours - {""}):
            for method in ("GET", "POST"):
                assert (await http.request(method, path)).status_code == 404, path
        posted = {"/webrtc/offer", "/session/close", "/conversation/audio", "/page/markdown"}
        posted |= {f"/archive/{{recording}}/{part}" for part in ("notes/{note}", "questions", "retry")}
        for path in ours - {"/websocket/offer"}:
            answer = await http.get(path)
            expected = 405 if path in posted else 404 if "{" in path else 200
            assert answer.status_code == expected, path
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'self'" in (policy := answer.headers["content-security-policy"])
            assert "ws:" not in policy and "*" not in policy


HEAD = b" / HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET" + HEAD + b"Caf\xe9: \xe9\r\n\r\n", 400),
        (b"GET" + HEAD + b"X-Name: caf\xe9\r\n\r\n", 200),
        (b"GET" + HEAD + b"Origin: http://caf\xe9\r\n\r\n", 403),
        (b"GET" + HEAD + b"Host: 127.0.0.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"TRACE" + HEAD + b"\r\n", 405),
        (b"OPTIONS" + HEAD + b"Origin: https://evil.example\r\n\r\n", 403),
        (b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"CONNECT evil.example:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"GET" + HEAD + b"Content-Length: 1\r\n\r\nx", 413),
        (b"GET" + HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 413),
        (b"\x16\x03\x01\x02\x00", 400),
        (UPGRADE.replace(b"127.0.0.1", b"evil.example") % 16_000, 403),
        (UPGRADE.replace(b"Version: 13", b"Version: 12") % 16_000, 400),
        (UPGRADE.replace(b"/websocket/offer", b"/") % 16_000, 404),
    ],
)
async def test_odd_requests_are_refused(request_bytes: bytes, status: int, besieged: Siege) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", besieged.port)
    writer.write(request_bytes + (b"\r\n" if request_bytes.startswith(b"\x16") else b""))
    answer = await asyncio.wait_for(reader.readline(), 5)
    assert answer.split()[1] == str(status).encode()
    writer.transport.abort()


@pytest.mark.parametrize(
    "request_bytes",
    [
        UPGRADE.replace(b"GET", b"POST") % 16_000,
        UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: websocket\r\nContent-Length: 1") % 16_000 + b"x",
        UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: websocket\r\n" + b"X: y\r\n" * 140 + b"X: y") % 16_000,
        UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: websocket\r\nX: " + b"y" * 9000) % 16_000,
        UPGRADE.replace(b"permessage-deflate", b"\xff") % 16_000,
        UPGRADE.replace(b"Sec-WebSocket-Extensions", b"Sec-WebSocket-Protocol: earpiece-token.\xff\r\nX") % 16_000,
    ],
)
async def test_what_begins_no_websocket_is_told_so_and_closed(request_bytes: bytes, besieged: Siege) -> None:
    """Otherwise it would be open for ever, without a key, and counted nowhere."""
    reader, writer = await asyncio.open_connection("127.0.0.1", besieged.port)
    writer.write(request_bytes)
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"no WebSocket begins like this" in answer
    writer.transport.abort()
