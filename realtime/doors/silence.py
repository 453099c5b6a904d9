"""Lets silence pass while a client sends no audio: a turn ends by hearing it.

A browser whose microphone is taken away, a phone that saves bytes in pauses, and a script that has played its file all
stop sending. Their silence is made here, second by second of wall time, for as long as a turn can wait for its end.
Audio that was only late comes after it, so no word is lost. Read `lobby.py` for who listens.
"""

import asyncio
from collections.abc import Callable

PATIENCE_S = 1.0  # after the newest audio: a network may stall as long, and Opus in silence sends a packet each 0.4 s
MAX_CHUNK_S = 3.0  # who sends so much at a time is waited for that much longer
STEP_S = 0.1
LONGEST_S = 30.0  # of silence; a turn has ended long before
LATE_S = 0.1  # a timer that is so late was held up, and so may be audio
SETTLED_S = 0.5  # of audio that followed at once: what passed before it was a stall, and no silence of the sender's


class PassingSilence:
    """The silence of one client.

    Args:
        add: takes silence, in seconds, as if the client had sent it.
    """

    def __init__(self, add: Callable[[float], None]) -> None:
        self._add = add
        self._loop = asyncio.get_running_loop()
        self._newest_s = 0.0  # when audio came last, on the loop's clock
        self._patience_s = PATIENCE_S
        self._added_s = 0.0  # since then
        self._unclaimed_s = 0.0  # of what was added, not yet known to be the sender's own silence
        self._followed_s = 0.0  # audio since something was added
        self._timer: asyncio.TimerHandle | None = None

    def note_audio(self, duration_s: float) -> None:
        """Audio came, so long a piece."""
        self._added_s, self._newest_s = 0.0, self._loop.time()
        self._patience_s = PATIENCE_S + min(duration_s, MAX_CHUNK_S)
        self._followed_s += duration_s
        if self._followed_s > SETTLED_S:
            self._unclaimed_s = 0.0
        if self._timer is None:
            self._wait()

    def claim(self, missing_s: float) -> float:
        """The sender was silent for so long before its next audio: gives how much of it has not passed yet."""
        passed_s = min(missing_s, self._unclaimed_s)
        self._unclaimed_s -= passed_s
        return missing_s - passed_s

    def stop(self) -> None:
        """Adds no more, until audio comes again or `resume`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def resume(self) -> None:
        """Goes on as if audio had come just now, if any has come at all."""
        if self._newest_s:
            self.note_audio(0.0)

    def _wait(self) -> None:
        due_s = self._newest_s + max(self._patience_s, self._added_s + STEP_S)
        self._timer = self._loop.call_at(due_s, self._pass, due_s)

    def _pass(self, due_s: float) -> None:
        self._timer = None
        now_s = self._loop.time()
        if now_s - due_s > LATE_S:
            self._timer = self._loop.call_at(now_s + STEP_S, self._pass, now_s + STEP_S)
            return
        silent_s = now_s - self._newest_s
        if silent_s >= self._patience_s:
            self._add(silent_s - self._added_s)
            self._unclaimed_s += silent_s - self._added_s
            self._added_s, self._followed_s = silent_s, 0.0
        if self._added_s < LONGEST_S:
            self._wait()
