"""TCP connections, as uvicorn has them, with bounds: what a client can hold or cost before anybody looks at a request.

Of one connection little is read at a time, so that who sends thousands of tiny frames takes turns with everybody else.
Who sends no request, or one that does not end, is cut off after a while, and sooner when there are many of them; so is
who reads nothing of a long answer. Read `entrance.py` for what looks at requests.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

READ_BYTES = 8192  # 1400 of the smallest frames; reading and answering so many takes about 15 ms
REQUEST_TIMEOUT_S = 30.0  # for a request to come, and the answer to begin; an offer may take 10 s, its body as long
MAX_HTTP_CONNECTIONS = 256  # beyond it the one that has waited the longest is cut off
STEADY_BYTES = 256_000  # of a long body; who sends as much in `REQUEST_TIMEOUT_S` is given as long again
MAX_IGNORED_BYTES = 256_000  # of a body that was refused; a client may read why only after it has sent all
MAX_FRAGMENTS = 1000  # of one message
NO_WEBSOCKET = "no WebSocket begins like this"
MAX_WAITING_MESSAGES = 2  # beyond it no more is read; to stop and begin again at each one costs two system calls
CLOSE_TIMEOUT_S = 5.0  # for a client to read the last that it is sent


class _SmallReads(asyncio.BufferedProtocol):
    """Reads into a small buffer; asyncio's own has 256 kB."""

    _buffer: bytearray

    def get_buffer(self, sizehint: int) -> bytearray:
        """Gives the memory for what comes next."""
        if not hasattr(self, "_buffer"):
            self._buffer = bytearray(READ_BYTES)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Takes what has come."""
        self.data_received(bytes(self._buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Takes bytes; uvicorn's protocols do."""
        raise NotImplementedError


class HttpConnection(H11Protocol, _SmallReads):
    """A connection that carries requests, until one of them makes it a WebSocket."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins, and cuts off another if there are too many."""
        super().connection_made(transport)
        self._ignored_bytes = 0
        self._wait_for_a_request()
        waiting = [other for other in self.connections if isinstance(other, HttpConnection)]
        if len(waiting) > MAX_HTTP_CONNECTIONS:
            longest = min(waiting, key=lambda other: other.deadline.when())
            longest.transport.abort()
            self.connections.discard(longest)  # uvicorn will do so, after the next ones have come

    def data_received(self, data: bytes) -> None:
        """Takes bytes; the rest of what was refused is ignored for a while."""
        is_refused = self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY
        self._ignored_bytes = self._ignored_bytes + len(data) if is_refused else 0
        if self._ignored_bytes > MAX_IGNORED_BYTES:
            self.transport.abort()
        else:
            self._steady_bytes += len(data)
            if self._steady_bytes > STEADY_BYTES:
                self.deadline.cancel()
                self._wait_for_a_request()
            super().data_received(data)

    def on_response_complete(self) -> None:
        """Waits for the next request."""
        self.deadline.cancel()
        self._wait_for_a_request()
        super().on_response_complete()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Becomes a WebSocket, or is closed: what `websockets` cannot read it would leave open, with no deadline."""
        self.deadline.cancel()
        if not all(value.isascii() for name, value in self.headers if name.startswith(b"sec-websocket-")):
            self.send_400_response(NO_WEBSOCKET)
            return
        super().handle_websocket_upgrade(event)
        upgraded: Any = self.transport.get_protocol()
        if not upgraded.handshake_initiated:
            self.send_400_response(NO_WEBSOCKET)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self.deadline.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Notes that the client reads what it is sent."""
        self._has_read = True
        super().resume_writing()

    def _wait_for_a_request(self) -> None:
        self._steady_bytes, self._has_read = 0, False
        self.deadline = self.loop.call_later(REQUEST_TIMEOUT_S, self._give_up)

    def _give_up(self) -> None:
        """Cuts the client off, unless it reads a long answer."""
        is_answered = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if is_answered and (self._has_read or not self.transport.get_write_buffer_size()):
            self._wait_for_a_request()
        else:
            self.transport.abort()


class WebSocketConnection(WebSocketsSansIOProtocol, _SmallReads):
    """A connection that has become a WebSocket."""

    def handle_cont(self, event: Frame) -> None:
        """Takes a fragment; a message that never ends is refused, even if nothing is in its fragments."""
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
        elif not self.close_sent:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, f"a message has at most {MAX_FRAGMENTS} fragments")
            self.handle_parser_exception()

    def send_receive_event_to_app(self) -> None:
        """Hands a message on, and stops reading while more wait than there should; uvicorn stops at each."""
        is_paused, self.read_paused = self.read_paused, True  # so that uvicorn does not
        super().send_receive_event_to_app()
        self.read_paused = is_paused
        if not is_paused and self.queue.qsize() > MAX_WAITING_MESSAGES:
            self.read_paused = True
            self.transport.pause_reading()

    def handle_ping(self) -> None:
        """Answers, unless answers pile up unread."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    async def send(self, message: Any) -> None:
        """Sends; a handshake that was refused is complete, and no mistake of ours, as uvicorn would log it."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        """Cuts off a client that has gone without a word, and what it has not read."""
        super().keepalive_timeout()
        self.transport.abort()

    async def run_asgi(self) -> None:
        """Serves the connection, and gives the client a while to read the end of it."""
        await super().run_asgi()
        self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)
