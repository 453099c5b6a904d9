"""A real server on a free port of this machine, in a thread."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from app import create_app
from models.base import AudioLanguageModel
from realtime.session import SessionOptions


@contextmanager
def serving(
    model: AudioLanguageModel, options: SessionOptions | None = None, *, max_sessions: int = 16
) -> Iterator[int]:
    """Serves until the block ends and gives the port."""
    app = create_app(model, options or SessionOptions(), max_sessions=max_sessions)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=2)
    )
    started = threading.Event()
    server.config.load()

    def run() -> None:
        started.set()
        server.run(sockets=[listener])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
