"""Many clients of `bench_sessions` in one process of their own: they speak in turns, and ask how late the server is.

Each says a clip, is silent for as long as it takes to answer and a little more, and says the next one. Once a second it
asks its session for its numbers (`session.metrics`): the answer comes from the same inbox as the audio, behind all that
was sent before, so the time until it comes is how late a chunk is handled. Sound is encoded before, once for all.
For each line of JSON on standard input, `{"open": n}` or `{"measure": seconds}`, one comes back.
"""

import argparse
import asyncio
import audioop
import base64
import fractions
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aioice.ice
import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import connect

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.audio import to_int16
from realtime.hearing.files import read_audio_file

AUDIO_SUFFIXES = {".ogg", ".flac", ".wav", ".mp3", ".opus", ".m4a"}
MAX_CLIP_S = 6.0
SILENCE_S = 3.0  # after each clip: to be answered in, and to think
MESSAGE_SAMPLES = 512  # as the page sends them over a WebSocket
PACKET_S = 0.02  # as browsers send them over WebRTC
ASK_EVERY_S = 1.0
OPEN_AT_ONCE = 5
OPUS_BITS_PER_S = 32_000


def read_clips(folder: Path) -> list[Samples]:
    """Reads all recordings of a folder, each with the silence after it: float32 (n_samples,) at 16 kHz."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in AUDIO_SUFFIXES)
    silence = np.zeros(round(SILENCE_S * SAMPLE_RATE_HZ), np.float32)
    clips = [read_audio_file(path, max_s=600).samples[: round(MAX_CLIP_S * SAMPLE_RATE_HZ)] for path in paths]
    return [np.concatenate((clip, silence)) for clip in clips]


def as_messages(clip: Samples) -> list[str]:
    """Encodes a clip as the messages of a WebSocket."""
    pcm = to_int16(clip)
    payloads = [
        base64.b64encode(audioop.lin2ulaw(pcm[start : start + MESSAGE_SAMPLES].tobytes(), 2)).decode()
        for start in range(0, len(pcm), MESSAGE_SAMPLES)
    ]
    return [json.dumps({"event": "media", "media": {"payload": payload}}) for payload in payloads]


def as_packets(clip: Samples) -> list[bytes]:
    """Encodes a clip as Opus, 20 ms each."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    encoder.bit_rate, encoder.time_base = OPUS_BITS_PER_S, fractions.Fraction(1, 48_000)
    encoder.options = {"application": "voip", "frame_duration": "20"}
    packets: list[bytes] = []
    samples = np.repeat(to_int16(clip), 3)
    for number, start in enumerate(range(0, len(samples) - 959, 960)):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 960], "s16", "mono")
        frame.sample_rate, frame.pts = 48_000, number * 960
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


class Speaker:
    """One client: what it has asked and when, and the times until the answers came."""

    def __init__(self) -> None:
        self.lags_s: list[float] = []
        self.answers = 0
        self.is_lost = False
        self._asked_s: list[float] = []

    def ask(self) -> str:
        """Gives the question."""
        self._asked_s.append(time.monotonic())
        return '{"type": "session.metrics"}'

    def take(self, text: str | bytes) -> None:
        """Takes an event."""
        kind = json.loads(text).get("type")
        if kind == "session.metrics" and self._asked_s:
            self.lags_s.append(time.monotonic() - self._asked_s.pop(0))
        elif kind == "response.done":
            self.answers += 1

    def report(self) -> tuple[list[float], int]:
        """Gives the lags since the last report, with that of a question that still waits, and the answers."""
        waiting = [time.monotonic() - asked_s for asked_s in self._asked_s[:1]]
        lags_s, answers = [*self.lags_s, *waiting], self.answers
        self.lags_s, self.answers = [], 0
        return lags_s, answers


async def _speak_websocket(
    port: int, speaker: Speaker, sound: Iterator[str], opened: asyncio.Event, asks: bool
) -> None:
    async with connect(f"ws://127.0.0.1:{port}/websocket/offer", compression=None, ping_interval=None) as websocket:
        await websocket.send(json.dumps({"event": "start", "websocket_id": os.urandom(6).hex()}))

        async def listen() -> None:
            async for text in websocket:
                speaker.take(text)

        listening = asyncio.create_task(listen())
        opened.set()
        due_s, ask_s = time.monotonic(), time.monotonic() + ASK_EVERY_S
        while not listening.done():
            await websocket.send(next(sound))
            due_s += MESSAGE_SAMPLES / SAMPLE_RATE_HZ
            if asks and due_s > ask_s:
                ask_s += ASK_EVERY_S
                await websocket.send(speaker.ask())
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))


class PacketTrack(MediaStreamTrack):
    """A microphone whose sound is encoded already."""

    kind = "audio"

    def __init__(self, sound: Iterator[bytes]) -> None:
        super().__init__()
        self._sound = sound
        self._number = 0
        self._began_s = time.monotonic()

    async def recv(self) -> av.Packet:
        """Gives the next 20 ms when they are due."""
        await asyncio.sleep(max(0.0, self._began_s + self._number * PACKET_S - time.monotonic()))
        packet = av.Packet(next(self._sound))
        packet.pts, packet.time_base = self._number * 960, fractions.Fraction(1, 48_000)
        self._number += 1
        return packet


async def _speak_webrtc(port: int, speaker: Speaker, sound: Iterator[bytes], opened: asyncio.Event, asks: bool) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    channel = peer.createDataChannel("events")
    peer.addTrack(PacketTrack(sound))
    channel.on("message", lambda text: (opened.set(), speaker.take(text)))
    channel.on("open", opened.set)
    lost = asyncio.Event()
    channel.on("close", lost.set)
    await peer.setLocalDescription(await peer.createOffer())
    body = {"sdp": peer.localDescription.sdp, "type": "offer", "webrtc_id": os.urandom(6).hex()}
    async with httpx.AsyncClient(timeout=30, verify=False) as http:  # within this machine, without TLS
        answer = (await http.post(f"http://127.0.0.1:{port}/webrtc/offer", json=body)).json()
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    await asyncio.wait_for(opened.wait(), 20)
    while not lost.is_set():
        if asks:
            channel.send(speaker.ask())
        await asyncio.sleep(ASK_EVERY_S)


class Clients:
    """All clients of one server.

    Args:
        transport: "websocket" or "webrtc".
        port: of the server.
        clips: are said in turns.
        asks: the server is asked for its numbers; FastRTC's has none.
    """

    def __init__(self, transport: str, port: int, clips: list[Samples], *, asks: bool) -> None:
        self._transport, self._port, self._asks = transport, port, asks
        encode: Any = as_messages if transport == "websocket" else as_packets
        self._sounds: list[list[Any]] = [encode(clip) for clip in clips]
        self._speakers: list[Speaker] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, count: int) -> dict[str, Any]:
        """Opens so many more."""
        for start in range(0, count, OPEN_AT_ONCE):
            await asyncio.gather(*(self._open_one() for _ in range(min(OPEN_AT_ONCE, count - start))))
        return {"open": len(self._speakers)}

    async def _open_one(self) -> None:
        number, speaker, opened = len(self._speakers), Speaker(), asyncio.Event()
        self._speakers.append(speaker)
        order = [*self._sounds[number % len(self._sounds) :], *self._sounds[: number % len(self._sounds)]]
        sound = itertools.chain.from_iterable(itertools.cycle(order))
        for _ in range(number * 37 % 101):  # they do not speak all at once
            next(sound)
        speak: Any = _speak_websocket if self._transport == "websocket" else _speak_webrtc
        task = asyncio.create_task(speak(self._port, speaker, sound, opened, self._asks))
        self._tasks.append(task)
        waiting = asyncio.create_task(opened.wait())
        await asyncio.wait([task, waiting], timeout=20, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def measure(self, duration_s: float) -> dict[str, Any]:
        """Lets them speak, and gives what they saw, how late this process was itself, and what it cost."""
        for speaker in self._speakers:
            speaker.report()
        late_s, worked_s = [], time.process_time()
        began_s = time.monotonic()
        while (now_s := time.monotonic()) < began_s + duration_s:
            await asyncio.sleep(0.02)
            late_s.append(time.monotonic() - now_s - 0.02)
        reports = [speaker.report() for speaker in self._speakers]
        return {
            "lags_s": [lag_s for lags_s, _ in reports for lag_s in lags_s],
            "answers": sum(answers for _, answers in reports),
            "lost": sum(task.done() for task in self._tasks),
            "own_p95_s": float(np.percentile(late_s, 95)),
            "own_cpu": (time.process_time() - worked_s) / duration_s,
        }


async def main() -> None:
    """Does what the lines say."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sessions_clients", description=__doc__)
    parser.add_argument("transport", choices=("websocket", "webrtc"))
    parser.add_argument("port", type=int)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--silent", action="store_true", help="ask for nothing")
    options = parser.parse_args()
    aioice.ice.get_host_addresses = lambda *_, **__: ["127.0.0.1"]
    clients = Clients(options.transport, options.port, read_clips(options.clips), asks=not options.silent)
    print("{}", flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        order = json.loads(line)
        found = await (clients.open(order["open"]) if "open" in order else clients.measure(order["measure"]))
        print(json.dumps(found), flush=True)
    os._exit(0)  # hundreds of connections are not closed one by one


if __name__ == "__main__":
    asyncio.run(main())
