"""How busy a process is: many answers at once, and provisional ones are the first thing given up.

One `AnswerLoad` is shared by the sessions of a process. Read `session.py` for who asks.
"""

from collections.abc import Iterator
from contextlib import contextmanager

MAX_ANSWERS_WITH_SPECULATION = 4  # half of the engine's largest batch: the rest is for turns that have ended


class AnswerLoad:
    """Counts the answers being generated.

    Args:
        speculate_below: provisional answers may start while fewer answers than this are being generated; 0 for never.
    """

    def __init__(self, speculate_below: int = MAX_ANSWERS_WITH_SPECULATION) -> None:
        if speculate_below < 0:
            raise ValueError(f"speculate_below is {speculate_below}; it must be 0 (never speculate) or more")
        self._speculate_below = speculate_below
        self._running = 0

    @property
    def running(self) -> int:
        """How many answers are being generated."""
        return self._running

    @property
    def is_light(self) -> bool:
        """Whether there is room for work that may prove to be in vain."""
        return self._running < self._speculate_below

    def allows_speculation(self, making_way: int = 0) -> bool:
        """Whether one more answer may be started that might be retracted, if so many of those running stop for it."""
        return self._running - making_way < self._speculate_below

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Counts an answer while it is being generated."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
