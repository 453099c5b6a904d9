"""A real server on a free port of this machine, in a thread."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI

from models.base import AudioLanguageModel, Voice
from realtime.recordings.store.writer import StoreWriter
from realtime.server import Server, create_app
from realtime.server_options import ServerOptions
from realtime.session import SessionOptions
from realtime.telemetry.tracing import Tracing


@contextmanager
def serving(model: AudioLanguageModel, options: SessionOptions | None = None, **more: Any) -> Iterator[int]:
    """Serves until the block ends and gives the port; `more` options as `serving_app` has them."""
    with serving_app(model, options, **more) as (port, _):
        yield port


@contextmanager
def serving_app(
    model: AudioLanguageModel,
    options: SessionOptions | None = None,
    *,
    max_sessions: int = 16,
    max_waiting: int = 0,
    max_session_s: float | None = None,
    allowed_origins: tuple[str, ...] = (),
    answer_timeout_s: float = 60.0,
    voice: Voice | None = None,
    tracing: Tracing | None = None,
    store: StoreWriter | None = None,
    **more: Any,
) -> Iterator[tuple[int, FastAPI]]:
    """Serves until the block ends, gives the port and what is served; `more` options as `ServerOptions` has them."""
    server_options = ServerOptions(
        max_sessions=max_sessions,
        max_waiting=max_waiting,
        max_session_s=max_session_s,
        allowed_origins=allowed_origins,
        answer_timeout_s=answer_timeout_s,
        drain_limit_s=4,
        **more,
    )
    listener = socket.create_server((server_options.host, 0))
    app = create_app(model, options or SessionOptions(), server_options, voice=voice, tracing=tracing, store=store)
    server = Server(app, server_options)
    server.config.load()
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], app
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
