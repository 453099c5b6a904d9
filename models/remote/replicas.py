"""Several replicas of an engine: each dialogue stays on one, whose prefix cache then knows it, while it is well.

A new dialogue goes to the replica with the fewest requests; among equals each has its own by rendezvous hashing, which
sends it to the same one again after a restart. Read `breaker.py` for when a replica is left alone.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Sequence

from models.errors import GenerationFailed
from models.remote.replica import Replica

MAX_HOMES = 10_000  # dialogues whose replica is remembered; the hash finds most of the others' again


class Replicas:
    """Chooses a replica for each request.

    Args:
        replicas: at least one.
    """

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.all = tuple(replicas)
        self._homes: OrderedDict[str, Replica] = OrderedDict()

    def choose(self, dialogue: str, tried: Collection[Replica] = ()) -> Replica | None:
        """The replica that is to answer a dialogue next; None where none may be asked but those that were tried."""
        root = _root(dialogue)
        home = self._homes.get(root)
        if home is not None and home.breaker.may_ask and home not in tried:
            self._homes.move_to_end(root)
            return home
        able = [replica for replica in self.all if replica.breaker.may_ask and replica not in tried]
        if not able:
            return None
        chosen = min(able, key=lambda one: (one.breaker.failures_in_row > 0, one.in_flight, _rank(root, one.url)))
        self._homes[root] = chosen
        while len(self._homes) > MAX_HOMES:
            self._homes.popitem(last=False)
        return chosen

    def leave(self, dialogue: str) -> None:
        """Lets the dialogue's next request go to another replica."""
        self._homes.pop(_root(dialogue), None)

    def forget(self, dialogue: str) -> None:
        """Forgets a dialogue; not the one that another belongs to, such as a summary's."""
        if dialogue == _root(dialogue):
            self.leave(dialogue)

    def resting(self) -> GenerationFailed:
        """Says that all replicas are left alone."""
        soonest = min(self.all, key=lambda replica: replica.breaker.resting_s)
        wait_s = max(1.0, soonest.breaker.resting_s)
        which = "the engine" if len(self.all) == 1 else f"all {len(self.all)} replicas of the engine"
        failure = f"{which} failed {soonest.breaker.failures_in_row} times in a row; ask again in {wait_s:.0f} s"
        return GenerationFailed(failure, detail=f"{failure} (the last time: {soonest.last_failure})")


def _root(dialogue: str) -> str:
    """The dialogue that one belongs to: a summary has the same beginning as what it sums up."""
    return dialogue.partition("/")[0]


def _rank(dialogue: str, url: str) -> bytes:
    return hashlib.blake2b(f"{dialogue}\n{url}".encode(), digest_size=8).digest()
