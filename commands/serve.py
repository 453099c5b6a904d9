"""`python app.py`: serves the page and all doors; at the first start it fetches the weights before, as `fetch` does."""

import argparse
import gc
import socket
import sys
from typing import TYPE_CHECKING

from commands.environment import TOKEN_SECRET
from commands.errors import UsageError
from commands.fetch import fetch
from commands.loading import (
    DEFAULT_MODEL,
    SMALLEST_MODEL,
    check_folder,
    load,
    load_call_voices,
    load_scorers,
    load_voice,
    options_that_cannot_be,
    session_options,
    weights_folder,
)
from commands.store import open_writer
from commands.tracing import open_tracing
from commands.zero_gpu import borrow_gpu, say_ready
from models.base import AudioLanguageModel, Voice
from models.errors import ModelUnavailable, WeightsMissing

if TYPE_CHECKING:
    from realtime.doors.keys import KeyFile
    from realtime.doors.turn_servers import TurnAccount
    from realtime.server_options import ServerOptions

TURN_VARIABLES = {"huggingface": ("HF_TOKEN",), "twilio": ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN")}


def serve(options: argparse.Namespace) -> None:
    """Serves the page and all doors until Ctrl-C or SIGTERM."""
    from realtime.server import Server, create_app

    server_options = _server_options(options)
    _check_port(options.host, options.port)
    check_folder(options.record)
    tracing = open_tracing(options.environment)
    if options.store_days is not None and not options.store:
        raise UsageError("--store-days: nothing is kept; give --store, too, or leave it out")
    store = open_writer(options)
    if options.zero_gpu:
        options.lend = borrow_gpu(options.port)
    model = _load_for_serving(options)
    if options.zero_gpu:
        say_ready()
    scorer, sound_scorer = load_scorers(options)
    app = create_app(
        model,
        session_options(options, model),
        server_options,
        scorer=scorer,
        sound_scorer=sound_scorer,
        voice=_load_or_fetch_voice(options),
        tracing=tracing,
        store=store,
        voices=load_call_voices(options),
    )
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    shown = f"[{shown}]" if ":" in shown else shown
    print(f"Earpiece is at http://{shown}:{options.port} (Ctrl-C ends it)", flush=True)
    gc.freeze()  # the garbage collector would look at all libraries again and again, 70 ms in which everybody waits
    Server(app, server_options).run()


def _server_options(options: argparse.Namespace) -> "ServerOptions":
    from realtime.server_options import ServerOptions

    minutes = options.max_session_minutes
    with options_that_cannot_be():
        return ServerOptions(
            host=options.host,
            port=options.port,
            allowed_origins=tuple(options.allow_origin),
            max_sessions=options.max_sessions,
            max_waiting=options.max_waiting,
            max_session_s=None if minutes is None else 60 * minutes,
            speculate_below=options.speculate_below,
            ice_servers=tuple(options.ice_servers),
            turn=_turn_account(options),
            record=options.record,
            max_upload_bytes=round(1e6 * options.max_upload_mb),
            store_days=options.store_days,
            answer_timeout_s=options.answer_timeout,
            keys=_keys(options),
            no_auth=options.no_auth,
            token_secret=options.environment.get(TOKEN_SECRET, "").strip() or None,
            rate_limit=options.rate_limit,
            max_sessions_per_key=options.max_sessions_per_key,
            trusted_proxies=tuple(options.trust_proxy),
            drain_limit_s=options.drain_seconds,
        )


def _keys(options: argparse.Namespace) -> "KeyFile | None":
    """The keys that people are asked for."""
    from realtime.doors.keys import KeyFile, KeyFileError

    try:
        return None if options.api_keys is None else KeyFile(options.api_keys)
    except KeyFileError as error:
        raise UsageError(f"--api-keys {error}") from error


def _turn_account(options: argparse.Namespace) -> "TurnAccount | None":
    """Whose relays are used; `options.environment` has what the environment says of it."""
    from realtime.doors.turn_servers import HuggingFaceTurn, TwilioTurn

    if options.turn == "none":
        return None
    values = [options.environment.get(name, "").strip() for name in TURN_VARIABLES[options.turn]]
    if missing := [name for name, value in zip(TURN_VARIABLES[options.turn], values, strict=True) if not value]:
        raise UsageError(f"--turn {options.turn} needs the environment variable {' and '.join(missing)}")
    return HuggingFaceTurn(*values) if options.turn == "huggingface" else TwilioTurn(*values)


def _load_for_serving(options: argparse.Namespace) -> AudioLanguageModel:
    """The model that was chosen; where none was and the default cannot be had, the smallest, with a word why."""
    if options.engine:
        return _load_or_fetch(options, None)
    try:
        return _load_or_fetch(options, options.model or DEFAULT_MODEL)
    except ModelUnavailable as error:
        if options.model is not None:
            raise
        why = error
    try:
        model = _load_or_fetch(options, SMALLEST_MODEL)
    except ModelUnavailable:
        raise why from None
    print(f"{SMALLEST_MODEL}, which knows little, answers instead of {DEFAULT_MODEL}: {why}", file=sys.stderr)
    return model


def _load_or_fetch(options: argparse.Namespace, name: str | None) -> AudioLanguageModel:
    """Loads a model, None for the engine's, and at its first start gets the weights that it needs before."""
    chosen = argparse.Namespace(**{**vars(options), "model": options.model if name is None else name})
    print(f"Loading {name} …" if name else "Asking the engine what it serves …", flush=True)
    try:
        return load(chosen)
    except WeightsMissing:
        print(f"The weights of {name or 'the ears'} are fetched first, once:", flush=True)
    fetch(chosen)
    return load(chosen)


def _load_or_fetch_voice(options: argparse.Namespace) -> Voice | None:
    """Loads what reads answers aloud, if that is wanted, and at its first start gets its weights before."""
    from models.voices.loading import fetch_voice

    try:
        return load_voice(options, options.voice)
    except WeightsMissing:
        print("The weights of the voice are fetched first, once:", flush=True)
    with weights_folder(options) as cache_dir:
        fetch_voice(cache_dir)
    return load_voice(options, options.voice)


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
