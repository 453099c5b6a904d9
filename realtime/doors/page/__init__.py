"""The page: views at `/`, `/calls` and `/recordings`, their files and settings, and Markdown. No framework, no build.

The page is a client like any other: it speaks `protocol.py` over a WebRTC or WebSocket connection, and what it shows is
what the session's events say. `main.js` is where it begins; every other module there has one subject. The words of the
interface are in `words.<language>.json`, one file per language, and nowhere else; `index.html` names them and gets the
English ones here, before any script runs. On a server that asks for keys, `login.html` stands before it until
somebody has logged in. Read `markdown.py` for what becomes of an answer.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from realtime.doors import DoorOptions
from realtime.doors.callers import caller_of
from realtime.doors.entrance import Way
from realtime.doors.lobby import Lobby
from realtime.doors.page.markdown import MAX_CHARACTERS, render

VIEWS = {"/": "index.html", "/calls": "calls.html", "/recordings": "recordings.html"}

_HERE = Path(__file__).parent
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
# What the login needs: scripts, styles and words without a secret, for whoever comes.
_OF_LOGIN = ("dom.js", "icon.svg", "login.css", "login.js", "login_page.js", "page.css", "preferences.js", "words.js")
_HEADERS = {"cache-control": "no-cache"}  # a new server brings a new page
_MAX_LAID_OUT = 1  # texts at a time, of all clients; the worst takes seconds, in which all else has the other half
_MAX_MARKDOWN_BYTES = 6 * MAX_CHARACTERS + 1000  # as JSON, in which a character may take 6


def mount(app: FastAPI, lobby: Lobby, options: DoorOptions) -> Sequence[Way]:
    """Puts the page at `/`, its files, its settings and Markdown under `/page/`."""
    files = [file for file in sorted(_HERE.iterdir()) if file.suffix in _MEDIA_TYPES]
    pages = {path: _with_words(name) for path, name in VIEWS.items()}
    languages = _languages()
    laying_out = asyncio.Semaphore(_MAX_LAID_OUT)

    @app.get("/")
    @app.get("/calls")
    @app.get("/recordings")
    async def view(request: Request) -> Response:
        content = pages[request.url.path].replace("{address}", escape(str(request.base_url)))
        return Response(content, media_type="text/html; charset=utf-8", headers=_HEADERS)

    @app.get("/page/settings.json")
    async def settings(request: Request) -> dict[str, Any]:
        caller = caller_of(request.scope)
        return {
            "model": options.model.name,
            "description": options.model.description,
            "languages": languages,
            "voices": [asdict(voice) for voice in options.voices],
            "login": caller.name if caller.proof == "login" else None,
            "tells_visitors_apart": bool(caller.visitor),
        }

    @app.post("/page/markdown")
    async def markdown(request: Request) -> Response:
        body = await request.body()
        async with laying_out:
            return await _lay_out(body)

    return [
        *(Way(path=path, begins=True) for path in VIEWS),
        Way(path="/page/settings.json"),
        Way(path="/page/markdown", methods=("POST",), max_body_bytes=_MAX_MARKDOWN_BYTES),
        *(_serve(app, file) for file in files),
    ]


def _serve(app: FastAPI, file: Path) -> Way:
    path, content, media_type = f"/page/{file.name}", file.read_bytes(), _MEDIA_TYPES[file.suffix]

    @app.get(path)
    async def serve() -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return Way(path=path, is_public=file.name in _OF_LOGIN or file.name.startswith("words."))


def login_page() -> bytes:
    """Gives the page in which a person types a key."""
    return _with_words("login.html").replace("{languages}", " ".join(_languages())).encode()


def _languages() -> dict[str, str]:
    """Gives the name of each language that there are words in, by its code."""
    return {file.name.split(".")[1]: _words(file)["language"] for file in sorted(_HERE.glob("words.*.json"))}


def _words(file: Path) -> dict[str, str]:
    words: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return words


def _with_words(name: str) -> str:
    """Gives a page with its English words in it; what else stands in braces is still to be put in."""
    words = {key: escape(text) for key, text in _words(_HERE / "words.en.json").items()}
    page = (_HERE / name).read_text(encoding="utf-8")
    page = re.sub(r"\{(title|description)\}", lambda named: words[named[1]], page)
    return re.sub(r'(data-words="([\w.]+)"[^>]*>)', lambda named: named[1] + words[named[2]], page)


async def _lay_out(body: bytes) -> Response:
    try:
        text = json.loads(body)["text"]
        if not isinstance(text, str):
            raise TypeError("this is no text")
        html = await asyncio.to_thread(render, text)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        message = f'send {{"text": "..."}} with at most {MAX_CHARACTERS} characters of Markdown: {error}'
        return JSONResponse({"message": message}, 422)
    return JSONResponse({"html": html})
