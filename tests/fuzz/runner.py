"""Tries broken inputs in a child process, so that even a crash of native code is found and survived."""

import importlib
import itertools
import math
import multiprocessing
import pkgutil
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType

import tests.fuzz

MAX_CASE_S = 60.0  # then a case counts as one that hangs


@dataclass
class Outcome:
    """What became of the cases of one kind.

    Attributes:
        name: of the kind.
        tried: number of cases.
        failures: how often each kind of failure occurred, by the exception's name.
    """

    name: str
    tried: int = 0
    failures: Counter[str] = field(default_factory=Counter)


def find_kinds() -> dict[str, str]:
    """Finds the modules of the package that make cases: from their names to those of the modules."""
    names = [f"{tests.fuzz.__name__}.{module.name}" for module in pkgutil.iter_modules(tests.fuzz.__path__)]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    return {module.NAME: module.__name__ for module in modules if hasattr(module, "make_case")}


def fuzz(
    module: str,
    *,
    cases: int | None = None,
    seconds: float = math.inf,
    seed: int,
    folder: Path,
    progress: Callable[[float], object] = lambda _: None,
) -> Outcome:
    """Tries cases of one kind until there were enough, or the time is up.

    Args:
        module: the name of the kind's module.
        cases: how many; None: as many as there is time for.
        seconds: how long at most.
        seed: the same cases in the same order for the same seed.
        folder: where failing cases are kept, each with what went wrong beside it.
        progress: is told the seconds that each case took.
    """
    kind = importlib.import_module(module)
    outcome, worker = Outcome(kind.NAME), _Worker(module)
    began_s = last_s = time.monotonic()
    for case in itertools.islice(_cases(kind, seed), cases):
        if last_s - began_s >= seconds:
            break
        failure = worker.attempt(case)
        if failure is not None:
            outcome.failures[failure.splitlines()[-1].split(":")[0]] += 1
            path = folder / f"{kind.NAME}-{seed}-{outcome.tried}"
            path.with_suffix(".case").write_bytes(case)
            path.with_suffix(".txt").write_text(failure)
        if not worker.is_alive():
            worker = _Worker(module)
        outcome.tried += 1
        now_s = time.monotonic()
        progress(now_s - last_s)
        last_s = now_s
    worker.close()
    return outcome


def _cases(kind: ModuleType, seed: int) -> Iterator[bytes]:
    for number in itertools.count():
        yield kind.make_case(random.Random(f"{seed} {number}"))


class _Worker:
    """A child process that checks one case after the other.

    Args:
        module: the name of the kind's module.
    """

    def __init__(self, module: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_check_cases, args=(module, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def attempt(self, case: bytes) -> str | None:
        """Checks one case; gives what went wrong, the failure's name in the last line."""
        self._ours.send_bytes(case)
        try:
            if self._ours.poll(MAX_CASE_S):
                failure: str | None = self._ours.recv()
                return failure
        except (EOFError, ConnectionResetError):
            self._process.join()
            return f"crash: exit code {self._process.exitcode}"
        self._process.kill()
        self._process.join()
        return f"hang: no answer in {MAX_CASE_S:.0f} s"

    def is_alive(self) -> bool:
        """Whether the next case can be tried in it."""
        return self._process.is_alive()

    def close(self) -> None:
        """Ends the child."""
        self._ours.close()
        self._process.join()


def _check_cases(module: str, cases: Connection) -> None:
    check = importlib.import_module(module).check
    while True:
        try:
            case = cases.recv_bytes()
        except EOFError:
            return
        try:
            check(case)
        except BaseException:
            cases.send(traceback.format_exc().strip())
        else:
            cases.send(None)
