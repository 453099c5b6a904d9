"""Server-sent events: a stream of JSON objects over one HTTP answer, which ends when there are no more."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from starlette.responses import StreamingResponse

PING_EVERY_S = 15.0  # so that proxies keep the connection, and one that is lost is noticed
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def stream_events(events: AsyncGenerator[dict[str, Any], None]) -> StreamingResponse:
    """Gives an answer that sends events as they come; they are closed when the client has gone."""
    return StreamingResponse(_with_pings(events), media_type="text/event-stream", headers=HEADERS)


async def _with_pings(events: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    coming: asyncio.Future[dict[str, Any]] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([coming], timeout=PING_EVERY_S)
            if not done:
                yield b": still here\n\n"
                continue
            try:
                event = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            yield f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
    finally:
        if coming is not None and not coming.done():
            coming.cancel()
            await asyncio.wait([coming])
        await events.aclose()
