"""The audio track on which a WebRTC client hears answers: 20 ms at 48 kHz, silence between them.

A track runs all the time, so that the client's buffer knows the network before the first word comes.
Read `webrtc.py` for who adds it to a connection.
"""

import asyncio
import fractions

import numpy as np
import soxr
from aiortc import MediaStreamTrack
from av import AudioFrame

from models.types import VOICE_RATE_HZ, Samples
from realtime.hearing.audio import to_int16

RATE_HZ = 48_000  # Opus's own
FRAME_SAMPLES = 960  # 20 ms, one packet
MAX_LATE_S = 0.5  # of a loop that was held up; what is later than that is not caught up with


class Loudspeaker(MediaStreamTrack):  # type: ignore[misc]  # aiortc is not typed here
    """What a client hears; `play` and `hush` neither block nor raise."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._waiting = np.zeros(0, np.int16)
        self._resampler = soxr.ResampleStream(VOICE_RATE_HZ, RATE_HZ, 1)
        self._position = 0
        self._began_s: float | None = None

    def play(self, samples: Samples) -> None:
        """Adds what comes next, (n_samples,) at `VOICE_RATE_HZ`."""
        self._waiting = np.concatenate((self._waiting, to_int16(self._resampler.resample_chunk(samples))))

    def hush(self) -> None:
        """Drops what has not been sent."""
        self._waiting = np.zeros(0, np.int16)
        self._resampler = soxr.ResampleStream(VOICE_RATE_HZ, RATE_HZ, 1)

    async def recv(self) -> AudioFrame:
        """Gives the next 20 ms when they are due."""
        loop = asyncio.get_running_loop()
        self._began_s = loop.time() if self._began_s is None else self._began_s
        wait_s = self._began_s + self._position / RATE_HZ - loop.time()
        if wait_s < -MAX_LATE_S:
            self._began_s -= wait_s
        await asyncio.sleep(max(0.0, wait_s))
        samples, self._waiting = self._waiting[:FRAME_SAMPLES], self._waiting[FRAME_SAMPLES:]
        frame = AudioFrame.from_ndarray(np.pad(samples, (0, FRAME_SAMPLES - len(samples)))[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._position, fractions.Fraction(1, RATE_HZ)
        self._position += FRAME_SAMPLES
        return frame
