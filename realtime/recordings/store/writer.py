"""The one thread that writes into a store, for all sessions of the process, so that no disk holds up a conversation.

What waits for it is bounded: sound beyond that is not taken, and what is said even then waits for a long while more;
both are told to whoever brings it, who counts it. What ends a session is always taken. Read `stored_session.py` for
what is written.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from realtime.recordings.store.database import Store
from realtime.recordings.store.errors import StoreError

logger = logging.getLogger(__name__)

MAX_WAITING_SAMPLES = 600 * 16_000  # of sound, of all sessions together: 38 MB
MAX_WAITING_JOBS = 20_000

Failed = Callable[[StoreError], None]


@dataclass(frozen=True, slots=True)
class _Job:
    write: Callable[[], None]
    failed: Failed
    n_samples: int = 0


class StoreWriter:
    """Writes into a store.

    Args:
        store: closed with this.

    Attributes:
        store: as given.
        live: the conversations of this process that go on.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.live: set[str] = set()
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting_samples = 0
        self._thread = threading.Thread(target=self._write_all, name="store", daemon=True)
        self._thread.start()

    def put(self, write: Callable[[], None], failed: Failed, *, n_samples: int = 0, is_last: bool = False) -> bool:
        """Has something written once all before it is.

        Args:
            write: does so, on the thread.
            failed: is told on the thread why it could not.
            n_samples: of sound in it.
            is_last: of its session; taken however much waits.

        Returns:
            Whether it is taken.
        """
        if not is_last and self._waiting.qsize() >= MAX_WAITING_JOBS:
            return False
        with self._lock:
            if n_samples and self._waiting_samples + n_samples > MAX_WAITING_SAMPLES:
                return False
            self._waiting_samples += n_samples
        self._waiting.put(_Job(write, failed, n_samples))
        return True

    async def run(self, work: Callable[[], None]) -> None:
        """Does something with the store between two things that are written; raises what it raises."""
        done: Future[None] = Future()

        def do() -> None:
            is_awaited = done.set_running_or_notify_cancel()  # the work is done, whether or not somebody still waits
            try:
                work()
            except BaseException as error:
                if not is_awaited:
                    raise
                done.set_exception(error)
            else:
                if is_awaited:
                    done.set_result(None)

        self.put(do, lambda _: None, is_last=True)
        await asyncio.wrap_future(done)

    async def close(self) -> None:
        """Ends once everything is written, and closes the store."""
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    # On the thread.

    def _write_all(self) -> None:
        while (job := self._waiting.get()) is not None:
            with self._lock:
                self._waiting_samples -= job.n_samples
            try:
                with self.store.understandable():
                    job.write()
            except StoreError as error:
                job.failed(error)
            except Exception:
                logger.exception("%s: a bug; what it was about is not stored", self.store.shown)
                job.failed(StoreError(f"{self.store.shown}: a bug, which the log describes"))
        self.store.close()
