"""Audio packets in their order."""

from fractions import Fraction

import pytest
from aiortc import RTCPeerConnection
from aiortc.rtp import RtpPacket
from av import AudioFrame

from realtime.doors.packets import FrameGaps, PacketOrder, hear_at_once
from realtime.hearing.audio import CaptureCounters


@pytest.mark.parametrize("first", [1, 0xFFFF - 5])
@pytest.mark.parametrize("jump", [30_000, -30_000])
def test_audio_packets_are_handed_on_as_they_come_and_in_order(first: int, jump: int) -> None:
    counters = CaptureCounters()
    order = PacketOrder(counters)

    def heard(*numbers: int) -> list[int]:
        found = []
        for number in numbers:
            packet = RtpPacket(sequence_number=(first + number) % 2**16, timestamp=number * 960)
            packet._data = bytes([number])  # type: ignore[attr-defined]  # as the receiver puts it there
            if (frame := order.add(packet)[1]) is not None:
                assert frame.timestamp == frame.data[0] * 960
                found.append(frame.data[0])
        return found

    assert heard(0, 1, 2) == [0, 1, 2]
    assert heard(4, 3, 5) == [3, 4], "one comes late"
    assert heard(7, 8, 6, 9) == [5, 6, 7], "another"
    assert heard(11, 12, 10, 12) == [8, 9, 10, 11], "and one twice"
    assert heard(14, 15, 16, 13) == [12, 14], "13 came too late"
    assert heard(60, 61, 62, 63) == [15, 16, 60, 61], "a gap"
    assert (counters.lost_packets, counters.late_packets) == (1 + 43, 1)
    first += jump
    assert heard(64, 65, 66, 67, 68) == [62, 63, 64, 65, 66], "a new count"
    assert counters.lost_packets == 1 + 43


async def test_audio_of_a_peer_goes_through_our_buffer() -> None:
    peer = RTCPeerConnection()
    receiver = peer.addTransceiver("audio").receiver
    (name,) = (name for name in vars(receiver) if name.endswith("jitter_buffer"))
    hear_at_once(peer, CaptureCounters())
    assert isinstance(getattr(receiver, name), PacketOrder)
    await peer.close()


def test_what_a_sender_left_out_is_found_by_its_timestamps() -> None:
    gaps = FrameGaps()

    def missing(timestamp: int, now_s: float, rate_hz: int = 48_000) -> float:
        frame = AudioFrame(format="s16", layout="mono", samples=rate_hz // 50)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, timestamp, Fraction(1, rate_hz)
        return round(gaps.missing_s(frame, now_s), 6)

    assert [missing(960 * number, 5 + number / 50) for number in range(3)] == [0, 0, 0]
    assert missing(960 * 23, 5.4) == 0.4, "20 packets"
    assert missing(960 * 24, 5.4) == 0
    assert missing(960 * 23, 5.4) == 0, "a packet that comes twice"
    assert missing(48_000 * 3600, 6.4) == 1.88, "timestamps that jump are believed as far as time has passed, and 1 s"
    assert missing(48_000 * 7200, 6.4) == 0
    assert missing(8_000 * 9000, 7.4, 8_000) == 0.96, "of another codec"
