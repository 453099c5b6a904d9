"""The way out of a closed tab: `POST /session/close` with the session's token as its body.

A page that is being closed can send no more over its connections, but a browser delivers a beacon for it. Its session
ends at once then, and its place is free. Who guesses a token is told nothing. Read `stay.py` for sessions that wait.
"""

from collections.abc import Sequence

from fastapi import FastAPI, Request, Response

from realtime.doors import DoorOptions
from realtime.doors.callers import caller_of
from realtime.doors.entrance import Way
from realtime.doors.lobby import Lobby
from realtime.doors.protocol import MAX_TOKEN_CHARACTERS
from realtime.doors.transport import Ending

PATH = "/session/close"


def mount(app: FastAPI, lobby: Lobby, options: DoorOptions) -> Sequence[Way]:
    """Opens the door."""

    @app.post(PATH)
    async def close(request: Request) -> Response:
        stay = lobby.session_of((await request.body()).decode("latin-1"), caller_of(request.scope))
        if stay is not None:
            stay.end(Ending.LEFT)
        return Response(status_code=204)

    return [Way(path=PATH, methods=("POST",), max_body_bytes=MAX_TOKEN_CHARACTERS)]
