"""Who waits for a place, in the order in which they came; pure: no clock, no wire.

The first has position 1 and is asked first. Whoever leaves, from wherever in the queue, moves all behind forward. The
queue is bounded; who finds it full is refused. Read `places.py` for when somebody is let in, `visit.py` for who waits.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

Visitor = TypeVar("Visitor")


class PlaceQueue(Generic[Visitor]):
    """Visitors, first come first served.

    Args:
        max_waiting: so many may wait; 0: nobody.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._visitors: dict[Visitor, None] = {}  # a dict keeps the order

    def __len__(self) -> int:
        return len(self._visitors)

    def __contains__(self, visitor: object) -> bool:
        return visitor in self._visitors

    @property
    def has_room(self) -> bool:
        """Whether one more may wait."""
        return len(self._visitors) < self._max_waiting

    def join(self, visitor: Visitor, *, at_front: bool = False) -> None:
        """Takes a visitor at the end of the queue, or at its front.

        Args:
            visitor: who waits; nobody waits twice.
            at_front: it had been promised a place before all who wait.

        Raises:
            ValueError: there is no room.
        """
        if not self.has_room:
            raise ValueError(f"{len(self._visitors)} wait already; ask `has_room` before")
        if at_front:
            self._visitors = {visitor: None, **self._visitors}
        else:
            self._visitors[visitor] = None

    def leave(self, visitor: Visitor) -> None:
        """Forgets a visitor, if it waits."""
        self._visitors.pop(visitor, None)

    def positions(self) -> Iterator[tuple[int, Visitor]]:
        """Gives everybody who waits with the position, from 1 on."""
        return enumerate(tuple(self._visitors), start=1)
