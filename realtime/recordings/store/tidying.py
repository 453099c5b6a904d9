"""Looks after a store while a server runs: deletes what is too old, at the start and once a day, and closes it.

Read `deleting.py` for what is deleted.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from realtime.recordings.store.deleting import DAY_S, delete_older
from realtime.recordings.store.errors import StoreError
from realtime.recordings.store.writer import StoreWriter

logger = logging.getLogger(__name__)


@asynccontextmanager
async def looked_after(writer: StoreWriter | None, days: float | None) -> AsyncIterator[None]:
    """Keeps a store tidy until the block ends, and closes it then.

    Args:
        writer: of the store; None: there is none.
        days: older conversations are deleted; None: none are.
    """
    if writer is None:
        yield
        return
    tidying = None if days is None else asyncio.create_task(_tidy(writer, days), name="tidying of the store")
    try:
        yield
    finally:
        if tidying is not None:
            tidying.cancel()
            await asyncio.wait([tidying])
        await writer.close()


async def _tidy(writer: StoreWriter, days: float) -> None:
    def delete() -> None:
        n_deleted = delete_older(writer.store, days)
        if n_deleted:
            logger.info("%d conversations that were older than %g days are deleted", n_deleted, days)

    while True:
        try:
            await writer.run(delete)
        except StoreError as error:
            logger.error("what is older than %g days is not deleted yet: %s", days, error)
        await asyncio.sleep(DAY_S)
