"""What WebRTC clients post, looked at before any library parses it.

aiortc's parser takes seconds for a hostile description, and some descriptions break what comes after it. So an offer is
bounded here: one audio track, one data channel, as many lines as browsers need, a bundle that names its parts. What is
wrong is a `ProtocolError` with a sentence. Pure. Read `webrtc.py` for what becomes of it.
"""

import re
from dataclasses import dataclass
from typing import Any

from realtime.doors.protocol import ProtocolError, Resume, parse, read_resume

MAX_BODY_BYTES = 100_000
MAX_ID_CHARACTERS = 64
MAX_SDP_LINES = 500  # Chromium's and Firefox's offers of one track have about 100
MAX_CANDIDATES = 100
MAX_SSRC_LINES = 50
MAX_CODEC_LINES = 64  # and as many lines of feedback, of which each may be about every codec
MAX_CANDIDATE_CHARACTERS = 512
MAX_MID_CHARACTERS = 32

LIMITS = {
    "a=candidate:": MAX_CANDIDATES,
    "a=ssrc:": MAX_SSRC_LINES,
    "a=rtpmap:": MAX_CODEC_LINES,
    "a=rtcp-fb:": MAX_CODEC_LINES,
}

_CANDIDATE = re.compile(r"candidate:\S{1,64} \d{1,3} \S{1,8} \d{1,10} \S{1,255} \d{1,5} typ [a-z]{1,8}( [\x21-\x7e]+)*")


@dataclass(frozen=True, slots=True)
class Offer:
    """A client wants to connect; with `resume` it can come back to its session."""

    client_id: str
    sdp: str
    resume: Resume | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to a client that has made its offer; an empty `candidate` says that there are no more."""

    client_id: str
    candidate: str
    mid: str | None
    m_line_index: int | None


def read_body(body: bytes) -> Offer | Candidate:
    """Reads what a client posts.

    Raises:
        ProtocolError: it is neither.
    """
    match parse(body):
        case {"webrtc_id": str(client_id), "type": "offer", **fields}:
            sdp = fields.get("sdp")
            if not isinstance(sdp, str) or not sdp:
                raise ProtocolError("the offer has no sdp")
            resume = read_resume(fields["resume"]) if "resume" in fields else None
            return Offer(_checked_id(client_id), sdp, resume)
        case {"webrtc_id": str(client_id), "type": "ice-candidate", "candidate": dict(candidate)}:
            return _candidate_of(_checked_id(client_id), candidate)
        case _:
            raise ProtocolError('there are {"type": "offer", "sdp", "webrtc_id"} and {"type": "ice-candidate", ...}')


def _checked_id(client_id: str) -> str:
    if not re.fullmatch(f"[\x21-\x7e]{{1,{MAX_ID_CHARACTERS}}}", client_id):
        raise ProtocolError(f"a webrtc_id has 1 to {MAX_ID_CHARACTERS} visible ASCII characters")
    return client_id


def _candidate_of(client_id: str, fields: dict[str, Any]) -> Candidate:
    match {"sdpMid": None, "sdpMLineIndex": None, **fields}:
        case {
            "candidate": str(text),
            "sdpMid": (str() | None) as mid,
            "sdpMLineIndex": (int() | None) as index,
        } if (
            len(text) <= MAX_CANDIDATE_CHARACTERS
            and (not text or _CANDIDATE.fullmatch(text))
            and (mid is None or len(mid) <= MAX_MID_CHARACTERS)
        ):
            return Candidate(client_id, text, mid, index)
        case _:
            raise ProtocolError("the candidate is not one as browsers send it")


def check_sdp(sdp: str) -> None:
    """Looks at the description of an offer.

    Raises:
        ProtocolError: it describes something else than one audio track and one data channel, or too much of it.
    """
    lines = sdp.splitlines()  # as aiortc does it
    if len(lines) > MAX_SDP_LINES:
        raise ProtocolError(f"the sdp has {len(lines)} lines; at most {MAX_SDP_LINES} fit")
    kinds = sorted(line[2:].split(" ")[0] for line in lines if line.startswith("m="))
    if kinds != ["application", "audio"]:
        raise ProtocolError("the sdp must describe one audio track and one data channel, and nothing else")
    for start, limit in LIMITS.items():
        if sum(line.startswith(start) for line in lines) > limit:
            raise ProtocolError(f"the sdp has more than {limit} lines {start}")
    _check_bundle(lines)


def _check_bundle(lines: list[str]) -> None:
    mids = [line.removeprefix("a=mid:") for line in lines if line.startswith("a=mid:")]
    bundles = [line.split()[1:] for line in lines if line.startswith("a=group:BUNDLE")]
    if bundles and (len(bundles) > 1 or len(mids) != 2 or sorted(bundles[0]) != sorted(set(mids))):
        raise ProtocolError("the sdp's a=group:BUNDLE must name the a=mid of the track and of the channel")
