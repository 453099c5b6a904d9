"""What is to be played of the answer under way, and how far that has come.

The session adds the sound of an answer and says when it plays and when it stops. Whoever has the connection takes what
is due, in real time and a little ahead, because a network is not even; what has been played is what is due without that
lead. It reaches the session through its inbox, so that a recording keeps what a decision was made on. What was sent
ahead and not played when the sound stops is thrown away by the client, and sent again if the answer goes on.
Read `speaking.py` for who fills it, `doors/playing.py` for who takes from it.
"""

import asyncio
from collections.abc import Callable

import numpy as np

from models.types import VOICE_RATE_HZ, Samples
from realtime.inbox import Played

LEAD_S = 0.2  # sent ahead of what is played
REPORT_SAMPLES = VOICE_RATE_HZ * 60 // 1000  # between two reports


class Playout:
    """The sound of one answer at a time.

    Args:
        put: takes reports of how far it has come.

    Attributes:
        response_id: of the answer.
    """

    def __init__(self, put: Callable[[Played], None]) -> None:
        self.response_id = ""
        self._put = put
        self._number = 0
        self._samples: list[Samples] = []
        self._n_samples = self._sent = self._played = 0
        self._reported = -1  # nothing
        self._anchor_s: float | None = None  # when sample 0 would have been played, on the taker's clock
        self._playing = asyncio.Event()

    def begin(self, response_id: str, number: int) -> None:
        """Forgets what was played before; the sound of another answer comes."""
        self.stop()
        self.response_id, self._number = response_id, number
        self._samples = []
        self._n_samples = self._sent = self._played = 0

    def add(self, samples: Samples) -> None:
        """Adds what comes next of the answer, (n_samples,) at `VOICE_RATE_HZ`."""
        self._samples.append(samples)
        self._n_samples += len(samples)

    def play(self, from_sample: int = 0) -> None:
        """Plays from there on, until `stop`."""
        self._sent = self._played = from_sample
        self._reported = -1
        self._anchor_s = None
        self._playing.set()

    def stop(self) -> None:
        """Stops at once; what was taken and not played will not be played."""
        self._playing.clear()

    async def playing(self) -> None:
        """Waits until there may be something to take."""
        await self._playing.wait()

    def take(self, now_s: float) -> Samples:
        """Gives what is due for the client now, and reports what has been played.

        Args:
            now_s: wall time, of any origin.

        Returns:
            The next samples, (n_samples,); none while nothing is due.
        """
        if not self._playing.is_set():
            return np.zeros(0, np.float32)
        if self._anchor_s is None:
            self._anchor_s = now_s - self._played / VOICE_RATE_HZ
        clock = round((now_s - self._anchor_s) * VOICE_RATE_HZ)
        self._played = max(self._played, min(clock, self._sent))
        if clock > self._sent:  # there was nothing to send: what comes next is played when it comes
            self._anchor_s = now_s - self._sent / VOICE_RATE_HZ
            clock = self._sent
        start, self._sent = self._sent, max(self._sent, min(clock + round(LEAD_S * VOICE_RATE_HZ), self._n_samples))
        self._report()
        return self._between(start, self._sent)

    def _report(self) -> None:
        """Reports that the sound has begun, and from time to time how far it has come."""
        is_worth_it = self._played - self._reported >= REPORT_SAMPLES or self._played == self._n_samples
        if self._sent and self._played != self._reported and (self._reported < 0 or is_worth_it):
            self._reported = self._played
            self._put(Played(self._number, self._played))

    def _between(self, start: int, end: int) -> Samples:
        parts, at = [np.zeros(0, np.float32)], 0
        for samples in self._samples:
            if at < end and at + len(samples) > start:
                parts.append(samples[max(0, start - at) : end - at])
            at += len(samples)
        return np.concatenate(parts)
