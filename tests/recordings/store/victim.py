"""Processes that store sessions until somebody kills them: `python -m tests.recordings.store.victim`.

Each line that it reads is the address of a store, the folder of its sound, and how many children it is to make; so
imports, which take seconds, are done once. It names the children. Each plays a scripted session, and says after each
turn what has been confirmed: how many turns, and how many samples were heard. When all are dead, it says so.
"""

import asyncio
import os
import sys
from pathlib import Path

from models.scripted import ScriptedModel
from realtime.recordings.store.database import open_store
from realtime.recordings.store.stored_session import StoredSession
from realtime.recordings.store.writer import StoreWriter
from tests.session.conversing import conversing, loud, quiet


def say(line: str) -> None:
    """Says something in one piece: others say something at the same time."""
    os.write(1, f"{line}\n".encode())


def answer(number: int) -> str:
    """What is answered to the n-th turn, from 0."""
    return f"This is kumquat number {number}."


async def talk(address: str, sounds: Path) -> None:
    """Talks for ever."""
    stored = StoredSession(StoreWriter(open_store(address, sounds)), lambda message, _: say(message))
    model = ScriptedModel([[answer(number)] for number in range(1000)], transcripts=["What is a quince?"] * 1000)
    n_samples = 0
    async with conversing(model, taps=[stored]) as conversation:
        say(f"begun {stored.id}")
        for number in range(1000):
            for piece in (loud(0.5), quiet(1.5), quiet(1.5)):
                await conversation.hear(piece)
                n_samples += len(piece)
            await conversation.until("response.done", number + 1)
            assert await stored.confirmed()
            say(f"confirmed {stored.id} {number + 1} {n_samples}")


def main() -> None:
    """Makes children for each line."""
    say("ready")
    while line := sys.stdin.readline():
        address, sounds, n_children = line.rstrip("\n").split("\t")
        children = [child for _ in range(int(n_children)) if (child := fork(address, Path(sounds)))]
        for child in children:
            os.waitpid(child, 0)
        say("dead")


def fork(address: str, sounds: Path) -> int:
    """Makes a child, which talks."""
    child = os.fork()
    if child == 0:
        say(f"child {os.getpid()}")
        asyncio.run(talk(address, sounds))
        os._exit(0)
    return child


if __name__ == "__main__":
    main()
