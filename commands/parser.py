"""The parser: what the command line takes, and the command behind each name.

Shared options may stand before a command or behind it. The parser checks what an option looks like; whether a value
can be is checked where it is used.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from commands.ask import ask
from commands.fetch import fetch
from commands.loading import DEFAULT_MODEL
from commands.models import list_models
from commands.replay import replay
from commands.serve import serve
from commands.talk import talk
from models.voices.names import VOICE_NAMES
from models.watched import SILENCE_LIMIT_S
from realtime.hearing.vad import VAD_ENGINES
from realtime.load import MAX_ANSWERS_WITH_SPECULATION


class _Options(argparse.ArgumentParser):
    """Options that may stand before a command or behind it; behind it only those that are given count.

    Args:
        behind: whether these are the ones behind.
    """

    def __init__(self, *, behind: bool) -> None:
        super().__init__(add_help=False)
        self._behind = behind

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Adds one, whose default is the one before the command."""
        if self._behind:
            settings["help"] = settings["help"].replace("%(default)s", str(settings.get("default")).replace("%", "%%"))
            settings["default"] = argparse.SUPPRESS
        return super().add_argument(*names, **settings)


class _CommandParser(argparse.ArgumentParser):
    """The parser of a command, whose options may stand anywhere: also between a file and the question about it."""

    _is_inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Reads the arguments, first the options and then the rest."""
        if self._is_inside:
            return super().parse_known_args(args, namespace)
        self._is_inside = True
        return self.parse_known_intermixed_args(args, namespace)


def _shared_options(*, behind: bool) -> argparse.ArgumentParser:
    shared = _Options(behind=behind)
    shared.add_argument(
        "--model", help=f"a name that `python app.py models` lists, a hub id or a folder ({DEFAULT_MODEL})"
    )
    shared.add_argument("--text-model", help="hub id or folder of the language model, where a checkpoint has none")
    shared.add_argument(
        "--ears",
        default="moonshine",
        help="what writes speech down: moonshine (English), whisper (many languages), none, a folder or hub id of a "
        "Whisper for CTranslate2 (%(default)s)",
    )
    shared.add_argument(
        "--voice",
        default="none",
        choices=("none", *VOICE_NAMES),
        help="what can read answers aloud, in English, where somebody wants it (%(default)s)",
    )
    shared.add_argument("--device", default="auto", help="cuda, cuda:1, cpu, ... (%(default)s)")
    shared.add_argument(
        "--dtype", default="auto", choices=("auto", "bfloat16", "float16", "float32"), help="(%(default)s)"
    )
    shared.add_argument(
        "--quantization",
        default="none",
        choices=("none", "8bit", "4bit"),
        help="of a GPU's weights (needs bitsandbytes), or of those a CPU decodes with (%(default)s)",
    )
    shared.add_argument("--cache-dir", type=Path, help="converted weights (~/.cache/earpiece)")
    shared.add_argument("--system-prompt", help="what the model is told to be")
    shared.add_argument("--max-new-tokens", type=int, default=256, help="longest answer (%(default)s)")
    shared.add_argument("--temperature", type=float, default=0.0, help="0 always gives the same answer (%(default)s)")
    shared.add_argument("-v", "--verbose", action="store_true", help="one line per turn on stderr")
    return shared


def _talking_options(*, behind: bool) -> argparse.ArgumentParser:
    talking = _Options(behind=behind)
    talking.add_argument("--vad", default="silero", choices=tuple(VAD_ENGINES), help="finds speech (%(default)s)")
    talking.add_argument(
        "--endpointing",
        default="semantic",
        choices=("semantic", "silence"),
        help="what ends a turn: how complete it sounds and silence, or silence alone (%(default)s)",
    )
    talking.add_argument(
        "--silence", type=float, default=0.6, metavar="S", help="ends a turn, in seconds (%(default)s)"
    )
    talking.add_argument(
        "--record", type=Path, metavar="DIR", help="keep every session, audio and text, in a folder here"
    )
    talking.add_argument("--no-summary", action="store_true", help="forget what leaves the window, without a summary")
    return talking


def _ice_servers(text: str) -> list[dict[str, Any]]:
    """Reads `--ice-servers`."""
    try:
        servers = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(servers, list) or not all(isinstance(server, dict) and "urls" in server for server in servers):
        raise argparse.ArgumentTypeError('it must be a list like [{"urls": "turn:...", "username": "...", ...}]')
    return servers


def _serving_options() -> argparse.ArgumentParser:
    serving = argparse.ArgumentParser(add_help=False)
    serving.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for other machines too (%(default)s)")
    serving.add_argument("--port", type=int, default=7860, help="(%(default)s)")
    serving.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="a page from there may talk to this server, like https://talk.example; may be repeated",
    )
    serving.add_argument("--max-sessions", type=int, default=16, help="people at one time (%(default)s)")
    serving.add_argument(
        "--max-session-minutes", type=float, metavar="M", help="the longest session; for ever if not given"
    )
    serving.add_argument(
        "--speculate-below",
        type=int,
        default=MAX_ANSWERS_WITH_SPECULATION,
        metavar="N",
        help="answer before a turn has ended only while fewer answers than this are generated; 0 never (%(default)s)",
    )
    serving.add_argument(
        "--answer-timeout",
        type=float,
        default=SILENCE_LIMIT_S,
        metavar="S",
        help="an answer for which the model gives nothing for so many seconds has failed (%(default)s)",
    )
    serving.add_argument("--ice-servers", type=_ice_servers, default=[], metavar="JSON", help="STUN and TURN servers")
    return serving


def build_parser() -> argparse.ArgumentParser:
    """Gives the parser of the whole command line; what it reads has the `command` to run, and all options."""
    parser = argparse.ArgumentParser(
        prog="python app.py",
        description="Speak, and read the answer while it is generated. Without a command it serves the page.",
        parents=[_shared_options(behind=False), _talking_options(behind=False), _serving_options()],
    )
    parser.set_defaults(command=serve, needs_weights=True)
    _add_commands(parser)
    return parser


def _add_commands(parser: argparse.ArgumentParser) -> None:
    commands: Any = parser.add_subparsers(title="commands", metavar="", parser_class=_CommandParser)
    shared, talking = _shared_options(behind=True), _talking_options(behind=True)
    one = commands.add_parser("ask", parents=[shared], help="put a question to a recording")
    one.add_argument("clip", help="any audio or video file; - for the standard input")
    one.add_argument("prompt", nargs="?", default="", help="the question, if it is not in the recording")
    one.add_argument(
        "--transcribe", metavar="LANGUAGE", help="write it down instead: en, fr, ... or auto; where the model can"
    )
    one.add_argument("--track", type=int, metavar="N", help="which audio track of several; its default if not given")
    one.add_argument("--speak", type=Path, metavar="FILE.wav", help="write the answer, read aloud, into a file as well")
    one.add_argument("--json", action="store_true", help="one JSON object instead of streamed text")
    one.set_defaults(command=ask)
    many = commands.add_parser(
        "talk", parents=[shared, talking], help="play clips through a whole session, print its events"
    )
    many.add_argument("clips", nargs="+", metavar="clip", help="any audio or video file")
    many.add_argument("--realtime", action="store_true", help="as fast as they were spoken, so that they can interrupt")
    many.set_defaults(command=talk)
    again = commands.add_parser("replay", help="play a recorded session again, and check that it decides the same")
    again.add_argument("recording", type=Path, help="folder of one session, in the folder given to --record")
    again.add_argument(
        "-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help="one line per turn on stderr"
    )
    again.set_defaults(command=replay, needs_weights=False)
    fetch_help = "get a model's weights, once; does nothing where they are"
    commands.add_parser("fetch", parents=[shared], help=fetch_help).set_defaults(command=fetch)
    commands.add_parser("models", parents=[shared], help="list the models").set_defaults(
        command=list_models, needs_weights=False
    )
