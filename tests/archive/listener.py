"""A process that works on one recording until somebody kills it: `python -m tests.archive.listener`.

Each line that it reads is the path of a store; so imports, which take seconds, are done once. It names the child that
brings a recording, or goes on with the one that is there. The child says each line that is in the store, and when it
is ready; when it is dead, the process says so.
"""

import asyncio
import os
import sys

from models.types import AudioClip, Transcript
from realtime.archive.archive import Archive
from realtime.archive.work import Progress
from realtime.load import AnswerLoad
from realtime.notes.minutes import Line
from realtime.recordings.store.database import open_store
from realtime.recordings.store.writer import StoreWriter
from tests.archive.bringing import Secretary, blocks_of, meeting


class Clock(Secretary):
    """Says of each clip how long it is, so that the words of a line are the same in every process."""

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        await asyncio.sleep(0.15)
        return Transcript(f"the tents take {clip.duration_s:.3f} seconds")


def say(line: str) -> None:
    """Says something in one piece."""
    os.write(1, f"{line}\n".encode())


async def listen(path: str) -> None:
    """Brings the recording, if it is not there, and tells how far it comes."""
    store = StoreWriter(open_store(path))
    archive = Archive(Clock(), AnswerLoad(), store=store)
    async with archive.working():
        heads = await archive.heads("")
        recording = heads[0].id if heads else await archive.receive("", "meeting.ogg", blocks_of(meeting()))
        say(f"brought {recording}")
        async for step in archive.watch("", recording):
            if isinstance(step, Line):
                say(f"line {step.text}")
            elif isinstance(step, Progress) and step.is_over:
                say(step.state)


def main() -> None:
    """Makes a child for each line."""
    say("begun")
    while path := sys.stdin.readline().rstrip("\n"):
        child = os.fork()
        if child == 0:
            say(f"child {os.getpid()}")
            asyncio.run(listen(path))
            os._exit(0)
        os.waitpid(child, 0)
        say("dead")


if __name__ == "__main__":
    main()
