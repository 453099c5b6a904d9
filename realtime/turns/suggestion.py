"""One suggestion in a call: made on trial at a pause, kept at the end of the turn, or withdrawn.

    none ── suggest() ──► on trial ── keep() ──► kept ── finish() ──► none, stored
      │                      └── retract() ──► none    └── stop() ──► none, as far as it had come
      └── start() ──────────────────────────► kept

At most one is under way. Each method gives what is to be done, in order. Read `call_floor.py` for who calls.
"""

from collections.abc import Sequence

from realtime.turns.actions import (
    Action,
    CommitResponse,
    InterruptResponse,
    RetractResponse,
    StartProvisional,
    StartResponse,
    StoreResponse,
    TurnEnd,
)
from realtime.turns.events import TurnEvent


class Suggestion:
    """The suggestion under way, if there is one."""

    def __init__(self) -> None:
        self._is_under_way = self._is_provisional = False
        self._is_whole = False  # all of it has been generated

    @property
    def is_under_way(self) -> bool:
        """Whether there is one."""
        return self._is_under_way

    @property
    def is_provisional(self) -> bool:
        """Whether it may still be withdrawn."""
        return self._is_provisional

    def suggest(self, end: TurnEnd, last_voiced_sample: int) -> Sequence[Action]:
        """Begins one to a turn that may go on."""
        self._is_under_way = self._is_provisional = True
        return [StartProvisional((end,), end.speaker, last_voiced_sample)]

    def start(self, speaker: str, last_voiced_sample: int | None) -> Sequence[Action]:
        """Begins one to what has been said."""
        self._is_under_way = True
        return [StartResponse(speaker, last_voiced_sample)]

    def keep(self) -> Sequence[Action]:
        """The turn has ended: what was provisional counts."""
        self._is_provisional = False
        return [CommitResponse(), *self._store_if_whole()]

    def finish(self) -> Sequence[Action]:
        """All of it has been generated."""
        self._is_whole = self._is_under_way
        return self._store_if_whole()

    def retract(self) -> Sequence[Action]:
        """Withdraws it, if it is provisional."""
        return self._end([RetractResponse()]) if self._is_provisional else []

    def stop(self, cause: TurnEvent) -> Sequence[Action]:
        """Ends it where it is: what is provisional is withdrawn, what counts stays as far as it has come."""
        if self._is_provisional:
            return self.retract()
        return self._end([InterruptResponse(cause)]) if self._is_under_way else []

    def _store_if_whole(self) -> Sequence[Action]:
        is_done = self._is_under_way and self._is_whole and not self._is_provisional
        return self._end([StoreResponse()]) if is_done else []

    def _end(self, actions: Sequence[Action]) -> Sequence[Action]:
        self._is_under_way = self._is_provisional = self._is_whole = False
        return actions
