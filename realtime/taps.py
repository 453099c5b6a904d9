"""What listens to a session without taking part: a recorder, a store, metrics, captions.

A tap is told what goes in and what comes out, in order, on the event loop; it must not block there. What it raises ends
the tap, not the session. Read `session.py` for where it is told, `recordings/recorder.py` for one.
"""

from typing import TYPE_CHECKING, Protocol

from models.types import ModelInfo
from realtime.events import SessionEvent
from realtime.inbox import InboxItem
from realtime.turns.actions import Action
from realtime.turns.observations import Observation
from realtime.turns.options import FloorOptions

if TYPE_CHECKING:
    from realtime.session import SessionOptions


class Tap(Protocol):
    """Listens to one session."""

    def start(self, session_id: str, model: ModelInfo, options: "SessionOptions", floor: FloorOptions) -> None:
        """Takes note of who talks to what, before anything else."""
        ...

    def take_item(self, item: InboxItem, now_s: float) -> None:
        """Takes note of what is about to be handled, and of the wall time that counts for it."""
        ...

    def take_decision(self, observation: Observation, actions: tuple[Action, ...]) -> None:
        """Takes note of what the floor was told and of what it asked for."""
        ...

    def take_event(self, event: SessionEvent) -> None:
        """Takes note of what the client is told."""
        ...

    async def close(self) -> None:
        """Ends; nothing comes after it."""
        ...
