"""Front door: the command line and the launch.

`python app.py` serves the page, `ask` puts a question to a recording, `talk` plays clips through a whole session,
`fetch` gets a model's weights, `models` lists the models. This is the only module that reads the environment.
"""

import argparse
import asyncio
import json
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.base import AudioLanguageModel
from models.errors import ModelError
from models.registry import MODELS, find_model
from models.types import AudioClip, GenerationOptions, GenerationStats, Message, Samples, TextDelta
from realtime.audio import AudioFileError, read_audio_file

if TYPE_CHECKING:
    from fastapi import FastAPI

    from realtime.session import Session, SessionOptions

EXIT_OK, EXIT_USER_ERROR, EXIT_INTERRUPTED = 0, 2, 130


class UsageError(Exception):
    """Something the person at the command line can mend."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives the exit code: 0, or 2 with one line that says what to do."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    if options.verbose:
        for name in ("realtime", "models"):
            logging.getLogger(name).setLevel(logging.INFO)
    try:
        options.command(options)
    except (UsageError, ModelError, AudioFileError, ValueError) as error:
        print(f"earpiece: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--model", default="pocket", help="see `python app.py models` (default: %(default)s)")
    shared.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="converted weights (%(default)s)")
    shared.add_argument("--system-prompt", help="what the model is told to be")
    shared.add_argument("--max-new-tokens", type=int, default=256, help="longest answer (%(default)s)")
    shared.add_argument("--temperature", type=float, default=0.0, help="0 always gives the same answer (%(default)s)")
    shared.add_argument("-v", "--verbose", action="store_true", help="one line per turn on stderr")
    talking = argparse.ArgumentParser(add_help=False)
    talking.add_argument("--vad", default="silero", choices=("silero", "webrtc"), help="finds speech (%(default)s)")
    talking.add_argument(
        "--silence", type=float, default=0.6, metavar="S", help="ends a turn, in seconds (%(default)s)"
    )
    serving = argparse.ArgumentParser(add_help=False)
    serving.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for other machines too (%(default)s)")
    serving.add_argument("--port", type=int, default=7860, help="(%(default)s)")
    serving.add_argument("--max-sessions", type=int, default=16, help="people at one time (%(default)s)")
    serving.add_argument("--ice-servers", type=json.loads, default=[], metavar="JSON", help="STUN and TURN servers")

    parser = argparse.ArgumentParser(
        prog="python app.py",
        description="Speak, and read the answer while it is generated. Without a command it serves the page.",
        parents=[shared, talking, serving],
    )
    parser.set_defaults(command=serve)
    commands = parser.add_subparsers(title="commands", metavar="")
    one = commands.add_parser("ask", parents=[shared], help="put a question to a recording")
    one.add_argument("clip", help="any audio or video file")
    one.add_argument("prompt", help="the question")
    one.add_argument("--json", action="store_true", help="one JSON object instead of streamed text")
    one.set_defaults(command=ask)
    many = commands.add_parser(
        "talk", parents=[shared, talking], help="play clips through a whole session, print its events"
    )
    many.add_argument("clips", nargs="+", metavar="clip", help="any audio or video file")
    many.add_argument("--realtime", action="store_true", help="as fast as they were spoken, so that they can interrupt")
    many.set_defaults(command=talk)
    fetch_help = "get a model's weights, once; does nothing where they are"
    commands.add_parser("fetch", parents=[shared], help=fetch_help).set_defaults(command=fetch)
    commands.add_parser("models", parents=[shared], help="list the models").set_defaults(command=list_models)
    return parser


def default_cache_dir() -> Path:
    """Where weights are kept unless `--cache-dir` says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earpiece"


def _generation_options(options: argparse.Namespace) -> GenerationOptions:
    return GenerationOptions(max_new_tokens=options.max_new_tokens, temperature=options.temperature)


# ---- serve ----


def serve(options: argparse.Namespace) -> None:
    """Serves the page, WebRTC and WebSocket until Ctrl-C."""
    import uvicorn

    _check_port(options.host, options.port)
    print(f"Loading {options.model} …", flush=True)
    model = find_model(options.model).load(options.cache_dir)
    app = create_app(
        model, _session_options(options), max_sessions=options.max_sessions, ice_servers=options.ice_servers
    )
    shown = "127.0.0.1" if options.host == "0.0.0.0" else options.host
    print(f"Earpiece is at http://{shown}:{options.port} (Ctrl-C ends it)", flush=True)
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning", ws_max_size=2**20)


def create_app(
    model: AudioLanguageModel,
    session_options: "SessionOptions",
    *,
    max_sessions: int = 16,
    ice_servers: Sequence[dict[str, Any]] = (),
) -> "FastAPI":
    """Puts the page and the transports into one application.

    Args:
        model: answers all sessions; closed when the application ends.
        session_options: of every session.
        max_sessions: connections at one time.
        ice_servers: STUN and TURN servers of both sides, as the WebRTC API takes them.
    """
    from fastapi import FastAPI

    from realtime.page import mount_page
    from realtime.session import Session
    from realtime.webrtc import EarpieceStream

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await model.close()

    app = FastAPI(title="Earpiece", lifespan=lifespan)
    stream = EarpieceStream(lambda: Session(model, session_options), max_sessions=max_sessions, ice_servers=ice_servers)
    stream.mount_on(app)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "model": model.info.name, "sessions": len(stream.connections)}

    mount_page(app, model.info, ice_servers=ice_servers)
    return app


def _session_options(options: argparse.Namespace) -> "SessionOptions":
    from realtime.conversation import SYSTEM_PROMPT, ConversationOptions
    from realtime.endpointing import EndpointingOptions
    from realtime.session import SessionOptions
    from realtime.vad import VadOptions

    context = find_model(options.model).info.context_tokens
    return SessionOptions(
        vad=VadOptions(engine=options.vad),
        endpointing=EndpointingOptions(silence_s=options.silence),
        conversation=ConversationOptions(
            system_prompt=SYSTEM_PROMPT if options.system_prompt is None else options.system_prompt,
            max_tokens=context - options.max_new_tokens,
        ),
        generation=_generation_options(options),
    )


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise UsageError(f"port {port} on {host} cannot be used ({error}); choose another with --port") from error


# ---- ask ----


def ask(options: argparse.Namespace) -> None:
    """Streams the answer about one recording to stdout."""
    clip = AudioClip(read_audio_file(options.clip))
    model = find_model(options.model).load(options.cache_dir)
    messages = [Message("user", (clip, options.prompt))]
    if options.system_prompt:
        messages.insert(0, Message("system", (options.system_prompt,)))
    text, stats = asyncio.run(_answer(model, messages, _generation_options(options), stream=not options.json))
    if not options.json:
        print()
        return
    report = {
        "text": text,
        "model": model.info.name,
        "ttft_s": stats.ttft_s,
        "total_s": stats.total_s,
        "prompt_tokens": stats.prompt_tokens,
        "completion_tokens": stats.completion_tokens,
        "audio_s": clip.duration_s,
    }
    print(json.dumps(report, ensure_ascii=False))


async def _answer(
    model: AudioLanguageModel, messages: list[Message], options: GenerationOptions, *, stream: bool
) -> tuple[str, GenerationStats]:
    text, stats = "", None
    try:
        async for event in model.generate(messages, options, dialogue="ask"):
            if isinstance(event, TextDelta):
                text += event.text
                if stream:
                    print(event.text, end="", flush=True)
            elif isinstance(event, GenerationStats):
                stats = event
    finally:
        await model.close()
    assert stats is not None, "generate ends with its stats"
    return text, stats


# ---- talk ----

TALK_CHUNK_S = 0.02
TALK_SILENCE_S = 1.5  # after each clip: longer than any endpoint


def talk(options: argparse.Namespace) -> None:
    """Plays clips through a whole session on the sample clock and prints its events."""
    clips = [read_audio_file(path) for path in options.clips]
    session_options = _session_options(options)
    model = find_model(options.model).load(options.cache_dir)
    asyncio.run(_talk(model, session_options, options.clips, clips, realtime=options.realtime))


async def _talk(
    model: AudioLanguageModel,
    session_options: "SessionOptions",
    names: Sequence[str],
    clips: Sequence[Samples],
    *,
    realtime: bool,
) -> None:
    import numpy as np

    from models.types import SAMPLE_RATE_HZ
    from realtime.audio import AudioChunk
    from realtime.session import Session

    session = Session(model, session_options)
    tasks = [asyncio.create_task(session.run()), asyncio.create_task(_print_events(session))]
    chunk_samples, sample = round(TALK_CHUNK_S * SAMPLE_RATE_HZ), 0
    silence = np.zeros(round(TALK_SILENCE_S * SAMPLE_RATE_HZ), np.float32)
    began_s = time.perf_counter()
    try:
        for name, clip in zip(names, clips, strict=True):
            print(f"▶ {name}", flush=True)
            audio = np.concatenate((clip, silence))
            for start in range(0, len(audio), chunk_samples):
                session.push_audio(AudioChunk(audio[start : start + chunk_samples], sample))
                sample += len(audio[start : start + chunk_samples])
                if realtime:
                    await asyncio.sleep(max(0.0, began_s + sample / SAMPLE_RATE_HZ - time.perf_counter()))
                else:
                    await session.settled()
        await session.settled()
    finally:
        session.close()
        await asyncio.gather(*tasks)
        await model.close()


async def _print_events(session: "Session") -> None:
    from realtime.events import ResponseDelta, to_wire

    async for event in session.events():
        if isinstance(event, ResponseDelta):
            print(event.delta, end="", flush=True)
            continue
        fields = {key: value for key, value in to_wire(event).items() if key != "type" and value is not None}
        print(f"\n  {event.type}  " + "  ".join(f"{key}={value}" for key, value in fields.items()), flush=True)


# ---- fetch, models ----


def fetch(options: argparse.Namespace) -> None:
    """Gets and verifies the weights of a model and of the end-of-turn scorer."""
    from realtime.smart_turn import fetch_smart_turn

    folder = find_model(options.model).fetch(options.cache_dir)
    print(f"The weights of {options.model} are in {folder}")
    print(f"Smart Turn is in {fetch_smart_turn(options.cache_dir).parent}")


def list_models(_: argparse.Namespace) -> None:
    """Prints the models as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Models: python app.py --model NAME")
    for column in ("name", "parameters", "memory", "languages", "licence", "gated", "what it is", "weights"):
        table.add_column(column, overflow="fold")
    for info in (model.info for model in MODELS.values()):
        table.add_row(
            info.name,
            info.parameters,
            f"{info.memory_gb:g} GB",
            info.languages,
            info.licence,
            "yes" if info.gated else "no",
            info.description,
            "\n".join(info.checkpoints),
        )
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
