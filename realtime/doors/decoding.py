"""Decodes a peer's audio where it comes, on the event loop.

aiortc hands each packet to a thread and its sound back to the loop, where a relay, a queue and a second conversion
wait for it: ten times the work of decoding 20 ms. `decode_at_once` puts `Decoding` where aiortc's thread takes packets
from; the thread gets nothing but the end. What is spoken by one is decoded as mono, as we need it, where aiortc decodes
two channels. Read `packets.py` for the order of the packets, `guards.py` for how much may come.
"""

import asyncio
import logging
import queue
from collections.abc import Callable
from typing import Any

from aiortc import RTCPeerConnection, RTCRtpCodecParameters, RTCRtpReceiver
from aiortc.codecs import get_decoder
from aiortc.codecs.base import Decoder
from aiortc.codecs.opus import OpusDecoder
from aiortc.jitterbuffer import JitterFrame
from av import AudioFrame, FFmpegError

from realtime.hearing.audio import CaptureCounters

logger = logging.getLogger(__name__)

PACKET_S = 0.02  # as browsers send them
MAX_SAVED_S = 5.0  # of silence, whose audio may come at once after a stall: 15 ms of work

Take = Callable[[AudioFrame], None]
Encoded = tuple[RTCRtpCodecParameters, JitterFrame]


class Decoding:
    """Stands for the queue before aiortc's decoder: what is put into it is decoded at once, once `open` was called.

    Args:
        counters: where packets that cannot be decoded are counted.
        take: takes the sound: 16 bits, mono; does not raise.
        end: aiortc's own queue, whose thread ends the track.
    """

    def __init__(self, counters: CaptureCounters, take: Take, end: "queue.Queue[Encoded | None]") -> None:
        self._counters = counters
        self._take = take
        self._end = end
        self._waiting: list[Encoded] | None = []  # None: it is open
        self._codec_name = ""
        self._decoder: Decoder | None = None
        self._ahead_s = 0.0  # by which audio has come faster than it is spoken
        self._noted_s = 0.0  # when that was, on the loop's clock

    def open(self) -> None:
        """Decodes what has come so far; who decodes has somebody who listens from now on."""
        waiting, self._waiting = self._waiting or [], None
        for encoded in waiting:
            self._decode(*encoded)

    def put(self, encoded: Encoded | None) -> None:
        """Takes a packet, or the end."""
        if encoded is None:
            self._waiting = None
            self._decoder = None
            self._end.put(None)
        elif self._waiting is not None:
            self._waiting.append(encoded)
        else:
            self._decode(*encoded)

    def get(self) -> Encoded | None:
        """Gives the end to aiortc's thread, once it is there."""
        return self._end.get()

    def qsize(self) -> int:
        """Gives how many packets are too early: they wait, or have come faster than they are spoken."""
        if self._waiting is not None:
            return len(self._waiting)
        return max(0, round(self._note_time() / PACKET_S))

    def _decode(self, codec: RTCRtpCodecParameters, encoded: JitterFrame) -> None:
        try:
            for frame in self._decoder_of(codec).decode(encoded):
                assert isinstance(frame, AudioFrame)
                self._ahead_s = self._note_time() + frame.samples / frame.sample_rate
                self._take(frame)
        except FFmpegError as error:
            self._counters.failed_chunks += 1
            logger.info("a packet of audio cannot be decoded: %s", error)

    def _decoder_of(self, codec: RTCRtpCodecParameters) -> Decoder:
        if self._decoder is None or codec.name != self._codec_name:
            self._codec_name, self._decoder = codec.name, get_decoder(codec)
            if isinstance(self._decoder, OpusDecoder):
                self._decoder.codec.layout = "mono"
        return self._decoder

    def _note_time(self) -> float:
        now_s = asyncio.get_running_loop().time()
        self._ahead_s = max(-MAX_SAVED_S, self._ahead_s - (now_s - self._noted_s))
        self._noted_s = now_s
        return self._ahead_s


def decode_at_once(peer: RTCPeerConnection, counters: CaptureCounters, take: Take) -> list[Decoding]:
    """Has the audio that a peer sends decoded on the event loop; aiortc has no setting for it."""
    audio = [transceiver.receiver for transceiver in peer.getTransceivers() if transceiver.kind == "audio"]
    return [_put_before(receiver, counters, take) for receiver in audio]


def _put_before(receiver: RTCRtpReceiver, counters: CaptureCounters, take: Take) -> Decoding:
    given: Any = receiver
    decoding = Decoding(counters, take, given._RTCRtpReceiver__decoder_queue)
    given._RTCRtpReceiver__decoder_queue = decoding
    return decoding
