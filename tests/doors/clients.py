"""Clients as users would write them: one over a WebSocket, one over WebRTC."""

import asyncio
import audioop
import base64
import fractions
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from websockets.asyncio.client import ClientConnection, connect

from models.types import SAMPLE_RATE_HZ, Samples

TICK_S = 0.02


class Client:
    """Remembers every event and says when."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.times_s: list[float] = []
        self._changed = asyncio.Condition()

    async def take(self, text: str | bytes) -> None:
        """Notes an event as it arrives."""
        async with self._changed:
            self.events.append(json.loads(text))
            self.times_s.append(asyncio.get_running_loop().time())
            self._changed.notify_all()

    def of(self, wire_type: str) -> list[dict[str, Any]]:
        """All events of a type so far."""
        return [event for event in self.events if event.get("type") == wire_type]

    async def until(self, wire_type: str, count: int = 1, timeout_s: float = 30) -> dict[str, Any]:
        """Waits until so many events of a type have come and gives the last."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: len(self.of(wire_type)) >= count)
        return self.of(wire_type)[count - 1]

    @property
    def resume(self) -> dict[str, Any]:
        """What it says to come back to its session."""
        numbers = [event["sequence"] for event in self.events if event.get("sequence")]
        return {"token": self.of("session.created")[-1]["resume_token"], "after": max(numbers, default=0)}

    def media(self, samples: Samples) -> Iterator[dict[str, Any]]:
        """Gives messages with mu-law audio, 20 ms each, of float32 `(n_samples,)` at 16 kHz."""
        step = round(TICK_S * SAMPLE_RATE_HZ)
        for start in range(0, len(samples), step):
            pcm = (samples[start : start + step] * 32767).astype(np.int16).tobytes()
            yield {"event": "media", "media": {"payload": base64.b64encode(audioop.lin2ulaw(pcm, 2)).decode()}}

    @property
    def sound(self) -> Samples:
        """What it has been given to play so far, float32 `(n_samples,)` at 24 kHz."""
        raise AssertionError("a client hears over its transport")

    async def say(self, samples: Samples) -> None:
        """Speaks in real time: float32 `(n_samples,)` at 16 kHz."""
        raise AssertionError("a client speaks over its transport")

    async def send(self, command: Any) -> None:
        """Sends one JSON command."""
        raise AssertionError("a client sends over its transport")

    async def type_text(self, text: str) -> None:
        """Sends a typed message and asks for the answer."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.send({"type": "conversation.item.create", "item": item})
        await self.send({"type": "response.create"})


class WebSocketClient(Client):
    """Speaks mu-law over FastRTC's WebSocket."""

    def __init__(self, websocket: ClientConnection) -> None:
        super().__init__()
        self.websocket = websocket

    @property
    def sound(self) -> Samples:
        """What came in events."""
        deltas = b"".join(base64.b64decode(event["delta"]) for event in self.of("response.output_audio.delta"))
        return (np.frombuffer(deltas, "<i2") / 32768).astype(np.float32)

    async def say(self, samples: Samples) -> None:
        """Speaks in real time."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        for message in self.media(samples):
            await self.send(message)
            due_s += TICK_S
            await asyncio.sleep(max(0.0, due_s - loop.time()))

    async def send_at_once(self, samples: Samples) -> None:
        """Sends what was said before as fast as the connection takes it."""
        for message in self.media(samples):
            await self.send(message)

    async def send(self, command: Any) -> None:
        """Sends one JSON message; text is sent as it is."""
        await self.websocket.send(command if isinstance(command, str) else json.dumps(command))


@asynccontextmanager
async def websocket_client(
    port: int,
    *,
    start: bool = True,
    query: str = "",
    greeting: str | None = "session.created",
    resume: dict[str, Any] | None = None,
) -> AsyncIterator[WebSocketClient]:
    """Connects, starts a session, waits for its first event and listens."""
    async with connect(f"ws://127.0.0.1:{port}/websocket/offer{query}") as websocket:
        client = WebSocketClient(websocket)

        async def listen() -> None:
            async for text in websocket:
                await client.take(text)

        listening = asyncio.create_task(listen())
        if start:
            resuming = {} if resume is None else {"resume": resume}
            await client.send({"event": "start", "websocket_id": "test", **resuming})
            if greeting:
                await client.until(greeting)
        try:
            yield client
        finally:
            await websocket.close()
            await asyncio.wait_for(asyncio.gather(listening, return_exceptions=True), 10)


class SpeakingTrack(MediaStreamTrack):
    """A microphone: 20 ms at 48 kHz, silence unless something is to be said.

    Attributes:
        packet_each_s: in silence, how often a packet is sent; the timestamps go on.
        loses_timestamps: a sender that suspends, and goes on counting where it stopped.
    """

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._pending = np.zeros(0, np.int16)
        self._position = 0
        self._began_s: float | None = None
        self.silent = asyncio.Event()
        self.packet_each_s = TICK_S
        self.loses_timestamps = False
        self._timestamp = 0

    def say(self, samples: Samples) -> None:
        """Queues float32 `(n_samples,)` at 16 kHz."""
        self._pending = np.concatenate((self._pending, np.repeat((samples * 32767).astype(np.int16), 3)))
        self.silent.clear()

    async def recv(self) -> AudioFrame:
        """Gives the next 20 ms when they are due."""
        loop = asyncio.get_running_loop()
        self._began_s = self._began_s or loop.time()
        await asyncio.sleep(max(0.0, self._began_s + self._position / 48_000 - loop.time()))
        samples, self._pending = self._pending[:960], self._pending[960:]
        if not len(self._pending):
            self.silent.set()
        frame = AudioFrame.from_ndarray(np.pad(samples, (0, 960 - len(samples)))[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._timestamp, fractions.Fraction(1, 48_000)
        step = 960 if len(self._pending) else round(self.packet_each_s * 48_000)
        self._position += step
        self._timestamp += 960 if self.loses_timestamps else step
        return frame


class WebRtcClient(Client):
    """Speaks Opus over WebRTC."""

    def __init__(self, track: SpeakingTrack, channel: Any) -> None:
        super().__init__()
        self.track, self.channel = track, channel
        self._frames: list[Samples] = []

    @property
    def sound(self) -> Samples:
        """What came on the track."""
        return np.concatenate([np.zeros(0, np.float32), *self._frames])

    async def hear(self, track: MediaStreamTrack) -> None:
        """Listens to a track until it ends."""
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                left = frame.to_ndarray().reshape(-1)[::2]  # of interleaved stereo at 48 kHz
                self._frames.append((left[::2] / 32768).astype(np.float32))

    async def say(self, samples: Samples) -> None:
        """Speaks in real time."""
        self.track.say(samples)
        await self.track.silent.wait()

    async def send(self, command: Any) -> None:
        """Sends one JSON command over the data channel."""
        self.channel.send(json.dumps(command))


@asynccontextmanager
async def webrtc_client(
    port: int,
    name: str = "peer",
    *,
    query: str = "",
    greeting: str | None = "session.created",
    resume: dict[str, Any] | None = None,
) -> AsyncIterator[WebRtcClient]:
    """Connects, waits for the session's first event and listens."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    track = SpeakingTrack()
    peer.addTrack(track)
    client = WebRtcClient(track, peer.createDataChannel("events"))
    listening: set[asyncio.Task[None]] = set()

    @client.channel.on("message")  # type: ignore[untyped-decorator]
    def _(text: str) -> None:
        task = asyncio.ensure_future(client.take(text))
        listening.add(task)
        task.add_done_callback(listening.discard)

    @peer.on("track")  # type: ignore[untyped-decorator]
    def _(remote: MediaStreamTrack) -> None:
        task = asyncio.ensure_future(client.hear(remote))
        listening.add(task)
        task.add_done_callback(listening.discard)

    await peer.setLocalDescription(await peer.createOffer())
    body = {"sdp": peer.localDescription.sdp, "type": "offer", "webrtc_id": name}
    body |= {} if resume is None else {"resume": resume}
    try:
        async with httpx.AsyncClient() as http:
            answer = (await http.post(f"http://127.0.0.1:{port}/webrtc/offer{query}", json=body)).json()
        await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
        if greeting:
            await client.until(greeting)
        yield client
    finally:
        await peer.close()


async def no_sessions_left(port: int) -> None:
    """Waits until the server has ended all sessions."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for _ in range(600):
            if not (await http.get("/health")).json()["sessions"]:
                return
            await asyncio.sleep(0.05)
    raise AssertionError("sessions are left")
