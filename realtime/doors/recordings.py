"""Recordings that a person sends, and the audio of what a person said, over HTTP and beside the session's wire.

`POST /conversation/audio?session=TOKEN&name=FILE` takes any file FFmpeg reads, becomes a turn of the user and is
answered as if it had been spoken. `GET /conversation/audio/ITEM?session=TOKEN` gives the audio of a message, as long as
the model is given it. Who asks for either knows the session's token. Files are copied to the disk as they come, one at
a time of a session, and decoded beside the event loop. What cannot be taken is refused with a JSON `message`: 404 (no
such session), 409 (one is on its way), 413 (too large, or too long), 415 (no audio). Read `hearing/files.py` for the
decoding.
"""

import asyncio
import io
import logging
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.doors import DoorOptions
from realtime.doors.callers import Caller, caller_of
from realtime.doors.entrance import Way
from realtime.doors.lobby import Lobby
from realtime.doors.stay import Stay
from realtime.hearing.audio import to_int16
from realtime.hearing.files import AudioFileError, AudioTooLong, read_audio_file

logger = logging.getLogger(__name__)

PATH = "/conversation/audio"
MAX_FILE_BYTES = 25_000_000  # three minutes of 24-bit stereo at 48 kHz are 52 MB, of any compressed form 10 MB
MAX_NAME_CHARACTERS = 200
MAX_DECODING = 2  # files at a time, of all sessions


class _Refused(Exception):
    """A file that is not taken."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def mount(app: FastAPI, lobby: Lobby, options: DoorOptions) -> Sequence[Way]:
    """Opens the door."""
    decoding = asyncio.Semaphore(MAX_DECODING)
    receiving: set[Stay] = set()

    @app.post(PATH)
    async def send(request: Request, session: str = "", name: str = "") -> Response:
        try:
            stay = _stay_of(lobby, session, caller_of(request.scope))
            if stay in receiving:
                raise _Refused(409, "another file is on its way; wait until it has been taken")
            receiving.add(stay)
            try:
                samples = await _receive(request, stay, decoding)
            finally:
                receiving.discard(stay)
            stay = _stay_of(lobby, session, caller_of(request.scope))  # it may have ended meanwhile
        except _Refused as refusal:
            return JSONResponse({"message": str(refusal)}, refusal.status)
        except ClientDisconnect:
            logger.info("%s: the client left while it sent a file", stay.name)
            return Response(status_code=400)  # to nobody
        stay.session.submit_recording(samples, name[:MAX_NAME_CHARACTERS] or "recording")
        return JSONResponse({"duration_s": round(len(samples) / SAMPLE_RATE_HZ, 3)})

    @app.get(PATH + "/{item_id}")
    async def give(request: Request, item_id: str, session: str = "") -> Response:
        try:
            samples = _stay_of(lobby, session, caller_of(request.scope)).session.audio_of(item_id)
            if samples is None:
                raise _Refused(404, "there is no audio of this message, or the model is not given it any more")
        except _Refused as refusal:
            return JSONResponse({"message": str(refusal)}, refusal.status)
        content = await asyncio.to_thread(_to_wav, samples)
        return Response(content, media_type="audio/wav", headers={"cache-control": "private, no-store"})

    return [
        Way(path=PATH, methods=("POST",), max_body_bytes=MAX_FILE_BYTES, is_streamed=True),
        Way(path=PATH + "/{item_id}"),
    ]


def _stay_of(lobby: Lobby, token: str, caller: Caller) -> Stay:
    stay = lobby.session_of(token, caller)
    if stay is None:
        raise _Refused(404, "the session has ended, or there was none; connect, and send the file again")
    return stay


async def _receive(request: Request, stay: Stay, decoding: asyncio.Semaphore) -> Samples:
    """Takes a whole file and decodes it: float32 `(n_samples,)` at 16 kHz."""
    with tempfile.NamedTemporaryFile(prefix="sent-") as file:
        await _copy(request, file)
        async with decoding:
            return await asyncio.to_thread(_decode, Path(file.name), stay.session.longest_turn_s)


async def _copy(request: Request, file: IO[bytes]) -> None:
    n_bytes = 0
    async for block in request.stream():
        n_bytes += len(block)
        if n_bytes > MAX_FILE_BYTES:
            raise _Refused(413, f"the file is larger than {MAX_FILE_BYTES / 1e6:g} MB; send a shorter or smaller one")
        file.write(block)
    file.flush()


def _decode(path: Path, max_s: float) -> Samples:
    try:
        return read_audio_file(path, max_s=max_s).samples
    except AudioTooLong as error:
        raise _Refused(413, _without_name(error, path)) from error
    except AudioFileError as error:
        raise _Refused(415, _without_name(error, path)) from error


def _without_name(error: AudioFileError, path: Path) -> str:
    """The reason alone: the name is that of our copy."""
    return str(error).removeprefix(f"{path}: ")


def _to_wav(samples: Samples) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(to_int16(samples).tobytes())
    return content.getvalue()
