"""What a session has told its client, numbered from 1, for as long as somebody may ask for it again.

It keeps the newest events and drops older ones, so that a client that never reads cannot fill the memory. Who asks for
one that was dropped gets the oldest that is kept, and sees by its number how many are missing. Read `visit.py` for the
reader, `stay.py` for the writer.
"""

import asyncio
from collections import deque

from realtime.events import SessionEvent


class EventLog:
    """The events of one session, for any number of readers.

    Args:
        max_events: so many of the newest are kept.
    """

    def __init__(self, max_events: int) -> None:
        self._kept: deque[SessionEvent] = deque(maxlen=max_events)
        self._last = 0
        self._is_closed = False
        self._changed = asyncio.Event()

    @property
    def last(self) -> int:
        """The number of the newest event; 0: there is none."""
        return self._last

    def add(self, event: SessionEvent) -> None:
        """Adds the next event."""
        self._kept.append(event)
        self._last += 1
        self._changed.set()

    def close(self) -> None:
        """Nothing will be added any more."""
        self._is_closed = True
        self._changed.set()

    async def next_after(self, number: int) -> tuple[int, SessionEvent] | None:
        """Waits for the first kept event behind a number.

        Returns:
            Its number and the event. The number is more than one higher where events between them were dropped. None:
            nothing comes any more.
        """
        while number >= self._last:
            if self._is_closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        first = self._last - len(self._kept) + 1
        found = max(number + 1, first)
        return found, self._kept[found - first]
