"""`python app.py`: serves the page and all doors."""

import argparse
import gc
import socket
import sys
from typing import TYPE_CHECKING

from commands.errors import UsageError
from commands.loading import (
    DEFAULT_MODEL,
    SMALLEST_MODEL,
    check_folder,
    load,
    load_scorer,
    load_voice,
    options_that_cannot_be,
    session_options,
)
from models.base import AudioLanguageModel
from models.errors import ModelUnavailable

if TYPE_CHECKING:
    from realtime.server import ServerOptions


def serve(options: argparse.Namespace) -> None:
    """Serves the page and all doors until Ctrl-C or SIGTERM."""
    from realtime.server import Server, create_app

    server_options = _server_options(options)
    _check_port(options.host, options.port)
    check_folder(options.record)
    model = _load_for_serving(options)
    app = create_app(
        model,
        session_options(options, model),
        server_options,
        scorer=load_scorer(options),
        voice=load_voice(options, options.voice),
    )
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    shown = f"[{shown}]" if ":" in shown else shown
    print(f"Earpiece is at http://{shown}:{options.port} (Ctrl-C ends it)", flush=True)
    gc.freeze()  # the garbage collector would look at all libraries again and again, 70 ms in which everybody waits
    Server(app, server_options).run()


def _server_options(options: argparse.Namespace) -> "ServerOptions":
    from realtime.server import ServerOptions

    minutes = options.max_session_minutes
    with options_that_cannot_be():
        return ServerOptions(
            host=options.host,
            port=options.port,
            allowed_origins=tuple(options.allow_origin),
            max_sessions=options.max_sessions,
            max_session_s=None if minutes is None else 60 * minutes,
            speculate_below=options.speculate_below,
            ice_servers=tuple(options.ice_servers),
            record=options.record,
            answer_timeout_s=options.answer_timeout,
        )


def _load_for_serving(options: argparse.Namespace) -> AudioLanguageModel:
    """The model that was chosen; where none was and the default cannot be loaded, the smallest, with a word why."""
    print(f"Loading {options.model or DEFAULT_MODEL} …", flush=True)
    try:
        return load(options)
    except ModelUnavailable as error:
        if options.model is not None:
            raise
        why = error
    try:
        model = load(argparse.Namespace(**{**vars(options), "model": SMALLEST_MODEL}))
    except ModelUnavailable:
        raise why from None
    print(f"{SMALLEST_MODEL}, which knows little, answers instead of {DEFAULT_MODEL}: {why}", file=sys.stderr)
    return model


def _check_port(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise UsageError(f"--host {host}: no such address ({error.strerror})") from error
    except OSError as error:
        raise UsageError(f"port {port} on {host} cannot be used ({error}); choose another with --port") from error
