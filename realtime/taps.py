"""What listens to a session without taking part: a recorder, a store, metrics, captions.

A tap is told what goes in and what comes out, in order, on the event loop; it must not block there. What it raises ends
the tap, not the session. Read `session.py` for where it is told, `recordings/recorder.py` for one.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from models.types import ModelInfo, VoiceInfo
from realtime.events import SessionEvent
from realtime.inbox import InboxItem
from realtime.turns.actions import Action
from realtime.turns.observations import Observation
from realtime.turns.options import FloorOptions

if TYPE_CHECKING:
    from realtime.session import SessionOptions

logger = logging.getLogger(__name__)


class Tap(Protocol):
    """Listens to one session."""

    def start(
        self,
        session_id: str,
        model: ModelInfo,
        options: "SessionOptions",
        floor: FloorOptions,
        *,
        caption_languages: tuple[str, ...] | None,
        voices: tuple[VoiceInfo, ...],
    ) -> None:
        """Takes note of who talks to what, and of the ears and voices beside it, before anything else."""
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


class Taps:
    """The taps of one session, each told the same.

    Args:
        taps: what listens; one that raises is told nothing more.
        session_id: names the session in the log.
    """

    def __init__(self, taps: Sequence[Tap], session_id: str) -> None:
        self._taps = tuple(taps)
        self._listening = list(taps)
        self._session_id = session_id

    def start(
        self,
        model: ModelInfo,
        options: "SessionOptions",
        floor: FloorOptions,
        *,
        caption_languages: tuple[str, ...] | None,
        voices: tuple[VoiceInfo, ...],
    ) -> None:
        """Tells all who talks to what."""
        self._tell(
            lambda tap: tap.start(
                self._session_id, model, options, floor, caption_languages=caption_languages, voices=voices
            )
        )

    def take_item(self, item: InboxItem, now_s: float) -> None:
        """Tells all what is about to be handled."""
        self._tell(lambda tap: tap.take_item(item, now_s))

    def take_decision(self, observation: Observation, actions: tuple[Action, ...]) -> None:
        """Tells all what the floor decided."""
        self._tell(lambda tap: tap.take_decision(observation, actions))

    def take_event(self, event: SessionEvent) -> None:
        """Tells all what the client is told."""
        self._tell(lambda tap: tap.take_event(event))

    def stop(self) -> None:
        """Tells nobody anything more."""
        self._listening.clear()

    async def close(self) -> None:
        """Ends all, those that raised, too."""
        for tap in self._taps:
            try:
                await tap.close()
            except Exception:
                logger.exception("session %s: %s does not close", self._session_id, type(tap).__name__)

    def _tell(self, tell: Callable[[Tap], None]) -> None:
        for tap in tuple(self._listening):
            try:
                tell(tap)
            except Exception:
                logger.exception("session %s: %s fails and is told nothing more", self._session_id, type(tap).__name__)
                self._listening.remove(tap)
