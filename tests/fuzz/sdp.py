"""Descriptions of WebRTC offers, broken: what is let through is handled in bounded time, and leaves nothing."""

import asyncio
import random
import time
from contextlib import suppress

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from realtime.doors.offers import MAX_BODY_BYTES, check_sdp
from realtime.doors.protocol import ProtocolError

NAME = "sdp"
MAX_WORK_S = 0.05

OFFER = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111 9 0
c=IN IP4 0.0.0.0
a=candidate:1 1 udp 2122260223 127.0.0.1 9 typ host generation 0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=ssrc:1 cname:x
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=mid:1
a=sctp-port:5000
a=max-message-size:262144
""".format(fingerprint=":".join(["AB"] * 32))

PIECES = ("", "0", "-1", "9" * 30, "x" * 5000, "é", "\u2028", "a=", "m=", ":", "/", " ", ";", "*", "0" * 4000, "BUNDLE")


def make_case(rng: random.Random) -> bytes:
    """Makes an offer and breaks it a few times."""
    lines = OFFER.splitlines()
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                del lines[at]
            case 1:
                lines[at:at] = [lines[at]] * rng.choice((1, 10, 100, 300))
            case 2:
                lines[at:at] = [rng.choice(lines)]
            case 3:
                words = lines[at].replace(":", " ").split()
                lines[at] = lines[at].replace(rng.choice(words or ["="]), rng.choice(PIECES))
            case 4:
                lines[at] += rng.choice((" ", ":", ";", "")) + rng.choice(PIECES)
            case _:
                rng.shuffle(lines)
        lines = lines or [""]
    return "\r\n".join(lines).encode()[:MAX_BODY_BYTES]


def check(case: bytes) -> None:
    """Judges one description as the door does, and has aiortc answer what is let through.

    Raises:
        AssertionError: it takes too long, or something is left of it.
    """
    sdp = case.decode(errors="replace")
    began_s = time.thread_time()
    try:
        check_sdp(sdp)
    except ProtocolError:
        return
    finally:
        assert time.thread_time() - began_s < MAX_WORK_S, "looking at the description takes too long"
    asyncio.run(_answer(sdp))


async def _answer(sdp: str) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    began_s = time.thread_time()
    with suppress(Exception):  # whatever aiortc raises, the door answers that the offer cannot be answered
        await peer.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await peer.createAnswer()
    work_s = time.thread_time() - began_s
    with suppress(Exception):  # the lobby takes the place back whatever `close` raises
        await asyncio.wait_for(peer.close(), 5)
    assert work_s < MAX_WORK_S, f"aiortc takes {work_s:.3f} s for it"
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        await asyncio.wait(left, timeout=5)
    assert not asyncio.all_tasks() - {asyncio.current_task()}, "a task is left"
