"""What a person sees while weights are fetched: a bar on a terminal, and elsewhere, in a log, a line now and then.

All of it goes to stderr. Read `fetching.py` for the steps.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

LOG_EVERY_S = 10.0

Report = Callable[[float], None]  # is told how much is done, in the unit of the step's total


class Steps:
    """Shows one step after another.

    Args:
        console: where; stderr if not given.
        log_every_s: how often a step says how far it is where there is no terminal.
    """

    def __init__(self, console: Console | None = None, *, log_every_s: float = LOG_EVERY_S) -> None:
        self._console = console or Console(stderr=True)
        self._log_every_s = log_every_s

    def say(self, line: str) -> None:
        """Writes a line."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, what: str, total_bytes: float) -> Iterator[Report]:
        """Shows a step until the block ends; the block reports how many bytes are done."""
        with self._showing(what, total_bytes, DownloadColumn(), TransferSpeedColumn()) as report:
            yield report

    @contextmanager
    def preparing(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """Shows a step whose work is counted otherwise: the block reports what is done, and of how much."""
        with self._showing(what, 1.0, TextColumn("{task.percentage:.0f} %")) as report:
            yield lambda done, total: report(done / total)

    @contextmanager
    def _showing(self, what: str, total: float, *columns: ProgressColumn) -> Iterator[Report]:
        if not self._console.is_terminal:
            self.say(what)
            yield self._logging(what, total)
            return
        shown = (TextColumn("{task.description}", markup=False), BarColumn(), *columns, TimeRemainingColumn())
        with Progress(*shown, console=self._console) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=min(done, total))
            progress.update(task, completed=total)

    def _logging(self, what: str, total: float) -> Report:
        """Says the percentage, but not too often."""
        said_s = time.monotonic()

        def report(done: float) -> None:
            nonlocal said_s
            now_s = time.monotonic()
            if now_s - said_s >= self._log_every_s:
                said_s = now_s
                self.say(f"{what}: {min(done / total, 1):.0%}")

        return report


def bytes_in(folder: Path) -> int:
    """How many bytes lie in a folder, of which files and folders may come and go meanwhile."""
    total = 0
    for inner, _, names in os.walk(folder):  # which passes over folders that have gone; `rglob` raises
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(inner, name).stat().st_size
    return total


def gigabytes(n_bytes: float) -> str:
    """A size for people: "1.1 GB", "55 MB"."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
