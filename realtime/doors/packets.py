"""The order of audio packets, and what is missing between them: what stands between the network and a peer's voice.

aiortc has no setting for its own buffer; `hear_at_once` puts `PacketOrder` in its place. Read `webrtc.py` for where.
"""

from fractions import Fraction

from aiortc import RTCPeerConnection
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_add
from av import AudioFrame

from realtime.hearing.audio import CaptureCounters

WAITING_PACKETS = 3  # of 20 ms each, while one before them may still come
MAX_LATE_PACKETS = 100  # one further behind begins a new count
MAX_LOST_PACKETS = 3000  # a minute; one further ahead begins a new count
MAX_HURRY_S = 1.0  # by which timestamps may run ahead of the clock, after a stall; beyond it they are not believed


class PacketOrder:
    """Hands on audio packets in their order as they come.

    aiortc's own buffer holds back 80 ms, so that audio plays smoothly. Nobody plays it here. After one lost packet it
    holds back 300 ms, and keeps to that. This one holds back nothing at first. It keeps 20 ms back after two packets
    have changed places, and 40 ms after one is lost, because aiortc takes one packet for each that comes.

    Args:
        counters: where packets that never came, or too late, are counted.
    """

    def __init__(self, counters: CaptureCounters) -> None:
        self._counters = counters
        self._next: int | None = None  # sequence number
        self._early: dict[int, RtpPacket] = {}

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Takes a packet as aiortc's receiver gives it: whether a key frame is needed, and the next packet's audio."""
        if self._next is None:
            self._next = packet.sequence_number
        if 0 < uint16_add(self._next, -packet.sequence_number) <= MAX_LATE_PACKETS:  # given up, or there before
            self._counters.late_packets += 1
            return False, None
        self._early[packet.sequence_number] = packet
        if self._next not in self._early:
            if len(self._early) < WAITING_PACKETS:
                return False, None
            behind = self._next
            self._next = min(self._early, key=lambda number: uint16_add(number, -behind))
            missing = uint16_add(self._next, -behind)
            self._counters.lost_packets += missing if missing <= MAX_LOST_PACKETS else 0
        first = self._early.pop(self._next)
        self._next = uint16_add(self._next, 1)
        return False, JitterFrame(first._data, first.timestamp)


class FrameGaps:
    """Finds the silence that a sender left out, by the timestamps of what it sent."""

    def __init__(self) -> None:
        self._end_s: Fraction | None = None  # of the frame before, by its timestamp
        self._began_s = 0.0  # when the first one came, on our clock
        self._passed_s = 0.0  # since then, on the sender's clock, as far as it is believed

    def missing_s(self, frame: AudioFrame, now_s: float) -> float:
        """Gives the seconds between the frame before and this one, no more than have gone by; 0: it follows at once.

        Args:
            frame: decoded.
            now_s: wall time.
        """
        if frame.pts is None or frame.time_base is None:
            return 0.0
        start_s, duration_s = frame.pts * frame.time_base, Fraction(frame.samples, frame.sample_rate)
        if self._end_s is None:
            self._end_s, self._began_s = start_s, now_s
        believed_s = max(0.0, now_s - self._began_s + MAX_HURRY_S - self._passed_s)
        gap_s = min(max(0.0, float(start_s - self._end_s)), believed_s)
        self._end_s = start_s + duration_s
        self._passed_s += gap_s + float(duration_s)
        return gap_s


def hear_at_once(peer: RTCPeerConnection, counters: CaptureCounters) -> None:
    """Has the audio that a peer sends go through `PacketOrder`; aiortc has no setting for it."""
    for transceiver in peer.getTransceivers():
        if transceiver.kind == "audio":
            transceiver.receiver._RTCRtpReceiver__jitter_buffer = PacketOrder(counters)
