"""The server in a process of its own, which counts what it holds.

For each line on its standard input it prints one JSON object: places, tasks, threads, descriptors and memory now, and
how late its loop was at worst since the line before. It ends when its standard input ends. Read `siege.py` for who
asks.
"""

import asyncio
import ctypes
import gc
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import aioice.ice

from models.scripted import ScriptedModel
from realtime.doors import webrtc, websocket
from realtime.server import Server, create_app
from realtime.server_options import ServerOptions
from realtime.session import SessionOptions

TICK_S = 0.005
LIBC = ctypes.CDLL(None)
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Lateness:
    """How late the loop was at worst, in seconds of the clock and of this thread's work."""

    def __init__(self) -> None:
        self.wall_s = self.work_s = 0.0

    async def watch(self) -> None:
        """Notes it for ever."""
        while True:
            due_s, worked_s = time.monotonic() + TICK_S, time.thread_time()
            await asyncio.sleep(TICK_S)
            self.wall_s = max(self.wall_s, time.monotonic() - due_s)
            self.work_s = max(self.work_s, time.thread_time() - worked_s)

    def take(self) -> dict[str, float]:
        """Gives the worst so far and begins anew."""
        taken = {"late_s": self.wall_s, "late_work_s": self.work_s}
        self.wall_s = self.work_s = 0.0
        return taken


def count(app: Any) -> dict[str, Any]:
    """Gives what the process holds now."""
    gc.collect()
    LIBC.malloc_trim(0)  # what is free does not count
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    health = app.state.lobby.health()
    return {
        "places": health["sessions"] + health["waiting"],
        "tasks": len(asyncio.all_tasks()),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "memory_bytes": resident_pages * PAGE_BYTES,
        "routes": [getattr(route, "path", "") for route in app.routes],
    }


def say(what: Any) -> None:
    """Prints one line of JSON."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def main(max_sessions: int, max_waiting: int) -> None:
    """Serves on a free port, which is the first line that it prints."""
    aioice.ice.get_host_addresses = lambda *_, **__: ["127.0.0.1"]  # there may be no other network
    websocket.START_TIMEOUT_S = 2.0
    webrtc.CONNECT_TIMEOUT_S = 3.0
    options = ServerOptions(max_sessions=max_sessions, max_waiting=max_waiting, drain_limit_s=2)
    model = ScriptedModel([["Yes", "."]])
    app = create_app(model, SessionOptions(), options)
    listener = socket.create_server((options.host, 0), backlog=1024)
    server = Server(app, options)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.1) for _ in range(32)))  # all threads that asyncio keeps
    gc.freeze()  # as `app.py` does
    lateness = Lateness()
    watching = asyncio.create_task(lateness.watch())
    say(listener.getsockname()[1])
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        await asyncio.sleep(2 * TICK_S)  # what is late now is noted first
        taken = lateness.take()
        model.requests.clear()  # which it keeps for tests
        counted = count(app)
        await asyncio.sleep(2 * TICK_S)
        lateness.take()  # counting takes time, too
        say(counted | taken)
    watching.cancel()
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
