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
import binascii
import json
import logging
from collections.abc import Callable, Sequence
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
from realtime.audio import MAX_RATE_HZ, MIN_RATE_HZ, Capture
from realtime.events import to_wire
from realtime.session import Session

logger = logging.getLogger(__name__)

WEBRTC_RATE_HZ = 48_000  # Opus's own: asking FastRTC for 16 kHz would gather 60 ms chunks
WEBSOCKET_RATE_HZ = 16_000  # unless the client says ?rate=
MAX_MESSAGE_CHARACTERS = 1_000_000  # of one JSON message: a minute of audio at 16 kHz, mu-law in base64
WAITING_PACKETS = 3  # of 20 ms each, while one before them may still come
MAX_LATE_PACKETS = 100  # one further behind begins a new count
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
        self._tasks: list[asyncio.Task[None]] = []
        self._typed: list[str] = []

    def copy(self) -> "SessionHandler":
        """Makes the handler of one connection."""
        return SessionHandler(self._make_session)

    @property
    def started(self) -> bool:
        """Whether the connection has a session."""
        return self._session is not None

    async def start_up(self) -> None:
        """Begins the session, once the connection can carry its events."""
        session = self._session = self._make_session()
        session.metrics.capture = self._capture.counters
        context = current_context.get()
        websocket = context.websocket if context is not None else None
        self._tasks = [asyncio.create_task(session.run()), asyncio.create_task(self._send_events(session, websocket))]

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
            logger.exception("session %s: a chunk of audio was lost", self._session.id)

    async def emit(self) -> None:
        """Has no audio to play: answers are text."""
        await asyncio.sleep(IDLE_EMIT_S)

    async def shutdown(self) -> None:
        """Ends the session; FastRTC calls it for WebRTC, `EarpieceStream` for WebSockets."""
        if self._session is not None:
            self._session.close()
            await asyncio.gather(*self._tasks, return_exceptions=True)

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
            case {"type": "conversation.item.create", "item": {"content": [{"type": "input_text", "text": str(text)}]}}:
                self._typed.append(text)
            case {"type": "response.create"}:
                text, self._typed = "\n".join(self._typed), []
                session.submit_text(text)
            case {"type": "response.cancel"}:
                session.cancel()
            case {"type": "conversation.clear"}:
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
                    f"unknown command or wrong fields in {name!r}; see the README for what is understood"
                )
            case _:
                raise InvalidPrompt('a command is a JSON object with a "type"')

    async def _send_events(self, session: Session, websocket: WebSocket | None) -> None:
        try:
            async for event in session.events():
                text = json.dumps(to_wire(event))
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


def _settings_of(changes: dict[str, Any]) -> dict[str, bool]:
    settings = {}
    for name, value in changes.items():
        if name in ("muted", "protect_answer") and isinstance(value, bool):
            settings[name] = value
        elif name == "turn_detection" and (value is None or isinstance(value, dict)):
            settings[name] = value is not None
        else:
            raise InvalidPrompt(
                f"cannot set {name!r} to {value!r}; there are muted and protect_answer (true or false) and "
                "turn_detection (null or an object)"
            )
    return settings


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

    def __getattr__(self, name: str) -> Any:
        return getattr(self._websocket, name)

    async def receive_json(self) -> dict[str, Any]:
        """Waits for the next message of FastRTC's protocol."""
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(received.get("code", 1005))
            try:
                message = _parse(received.get("text") or received.get("bytes") or "")
                if "event" in message:
                    return self._checked(message)
            except InvalidPrompt as error:
                await self._reject(error)
                continue
            self._handler.handle_command(json.dumps(message))

    def _checked(self, message: dict[str, Any]) -> dict[str, Any]:
        match message:
            case {"event": "start", "websocket_id": str(name)} if name and not self._started:
                self._started = True
            case {"event": "media", "media": {"payload": str(payload)}} if self._started:
                try:
                    base64.b64decode(payload, validate=True)
                except binascii.Error as error:
                    raise InvalidPrompt(f"the audio is not base64: {error}") from None
            case {"event": "ping" | "stop"}:
                pass
            case {"event": "start"}:
                raise InvalidPrompt('"start" comes once, with a "websocket_id" of your own making')
            case {"event": "media"}:
                raise InvalidPrompt('"media" needs {"media": {"payload": base64 of mu-law audio}}, after "start"')
            case _:
                raise InvalidPrompt(f"unknown event {message['event']!r}; known are start, media, ping, stop")
        return message

    async def _reject(self, error: InvalidPrompt) -> None:
        wire = {"type": "error", "error_type": "invalid_request_error", "message": str(error)}
        await self._websocket.send_text(json.dumps(wire))


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
        try:
            answer = await super().offer(body)
            if not known and body.webrtc_id in self.pcs:
                hear_at_once(self.pcs[body.webrtc_id])
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
        if len(self.connections) >= cast(int, self.concurrency_limit):
            await websocket.accept()
            await websocket.send_text(json.dumps(_limit_reached(self.concurrency_limit)))
            await websocket.close(1013)  # "try again later"
            return
        handler = self.event_handler.copy()
        rate = websocket.query_params.get("rate", str(WEBSOCKET_RATE_HZ))
        handler.input_sample_rate = int(rate) if rate.isdecimal() else 0
        if not MIN_RATE_HZ <= handler.input_sample_rate <= MAX_RATE_HZ:
            await websocket.accept()
            message = f"rate={rate} is not a sample rate between {MIN_RATE_HZ} and {MAX_RATE_HZ} Hz"
            wire = {"type": "error", "error_type": "invalid_request_error", "message": message}
            await websocket.send_text(json.dumps(wire))
            await websocket.close(1008)
            return
        await self._serve(websocket, handler)

    async def _serve(self, websocket: WebSocket, handler: SessionHandler) -> None:
        name: str | None = None

        async def set_handler(websocket_id: str, connection: WebSocketHandler) -> None:
            nonlocal name
            name = f"websocket:{id(connection)}"  # the client's own name need not be unique
            self.connections[name] = [connection]

        connection = WebSocketHandler(handler, set_handler, lambda _: None, lambda _: lambda _: None)
        connection.start_up_task = None  # FastRTC reads it at the end even if there was no start
        try:
            await connection.handle_websocket(CheckedWebSocket(websocket, handler))
        except (WebSocketDisconnect, RuntimeError) as error:  # closed while something was being sent
            logger.info("websocket: %s", error)
        finally:
            if name is not None:
                self.connections.pop(name, None)
            await handler.shutdown()
            if websocket.application_state is WebSocketState.CONNECTED:
                await _close_quietly(websocket)


async def _close_quietly(websocket: WebSocket) -> None:
    try:
        await websocket.close()
    except (RuntimeError, WebSocketDisconnect):
        logger.debug("the websocket was closed already")


class PacketOrder:
    """Hands on audio packets in their order as they come.

    aiortc's own buffer holds back 80 ms so that audio plays smoothly, which nobody does here, and 300 ms for good once
    a packet is lost.
    """

    def __init__(self) -> None:
        self._next: int | None = None  # sequence number
        self._early: dict[int, RtpPacket] = {}

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Takes a packet as aiortc's receiver gives it: whether a key frame is needed, and the next packet's audio."""
        if self._next is None:
            self._next = packet.sequence_number
        if 0 < uint16_add(self._next, -packet.sequence_number) <= MAX_LATE_PACKETS:  # given up, or there before
            return False, None
        self._early[packet.sequence_number] = packet
        if self._next not in self._early:
            if len(self._early) < WAITING_PACKETS:
                return False, None
            behind = self._next
            self._next = min(self._early, key=lambda number: uint16_add(number, -behind))
        first = self._early.pop(self._next)
        self._next = uint16_add(self._next, 1)
        return False, JitterFrame(first._data, first.timestamp)


def hear_at_once(peer: RTCPeerConnection) -> None:
    """Has the audio that a peer sends go through `PacketOrder`; aiortc has no setting for it."""
    for transceiver in peer.getTransceivers():
        if transceiver.kind == "audio":
            transceiver.receiver._RTCRtpReceiver__jitter_buffer = PacketOrder()


def _limit_reached(limit: int | None) -> dict[str, Any]:
    return {
        "type": "error",
        "error_type": "server_error",
        "message": f"all {limit} places are taken; try again in a minute",
    }


def _refusal(error: str, message: str, status_code: int) -> JSONResponse:
    return JSONResponse({"status": "failed", "meta": {"error": error, "message": message}}, status_code)
