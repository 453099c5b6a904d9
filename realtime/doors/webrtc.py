"""The WebRTC door: audio over FastRTC, commands and events over a data channel.

FastRTC's wire format is kept (`POST /webrtc/offer`); what it leaves open is closed here. A connection is one `Peer`:
one id, one session, one audio track each way, one data channel, and a deadline by which all of them are there. Audio
goes past FastRTC (`decoding.py`), which would ask for each frame in tasks of its own. FastRTC's tasks wait for channels
and tracks that may never come, so a connection that ends wakes them all. Whatever clean-up raises, the lobby takes the
place back. Read `offers.py` for what is accepted, and `packets.py` for the way of the audio.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from av import AudioFrame
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastrtc import AsyncStreamHandler
from fastrtc.webrtc_connection_mixin import WebRTCConnectionMixin
from numpy.typing import NDArray

from models.types import Samples
from realtime.doors import DoorOptions
from realtime.doors.callers import Caller, caller_of
from realtime.doors.decoding import Decoding, decode_at_once
from realtime.doors.entrance import Way
from realtime.doors.envelope import Media, read_in_channel
from realtime.doors.event_text import dump
from realtime.doors.guards import guard
from realtime.doors.lobby import Lobby, Refused
from realtime.doors.loudspeaker import Loudspeaker
from realtime.doors.offers import MAX_BODY_BYTES, Candidate, Offer, check_sdp, read_body
from realtime.doors.packets import FrameGaps, hear_at_once
from realtime.doors.protocol import ProtocolError
from realtime.doors.refusal import RETRY_AFTER_S
from realtime.doors.transport import Ending
from realtime.doors.visit import Visit
from realtime.events import AudioCleared, ErrorReported, SessionEvent

logger = logging.getLogger(__name__)

DOOR, PATH = "webrtc", "/webrtc/offer"
SERVERS_PATH = "/webrtc/ice-servers"  # STUN and TURN servers for the next connection; what opens them may expire
CHANNEL_RATE_HZ = 16_000  # of audio in the data channel: what a client kept while it had no connection
ANSWER_TIMEOUT_S = 10.0  # to answer an offer; asking a STUN server that does not reply takes 5 s
CONNECT_TIMEOUT_S = 6.0  # from the answer to the session; as long as the page waits before it takes a WebSocket
MAX_LATER_CANDIDATES = 50  # posted after the offer
MAX_UNSENT_BYTES = 1_000_000  # in the data channel of a client that reads slowly; then the events wait
LAST_EVENTS_S = 0.5  # for a client to confirm the last events before the connection is closed
IDLE_EMIT_S = 30.0  # FastRTC asks for audio to play, and complains after 60 s; there is none

_STATUS_CODES = {"full": 503, "closing": 503, "known": 409}
_ERRORS = {"full": "concurrency_limit_reached", "closing": "going_down", "known": "connection_already_exists"}


def mount(app: FastAPI, lobby: Lobby, options: DoorOptions) -> Sequence[Way]:
    """Opens the door."""

    @app.post(PATH)
    async def offer(request: Request) -> Any:
        try:
            posted = read_body(await request.body())
        except ProtocolError as error:
            return _refusal("invalid_offer", str(error), 422)
        if isinstance(posted, Candidate):
            return await _add(posted, lobby, caller_of(request.scope))
        servers = WebRTCConnectionMixin.convert_to_aiortc_format({"iceServers": await options.current_ice_servers()})
        return await _answer(posted, lobby, caller_of(request.scope), servers, speaks=bool(options.voices))

    @app.get(SERVERS_PATH)
    async def servers() -> dict[str, Any]:
        return {"iceServers": await options.current_ice_servers()}

    return [Way(path=PATH, methods=("POST",), max_body_bytes=MAX_BODY_BYTES, begins=True), Way(path=SERVERS_PATH)]


async def _answer(offer: Offer, lobby: Lobby, caller: Caller, ice_servers: Any, *, speaks: bool) -> Any:
    """Answers an offer; a bad one is told what is wrong and keeps no place."""
    peer = Peer(offer.client_id, ice_servers, speaks=speaks)
    try:
        visit = lobby.admit(
            peer, caller, door=DOOR, client_id=offer.client_id, begin_within_s=ANSWER_TIMEOUT_S, resume=offer.resume
        )
    except Refused as refusal:
        return _refusal(_ERRORS[refusal.why], str(refusal), _STATUS_CODES[refusal.why])
    try:
        check_sdp(offer.sdp)
        answer = await peer.answer(offer.sdp, visit)
    except Exception as error:
        if not isinstance(error, ProtocolError):
            logger.info("%s: %s: %s", visit.name, type(error).__name__, error)
        visit.leave()
        await visit.ended()
        return _refusal("invalid_offer", f"the offer cannot be answered: {error}", 422)
    visit.postpone(CONNECT_TIMEOUT_S)
    return answer


async def _add(candidate: Candidate, lobby: Lobby, caller: Caller) -> Any:
    visit = lobby.find(DOOR, candidate.client_id, caller)
    if visit is None or not isinstance(visit.transport, Peer):
        return _refusal("unknown_connection", "nobody with this webrtc_id is connected", 404)
    try:
        return await visit.transport.add_candidate(candidate)
    except ProtocolError as error:
        return _refusal("invalid_candidate_format", str(error), 422)


def _refusal(error: str, message: str, status_code: int) -> JSONResponse:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status_code == 503 else {}
    return JSONResponse({"status": "failed", "meta": {"error": error, "message": message}}, status_code, headers)


class PeerHandler(AsyncStreamHandler):  # type: ignore[misc]  # FastRTC is not typed
    """What FastRTC calls for one connection.

    Args:
        prepare: called when the connection is there, and has not been described.
    """

    def __init__(self, prepare: Callable[[], None]) -> None:
        super().__init__("mono")
        self._prepare = prepare
        self.visit: Visit | None = None
        self.decodings: list[Decoding] = []
        self.over = asyncio.Event()
        self._gaps = FrameGaps()

    def copy(self) -> "PeerHandler":
        """Gives itself: every connection has its own from the beginning; FastRTC has just made it."""
        self._prepare()
        return self

    def set_channel(self, channel: Any) -> None:
        """Takes the first data channel, and with it the client's commands."""
        if self.channel is not None:
            if channel is not self.channel:
                channel.close()
            return
        channel.remove_all_listeners("message")  # FastRTC would echo every command
        channel.on("message", self._obey)
        super().set_channel(channel)

    async def start_up(self) -> None:
        """Begins the session: the connection can carry its events now."""
        if self.visit is not None and not self.over.is_set():
            self.visit.begin()
            for decoding in self.decodings:
                decoding.open()

    def listen(self, frame: AudioFrame) -> None:
        """Takes decoded audio, after what is missing before it."""
        if self.visit is not None and not self.over.is_set():
            self.visit.skip(self._gaps.missing_s(frame, asyncio.get_running_loop().time()))
            samples = np.frombuffer(frame.planes[0], np.int16, frame.samples)
            self.visit.listen(frame.sample_rate, samples)

    async def receive(self, frame: tuple[int, NDArray[np.int16]]) -> None:
        """Is given nothing: `listen` is."""

    async def emit(self) -> None:
        """Has no audio, for `Loudspeaker` has it, and ends FastRTC's loop that asks when the connection is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_EMIT_S):
                await self.over.wait()
                raise asyncio.CancelledError

    def end(self) -> None:
        """Lets what waits here look up, and frees its decoder: timers of the loop may keep this for a while."""
        self.over.set()
        self.channel_set.set()
        self.decodings = []

    async def shutdown(self) -> None:
        """The connection has ended."""
        if self.visit is not None:
            self.visit.leave()

    def _obey(self, message: str | bytes) -> None:
        if self.visit is None:
            return
        try:
            match read_in_channel(message):
                case Media(samples):
                    self.visit.listen(CHANNEL_RATE_HZ, samples)
                case command:
                    self.visit.obey(command)
        except ProtocolError as error:
            self.visit.reject(str(error))


class _NoTrack:
    """Stands for the track of a connection that is over, for which FastRTC would wait for ever."""

    def set_channel(self, channel: Any) -> None:
        pass

    def stop(self) -> None:
        pass


class Peer(WebRTCConnectionMixin):  # type: ignore[misc]  # FastRTC is not typed
    """One WebRTC connection, as the lobby's `Transport`; FastRTC's own book-keeping has this one entry.

    Args:
        client_id: the client's own name.
        ice_servers: aiortc's configuration.
        speaks: the client may hear answers.
    """

    def __init__(self, client_id: str, ice_servers: Any, *, speaks: bool) -> None:
        super().__init__()
        self._client_id = client_id
        self._loudspeaker = Loudspeaker() if speaks else None
        self._handler = PeerHandler(self._add_loudspeaker)
        self._n_candidates = 0
        self._readable = asyncio.Event()  # what waits in the data channel has been sent
        self._tracks: list[Any] = []
        self.event_handler = self._handler
        self.concurrency_limit, self.time_limit, self.allow_extra_tracks = 1, None, False
        self.modality, self.mode = "audio", "send"
        self.rtc_configuration, self.server_rtc_configuration = None, ice_servers

    async def answer(self, sdp: str, visit: Visit) -> dict[str, str]:
        """Answers an offer whose description `check_sdp` has seen; raises whatever aiortc raises."""
        self._handler.visit = visit
        body = {"sdp": sdp, "type": "offer", "webrtc_id": self._client_id}
        answer: dict[str, str] = await self.handle_offer(body, lambda *_: None)
        peer = self.pcs.get(self._client_id)
        if peer is None or self._handler.over.is_set():
            raise ConnectionError("the connection was closed before it was answered")
        self._tracks = list(self.connections[self._client_id])
        hear_at_once(peer, visit.counters)
        self._handler.decodings = decode_at_once(peer, visit.counters, self._handler.listen)
        guard(peer, self._give_up)
        peer.on("datachannel", self._handler.set_channel)  # at once: FastRTC, which looks every 50 ms, would echo

        @peer.on("connectionstatechange")  # type: ignore[untyped-decorator]
        def _() -> None:
            if peer.connectionState in ("failed", "closed"):
                self._wake_all()

        return answer

    async def add_candidate(self, candidate: Candidate) -> Any:
        """Takes a way to the client.

        Raises:
            ProtocolError: there are too many.
        """
        self._n_candidates += 1
        if self._n_candidates > MAX_LATER_CANDIDATES:
            raise ProtocolError(f"at most {MAX_LATER_CANDIDATES} candidates may follow an offer")
        if not candidate.candidate:
            return {"status": "success"}
        fields = {
            "candidate": candidate.candidate,
            "sdpMid": candidate.mid,
            "sdpMLineIndex": candidate.m_line_index,
        }
        body = {"type": "ice-candidate", "webrtc_id": self._client_id, "candidate": fields}
        return await self.handle_offer(body, lambda *_: None)

    async def send(self, event: SessionEvent, sequence: int) -> None:
        """Sends one event, once not too much waits to be sent."""
        if isinstance(event, AudioCleared) and self._loudspeaker is not None:
            self._loudspeaker.hush()
        channel = self._handler.channel
        if channel.bufferedAmount > MAX_UNSENT_BYTES:
            self._readable.clear()
            channel.once("bufferedamountlow", self._readable.set)
            await self._readable.wait()
        try:
            channel.send(dump(event, sequence))
        except ValueError as error:  # the client has said that it takes less
            message = f"an event is too long for this connection ({error}); a WebSocket carries longer ones"
            channel.send(dump(ErrorReported(error_type="server_error", message=message), sequence))

    async def play(self, response_id: str, samples: Samples) -> None:
        """Gives sound to the track, which sends it in its time."""
        if self._loudspeaker is not None:
            self._loudspeaker.play(samples)

    def _add_loudspeaker(self) -> None:
        """Adds a track of our own: FastRTC's keeps a queue, of which nobody knows how much has been played."""
        if self._loudspeaker is not None:
            self.pcs[self._client_id].addTrack(self._loudspeaker)

    async def close(self, ending: Ending) -> None:
        """Closes the connection, when the client has the last events if it is still there."""
        try:
            if ending is not Ending.LEFT:
                await self._flush()
            for peer in list(self.pcs.values()):
                await peer.close()
        finally:
            self._wake_all()

    async def _flush(self) -> None:
        """Closes the data channel, which the client confirms when everything in it has come."""
        channel = self._handler.channel
        if channel is None or channel.readyState != "open":
            return
        closed = asyncio.Event()
        channel.on("close", closed.set)
        channel.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_EVENTS_S):
                await closed.wait()

    def _give_up(self, excess: str) -> None:
        if self._handler.visit is not None:
            logger.info("%s: the client is given up: %s", self._handler.visit.name, excess)
            self._handler.visit.leave()

    def clean_up(self, webrtc_id: str) -> Any:
        """Ends what FastRTC has begun for the connection; called when it has closed or failed."""
        ended = super().clean_up(webrtc_id)
        self._wake_all()
        return ended

    def _wake_all(self) -> None:
        """Has every task that waits for this connection look up and end."""
        if self._loudspeaker is not None:
            self._loudspeaker.stop()
        for track in (*self._tracks, *self.connections[self._client_id]):
            track.stop()
        self.connections[self._client_id] = [_NoTrack()]
        self.connection_timeouts[self._client_id].set()
        self._handler.end()
        self._readable.set()
        if self._handler.visit is not None:
            self._handler.visit.leave()
