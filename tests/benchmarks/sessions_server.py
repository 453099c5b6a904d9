"""A server for `bench_sessions`: ours with the scripted model, or a plain FastRTC handler; a process of its own.

The plain handler is what FastRTC's documentation shows, with the least in it that finds turns: it brings each frame of
32 ms to a Silero of its own (each connection has an ONNX session), and answers when speech is followed by 0.6 s of
silence. Both answer with the same words. Run: `python -m tests.benchmarks.sessions_server ours`; the port is printed.
"""

import argparse
import asyncio
import gc
import json
import socket
from importlib.util import find_spec
from pathlib import Path

import aioice.ice
import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from fastrtc import AsyncStreamHandler, Stream
from numpy.typing import NDArray

from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ
from realtime.hearing.audio import to_float32
from realtime.hearing.vad import SILERO_CONTEXT_SAMPLES, SILERO_FRAME_SAMPLES, VadOptions
from realtime.server import Server, create_app
from realtime.server_options import ServerOptions
from realtime.session import SessionOptions

MAX_SESSIONS = 400
ANSWER = [f"word{number} " for number in range(12)]
WORD_S = 0.02
SILENCE_FRAMES = round(0.6 * SAMPLE_RATE_HZ / SILERO_FRAME_SAMPLES)


class PlainHandler(AsyncStreamHandler):  # type: ignore[misc]  # FastRTC is not typed
    """Finds turns with a Silero of its own."""

    def __init__(self) -> None:
        super().__init__("mono", input_sample_rate=SAMPLE_RATE_HZ)
        spec = find_spec("silero_vad")
        assert spec is not None and spec.origin is not None
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        path = Path(spec.origin).parent / "data" / "silero_vad.onnx"
        self._silero = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._state = np.zeros((2, 1, 128), np.float32)
        self._window = np.zeros((1, SILERO_CONTEXT_SAMPLES + SILERO_FRAME_SAMPLES), np.float32)
        self._pending = np.zeros(0, np.float32)
        self._silent_frames: int | None = None  # since speech; None: nobody has spoken
        self._answers: set[asyncio.Task[None]] = set()

    def copy(self) -> "PlainHandler":
        """Makes the handler of one connection."""
        return PlainHandler()

    async def start_up(self) -> None:
        """Has nothing to prepare."""

    async def receive(self, frame: tuple[int, NDArray[np.int16]]) -> None:
        """Takes audio at 16 kHz."""
        self._pending = np.concatenate((self._pending, to_float32(frame[1].reshape(-1))))
        while len(self._pending) >= SILERO_FRAME_SAMPLES:
            samples, self._pending = self._pending[:SILERO_FRAME_SAMPLES], self._pending[SILERO_FRAME_SAMPLES:]
            self._decide(self._score(samples))

    async def emit(self) -> None:
        """Answers with text alone."""
        await asyncio.Event().wait()

    def _score(self, samples: NDArray[np.float32]) -> float:
        self._window = np.concatenate((self._window[:, -SILERO_CONTEXT_SAMPLES:], samples[None]), axis=1)
        inputs = {"input": self._window, "state": self._state, "sr": np.array(SAMPLE_RATE_HZ, np.int64)}
        probability, self._state = self._silero.run(None, inputs)
        return float(probability[0, 0])

    def _decide(self, score: float) -> None:
        if score >= VadOptions().onset:
            self._silent_frames = 0
        elif self._silent_frames is not None:
            self._silent_frames += 1
            if self._silent_frames == SILENCE_FRAMES:
                self._silent_frames = None
                answer = asyncio.create_task(self._answer())
                self._answers.add(answer)
                answer.add_done_callback(self._answers.discard)

    async def _answer(self) -> None:
        for word in ANSWER:
            await asyncio.sleep(WORD_S)
            await self.send_message(json.dumps({"type": "response.output_text.delta", "delta": word}))
        await self.send_message(json.dumps({"type": "response.done"}))


def main() -> None:
    """Serves on a free port until it is ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sessions_server", description=__doc__)
    parser.add_argument("kind", choices=("ours", "fastrtc"))
    options = parser.parse_args()
    aioice.ice.get_host_addresses = lambda *_, **__: ["127.0.0.1"]  # there may be no other network
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    if options.kind == "ours":
        server_options = ServerOptions(max_sessions=MAX_SESSIONS, drain_limit_s=1)
        app = create_app(ScriptedModel([ANSWER], word_s=WORD_S), SessionOptions(), server_options)
        server: uvicorn.Server = Server(app, server_options)
    else:
        app = FastAPI()
        Stream(PlainHandler(), modality="audio", mode="send", concurrency_limit=MAX_SESSIONS).mount(app)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws_per_message_deflate=False))
    print(listener.getsockname()[1], flush=True)
    gc.freeze()
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
