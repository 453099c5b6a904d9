"""The doors: the only room that knows a wire. A new wire is one new file here, and its test; nothing else changes.

Every module in this folder with a function `mount(app, lobby, options)` is a door. It adds its routes to `app`, gets
its sessions from `lobby` and nowhere else, and gives the `Way`s in that it has added; a door that adds a route and does
not declare it is not opened. Whom the entrance lets in, it tells the door (`callers.py`), which tells the lobby.
The page is a door, too. Read `lobby.py` for who is let in, `websocket.py` for the simplest door.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.types import ModelInfo, VoiceInfo
from realtime.doors.declared import check_declared

if TYPE_CHECKING:
    from fastapi import FastAPI

    from realtime.archive.archive import Archive
    from realtime.doors.entrance import Way
    from realtime.doors.gate import Gate
    from realtime.doors.lobby import Lobby
    from realtime.doors.turn_servers import TurnServers


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOptions:
    """What doors may be told.

    Attributes:
        model: what answers.
        ice_servers: STUN and TURN servers of both sides, as the WebRTC API takes them.
        voices: that can read answers aloud.
        turn: gives more of them, which expire.
        failure: says why nobody can be answered, in a sentence; gives None while all is well.
        exposition: gives all metrics for a header `Accept`, and their content type; None: nothing is measured.
        gate: knows the keys, and makes logins and tokens.
        archive: has the recordings that people bring; None: there is none.
        max_upload_bytes: of a recording.
    """

    model: ModelInfo
    ice_servers: tuple[dict[str, Any], ...] = ()
    voices: tuple[VoiceInfo, ...] = ()
    turn: "TurnServers | None" = None
    failure: Callable[[], str | None] = lambda: None
    exposition: Callable[[str], tuple[bytes, str]] | None = None
    gate: "Gate | None" = None
    archive: "Archive | None" = None
    max_upload_bytes: int = 0

    async def current_ice_servers(self) -> list[dict[str, Any]]:
        """Gives all servers as they can be used now."""
        return [*self.ice_servers, *(await self.turn.current() if self.turn is not None else [])]


def open_doors(app: "FastAPI", lobby: "Lobby", options: DoorOptions) -> tuple["Way", ...]:
    """Opens every door in this folder, and gives all ways in.

    Raises:
        Undeclared: a door has not declared what it opens.
    """
    ways: list[Way] = []
    for found in pkgutil.iter_modules(__path__, f"{__name__}."):
        mount = getattr(importlib.import_module(found.name), "mount", None)
        if mount is not None:
            before = list(app.routes)
            opened = mount(app, lobby, options)
            check_declared(found.name, [route for route in app.routes if route not in before], opened)
            ways += opened
    return tuple(ways)
