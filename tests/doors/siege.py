"""A server and a neighbour, each in a process of its own, around attacks that a test makes."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

RETURN_WITHIN_S = 10.0
COUNTED = ("places", "tasks", "threads", "descriptors", "memory_bytes")
SPARE = {"memory_bytes": 30_000_000}  # that may stay with the process: an allocator gives little back


class Answering:
    """A module of the tests in a process of its own, which answers each line with one of JSON.

    Args:
        module: its name.
        arguments: for it.
    """

    def __init__(self, module: str, *arguments: int) -> None:
        command = (sys.executable, "-m", f"tests.doors.{module}", *map(str, arguments))
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def read(self) -> Any:
        """Gives the next line."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ask(self) -> Any:
        """Asks for a line and gives it."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.read()

    def send_signal(self, number: int) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    def end(self) -> None:
        """Lets it end by itself, or makes it."""
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attack did.

    Attributes:
        late_s: how late the server's loop was at worst, in seconds of the clock.
        late_work_s: the same in seconds of its own work, which other processes on the machine do not disturb.
        neighbour_s: the longest that the neighbour waited for an event.
        returned_s: until everything was given back.
        more: what the server held at the end of the attack, less what it held before.
        left: what it did not give back; empty if it gave back everything.
    """

    late_s: float
    late_work_s: float
    neighbour_s: float
    returned_s: float
    more: dict[str, int]
    left: dict[str, int]


class Siege:
    """One server, one neighbour.

    Args:
        max_sessions: places, of which the neighbour has one.
        max_waiting: clients that may wait for one.
    """

    def __init__(self, max_sessions: int, max_waiting: int) -> None:
        self.server = Answering("measured_server", max_sessions, max_waiting)
        self.port: int = self.server.read()
        self.neighbour = Answering("neighbour", self.port)
        self.neighbour.ask()

    async def attack(self, attack: Callable[[int], Awaitable[None]]) -> Outcome:
        """Makes an attack, and waits until its traces have gone."""
        before = self.server.ask()
        self.neighbour.ask()
        await attack(self.port)
        neighbour_s, after = self.neighbour.ask(), self.server.ask()
        loop, now = asyncio.get_running_loop(), after
        began_s = loop.time()
        while (left := _more(before, now, SPARE)) and loop.time() - began_s < RETURN_WITHIN_S:
            await asyncio.sleep(0.25)
            now = self.server.ask()
        return Outcome(
            late_s=after["late_s"],
            late_work_s=after["late_work_s"],
            neighbour_s=neighbour_s,
            returned_s=loop.time() - began_s,
            more=_more(before, after, {}),
            left=left,
        )

    def end(self) -> None:
        """Ends both."""
        self.neighbour.end()
        self.server.end()


def _more(before: dict[str, Any], after: dict[str, Any], spare: dict[str, int]) -> dict[str, int]:
    differences = {name: after[name] - before[name] for name in COUNTED}
    return {name: more for name, more in differences.items() if more > spare.get(name, 0)}


@contextmanager
def siege(max_sessions: int = 4, max_waiting: int = 0) -> Iterator[Siege]:
    """Begins both and ends them."""
    under_attack = Siege(max_sessions, max_waiting)
    try:
        yield under_attack
    finally:
        under_attack.end()
