"""What WebRTC clients post, without a server."""

import json
from typing import Any

import pytest
from aiortc import RTCPeerConnection
from hypothesis import given
from hypothesis import strategies as st

from realtime.doors.offers import (
    MAX_CANDIDATES,
    MAX_CODEC_LINES,
    MAX_ID_CHARACTERS,
    MAX_SDP_LINES,
    MAX_SSRC_LINES,
    Candidate,
    Offer,
    check_sdp,
    read_body,
)
from realtime.doors.protocol import ProtocolError

# As Chromium makes it for one track and one channel, shortened.
SDP = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=ssrc:1 cname:x
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:1
a=sctp-port:5000
""".replace("\n", "\r\n")

CANDIDATE = "candidate:2393089663 1 udp 2122260223 192.168.86.60 63692 typ host generation 0 ufrag LkZb network-id 1"


def body(**fields: Any) -> bytes:
    return json.dumps({"webrtc_id": "one", "type": "offer", "sdp": SDP} | fields).encode()


def candidate(**fields: Any) -> bytes:
    given = {"candidate": CANDIDATE, "sdpMid": "0", "sdpMLineIndex": 0} | fields
    return json.dumps({"webrtc_id": "one", "type": "ice-candidate", "candidate": given}).encode()


def test_an_offer_is_read() -> None:
    assert read_body(body()) == Offer("one", SDP)
    check_sdp(SDP)


def test_candidates_are_read() -> None:
    assert read_body(candidate()) == Candidate("one", CANDIDATE, "0", 0)
    assert read_body(candidate(candidate="", usernameFragment="x")) == Candidate("one", "", "0", 0)
    nowhere = json.dumps({"webrtc_id": "one", "type": "ice-candidate", "candidate": {"candidate": ""}}).encode()
    assert read_body(nowhere) == Candidate("one", "", None, None)


async def test_what_aiortc_offers_is_accepted() -> None:
    peer = RTCPeerConnection()
    peer.addTransceiver("audio")
    peer.createDataChannel("events")
    await peer.setLocalDescription(await peer.createOffer())
    check_sdp(peer.localDescription.sdp)
    await peer.close()


@pytest.mark.parametrize(
    ("posted", "complaint"),
    [
        (b"", "not JSON"),
        (b"\xff", "not text"),
        (b"[]", "JSON object"),
        (b"{}", "offer"),
        (body(type="answer"), "offer"),
        (body(sdp=None), "no sdp"),
        (body(sdp=""), "no sdp"),
        (body(sdp=5), "no sdp"),
        (body(sdp=[SDP]), "no sdp"),
        (b'{"webrtc_id": "one", "type": "offer", "sdp": NaN}', "NaN"),
        (body(webrtc_id=5), "offer"),
        (body(webrtc_id=""), "visible ASCII"),
        (body(webrtc_id="x" * (MAX_ID_CHARACTERS + 1)), "visible ASCII"),
        (body(webrtc_id="two words"), "visible ASCII"),
        (body(webrtc_id="a\nWARNING: forged"), "visible ASCII"),
        (body(webrtc_id="é"), "visible ASCII"),
        (candidate(candidate="candidate:1 1 udp 1 10.0.0.1 1 typ host\nforged"), "candidate"),
        (candidate(candidate=CANDIDATE + " x" * 300), "candidate"),
        (candidate(candidate=5), "candidate"),
        (candidate(sdpMid=5), "candidate"),
        (candidate(sdpMid="x" * 100), "candidate"),
        (candidate(sdpMLineIndex="0"), "candidate"),
        (b'{"webrtc_id": "one", "type": "ice-candidate", "candidate": "x"}', "offer"),
    ],
)
def test_what_is_wrong_with_a_post_is_said(posted: bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        read_body(posted)


AUDIO = SDP[SDP.index("m=audio") : SDP.index("m=application")]


@pytest.mark.parametrize(
    ("sdp", "complaint"),
    [
        ("v=0 nonsense", "one audio track"),
        (SDP.replace("m=audio", "m=video"), "one audio track"),
        (SDP + AUDIO, "one audio track"),
        (SDP + AUDIO * 59, "lines|one audio track"),
        (SDP + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", "one audio track"),
        (SDP[: SDP.index("m=application")], "one audio track"),
        (SDP + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", "one audio track"),
        (SDP + f"a={CANDIDATE}\r\n" * (MAX_CANDIDATES + 1), "a=candidate:"),
        (SDP + f"a={CANDIDATE}\r\n" * 5000, "lines"),
        (SDP + "a=ssrc:1 cname:x\r\n" * MAX_SSRC_LINES, "a=ssrc:"),
        (SDP + "a=rtpmap:9 x/8000\r\n" * MAX_CODEC_LINES, "a=rtpmap:"),
        (SDP + "a=rtcp-fb:* nack\r\n" * (MAX_CODEC_LINES + 1), "a=rtcp-fb:"),
        (SDP + "\u2028".join(["a=rtcp-fb:* nack"] * (MAX_SDP_LINES + 1)), "lines"),
        (SDP.replace("a=mid:1\r\n", ""), "BUNDLE"),
        (SDP.replace("a=mid:1", "a=mid:7"), "BUNDLE"),
        (SDP.replace("BUNDLE 0 1", "BUNDLE 0"), "BUNDLE"),
        (SDP.replace("BUNDLE 0 1", "BUNDLE 7 0 1"), "BUNDLE"),
        (SDP.replace("BUNDLE 0 1", "BUNDLE 0 0"), "BUNDLE"),
        (SDP.replace("a=mid:1", "a=mid:0"), "BUNDLE"),
        (SDP.replace("a=group", "a=group:BUNDLE 0 1\r\na=group"), "BUNDLE"),
    ],
)
def test_what_is_wrong_with_a_description_is_said(sdp: str, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        check_sdp(sdp)


@given(st.text(), st.lists(st.sampled_from([*SDP.splitlines(), "m=audio", "m=", "a=group:BUNDLE", "a=mid:"])))
def test_no_description_raises_anything_else(text: str, lines: list[str]) -> None:
    for sdp in (text, "\n".join(lines)):
        try:
            check_sdp(sdp)
        except ProtocolError as error:
            assert str(error)


@given(
    st.binary()
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["offer", "ice-candidate"]), "webrtc_id": st.text()},
        optional={"sdp": st.none() | st.text() | st.integers(), "candidate": st.dictionaries(st.text(), st.text())},
    ).map(lambda fields: json.dumps(fields).encode())
)
def test_no_post_raises_anything_else(posted: bytes) -> None:
    try:
        read_body(posted)
    except ProtocolError as error:
        assert str(error)
