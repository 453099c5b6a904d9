"""A peer's audio is decoded on the event loop, as mono, once somebody listens."""

import queue
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCRtpCodecParameters
from aiortc.codecs import get_encoder
from aiortc.jitterbuffer import JitterFrame
from av import AudioFrame

from models.types import Samples
from realtime.doors.decoding import PACKET_S, Decoding, decode_at_once
from realtime.hearing.audio import CaptureCounters

OPUS = RTCRtpCodecParameters(mimeType="audio/opus", clockRate=48_000, channels=2, payloadType=96)
MU_LAW = RTCRtpCodecParameters(mimeType="audio/PCMU", clockRate=8_000, channels=1, payloadType=0)


def encode(codec: RTCRtpCodecParameters, sound: Samples) -> list[tuple[RTCRtpCodecParameters, JitterFrame]]:
    """Encodes float32 `(n_samples,)` at 48 kHz in two channels, 20 ms a packet."""
    encoder, packets = get_encoder(codec), []
    for start in range(0, len(sound), 960):
        pcm = np.repeat((sound[start : start + 960] * 32767).astype(np.int16), 2)
        frame = AudioFrame.from_ndarray(pcm[None], "s16", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        payloads, timestamp = encoder.encode(frame)
        packets += [(codec, JitterFrame(payload, timestamp)) for payload in payloads]
    return packets


def a_tone() -> Samples:
    """Gives a second of 440 Hz at 48 kHz."""
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.float32)


@pytest.mark.parametrize(("codec", "rate_hz"), [(OPUS, 48_000), (MU_LAW, 8_000)])
async def test_sound_is_decoded_as_mono_once_it_is_wanted(codec: RTCRtpCodecParameters, rate_hz: int) -> None:
    heard: list[AudioFrame] = []
    decoding = Decoding(CaptureCounters(), heard.append, queue.Queue())
    packets = encode(codec, a_tone())
    for packet in packets[:20]:
        decoding.put(packet)
    assert (len(heard), decoding.qsize()) == (0, 20)
    decoding.open()
    assert len(heard) == 20
    for packet in packets[20:]:
        decoding.put(packet)
    assert {(frame.layout.name, frame.format.name, frame.sample_rate) for frame in heard} == {("mono", "s16", rate_hz)}
    sound = np.concatenate([frame.to_ndarray().reshape(-1) for frame in heard])[-rate_hz // 2 :]
    spectrum = np.abs(np.fft.rfft(sound))
    assert abs(int(spectrum.argmax()) * rate_hz / len(sound) - 440) < 5
    assert np.sqrt(np.mean((sound / 32768.0) ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


async def test_what_comes_faster_than_it_is_spoken_is_told() -> None:
    decoding = Decoding(CaptureCounters(), lambda _: None, queue.Queue())
    decoding.open()
    packets = encode(OPUS, np.tile(a_tone(), 8))
    for packet in packets:
        decoding.put(packet)
    early = decoding.qsize() * PACKET_S
    assert 2 < early < 4, "8 s at once, of which 5 may be left from before"


async def test_a_packet_that_is_no_sound_is_counted_and_the_next_is_decoded() -> None:
    heard: list[AudioFrame] = []
    counters = CaptureCounters()
    decoding = Decoding(counters, heard.append, queue.Queue())
    decoding.open()
    first, *_, last = encode(OPUS, a_tone()[:9600])
    decoding.put(first)
    decoding.put((OPUS, JitterFrame(b"\xff\xff\xff\xff", 960)))
    decoding.put(last)
    assert (len(heard), counters.failed_chunks) == (2, 1)


async def test_the_end_reaches_the_thread_of_aiortc() -> None:
    peer = RTCPeerConnection()
    receiver: Any = peer.addTransceiver("audio").receiver
    (name,) = (name for name in vars(receiver) if name.endswith("decoder_queue"))
    before: queue.Queue[Any] = getattr(receiver, name)
    (decoding,) = decode_at_once(peer, CaptureCounters(), lambda _: None)
    assert getattr(receiver, name) is decoding
    decoding.put(None)
    assert before.get_nowait() is None
    await peer.close()
