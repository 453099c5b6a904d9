"""A circuit breaker: a replica that keeps failing is left alone for a while, so that nobody waits for it in vain.

    closed ──(so many failures in a row)──► open ──(the rest is over)──► half-open: one trial
      ▲                                      ▲                             │          │
      └──────────────────────────────────────┼──────── it answers ─────────┘          │
                                             └──────── it fails ──────────────────────┘

Read `replicas.py` for who asks it.
"""

from collections.abc import Callable
from typing import Literal

BreakerState = Literal["closed", "open", "half-open"]


class Breaker:
    """Counts the failures of one replica.

    Args:
        failures_to_rest: so many in a row open it.
        rest_s: how long it then stays open, by the clock.
        now: gives the time, in seconds.
    """

    def __init__(self, failures_to_rest: int, rest_s: float, now: Callable[[], float]) -> None:
        self._failures_to_rest = failures_to_rest
        self._rest_s = rest_s
        self._now = now
        self._opened_s: float | None = None
        self._is_trying = False
        self.failures_in_row = 0

    @property
    def state(self) -> BreakerState:
        """What it is now."""
        if self._opened_s is None:
            return "closed"
        return "half-open" if self.resting_s == 0 else "open"

    @property
    def resting_s(self) -> float:
        """Until it may be tried again; 0 where it may."""
        return 0.0 if self._opened_s is None else max(0.0, self._opened_s + self._rest_s - self._now())

    @property
    def may_ask(self) -> bool:
        """Whether a request may be made: all is well, or it is time for a trial and none is under way."""
        return self.state == "closed" or (self.state == "half-open" and not self._is_trying)

    def begin(self) -> bool:
        """Notes a request; gives whether it is the trial."""
        is_trial = self.state == "half-open"
        self._is_trying = self._is_trying or is_trial
        return is_trial

    def leave(self, *, is_trial: bool) -> None:
        """Notes that a request is over, whatever became of it."""
        if is_trial:
            self._is_trying = False

    def succeed(self) -> None:
        """Notes that it answers."""
        self.failures_in_row, self._opened_s = 0, None

    def fail(self) -> None:
        """Notes a failure."""
        self.failures_in_row += 1
        if self._opened_s is not None or self.failures_in_row >= self._failures_to_rest:
            self._opened_s = self._now()
