"""What a session tells its client, until the client has read it. Read `events.py` for what that may be."""

import asyncio
from collections.abc import AsyncIterator

from realtime.events import SessionEvent

MAX_UNREAD_EVENTS = 4096  # a client that reads nothing for that long has gone


class Outbox:
    """Events for one reader."""

    def __init__(self) -> None:
        self._has_overflowed = False
        self._events: asyncio.Queue[SessionEvent | None] = asyncio.Queue(MAX_UNREAD_EVENTS)

    def put(self, event: SessionEvent) -> bool:
        """Adds an event, or loses it if the client leaves too many unread; whether this is the first one lost."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            is_first, self._has_overflowed = not self._has_overflowed, True
            return is_first
        return False

    def close(self) -> None:
        """Lets `events` end, even if nobody has read it for long."""
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(None)

    async def events(self) -> AsyncIterator[SessionEvent]:
        """Yields what was put, until it is closed."""
        while (event := await self._events.get()) is not None:
            yield event
