"""The WebSocket door, in FastRTC's wire format: `/websocket/offer?rate=16000`, for a call with `&kind=call`.

Audio comes as mu-law in JSON, commands as JSON; events, and the sound of answers, go back as JSON (`envelope.py`). A
malformed message is answered with an `error` event and the connection goes on. A message is handled the moment it is
read: nothing waits here, so the end of a connection is never behind a backlog, and who sends faster than real time
fills no queue of ours (the session drops what is too much, and counts it).
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import cast, get_args

from fastapi import FastAPI, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from models.types import Samples
from realtime.doors import DoorOptions
from realtime.doors.callers import caller_of
from realtime.doors.entrance import Way
from realtime.doors.envelope import PONG, EnvelopeReader, Media, Ping, Start, Stop
from realtime.doors.event_text import dump, dump_audio
from realtime.doors.lobby import Lobby, Refused
from realtime.doors.protocol import ProtocolError
from realtime.doors.transport import Ending
from realtime.doors.visit import SEND_TIMEOUT_S, Visit
from realtime.events import ErrorReported, ErrorType, SessionEvent
from realtime.hearing.audio import MAX_RATE_HZ, MIN_RATE_HZ
from realtime.turns.options import SessionKind

logger = logging.getLogger(__name__)

PATH = "/websocket/offer"
RATE_HZ = 16_000  # unless the client says ?rate=
MAX_RATE_DIGITS = 6
MAX_WORK_S = 0.001  # on messages of one connection, until others have their turn; a chunk of audio takes a fifth
START_TIMEOUT_S = 30.0  # a connection that has not said `start` by then loses its place, or that in the queue

TRY_LATER, AGAINST_POLICY, SERVER_ERROR = 1013, 1008, 1011  # RFC 6455 and its registry of close codes
_CLOSE_CODES = {
    Ending.LEFT: 1000,
    Ending.LATE: AGAINST_POLICY,
    Ending.FAILED: SERVER_ERROR,
    Ending.SENT_AWAY: 1001,
    Ending.FULL: TRY_LATER,
    Ending.MOVED: 1000,
    Ending.GAVE_WAY: 1001,
}


def mount(app: FastAPI, lobby: Lobby, options: DoorOptions) -> Sequence[Way]:
    """Opens the door."""

    @app.websocket(PATH)
    async def offer(websocket: WebSocket) -> None:
        await _serve(websocket, lobby)

    return [Way(path=PATH, kind="websocket", begins=True)]


async def _serve(websocket: WebSocket, lobby: Lobby) -> None:
    """Serves one connection from start to end."""
    await websocket.accept()
    connection = Connection(websocket)
    given = websocket.query_params.get("rate", str(RATE_HZ))
    rate_hz = int(given) if given.isdecimal() and len(given) <= MAX_RATE_DIGITS else 0
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        message = f"rate={given[:20]} is not a sample rate between {MIN_RATE_HZ} and {MAX_RATE_HZ} Hz"
        return await connection.refuse("invalid_request_error", message, AGAINST_POLICY)
    kind = websocket.query_params.get("kind", "conversation")
    if kind not in get_args(SessionKind):
        message = f"kind={kind[:20]} is no kind of session; there are {' and '.join(get_args(SessionKind))}"
        return await connection.refuse("invalid_request_error", message, AGAINST_POLICY)
    try:
        visit = lobby.admit(
            connection,
            caller_of(websocket.scope),
            door="websocket",
            begin_within_s=START_TIMEOUT_S,
            as_guest=True,
            kind=cast(SessionKind, kind),
        )
    except Refused as refusal:
        return await connection.refuse("server_error", str(refusal), TRY_LATER)
    reading = asyncio.create_task(connection.read(visit, rate_hz))
    reading.add_done_callback(lambda _: visit.leave())
    try:
        await visit.ended()
    finally:
        visit.leave()
        reading.cancel()
        await asyncio.wait([reading])
        if not reading.cancelled() and (error := reading.exception()) is not None:
            logger.error("%s: reading ended on a bug", visit.name, exc_info=error)


class Connection:
    """One WebSocket, as the lobby's `Transport`."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def send(self, event: SessionEvent, sequence: int) -> None:
        """Sends one event."""
        await self._websocket.send_text(dump(event, sequence))

    async def play(self, response_id: str, samples: Samples) -> None:
        """Sends sound."""
        await self._websocket.send_text(dump_audio(response_id, samples))

    async def close(self, ending: Ending) -> None:
        """Closes it, if the client has not."""
        if self._is_closed():
            return
        try:
            if ending is Ending.LATE:
                await self._complain("invalid_request_error", f"no start within {START_TIMEOUT_S:g} s")
            await self._websocket.close(_CLOSE_CODES[ending])
        except (WebSocketDisconnect, RuntimeError):
            logger.debug("the websocket was closed already")

    async def refuse(self, error_type: ErrorType, message: str, code: int) -> None:
        """Says why nobody is admitted, and closes."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._complain(error_type, message)
                await self._websocket.close(code)
        except (WebSocketDisconnect, RuntimeError, TimeoutError):
            logger.debug("a refused client has gone")

    async def read(self, visit: Visit, rate_hz: int) -> None:
        """Handles messages until the client has gone."""
        reader = EnvelopeReader()
        worked_s = 0.0  # since others had their turn
        try:
            while (received := await self._websocket.receive())["type"] != "websocket.disconnect":
                message = received.get("text") or received.get("bytes") or ""
                began_s = time.monotonic()
                if not await self._take(message, reader, visit, rate_hz):
                    return
                worked_s += time.monotonic() - began_s
                if worked_s > MAX_WORK_S:
                    worked_s = 0.0
                    await asyncio.sleep(0)  # `receive` does not, while there is more: others have their turn
        except (WebSocketDisconnect, RuntimeError, OSError) as error:
            logger.info("%s: the connection is lost (%s)", visit.name, type(error).__name__)

    async def _take(self, message: str | bytes, reader: EnvelopeReader, visit: Visit, rate_hz: int) -> bool:
        """Handles one message; False if it is the last."""
        try:
            content = reader.read(message)
        except ProtocolError as error:
            if not visit.reject(str(error)):
                await self._complain("invalid_request_error", str(error))
            return True
        match content:
            case Start(resume):
                visit.begin(resume)
            case Media(samples, track):
                visit.listen(rate_hz, samples, track)
            case Ping():
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._websocket.send_text(PONG)
            case Stop():
                visit.leave_for_good()
                return False
            case command:
                visit.obey(command)
        return True

    def _is_closed(self) -> bool:
        states = (self._websocket.client_state, self._websocket.application_state)
        return any(state is not WebSocketState.CONNECTED for state in states)

    async def _complain(self, error_type: ErrorType, message: str) -> None:
        await self._websocket.send_text(dump(ErrorReported(error_type=error_type, message=message)))
