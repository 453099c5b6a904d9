"""Watches steps that may never come back: a device that hangs, a native library that waits for itself.

A thread that hangs cannot be ended, and another one would hang beside it in the same model. So nobody waits for it
longer than a limit, and who comes later is told at once. If the step comes back after all, the model is well again.
Read `engine/engine.py` and `ears/whisper.py` for whose steps they are, `watched.py` for models that have no steps here.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from models.errors import GenerationFailed, ModelStopped

Result = TypeVar("Result")


class StepWatch:
    """Watches the steps of one part of a model; its methods may be called from any thread.

    Args:
        what: whose steps they are, as the error names it: "the engine".
        limit_s: a step that takes longer, in wall time, hangs.
    """

    def __init__(self, what: str, limit_s: float) -> None:
        self._what = what
        self._limit_s = limit_s
        self._began_s: dict[int, float] = {}  # of the steps under way
        self._numbers = itertools.count()
        self._is_over = False

    @contextmanager
    def step(self) -> Iterator[None]:
        """Counts the time of one step."""
        number = next(self._numbers)
        self._began_s[number] = time.monotonic()
        try:
            yield
        finally:
            del self._began_s[number]

    def end(self) -> None:
        """Says that no step will be taken any more."""
        self._is_over = True

    def check(self) -> None:
        """Looks whether steps can be taken.

        Raises:
            ModelStopped: one has been under way for longer than the limit, or there will be none any more.
        """
        if self._is_over:
            raise ModelStopped(f"{self._what} has ended; restart the server")
        now_s = time.monotonic()
        longest_s = now_s - min(tuple(self._began_s.values()), default=now_s)
        if longest_s >= self._limit_s:
            raise ModelStopped(f"{self._what} has been in one step for {longest_s:.0f} s; restart the server")

    async def wait(self, make: Callable[[], Awaitable[Result]]) -> Result:
        """Waits for what a step will give, for as long as steps come back.

        Args:
            make: begins to wait; called again, after a cancellation, each time that all proves to be well.

        Raises:
            ModelStopped: as `check` says, at most twice the limit after the step began.
        """
        while True:
            try:
                async with asyncio.timeout(self._limit_s) as timeout:
                    return await make()
            except TimeoutError:
                if not timeout.expired():
                    raise
                self.check()

    async def run(self, function: Callable[[], Result]) -> Result:
        """Runs one blocking step on a thread of its own, which is left behind if it hangs; raises what it raises.

        No pool is used: its threads would be lost one by one, and the process waits for them when it ends.
        """
        self.check()
        result: Future[Result] = Future()

        def run() -> None:
            try:
                with self.step():
                    value = function()
            except Exception as error:
                result.set_exception(error)
            except BaseException as error:  # a SystemExit would end the event loop that waits for it
                result.set_exception(GenerationFailed(f"{self._what} failed: {error!r}"))
            else:
                result.set_result(value)

        threading.Thread(target=run, name=self._what, daemon=True).start()
        arrived = asyncio.wrap_future(result)
        return await self.wait(lambda: asyncio.shield(arrived))
