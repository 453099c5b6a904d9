"""Audio packets in their order."""

import pytest
from aiortc import RTCPeerConnection
from aiortc.rtp import RtpPacket

from realtime.doors.packets import PacketOrder, hear_at_once
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
