"""Bounds on what comes to a WebRTC connection, from its client or from anybody else.

aioice hands on every datagram that reaches its socket, whoever sent it; an empty one ends aiortc's connection. aiortc
keeps without limit what comes out of order, unfinished or too fast, and counts through ranges as long as a packet says.
Neither has settings for it, so the methods that take something in are wrapped here, one by one. Audio that is too much
is dropped. A client that breaks a bound of the data channel, which no browser does, is given up, and so is one from
which nothing comes any more, which aioice notices after half a minute.
Read `webrtc.py` for where.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from aiortc import RTCDtlsTransport, RTCPeerConnection, RTCRtpReceiver, RTCSctpTransport
from aiortc.rtcsctptransport import Chunk, SackChunk
from aiortc.rtp import RtpPacket

TakeDatagram = Callable[[bytes, tuple[Any, ...]], None]

FIRST_BYTES_OF_STUN = range(4)  # RFC 7983
MAX_ADDRESSES = 200  # from which a client may try to come in; its offer and what follows it name 150 at most
MAX_WAITING_DATAGRAMS = 1000
MAX_SILENCE_S = 8.0  # without a datagram; audio comes every 20 ms, and signs of life every 4 to 6 s (RFC 7675)
SILENCE_CHECK_S = 0.5
MAX_WAITING_FRAMES = 100  # 2 s of audio
MAX_SOURCES = 16  # of audio; a microphone is one
MAX_STREAMS = 64  # of the data channel; browsers use one
MAX_WAITING_CHUNKS = 1000  # of the data channel; its longest message has 220
MAX_GAP_CHUNKS = 20_000  # that a client says it has while earlier ones are missing


def guard(peer: RTCPeerConnection, give_up: Callable[[str], None]) -> None:
    """Puts the bounds around a connection that has been answered.

    Args:
        peer: has one audio track and one data channel.
        give_up: ends the connection; is told why.
    """
    receivers = [transceiver.receiver for transceiver in peer.getTransceivers()]
    life = Life()
    for transport in {peer.sctp.transport, *(receiver.transport for receiver in receivers)}:
        _guard_datagrams(transport.transport._connection, life)
        _guard_sources(transport)
    life.watch(lambda: peer.connectionState == "closed", give_up)
    for receiver in receivers:
        if receiver.track is not None:  # the client sends audio
            _guard_audio(receiver)
    _guard_channel(peer.sctp, give_up)


class Life:
    """When something came from a client at last."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._seen_s = self._loop.time()

    def note(self) -> None:
        """Something has come."""
        self._seen_s = self._loop.time()

    def watch(self, is_over: Callable[[], bool], give_up: Callable[[str], None]) -> None:
        """Looks now and then, until the connection is over."""
        if is_over():
            return
        if self._loop.time() - self._seen_s > MAX_SILENCE_S:
            give_up(f"nothing has come from it for {MAX_SILENCE_S:g} s")
        else:
            self._loop.call_later(SILENCE_CHECK_S, self.watch, is_over, give_up)


def _guard_datagrams(connection: Any, life: Life) -> None:
    def take(take_all: TakeDatagram, data: bytes, address: tuple[Any, ...]) -> None:
        if not data or connection._queue.qsize() >= MAX_WAITING_DATAGRAMS:
            return
        pairs = connection._check_list
        is_known = any(pair.remote_addr == address[:2] for pair in pairs)
        if is_known:
            life.note()
        if is_known or (data[0] in FIRST_BYTES_OF_STUN and len(pairs) < MAX_ADDRESSES):
            take_all(data, address)

    for protocol in connection._protocols:
        protocol.datagram_received = partial(take, protocol.datagram_received)


def _guard_sources(transport: RTCDtlsTransport) -> None:
    router = transport._rtp_router
    route = router.route_rtp

    def route_known(packet: RtpPacket) -> Any:
        is_known = packet.ssrc in router.ssrc_table
        return route(packet) if is_known or len(router.ssrc_table) < MAX_SOURCES else None

    router.route_rtp = route_known


def _guard_audio(receiver: RTCRtpReceiver) -> None:
    take_all = receiver._handle_rtp_packet
    encoded, decoded = receiver._RTCRtpReceiver__decoder_queue, receiver.track._queue

    async def take(packet: RtpPacket, arrival_time_ms: int) -> None:
        if encoded.qsize() + decoded.qsize() < MAX_WAITING_FRAMES:
            await take_all(packet, arrival_time_ms=arrival_time_ms)

    receiver._handle_rtp_packet = take


def _guard_channel(sctp: RTCSctpTransport, give_up: Callable[[str], None]) -> None:
    take_all: Callable[[Chunk], Awaitable[None]] = sctp._receive_chunk

    async def take(chunk: Chunk) -> None:
        excess = next(_excesses_of(chunk), None)
        if excess is None:
            await take_all(chunk)
            excess = next(_excesses_in(sctp), None)
        if excess is not None:
            sctp._receive_chunk = drop
            give_up(excess)

    async def drop(chunk: Chunk) -> None:
        pass

    sctp._receive_chunk = take


def _excesses_of(chunk: Chunk) -> Iterator[str]:
    if isinstance(chunk, SackChunk) and sum(end - start + 1 for start, end in chunk.gaps) > MAX_GAP_CHUNKS:
        yield "it says that it has more than was sent"


def _excesses_in(sctp: RTCSctpTransport) -> Iterator[str]:
    streams = sctp._inbound_streams
    if len(streams) > MAX_STREAMS:
        yield f"it uses more than {MAX_STREAMS} streams of its data channel"
    if len(sctp._sack_misordered) > MAX_WAITING_CHUNKS:
        yield f"more than {MAX_WAITING_CHUNKS} pieces of its messages come before those that are missing"
    if sum(len(stream.reassembly) for stream in streams.values()) > MAX_WAITING_CHUNKS or sctp._advertised_rwnd < 0:
        yield "its messages do not end"
