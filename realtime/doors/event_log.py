"""What a session has told its client, numbered from 1, for as long as somebody may ask for it again.

It keeps the newest events and drops older ones, so that a client that never reads cannot fill the memory. Who asks for
one that was dropped gets the oldest that is kept, and sees by its number how many are missing. Read `visit.py` for the
reader, `stay.py` for the writer.
"""

import asyncio
from collections import deque

from realtime.events import ConversationWindow, MessageAdded, MessageTranscribed, ResponseDone, SessionEvent

CHARACTER_BYTES = 4  # at most
WINDOW_MESSAGE_BYTES = WORD_BYTES = 250  # an object with a few numbers


class EventLog:
    """The events of one session, for any number of readers.

    Args:
        max_events: so many of the newest are kept.
        max_bytes: fewer, where they are long; the newest one in any case.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events, self._max_bytes = max_events, max_bytes
        self._kept: deque[SessionEvent] = deque()
        self._n_bytes = 0
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
        self._n_bytes += _size_of(event)
        while len(self._kept) > self._max_events or (self._n_bytes > self._max_bytes and len(self._kept) > 1):
            self._n_bytes -= _size_of(self._kept.popleft())
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


def _size_of(event: SessionEvent) -> int:
    """About how many bytes an event takes beyond those that all of them take; 0 for one that is short."""
    match event:
        case MessageAdded(text=text) | ResponseDone(text=text):
            return CHARACTER_BYTES * len(text)
        case MessageTranscribed(words=words):
            return WORD_BYTES * len(words)
        case ConversationWindow(messages=messages):
            return WINDOW_MESSAGE_BYTES * len(messages)
        case _:
            return 0
