"""The end of a key: what it has begun ends within seconds after it was taken out of the file.

The file is looked at every second, for nobody may come meanwhile. A key is gone when two looks in a row do not find it:
an editor may have emptied the file, and be about to fill it. A file that cannot be read ends nothing.
Read `keys.py` for the file, `lobby.py` for who is sent away.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from realtime.doors.keys import KeyFile
from realtime.doors.lobby import Lobby

LOOK_EVERY_S = 1.0
KEY_REMOVED = "its key was removed"


@asynccontextmanager
async def ending_what_removed_keys_began(lobby: Lobby, keys: KeyFile | None) -> AsyncIterator[None]:
    """Looks at the file of keys, inside; where there are no keys, nothing is done."""
    looking = None if keys is None else asyncio.create_task(_look(lobby, keys), name="removed keys")
    try:
        yield
    finally:
        if looking is not None:
            looking.cancel()
            await asyncio.wait([looking])


async def _look(lobby: Lobby, keys: KeyFile) -> None:
    before = keys.owners
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        now = keys.owners
        lobby.send_away_all_but(now if now is before else now | before, KEY_REMOVED)
        before = now
