"""Who came and went, in numbers: sessions by door and by why they ended, and clients that were not let in.

The lobby keeps it; whoever wants to know reads it. A door is named as it names itself in `Lobby.admit`.
"""

from collections import Counter

from realtime.doors.transport import Ending


class Attendance:
    """The counts of one lobby.

    Attributes:
        started: sessions that began, by the door of their first connection.
        ended: of these, those that have ended, by door and reason.
        refused: clients that were not let in, by door and reason.
    """

    def __init__(self) -> None:
        self.started: Counter[str] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self._present: Counter[str] = Counter()

    def present(self, door: str) -> int:
        """How many sessions of a door are in progress."""
        return self._present[door]

    def begin(self, door: str) -> None:
        """Counts a session that begins."""
        self.started[door] += 1
        self._present[door] += 1

    def end(self, door: str, ending: Ending | None) -> None:
        """Counts the end of a session; one that nobody gave a reason for was left."""
        self.ended[door, (ending or Ending.LEFT).name.lower()] += 1
        self._present[door] -= 1

    def refuse(self, door: str, why: str) -> None:
        """Counts a client that was not let in."""
        self.refused[door, why] += 1
