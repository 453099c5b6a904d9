"""The page at `/`: static files, and the settings they ask for. No framework, no build.

The page is a client like any other: it speaks `protocol.py` over a WebRTC or WebSocket connection, and what it shows is
what the session's events say. `main.js` is where it begins; every other module there has one subject.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response

from realtime.doors import DoorOptions
from realtime.doors.entrance import Way
from realtime.doors.lobby import Lobby

_HERE = Path(__file__).parent
_MEDIA_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript"}
_HEADERS = {"cache-control": "no-cache"}  # a new server brings a new page


def mount(app: FastAPI, lobby: Lobby, options: DoorOptions) -> Sequence[Way]:
    """Puts the page at `/`, its files and its settings under `/page/`."""
    ways = [_serve(app, _HERE / "index.html", "/")]
    ways += [
        _serve(app, file, f"/page/{file.name}") for file in sorted(_HERE.iterdir()) if file.suffix in (".css", ".js")
    ]

    @app.get("/page/settings.json")
    async def settings() -> dict[str, Any]:
        return {
            "model": options.model.name,
            "description": options.model.description,
            "iceServers": list(options.ice_servers),
        }

    return [*ways, Way(path="/page/settings.json")]


def _serve(app: FastAPI, file: Path, path: str) -> Way:
    content, media_type = file.read_bytes(), _MEDIA_TYPES[file.suffix]

    @app.get(path)
    async def serve() -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return Way(path=path)
