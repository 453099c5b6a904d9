"""FastRTC's envelope, in which a WebSocket carries audio beside our commands; pure, as `protocol.py` is.

It is a JSON object with an `event`: `start`, then `media` (mu-law in base64), `ping` and `stop`. A data channel takes
`media` alone. Nothing but `ProtocolError` is raised here. Read `websocket.py` for who reads with it.
"""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.doors.protocol import Command, ProtocolError, Resume, command_of, parse, read_resume, short


@dataclass(frozen=True, slots=True)
class Start:
    """The client is ready: its session may begin, or goes on."""

    resume: Resume | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """Audio: mono int16 `(n_samples,)`, at the rate of the connection; the first speaker's, if no track is named."""

    samples: NDArray[np.int16]
    track: str | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """Wants a pong."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The client goes."""


PONG = '{"event": "pong"}'

Envelope = Start | Media | Ping | Stop


class EnvelopeReader:
    """Reads one WebSocket's messages: first `start`, then audio and commands."""

    def __init__(self) -> None:
        self._started = False

    def read(self, message: str | bytes) -> Envelope | Command:
        """Gives what one message means.

        Raises:
            ProtocolError: the message means nothing, or nothing at this time.
        """
        content = parse(message)
        if "event" in content:
            return self._read_envelope(content)
        if not self._started:
            raise ProtocolError('a command comes after {"event": "start", "websocket_id": ...}')
        return command_of(content)

    def _read_envelope(self, content: dict[str, Any]) -> Envelope:
        match content:
            case {"event": "start", "websocket_id": str(name)} if name and not self._started:
                resume = read_resume(content["resume"]) if "resume" in content else None
                self._started = True
                return Start(resume)
            case {"event": "media", "media": {"payload": str(payload), "track": str(track)}} if self._started:
                return _media_of(payload, track)
            case {"event": "media", "media": {"payload": str(payload)}} if self._started:
                return _media_of(payload)
            case {"event": "ping"}:
                return Ping()
            case {"event": "stop"}:
                return Stop()
            case {"event": "start"}:
                raise ProtocolError('"start" comes once, with a "websocket_id" of your own making')
            case {"event": "media"}:
                raise ProtocolError('"media" needs {"media": {"payload": base64 of mu-law audio}}, after "start"')
            case _:
                raise ProtocolError(f"unknown event {short(content['event'])}; known are start, media, ping, stop")


def read_in_channel(message: str | bytes) -> Media | Command:
    """Gives what one message in a data channel means: a command, or audio from the time before the connection.

    Raises:
        ProtocolError: it is neither.
    """
    match content := parse(message):
        case {"event": "media", "media": {"payload": str(payload)}}:
            return _media_of(payload)
        case _:
            return command_of(content)


def _media_of(payload: str, track: str | None = None) -> Media:
    try:
        return Media(decode_mu_law(base64.b64decode(payload, validate=True)), track)
    except ValueError as error:
        raise ProtocolError(f"the audio is not base64: {error}") from None


def _mu_law_table() -> NDArray[np.int16]:
    """Gives the 16-bit sample of each mu-law byte, `(256,)`, by ITU-T G.711: its bits are inverted."""
    inverted = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (inverted >> 4) & 7, inverted & 15
    magnitude = ((mantissa.astype(np.int32) * 8 + 132) << exponent) - 132
    return np.where(inverted & 128, -magnitude, magnitude).astype(np.int16)


MU_LAW = _mu_law_table()


def decode_mu_law(audio: bytes) -> NDArray[np.int16]:
    """Decodes G.711 mu-law to int16 `(n_samples,)`."""
    return MU_LAW[np.frombuffer(audio, np.uint8)]
