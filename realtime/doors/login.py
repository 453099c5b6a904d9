"""Logins and tokens, on a server that asks for keys; on any other there is nothing here.

`POST /login` with `{"key": "ep_..."}` gives the page a cookie that no script can read and no other site can have sent;
`POST /logout` takes it back. `POST /tokens`, by whoever shows a key, gives `{"token": "...", "expires_in_s": 600}` for
a client that should not have the key itself. A session that a token has begun goes on when the token has expired.
Read `gate.py` for where cookies and tokens are looked at.
"""

import json
from collections.abc import Sequence

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from realtime.doors import DoorOptions
from realtime.doors.callers import address_of, caller_of
from realtime.doors.entrance import Way
from realtime.doors.gate import COOKIE, Gate
from realtime.doors.keys import MAX_KEY_CHARACTERS
from realtime.doors.lobby import Lobby
from realtime.doors.refusal import Refusal
from realtime.doors.tokens import LOGIN_LIFE_S, TOKEN_LIFE_S

LOGIN_PATH, LOGOUT_PATH, TOKENS_PATH = "/login", "/logout", "/tokens"
MAX_BODY_BYTES = MAX_KEY_CHARACTERS + 100


def mount(app: FastAPI, lobby: Lobby, options: DoorOptions) -> Sequence[Way]:
    """Opens the door, where there are keys."""
    gate = options.gate
    if gate is None or not gate.asks_for_keys:
        return []

    @app.post(LOGIN_PATH)
    async def log_in(request: Request) -> Response:
        try:
            return await _log_in(request, gate)
        except Refusal as refusal:
            return _refused(refusal)

    @app.post(LOGOUT_PATH)
    async def log_out() -> Response:
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    @app.post(TOKENS_PATH)
    async def make_token(request: Request) -> Response:
        try:
            return _make_token(request, gate)
        except Refusal as refusal:
            return _refused(refusal)

    return [
        Way(path=LOGIN_PATH, methods=("POST",), max_body_bytes=MAX_BODY_BYTES, is_public=True),
        Way(path=LOGOUT_PATH, methods=("POST",), is_public=True),  # also when the login is good no more
        Way(path=TOKENS_PATH, methods=("POST",), max_body_bytes=MAX_BODY_BYTES),
    ]


async def _log_in(request: Request, gate: Gate) -> Response:
    try:
        typed = json.loads(await request.body())["key"]
        if not isinstance(typed, str):
            raise TypeError("this is no text")
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refusal(422, "invalid_login", 'send {"key": "ep_..."}') from None
    key = await gate.key_of(typed.strip(), address_of(request.scope))
    response = Response(status_code=204)
    login = gate.tokens.make(key, "login", LOGIN_LIFE_S)
    is_secure = "https" in (request.url.scheme, request.headers.get("origin", "").partition(":")[0])  # or a proxy's TLS
    response.set_cookie(COOKIE, login, max_age=round(LOGIN_LIFE_S), httponly=True, samesite="strict", secure=is_secure)
    return response


def _make_token(request: Request, gate: Gate) -> Response:
    caller = caller_of(request.scope)
    if caller.proof != "key":
        raise Refusal(403, "key_needed", "a token is made for whoever shows a key: Authorization: Bearer KEY")
    token = gate.tokens.make(gate.key_named(caller), "token", TOKEN_LIFE_S)
    answer = {"token": token, "expires_in_s": round(TOKEN_LIFE_S)}
    return JSONResponse(answer, headers={"cache-control": "no-store"})


def _refused(refusal: Refusal) -> Response:
    headers = {name.decode(): value.decode() for name, value in refusal.headers}
    return Response(refusal.body(), refusal.status, headers, "application/json")
