"""How busy a process is: many answers at once, and provisional ones are the first thing given up.

One `AnswerLoad` is shared by the sessions of a process. Each session has a `LoadShare` of it, which tells the session
when the others leave room for work that may prove to be in vain, and when they no longer do.
Read `model_work.py` for what counts.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MAX_ANSWERS_WITH_SPECULATION = 4  # half of the engine's largest batch: the rest is for turns that have ended


class AnswerLoad:
    """Counts the answers being generated.

    Args:
        speculate_below: provisional answers may start while others generate fewer answers than this; 0 for never.
    """

    def __init__(self, speculate_below: int = MAX_ANSWERS_WITH_SPECULATION) -> None:
        if speculate_below < 0:
            raise ValueError(f"speculate_below is {speculate_below}; it must be 0 (never speculate) or more")
        self._speculate_below = speculate_below
        self._shares: weakref.WeakSet[LoadShare] = weakref.WeakSet()  # a session that never ran leaves nothing behind

    @property
    def running(self) -> int:
        """How many answers are being generated."""
        return sum(share.running for share in self._shares)

    def share(self, notify: Callable[[bool], None]) -> "LoadShare":
        """Gives a session its share.

        Args:
            notify: is told whether the session may speculate, each time that this changes; a session may at first.
        """
        share = LoadShare(self, notify)
        self._shares.add(share)
        self.update()
        return share

    def update(self) -> None:
        """Tells those sessions for which something has changed."""
        running = self.running
        for share in tuple(self._shares):
            share.tell(running - share.running < self._speculate_below)

    def remove(self, share: "LoadShare") -> None:
        """Takes back a share."""
        self._shares.discard(share)
        self.update()


class LoadShare:
    """One session's part of the load.

    Attributes:
        running: how many answers are being generated for the session.
    """

    def __init__(self, load: AnswerLoad, notify: Callable[[bool], None]) -> None:
        self.running = 0
        self._load = load
        self._notify = notify
        self._allows_speculation = True

    @property
    def allows_speculation(self) -> bool:
        """Whether there is room for work that may prove to be in vain."""
        return self._allows_speculation

    def tell(self, allows_speculation: bool) -> None:
        """Notifies the session if this is new."""
        if allows_speculation is not self._allows_speculation:
            self._allows_speculation = allows_speculation
            self._notify(allows_speculation)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Counts an answer while it is being generated."""
        self.running += 1
        self._load.update()
        try:
            yield
        finally:
            self.running -= 1
            self._load.update()

    def close(self) -> None:
        """Gives the share back."""
        self._load.remove(self)
