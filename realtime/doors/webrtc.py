"""WebRTC and WebSocket through FastRTC: the module that knows these transports.

Both carry audio to a `Session` and its events back as JSON: over the data channel, and as text frames. Clients send
JSON commands the same way. FastRTC's wire formats are kept; what it leaves open is closed here: an exception in
`receive` would end the audio for good, a WebSocket is never told that it has ended, malformed messages break the
connection, failed offers keep their place. Nothing in here blocks the event loop.

Commands, named as in the OpenAI Realtime API: `conversation.item.create` with `input_text`, `response.create`,
`response.cancel`, `session.update` with `turn_detection` (null for push-to-talk alone), `input_audio_buffer.clear`
when the key is pressed and `input_audio_buffer.commit` when it is released; and ours, `conversation.clear`,
`session.metrics`, and in `session.update` the switches `muted` and `protect_answer`.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, cast

import gradio as gr
import numpy as np
from aiortc import RTCPeerConnection
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_add
from fastapi import FastAPI, WebSocket
from fastapi.responses import JSONResponse
from fastrtc import AsyncStreamHandler, Stream
from fastrtc.stream import Body
from fastrtc.utils import current_context
from fastrtc.websocket import WebSocketHandler
from numpy.typing import NDArray
from starlette.websockets import WebSocketDisconnect, WebSocketState

from models.errors import InvalidPrompt
from realtime.doors.protocol import dump
from realtime.hearing.audio import MAX_RATE_HZ, MIN_RATE_HZ, Capture, CaptureCounters
from realtime.session import MAX_TEXT_CHARACTERS, Session

logger = logging.getLogger(__name__)

WEBRTC_RATE_HZ = 48_000  # Opus's own: asking FastRTC for 16 kHz would gather 60 ms chunks
WEBSOCKET_RATE_HZ = 16_000  # unless the client says ?rate=
MAX_MESSAGE_CHARACTERS = 1_000_000  # of one JSON message: 47 s of audio at 16 kHz, mu-law in base64
MAX_ECHOED_CHARACTERS = 100  # of what a client sent, in an error
MAX_RATE_DIGITS = 6
START_TIMEOUT_S = 30.0  # a WebSocket that has a place and no session by then loses it
CONNECT_TIMEOUT_S = 6.0  # as long as the page waits before it takes a WebSocket instead
LAST_EVENTS_S = 2.0  # for the client to read what was sent before the session ended
CLOSE_TIMEOUT_S = 1.0
WAITING_PACKETS = 3  # of 20 ms each, while one before them may still come
MAX_LATE_PACKETS = 100  # one further behind begins a new count
MAX_LOST_PACKETS = 3000  # a minute; one further ahead begins a new count
IDLE_EMIT_S = 1.0  # FastRTC asks for audio to play; there is none

MakeSession = Callable[[], Session]


class SessionHandler(AsyncStreamHandler):  # type: ignore[misc]  # FastRTC is not typed
    """Ties one connection to one session.

    Args:
        make_session: called once per connection.
    """

    def __init__(self, make_session: MakeSession) -> None:
        super().__init__("mono", input_sample_rate=WEBRTC_RATE_HZ)
        self._make_session = make_session
        self._capture = Capture()
        self._session: Session | None = None
        self._begun = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._typed: list[str] = []
        self.close_transport: Callable[[], Awaitable[None]] | None = None

    def copy(self) -> "SessionHandler":
        """Makes the handler of one connection."""
        return SessionHandler(self._make_session)

    @property
    def counters(self) -> CaptureCounters:
        """What was wrong with the audio."""
        return self._capture.counters

    async def has_session(self) -> bool:
        """Waits until the session has begun; False if it could not."""
        await self._begun.wait()
        return self._session is not None

    async def start_up(self) -> None:
        """Begins the session, once the connection can carry its events."""
        try:
            session = self._session = self._make_session()
        finally:
            self._begun.set()
        session.metrics.capture = self.counters
        context = current_context.get()
        websocket = context.websocket if context is not None else None
        self._serving = asyncio.create_task(self._serve(session, websocket))

    async def _serve(self, session: Session, websocket: WebSocket | None) -> None:
        """Runs the session to its end, whoever ends it; then nothing keeps its place."""
        sending = asyncio.create_task(self._send_events(session, websocket))
        with suppress(Exception):  # the session has logged it, and told the client
            await session.run()
        await asyncio.wait([sending], timeout=LAST_EVENTS_S)
        sending.cancel()  # of a client that reads nothing
        if self.close_transport is not None:
            await self.close_transport()

    def set_channel(self, channel: Any) -> None:
        """Takes the data channel, and with it the client's commands."""
        first = self.channel is None
        super().set_channel(channel)
        if first and hasattr(channel, "on"):  # a WebSocket's commands come through `CheckedWebSocket`
            channel.on("message", self.handle_command)

    async def receive(self, frame: tuple[int, NDArray[np.int16]]) -> None:
        """Takes audio; never raises, because FastRTC would then end the audio for good."""
        if self._session is None:
            return
        try:
            self._session.push_audio(self._capture.push(*frame))
        except Exception:
            self.counters.failed_chunks += 1
            logger.exception("session %s: a chunk of audio was lost", self._session.id)

    async def emit(self) -> None:
        """Has no audio to play: answers are text."""
        await asyncio.sleep(IDLE_EMIT_S)

    async def shutdown(self) -> None:
        """Ends the session; FastRTC calls it for WebRTC, `EarpieceStream` for WebSockets."""
        if self._session is not None:
            self._session.close()
        if self._serving is not None:
            await asyncio.wait([self._serving])

    def handle_command(self, message: str | bytes) -> None:
        """Does what the client asks; what cannot be done is reported as an `error` event."""
        if self._session is None:
            return
        try:
            self._obey(self._session, _parse(message))
        except InvalidPrompt as error:
            self._session.report(error)

    def _obey(self, session: Session, command: dict[str, Any]) -> None:
        match command:
            case {
                "type": "conversation.item.create",
                "item": {"content": [{"type": "input_text", "text": str(text)}], **fields},
            } if text and fields.get("role", "user") == "user":
                if sum(map(len, self._typed)) + len(text) > MAX_TEXT_CHARACTERS:
                    raise InvalidPrompt(f"at most {MAX_TEXT_CHARACTERS} characters fit in what is typed for one answer")
                self._typed.append(text)
            case {"type": "response.create"}:
                text, self._typed = "\n".join(self._typed), []
                session.submit_text(text)
            case {"type": "response.cancel"}:
                session.cancel()
            case {"type": "conversation.clear"}:
                self._typed = []
                session.clear()
            case {"type": "input_audio_buffer.clear"}:
                session.press_to_talk()
            case {"type": "input_audio_buffer.commit"}:
                session.release_to_talk()
            case {"type": "session.metrics"}:
                session.request_metrics()
            case {"type": "session.update", "session": dict(changes)}:
                session.change_settings(**_settings_of(changes))
            case {"type": str(name)}:
                raise InvalidPrompt(
                    f"unknown command or wrong fields in {_short(name)}; see the README for what is understood"
                )
            case _:
                raise InvalidPrompt('a command is a JSON object with a "type"')

    async def _send_events(self, session: Session, websocket: WebSocket | None) -> None:
        try:
            async for event in session.events():
                text = dump(event)
                if websocket is not None:
                    await websocket.send_text(text)
                else:
                    self.channel.send(text)
        except (WebSocketDisconnect, RuntimeError, ConnectionError) as error:
            logger.info("session %s: the client has gone (%s)", session.id, error)
            session.close()
        except Exception as error:  # aiortc's InvalidStateError: the data channel was closed
            logger.info("session %s: the data channel is closed (%s)", session.id, type(error).__name__)
            session.close()

    def report(self, error: InvalidPrompt) -> bool:
        """Has the session tell the client what is wrong, and count it; False if there is none."""
        if self._session is not None:
            self._session.report(error)
        return self._session is not None


def _settings_of(changes: dict[str, Any]) -> dict[str, bool]:
    settings = {}
    for name, value in changes.items():
        if name in ("muted", "protect_answer") and isinstance(value, bool):
            settings[name] = value
        elif name == "turn_detection" and (value is None or isinstance(value, dict)):
            settings[name] = value is not None
        else:
            raise InvalidPrompt(
                f"cannot set {_short(name)} to {_short(value)}; there are muted and protect_answer (true or false) and "
                "turn_detection (null or an object)"
            )
    return settings


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_ECHOED_CHARACTERS else f"{text[:MAX_ECHOED_CHARACTERS]}…"


def _parse(message: str | bytes) -> dict[str, Any]:
    if len(message) > MAX_MESSAGE_CHARACTERS:
        raise InvalidPrompt(f"the message has {len(message)} characters; at most {MAX_MESSAGE_CHARACTERS} fit")
    try:
        command = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise InvalidPrompt(f"the message is not JSON: {error}") from None
    if not isinstance(command, dict):
        raise InvalidPrompt('a message is a JSON object with a "type" or an "event"')
    return command


class CheckedWebSocket:
    """A WebSocket from which FastRTC's loop reads only messages it can take.

    Commands go to the session; whatever is malformed is answered with an `error` event and the connection goes on.
    """

    def __init__(self, websocket: WebSocket, handler: SessionHandler) -> None:
        self._websocket = websocket
        self._handler = handler
        self._started = False
        self._start_by_s = asyncio.get_running_loop().time() + START_TIMEOUT_S

    def __getattr__(self, name: str) -> Any:
        return getattr(self._websocket, name)

    async def receive_json(self) -> dict[str, Any]:
        """Waits for the next message of FastRTC's protocol."""
        if self._started and not await self._handler.has_session():
            await self.close(1011)  # the server's log says why
            raise WebSocketDisconnect(1011)
        while True:
            received = await self._receive()
            if received["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(received.get("code", 1005))
            try:
                message = _parse(received.get("text") or received.get("bytes") or "")
                if "event" in message:
                    return self._checked(message)
                if not self._started:
                    raise InvalidPrompt('a command comes after {"event": "start", "websocket_id": ...}')
            except InvalidPrompt as error:
                if not self._handler.report(error):
                    await self._websocket.send_text(json.dumps(_invalid_request(str(error))))
                continue
            self._handler.handle_command(json.dumps(message))

    async def close(self, code: int = 1000) -> None:
        """Closes it, if it is not closed, and if the client takes that in."""
        await _close_quietly(self._websocket, code)

    async def _receive(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout_at(None if self._started else self._start_by_s):
                return cast(dict[str, Any], await self._websocket.receive())
        except TimeoutError:
            await self._websocket.send_text(json.dumps(_invalid_request(f"no start within {START_TIMEOUT_S:g} s")))
            await self.close(1008)
            raise WebSocketDisconnect(1008) from None

    def _checked(self, message: dict[str, Any]) -> dict[str, Any]:
        match message:
            case {"event": "start", "websocket_id": str(name)} if name and not self._started:
                self._started = True
            case {"event": "media", "media": {"payload": str(payload)}} if self._started:
                try:
                    base64.b64decode(payload, validate=True)
                except ValueError as error:
                    raise InvalidPrompt(f"the audio is not base64: {error}") from None
            case {"event": "ping" | "stop"}:
                pass
            case {"event": "start"}:
                raise InvalidPrompt('"start" comes once, with a "websocket_id" of your own making')
            case {"event": "media"}:
                raise InvalidPrompt('"media" needs {"media": {"payload": base64 of mu-law audio}}, after "start"')
            case _:
                raise InvalidPrompt(f"unknown event {_short(message['event'])}; known are start, media, ping, stop")
        return message


class EarpieceStream(Stream):  # type: ignore[misc]  # FastRTC is not typed
    """FastRTC's stream with one session a connection.

    Args:
        make_session: called once per connection.
        max_sessions: connections at one time; more are told so.
        ice_servers: STUN and TURN servers of this side, as the WebRTC API takes them; empty for none.
    """

    def __init__(
        self, make_session: MakeSession, *, max_sessions: int = 16, ice_servers: Sequence[dict[str, Any]] = ()
    ) -> None:
        super().__init__(
            SessionHandler(make_session),
            modality="audio",
            mode="send",
            concurrency_limit=max_sessions,
            server_rtc_configuration={"iceServers": list(ice_servers)},
            verbose=False,
        )
        self._connecting: set[asyncio.Task[None]] = set()

    def _generate_default_ui(self, ui_args: Any = None) -> gr.Blocks:
        """Makes an empty page: ours is `page.py`, and FastRTC's would have Gradio report each start to its makers."""
        return gr.Blocks(analytics_enabled=False)

    def mount_on(self, app: FastAPI) -> None:
        """Adds `POST /webrtc/offer` and `WS /websocket/offer`."""
        app.post("/webrtc/offer")(self.offer)
        app.websocket("/websocket/offer")(self.websocket_offer)

    async def offer(self, body: Body) -> Any:
        """Answers a WebRTC offer or takes an ICE candidate; a bad one is told what is wrong and keeps no place."""
        if body.type == "offer" and not body.sdp:
            return _refusal("invalid_offer", "the offer has no sdp", 422)
        known = body.webrtc_id in self.pcs
        if body.type == "offer" and not known and self._is_full:
            return _refusal("concurrency_limit_reached", _limit_reached(self.concurrency_limit)["message"], 503)
        try:
            answer = await super().offer(body)
            if not known and body.webrtc_id in self.pcs:
                peer, handler = self.pcs[body.webrtc_id], self.handlers[body.webrtc_id]
                handler.close_transport = peer.close
                hear_at_once(peer, handler.counters)
                self._connecting.add(task := asyncio.create_task(self._close_unless_connected(body.webrtc_id, peer)))
                task.add_done_callback(self._connecting.discard)
            return answer
        except Exception as error:
            logger.info("offer %s: %s", body.webrtc_id, error)
            peer = None if known else self.pcs.pop(body.webrtc_id, None)
            if peer is not None:
                await peer.close()
                self.clean_up(body.webrtc_id)
            return _refusal("invalid_offer", f"the offer cannot be answered: {error}", 422)

    async def websocket_offer(self, websocket: WebSocket) -> None:
        """Serves one WebSocket from start to end."""
        if self._is_full:
            await _refuse(websocket, _limit_reached(self.concurrency_limit), 1013)  # "try again later"
            return
        handler = self.event_handler.copy()
        rate = websocket.query_params.get("rate", str(WEBSOCKET_RATE_HZ))
        handler.input_sample_rate = int(rate) if rate.isdecimal() and len(rate) <= MAX_RATE_DIGITS else 0
        if not MIN_RATE_HZ <= handler.input_sample_rate <= MAX_RATE_HZ:
            message = f"rate={rate[:20]} is not a sample rate between {MIN_RATE_HZ} and {MAX_RATE_HZ} Hz"
            await _refuse(websocket, _invalid_request(message), 1008)
            return
        await self._serve(websocket, handler)

    async def _close_unless_connected(self, webrtc_id: str, peer: RTCPeerConnection) -> None:
        await asyncio.sleep(CONNECT_TIMEOUT_S)
        if peer.connectionState in ("new", "connecting"):
            logger.info("offer %s: not connected within %g s", webrtc_id, CONNECT_TIMEOUT_S)
            await peer.close()
            self.clean_up(webrtc_id)

    @property
    def n_connections(self) -> int:
        """How many places are taken; a connection has one from its beginning, whether or not its session has begun."""
        return len(self.connections.keys() | self.pcs.keys())

    @property
    def _is_full(self) -> bool:
        return self.n_connections >= cast(int, self.concurrency_limit)

    async def _serve(self, websocket: WebSocket, handler: SessionHandler) -> None:
        async def set_handler(_: str, __: WebSocketHandler) -> None:
            """Has its place already."""

        connection = WebSocketHandler(handler, set_handler, lambda _: None, lambda _: lambda _: None)
        connection.start_up_task = None  # FastRTC reads it at the end even if there was no start
        checked = CheckedWebSocket(websocket, handler)
        serving = asyncio.create_task(connection.handle_websocket(checked))

        async def close_transport() -> None:
            await checked.close()
            serving.cancel()  # a client that has gone or reads nothing does not answer

        handler.close_transport = close_transport
        name = f"websocket:{id(connection)}"  # the client's own name need not be unique
        self.connections[name] = [connection]
        try:
            await asyncio.wait([serving])
            if not serving.cancelled() and (error := serving.exception()):  # closed while something was being sent
                logger.info("websocket: %s", error)
        finally:
            serving.cancel()
            self.connections.pop(name, None)
            await handler.shutdown()
            await checked.close()


async def _refuse(websocket: WebSocket, error: dict[str, Any], code: int) -> None:
    await websocket.accept()
    await websocket.send_text(json.dumps(error))
    await websocket.close(code)


async def _close_quietly(websocket: WebSocket, code: int) -> None:
    if websocket.application_state is not WebSocketState.CONNECTED:
        return
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await websocket.close(code)
    except (RuntimeError, WebSocketDisconnect, TimeoutError):
        logger.debug("the websocket was closed already, or its client reads nothing")


class PacketOrder:
    """Hands on audio packets in their order as they come.

    aiortc's own buffer holds back 80 ms so that audio plays smoothly, which nobody does here, and 300 ms for good once
    a packet is lost; this one 20 ms for good once two have changed places, and 40 once one is lost, because aiortc
    takes one packet for each that comes.

    Args:
        counters: where packets that never came, or too late, are counted.
    """

    def __init__(self, counters: CaptureCounters) -> None:
        self._counters = counters
        self._next: int | None = None  # sequence number
        self._early: dict[int, RtpPacket] = {}

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Takes a packet as aiortc's receiver gives it: whether a key frame is needed, and the next packet's audio."""
        if self._next is None:
            self._next = packet.sequence_number
        if 0 < uint16_add(self._next, -packet.sequence_number) <= MAX_LATE_PACKETS:  # given up, or there before
            self._counters.late_packets += 1
            return False, None
        self._early[packet.sequence_number] = packet
        if self._next not in self._early:
            if len(self._early) < WAITING_PACKETS:
                return False, None
            behind = self._next
            self._next = min(self._early, key=lambda number: uint16_add(number, -behind))
            missing = uint16_add(self._next, -behind)
            self._counters.lost_packets += missing if missing <= MAX_LOST_PACKETS else 0
        first = self._early.pop(self._next)
        self._next = uint16_add(self._next, 1)
        return False, JitterFrame(first._data, first.timestamp)


def hear_at_once(peer: RTCPeerConnection, counters: CaptureCounters) -> None:
    """Has the audio that a peer sends go through `PacketOrder`; aiortc has no setting for it."""
    for transceiver in peer.getTransceivers():
        if transceiver.kind == "audio":
            transceiver.receiver._RTCRtpReceiver__jitter_buffer = PacketOrder(counters)


def _limit_reached(limit: int | None) -> dict[str, Any]:
    return {
        "type": "error",
        "error_type": "server_error",
        "message": f"all {limit} places are taken; try again in a minute",
    }


def _invalid_request(message: str) -> dict[str, Any]:
    return {"type": "error", "error_type": "invalid_request_error", "message": message}


def _refusal(error: str, message: str, status_code: int) -> JSONResponse:
    return JSONResponse({"status": "failed", "meta": {"error": error, "message": message}}, status_code)
