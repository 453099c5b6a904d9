"""Recordings over HTTP: they are brought, listened to, read, changed, played, downloaded, asked about and deleted.

`POST /archive?name=FILE` takes any file FFmpeg reads, with `about` (what it is about) and `speakers` (people in one
channel who are to be told apart, 0 if their number is not known); 202 with its id, and the work on it begins. `GET`
lists all that is kept of whoever asks, or with `q` where words were said. `/archive/ID` gives one with its minutes
(`PATCH` its `name` or its `speakers`, `DELETE` it); behind that stand `/events` (server-sent events: the recording as
it is, then every line and step), `/retry` (`POST`, where the work failed), `/audio` (WAV, any range of it),
`/download?format=`, `/notes/NOTE` (`PATCH`, `DELETE`) and `/questions` (`POST`, answered by server-sent events).

What cannot be done is refused with a JSON `message`: 404 (it is not there, or another's), 409 (it is still listened
to), 413, 416, 422, 503 (too many wait), 507 (the disk is full). Read `realtime/archive/` for what is done,
`archive_json.py` for what is said.
"""

import asyncio
import errno
import json
import logging
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect

from models.errors import ModelError
from realtime.archive.archive import Archive, ArchiveFull, NotReady, can_tell_speakers
from realtime.archive.asking import AnswerPiece
from realtime.archive.intake import MAX_NAME_CHARACTERS
from realtime.doors import DoorOptions
from realtime.doors.archive_json import found_to_json, head_to_json, piece_to_json, recording_to_json, step_to_json
from realtime.doors.callers import NOBODY, caller_of
from realtime.doors.entrance import Way
from realtime.doors.lobby import Lobby
from realtime.doors.protocol import ProtocolError, parse, read_note_edit
from realtime.doors.ranges import sound_response
from realtime.doors.refusal import RETRY_AFTER_S, Refusal
from realtime.doors.server_sent import stream_events
from realtime.recordings.store import exporting
from realtime.recordings.store.errors import NotStored, NoWords, StoreError
from realtime.recordings.store.reading import StoredConversation

logger = logging.getLogger(__name__)

PATH = "/archive"
ONE = PATH + "/{recording}"
MAX_BODY_BYTES = 64_000
MAX_ABOUT_CHARACTERS = 8000
MAX_QUESTION_CHARACTERS = 2000
MAX_SPEAKERS = 20
MAX_ZIPPED = 2  # at a time, of all people
NEEDS_COOKIE = (
    "recordings belong to the browser that brings them, and this one keeps no cookie of the page: allow cookies, or "
    "open the page in a window of its own; a program sends Cookie: earpiece_visitor=32 to 64 random hexadecimal digits"
)
NEVER_KEPT = {"cache-control": "private, no-store"}
WRITERS: dict[str, tuple[str, str, Callable[[StoredConversation], str]]] = {
    "markdown": ("md", "text/markdown", exporting.to_markdown),
    "json": ("json", "application/json", lambda stored: json.dumps(exporting.to_json(stored), ensure_ascii=False)),
    "srt": ("srt", "application/x-subrip", exporting.to_srt),
    "vtt": ("vtt", "text/vtt", exporting.to_vtt),
}


def mount(app: FastAPI, lobby: Lobby, options: DoorOptions) -> Sequence[Way]:
    """Opens the door, where there is an archive."""
    archive = options.archive
    if archive is None:
        return []
    for kind, status in ((NotStored, 404), (NotReady, 409), (ProtocolError, 422), (NoWords, 422), (ArchiveFull, 503)):
        app.add_exception_handler(kind, _refusing(status))
    app.add_exception_handler(StoreError, _refuse_for_the_store)
    app.add_exception_handler(Refusal, _refuse)
    _add_all(app, archive, options.max_upload_bytes)
    _add_one(app, archive)
    _add_parts(app, archive)
    return [
        Way(path=PATH, methods=("GET", "POST"), max_body_bytes=options.max_upload_bytes, is_streamed=True),
        Way(path=ONE, methods=("GET", "PATCH", "DELETE"), max_body_bytes=MAX_BODY_BYTES),
        Way(path=ONE + "/events"),
        Way(path=ONE + "/audio"),
        Way(path=ONE + "/download"),
        Way(path=ONE + "/retry", methods=("POST",), begins=True),
        Way(path=ONE + "/questions", methods=("POST",), max_body_bytes=MAX_BODY_BYTES, begins=True),
        Way(path=ONE + "/notes/{note}", methods=("PATCH", "DELETE"), max_body_bytes=MAX_BODY_BYTES),
    ]


def _add_all(app: FastAPI, archive: Archive, max_upload_bytes: int) -> None:
    @app.get(PATH)
    async def give_list(request: Request, q: str = "") -> Response:
        owner = _owner_of(request)
        if q.strip():
            found = [found_to_json(each, q) for each in await archive.find(owner, q)]
            return JSONResponse({"found": found}, headers=NEVER_KEPT)
        heads = [head_to_json(head) for head in await archive.heads(owner)]
        can = {"is_lasting": archive.is_lasting, "max_bytes": max_upload_bytes}
        can |= {"can_tell_speakers": can_tell_speakers()}
        return JSONResponse({"recordings": heads, **can}, headers=NEVER_KEPT)

    @app.post(PATH)
    async def take(request: Request, name: str = "", about: str = "", speakers: str = "") -> Response:
        owner, n_speakers = _owner_of(request), _n_speakers(speakers)
        if len(about) > MAX_ABOUT_CHARACTERS:
            raise ProtocolError(f"about: give at most {MAX_ABOUT_CHARACTERS} characters")
        name = " ".join(name.split())[:MAX_NAME_CHARACTERS] or "Recording"
        blocks = _blocks_of(request, max_upload_bytes)
        try:
            recording = await archive.receive(owner, name, blocks, about=about, n_speakers=n_speakers)
        except ClientDisconnect:
            logger.info("the client left while it sent a recording")
            return Response(status_code=400)  # to nobody
        except OSError as error:
            return _disk_failed(error)
        return JSONResponse({"id": recording, "name": name}, 202)


def _add_one(app: FastAPI, archive: Archive) -> None:
    @app.get(ONE)
    async def give(request: Request, recording: str) -> Response:
        stored = await archive.read(_owner_of(request), recording)
        return JSONResponse(await _recording(archive, stored), headers=NEVER_KEPT)

    @app.patch(ONE)
    async def change(request: Request, recording: str) -> Response:
        owner, changes = _owner_of(request), parse(await request.body())
        name, speakers = changes.get("name"), changes.get("speakers", {})
        if set(changes) - {"name", "speakers"} or not (name is None or _is_name(name)) or not _are_names(speakers):
            raise ProtocolError('send {"name": "..."} or {"speakers": {"speaker 1": "Anna"}}, with names of 1 to 200')
        if name is not None:
            await archive.rename(owner, recording, " ".join(name.split()))
        if speakers:
            await archive.name_speakers(owner, recording, speakers)
        return JSONResponse(await _recording(archive, await archive.read(owner, recording)), headers=NEVER_KEPT)

    @app.delete(ONE)
    async def delete(request: Request, recording: str) -> Response:
        await archive.delete(_owner_of(request), recording)
        return Response(status_code=204)

    @app.post(ONE + "/retry")
    async def try_again(request: Request, recording: str) -> Response:
        await archive.try_again(_owner_of(request), recording)
        return Response(status_code=202)

    @app.patch(ONE + "/notes/{note}")
    async def edit(request: Request, recording: str, note: str) -> Response:
        edited = read_note_edit({**parse(await request.body()), "id": note})
        if edited.text is not None and not edited.text.strip():
            raise ProtocolError("a note needs some text; remove it instead")
        await archive.edit_note(_owner_of(request), recording, note, edited.changes())
        return Response(status_code=204)

    @app.delete(ONE + "/notes/{note}")
    async def remove(request: Request, recording: str, note: str) -> Response:
        await archive.remove_note(_owner_of(request), recording, note)
        return Response(status_code=204)


def _add_parts(app: FastAPI, archive: Archive) -> None:
    zipping = asyncio.Semaphore(MAX_ZIPPED)

    @app.get(ONE + "/events")
    async def tell(request: Request, recording: str) -> Response:
        owner = _owner_of(request)
        await archive.read(owner, recording)  # a refusal is no stream
        return stream_events(_steps(archive, owner, recording))

    @app.get(ONE + "/audio")
    async def play(request: Request, recording: str) -> Response:
        sound = await archive.sound(_owner_of(request), recording)
        return sound_response(sound, request.headers.get("range"))

    @app.get(ONE + "/download")
    async def download(request: Request, recording: str) -> Response:
        form = request.query_params.get("format", "markdown")
        stored = await archive.read(_owner_of(request), recording)
        if form == "wav":
            sound = await archive.sound(_owner_of(request), recording)
            return sound_response(sound, None, more=_attached(stored, "wav"))
        if form == "zip":
            async with zipping:
                return await _zip(stored)
        if form not in WRITERS:
            raise ProtocolError(f"format: give one of {', '.join(WRITERS)}, wav, zip")
        suffix, media_type, write = WRITERS[form]
        text = await asyncio.to_thread(write, stored)  # which takes half a second of three hours
        return Response(text, media_type=media_type, headers=_attached(stored, suffix))

    @app.post(ONE + "/questions")
    async def ask(request: Request, recording: str) -> Response:
        asked = parse(await request.body())
        text, note = asked.get("text"), asked.get("note")
        if set(asked) - {"text", "note"} or not isinstance(text, str) or not isinstance(note, str | None):
            raise ProtocolError('send {"text": "..."}, and "note" with the id of one that the question is about')
        if not text.strip() or len(text) > MAX_QUESTION_CHARACTERS:
            raise ProtocolError(f"text: ask something, in at most {MAX_QUESTION_CHARACTERS} characters")
        pieces = await archive.ask(_owner_of(request), recording, text, note)
        return stream_events(_answer(pieces))


async def _steps(archive: Archive, owner: str, recording: str) -> AsyncGenerator[dict[str, Any], None]:
    async with aclosing(archive.watch(owner, recording)) as steps:
        async for step in steps:
            if isinstance(step, StoredConversation):
                yield {"type": "recording", "recording": await _recording(archive, step)}
            else:
                yield step_to_json(step)


async def _recording(archive: Archive, stored: StoredConversation) -> dict[str, Any]:
    can_try_again = await archive.can_try_again(stored)
    return await asyncio.to_thread(recording_to_json, stored, can_try_again=can_try_again)


async def _answer(pieces: AsyncGenerator[AnswerPiece, None]) -> AsyncGenerator[dict[str, Any], None]:
    async with aclosing(pieces):
        try:
            async for piece in pieces:
                yield piece_to_json(piece)
        except (ModelError, StoreError) as error:
            logger.error("a question is not answered: %s", error)
            message = str(error) if isinstance(error, ModelError) else "the sound is not there any more"
            yield {"type": "error", "message": message}


async def _blocks_of(request: Request, limit: int) -> AsyncIterator[bytes]:
    n_bytes = 0
    async for block in request.stream():
        n_bytes += len(block)
        if n_bytes > limit:
            raise Refusal(413, "too_long", f"the file is larger than {limit / 1e6:g} MB; see --max-upload-mb")
        yield block
    if not n_bytes:
        raise ProtocolError("the file is empty; send one with sound in it")


# What is sent, and what is refused.


def _owner_of(request: Request) -> str:
    owner = caller_of(request.scope).stored_owner
    if owner == NOBODY:
        raise Refusal(403, "unknown_visitor", NEEDS_COOKIE)
    return owner


def _n_speakers(text: str) -> int | None:
    if not text:
        return None
    if len(text) > 2 or not text.isascii() or not text.isdecimal() or int(text) > MAX_SPEAKERS:
        raise ProtocolError(f"speakers: give a number of people up to {MAX_SPEAKERS}, or 0 if you do not know it")
    if not can_tell_speakers():
        raise ProtocolError("speakers: the server has no package that knows voices; see --tell-speakers in the README")
    return int(text)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and bool(name.strip()) and len(name) <= MAX_NAME_CHARACTERS


def _are_names(names: Any) -> bool:
    return isinstance(names, dict) and len(names) <= MAX_SPEAKERS and all(map(_is_name, names.values()))


def _attached(stored: StoredConversation, suffix: str) -> dict[str, str]:
    name = quote(f"{Path(stored.head.title).stem or stored.head.id}.{suffix}", safe="")
    return {**NEVER_KEPT, "content-disposition": f"attachment; filename*=UTF-8''{name}"}


async def _zip(stored: StoredConversation) -> Response:
    try:
        return await asyncio.to_thread(_zipped, stored)
    except OSError as error:
        return _disk_failed(error)


def _zipped(stored: StoredConversation) -> Response:
    with tempfile.NamedTemporaryFile(prefix="download-", suffix=".zip", delete=False) as file:
        path = Path(file.name)
    try:
        exporting.write_zip([stored], path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    headers = _attached(stored, "zip")
    return FileResponse(path, headers=headers, media_type="application/zip", background=BackgroundTask(path.unlink))


def _refusing(status: int) -> Callable[[Request, Exception], Response]:
    headers = {"retry-after": str(RETRY_AFTER_S)} if status == 503 else None

    def refuse(_: Request, error: Exception) -> Response:
        return JSONResponse({"message": str(error)}, status, headers)

    return refuse


def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal), "it was registered for these"
    headers = {name.decode(): value.decode() for name, value in error.headers}
    return JSONResponse({"message": str(error)}, error.status, headers)


def _refuse_for_the_store(request: Request, error: Exception) -> Response:
    """What is wrong with a store is for whoever runs it; the others learn that something is."""
    logger.error("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"message": "what is kept cannot be read or changed now; the server's log says why"}, 500)


def _disk_failed(error: OSError) -> Response:
    logger.error("a recording cannot be written: %s", error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return JSONResponse({"message": "the server's disk is full; delete recordings, or ask whoever runs it"}, 507)
    return JSONResponse({"message": "the server cannot write the file; its log says why"}, 500)
