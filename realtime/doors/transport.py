"""What a door brings to the lobby: the way back to its client, and the reasons for which that way ends.

Read `visit.py` for what is sent over it, `websocket.py` for the simplest one.
"""

import asyncio
import enum
import logging
from typing import Protocol

from models.types import Samples
from realtime.events import SessionEvent

logger = logging.getLogger(__name__)


class Ending(enum.Enum):
    """Why a visit, or a session, ends."""

    LEFT = "the client has left"
    LATE = "the session did not begin in time"
    FAILED = "the session failed"
    SENT_AWAY = "the server ends it; the client was told why"
    FULL = "no place was free when it began; the client was told so"
    MOVED = "another connection goes on with its session; the client was told so"
    GAVE_WAY = "its client was away, and a newcomer needed the place"


class Transport(Protocol):
    """The way back to a client."""

    async def send(self, event: SessionEvent, sequence: int) -> None:
        """Sends one event with its number in the session, 0 without one; raises whatever it likes once that fails."""
        ...

    async def play(self, response_id: str, samples: Samples) -> None:
        """Sends sound of an answer, (n_samples,) at `VOICE_RATE_HZ`, to follow what was sent; raises as `send` does."""
        ...

    async def close(self, ending: Ending) -> None:
        """Closes the connection; called once."""
        ...


async def finish(name: str, limit_s: float, *tasks: asyncio.Task[None]) -> None:
    """Waits for tasks that are to end now, whatever they do; what they raised is logged."""
    _, left = await asyncio.wait(tasks, timeout=limit_s)
    for task in tasks:
        if task in left:
            logger.warning("%s: %s does not end", name, task.get_coro())
            task.cancel()
        else:
            log_failure(name, task)


def log_failure(name: str, task: asyncio.Task[None]) -> None:
    """Logs what a task raised."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.warning("%s: %s: %s", name, type(error).__name__, error, exc_info=error)
