"""How the server is, for those who run it: probes, a report, and metrics.

`GET /healthz` says that the process answers. `GET /readyz` says whether it is worth sending somebody here: HTTP 200, or
503 and one sentence; both are for probes, which have no key, and tell nothing else. `GET /health` is a report with the
model and the number of sessions. `GET /metrics` is for Prometheus; each process has its own.
Read `realtime/telemetry/numbers.py` for what is measured.
"""

from collections.abc import Sequence

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from realtime.doors import DoorOptions
from realtime.doors.entrance import Way
from realtime.doors.lobby import Lobby
from realtime.doors.refusal import GOING_DOWN

UNAVAILABLE = 503
NEVER_KEPT = {"cache-control": "no-store"}


def mount(app: FastAPI, lobby: Lobby, options: DoorOptions) -> Sequence[Way]:
    """Opens the door."""

    @app.get("/healthz")
    async def healthz() -> Response:
        return JSONResponse({"status": "ok"}, headers=NEVER_KEPT)

    @app.get("/readyz")
    async def readyz() -> Response:
        reason = why_not_ready(lobby, options)
        if reason is None:
            return JSONResponse({"status": "ready"}, headers=NEVER_KEPT)
        return JSONResponse({"status": "not ready", "reason": reason}, UNAVAILABLE, NEVER_KEPT)

    @app.get("/health")
    async def health() -> Response:
        report, failure = lobby.health(), options.failure()
        if failure is None:
            return JSONResponse(report)
        return JSONResponse(report | {"status": "failed", "reason": failure}, UNAVAILABLE)

    ways = [Way(path="/healthz", is_public=True), Way(path="/readyz", is_public=True), Way(path="/health")]
    if (exposition := options.exposition) is not None:

        @app.get("/metrics")
        async def metrics(request: Request) -> Response:
            text, content_type = exposition(request.headers.get("accept", ""))
            return Response(text, headers={"content-type": content_type} | NEVER_KEPT)

        ways.append(Way(path="/metrics"))
    return ways


def why_not_ready(lobby: Lobby, options: DoorOptions) -> str | None:
    """Gives why nobody should be sent here now, in a sentence; None: they may be."""
    return GOING_DOWN if lobby.is_draining else options.failure()
