"""Blocking steps on threads of their own: what they give, raise, and what becomes of those that hang."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from models.errors import GenerationFailed, ModelStopped
from models.watch import StepWatch


async def test_a_step_gives_what_it_gives_and_raises_what_it_raises() -> None:
    watch = StepWatch("the listener", 5.0)
    assert await watch.run(lambda: "words") == "words"
    with pytest.raises(ZeroDivisionError):
        await watch.run(lambda: 1 // 0)
    with pytest.raises(TimeoutError, match="not ours"):
        await watch.run(_time_out)
    with pytest.raises(GenerationFailed, match=r"the listener failed: SystemExit\(1\)"):
        await watch.run(lambda: sys.exit(1))
    assert await watch.run(lambda: "more words") == "more words"


def _time_out() -> None:
    raise TimeoutError("not ours")


@pytest.mark.alone
async def test_who_comes_after_a_step_that_hangs_is_told_at_once_until_it_returns() -> None:
    watch, let_go = StepWatch("the listener", 0.2), threading.Event()
    with pytest.raises(ModelStopped, match="the listener has been in one step for 0 s; restart the server"):
        await asyncio.wait_for(watch.run(let_go.wait), 5)
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "the listener")
    n_threads, began_s = threading.active_count(), time.monotonic()
    for _ in range(100):
        with pytest.raises(ModelStopped):
            await watch.run(lambda: "words")
    assert time.monotonic() - began_s < 0.2
    assert threading.active_count() == n_threads, "no thread is lost to it"
    let_go.set()
    await asyncio.to_thread(thread.join, 5)
    assert await watch.run(lambda: "words") == "words"


async def test_a_step_can_be_cancelled_and_others_go_on() -> None:
    watch, let_go = StepWatch("the listener", 5.0), threading.Event()
    hanging = asyncio.create_task(watch.run(let_go.wait))
    assert await watch.run(lambda: "words") == "words"
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(hanging, 5)
    let_go.set()


def test_a_step_that_hangs_does_not_keep_the_process() -> None:
    program = """
import asyncio, threading
from models.errors import ModelStopped
from models.watch import StepWatch
try:
    asyncio.run(StepWatch("the listener", 0.1).run(threading.Event().wait))
except ModelStopped:
    print("stopped")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "stopped\n"
