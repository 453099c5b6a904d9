"""Takes a file that somebody sends into the store: first to the disk beside the sound, then a row and its own folder.

Whatever goes wrong on the way, no half of a file is ever taken for a recording. Read `work.py` for what comes next.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from realtime.archive.work import ORIGINAL
from realtime.recordings.recorder import make_private_folder
from realtime.recordings.store import rows
from realtime.recordings.store.stored_session import new_conversation_id
from realtime.recordings.store.writer import StoreWriter

PREFIX = "incoming-"
BLOCK_BYTES = 2**20
LEFT_BEHIND_S = 86_400.0  # after which a file that nobody finished is deleted
MAX_NAME_CHARACTERS = 200


async def take_in(
    writer: StoreWriter,
    blocks: AsyncIterator[bytes],
    *,
    model: str,
    name: str,
    owner: str,
    about: str,
    n_speakers: int | None,
) -> str:
    """Takes one file, and gives the id of the recording; there is work to be done on it then.

    Args:
        writer: of the store.
        blocks: of the file; what they raise ends it.
        model: that will take notes.
        name: of the recording.
        owner: whose it is; "" where nobody is asked for a key.
        about: what a person says of it.
        n_speakers: people in one channel who are to be told apart; 0: their number is to be found out; None: they are
            not.

    Raises:
        OSError: the disk is full, or cannot be written.
        StoreError: the database cannot be written.
    """
    started_s = time.time()
    recording = new_conversation_id(started_s)
    with _temporary(writer.store.sounds) as file:
        await _copy(blocks, file)

        def add() -> None:
            with writer.store.writing() as connection:
                rows.add_conversation(
                    connection,
                    recording,
                    model=model,
                    started_s=started_s,
                    kind="recording",
                    name=name[:MAX_NAME_CHARACTERS],
                    owner=owner,
                )
                rows.add_review(connection, recording, about=about, n_speakers=n_speakers)
                folder = writer.store.sounds / recording
                make_private_folder(folder)
                Path(file.name).rename(folder / ORIGINAL)  # before the row can be seen

        try:
            await writer.run(add)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, writer.store.sounds / recording, ignore_errors=True)
            raise
    return recording


def delete_what_is_left_behind(sounds: Path) -> None:
    """Deletes the halves of files that a server which died has left."""
    for path in sounds.glob(f"{PREFIX}*"):
        if time.time() - path.stat().st_mtime > LEFT_BEHIND_S:
            path.unlink(missing_ok=True)


@contextmanager
def _temporary(folder: Path) -> Iterator[IO[bytes]]:
    """Gives a file that goes away unless somebody gives it another name."""
    file = tempfile.NamedTemporaryFile(dir=folder, prefix=PREFIX, delete=False)  # noqa: SIM115  # it is renamed
    try:
        with file:
            yield file
    finally:
        Path(file.name).unlink(missing_ok=True)


async def _copy(blocks: AsyncIterator[bytes], file: IO[bytes]) -> None:
    waiting = bytearray()
    async for block in blocks:
        waiting += block
        if len(waiting) >= BLOCK_BYTES:
            await asyncio.to_thread(file.write, bytes(waiting))
            waiting.clear()
    await asyncio.to_thread(_end, file, bytes(waiting))


def _end(file: IO[bytes], rest: bytes) -> None:
    file.write(rest)
    file.flush()
    os.fsync(file.fileno())
