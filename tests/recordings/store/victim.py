"""A process that stores sessions until somebody kills it: `python -m tests.recordings.store.victim ADDRESS SOUNDS`.

It makes a child for each line that it reads, because imports take seconds, and names the child. The child plays a
scripted session, and says after each turn what has been confirmed: how many turns, and how many samples were heard.
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


def answer(number: int) -> str:
    """What is answered to the n-th turn, from 0."""
    return f"This is kumquat number {number}."


async def talk(address: str, sounds: Path) -> None:
    """Talks for ever."""
    stored = StoredSession(StoreWriter(open_store(address, sounds)), lambda message, _: print(message, flush=True))
    model = ScriptedModel([[answer(number)] for number in range(1000)], transcripts=["What is a quince?"] * 1000)
    n_samples = 0
    async with conversing(model, taps=[stored]) as conversation:
        print(f"begun {stored.id}", flush=True)
        for number in range(1000):
            for piece in (loud(0.5), quiet(1.5), quiet(1.5)):
                await conversation.hear(piece)
                n_samples += len(piece)
            await conversation.until("response.done", number + 1)
            assert await stored.confirmed()
            print(f"confirmed {number + 1} {n_samples}", flush=True)


def main() -> None:
    """Makes a child for each line."""
    address, sounds = sys.argv[1], Path(sys.argv[2])
    print("ready", flush=True)
    while sys.stdin.readline():
        child = os.fork()
        if child == 0:
            print(f"child {os.getpid()}", flush=True)
            asyncio.run(talk(address, sounds))
        os.waitpid(child, 0)
        print("dead", flush=True)


if __name__ == "__main__":
    main()
