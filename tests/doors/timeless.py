"""A loop on which waiting takes no time: its clock stands while anybody has something to do, and then jumps.

Limits have their real length, and are reached at once, but never because the machine is busy. Nothing that is waited
for may come from another thread or process: the clock does not wait for it.
"""

import asyncio
import selectors
from collections.abc import Coroutine


class _Selector(selectors.DefaultSelector):
    """Passes the time that it is asked to wait."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None:
            self.passed_s += max(0.0, timeout)
        return ready


class TimelessLoop(asyncio.SelectorEventLoop):
    """The loop."""

    def __init__(self) -> None:
        self._passing = _Selector()
        super().__init__(self._passing)

    def time(self) -> float:
        """Gives how many seconds have been waited for."""
        return self._passing.passed_s


def run_timeless(playing: Coroutine[object, object, None]) -> None:
    """Runs a coroutine on such a loop to its end."""
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        runner.run(playing)
