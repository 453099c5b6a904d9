"""Sound over HTTP, whole or any range of it, so that a browser can play from any place on (RFC 9110, 14)."""

import re

from starlette.responses import Response, StreamingResponse

from realtime.doors.refusal import Refusal
from realtime.recordings.store.mixing import MixedSound

HEADERS = {"cache-control": "private, no-store", "accept-ranges": "bytes"}


def range_of(header: str | None, n_bytes: int) -> tuple[int, int] | None:
    """Gives the first and the last byte that a header `Range` asks for; None if it asks for all, or for several ranges.

    Raises:
        Refusal: there is nothing there.
    """
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header or "")
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, n_bytes - int(last))
    end = min(int(last), n_bytes - 1) if first and last else n_bytes - 1
    if start > end:
        headers = [(b"content-range", f"bytes */{n_bytes}".encode())]
        raise Refusal(416, "no_such_range", f"the sound has {n_bytes} bytes", headers=headers)
    return start, end


def sound_response(sound: MixedSound, header: str | None, *, more: dict[str, str] | None = None) -> Response:
    """Gives the answer to a request for sound; raises as `range_of` does."""
    wanted = range_of(header, sound.n_bytes)
    first, last = wanted or (0, sound.n_bytes - 1)
    headers = {**HEADERS, **(more or {}), "content-length": str(last - first + 1)}
    if wanted is not None:
        headers["content-range"] = f"bytes {first}-{last}/{sound.n_bytes}"
    status = 200 if wanted is None else 206
    return StreamingResponse(sound.content(first, last), status, headers, media_type="audio/wav")
