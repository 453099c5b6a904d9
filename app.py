"""The command line: a parser and the commands behind it.

`python app.py` serves the page, `ask` puts a question to a recording, `talk` plays clips through a whole session,
`replay` plays a recorded session again, `fetch` gets a model's weights, `models` lists the models. This is the only
module that reads the environment.
"""

import argparse
import asyncio
import gc
import json
import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.base import AudioLanguageModel
from models.catalogue import MODELS
from models.checks import check_clip
from models.ears.languages import what_is_understood
from models.errors import ModelError, ModelUnavailable
from models.registry import fetch_model, load_model
from models.types import (
    SAMPLE_RATE_HZ,
    AudioClip,
    GenerationOptions,
    GenerationStats,
    Message,
    Samples,
    TextDelta,
    Transcript,
    Transcription,
)
from models.watched import SILENCE_LIMIT_S
from realtime.hearing.files import AudioFile, AudioFileError, printable, read_audio_file
from realtime.hearing.speech import measure_speech_s
from realtime.hearing.vad import VAD_ENGINES
from realtime.load import MAX_ANSWERS_WITH_SPECULATION
from realtime.logs import OneLineFormatter

if TYPE_CHECKING:
    from models.loading import LoadOptions
    from realtime.server import ServerOptions
    from realtime.session import Session, SessionOptions
    from realtime.turns.endpointing import EndOfTurnScorer

NO_SPEECH_NOTE = "No speech was detected in this recording; it may hold other sounds, or music."  # said to a model
NO_WORDS_NOTE = "No words were understood in this recording; it may hold other sounds, or music."
UNSURE = 0.5  # a word that the ears find less probable may as well be another one

DEFAULT_MODEL = "pocket"
SMALLEST_MODEL = "pocket-tiny"  # starts where nobody chose a model and the default's weights cannot be had
UNUSED_WEIGHTS = ("pocket-1",)  # in caches of earlier versions

EXIT_OK, EXIT_USER_ERROR, EXIT_NO_SPEECH, EXIT_INTERRUPTED = 0, 2, 3, 130


class UsageError(Exception):
    """Something the person at the command line can mend."""


class NothingUnderstood(Exception):
    """A recording has no words, or none that are understood."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives the exit code; unless it is 0, with one line on stderr that says why."""
    options = _parser().parse_args(arguments)
    _log_to_stderr()
    if options.verbose:
        for name in ("realtime", "models"):
            logging.getLogger(name).setLevel(logging.INFO)
    try:
        with _temporary_folder():
            options.command(options)
    except (UsageError, ModelError, AudioFileError) as error:
        print(f"earpiece: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except NothingUnderstood as reason:
        print(f"earpiece: {reason}", file=sys.stderr)
        return EXIT_NO_SPEECH
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_OK


@contextmanager
def _temporary_folder() -> Iterator[None]:
    """Gives all libraries a temporary folder of this process: in the common one, theirs might be somebody else's."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="earpiece-", ignore_cleanup_errors=True)
    except OSError as error:
        raise UsageError(f"no temporary folder ({error}); set TMPDIR to a folder that can be written") from error
    before = tempfile.tempdir
    with folder:
        tempfile.tempdir = folder.name
        try:
            yield
        finally:
            tempfile.tempdir = before


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(OneLineFormatter("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


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


def _parser() -> argparse.ArgumentParser:
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

    parser = argparse.ArgumentParser(
        prog="python app.py",
        description="Speak, and read the answer while it is generated. Without a command it serves the page.",
        parents=[_shared_options(behind=False), _talking_options(behind=False), serving],
    )
    parser.set_defaults(command=serve)
    commands: Any = parser.add_subparsers(title="commands", metavar="", parser_class=_CommandParser)
    shared, talking = _shared_options(behind=True), _talking_options(behind=True)
    one = commands.add_parser("ask", parents=[shared], help="put a question to a recording")
    one.add_argument("clip", help="any audio or video file; - for the standard input")
    one.add_argument("prompt", nargs="?", default="", help="the question, if it is not in the recording")
    one.add_argument(
        "--transcribe", metavar="LANGUAGE", help="write it down instead: en, fr, ... or auto; where the model can"
    )
    one.add_argument("--track", type=int, metavar="N", help="which audio track of several; its default if not given")
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
    again.set_defaults(command=replay)
    fetch_help = "get a model's weights, once; does nothing where they are"
    commands.add_parser("fetch", parents=[shared], help=fetch_help).set_defaults(command=fetch)
    commands.add_parser("models", parents=[shared], help="list the models").set_defaults(command=list_models)
    return parser


def default_cache_dir() -> Path:
    """Where weights are kept unless `--cache-dir` says otherwise.

    Raises:
        UsageError: there is no home folder.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earpiece"
    except RuntimeError as error:
        raise UsageError("there is no home folder to keep weights in; give --cache-dir") from error


@contextmanager
def _cache_dir(options: argparse.Namespace) -> Iterator[Path]:
    """Gives the folder of the weights, and names it where it cannot be used."""
    folder: Path = options.cache_dir or default_cache_dir()
    try:
        yield folder
    except OSError as error:
        raise UsageError(f"--cache-dir {folder}: {error}; choose a folder that can be read and written") from error


def _load_options(options: argparse.Namespace, cache_dir: Path) -> "LoadOptions":
    from models.loading import LoadOptions

    return LoadOptions(
        cache_dir=cache_dir,
        device=options.device,
        dtype=options.dtype,
        quantization=options.quantization,
        ears=options.ears,
        text_model=options.text_model,
    )


def _load(options: argparse.Namespace) -> AudioLanguageModel:
    with _cache_dir(options) as cache_dir:
        return load_model(options.model or DEFAULT_MODEL, _load_options(options, cache_dir))


def _load_for_serving(options: argparse.Namespace) -> AudioLanguageModel:
    """The model that was chosen; where none was and the default cannot be loaded, the smallest, with a word why."""
    print(f"Loading {options.model or DEFAULT_MODEL} …", flush=True)
    try:
        return _load(options)
    except ModelUnavailable as error:
        if options.model is not None:
            raise
        why = error
    try:
        model = _load(argparse.Namespace(**{**vars(options), "model": SMALLEST_MODEL}))
    except ModelUnavailable:
        raise why from None
    print(f"{SMALLEST_MODEL}, which knows little, answers instead of {DEFAULT_MODEL}: {why}", file=sys.stderr)
    return model


def _generation_options(options: argparse.Namespace) -> GenerationOptions:
    with _options_that_cannot_be():
        return GenerationOptions(max_new_tokens=options.max_new_tokens, temperature=options.temperature)


@contextmanager
def _options_that_cannot_be() -> Iterator[None]:
    """Names an option that an options object refuses; every other `ValueError` is a bug of ours."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


# ---- serve ----


def serve(options: argparse.Namespace) -> None:
    """Serves the page and all doors until Ctrl-C or SIGTERM."""
    from realtime.server import Server, create_app

    server_options = _server_options(options)
    _check_port(options.host, options.port)
    _check_folder(options.record)
    model = _load_for_serving(options)
    app = create_app(model, _session_options(options, model), server_options, scorer=_load_scorer(options))
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    shown = f"[{shown}]" if ":" in shown else shown
    print(f"Earpiece is at http://{shown}:{options.port} (Ctrl-C ends it)", flush=True)
    gc.freeze()  # the garbage collector would look at all libraries again and again, 70 ms in which everybody waits
    Server(app, server_options).run()


def _server_options(options: argparse.Namespace) -> "ServerOptions":
    from realtime.server import ServerOptions

    minutes = options.max_session_minutes
    with _options_that_cannot_be():
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


def _session_options(options: argparse.Namespace, model: AudioLanguageModel) -> "SessionOptions":
    from realtime.conversation import SYSTEM_PROMPT, ConversationOptions
    from realtime.hearing.vad import VadOptions
    from realtime.session import SessionOptions
    from realtime.turns.endpointing import MAX_WAIT_S, EndpointingOptions

    info = model.info
    if options.max_new_tokens >= info.context_tokens:
        raise UsageError(
            f"--max-new-tokens {options.max_new_tokens}: {info.name} takes {info.context_tokens} tokens, question and "
            "answer together; give less"
        )
    with _options_that_cannot_be():
        endpointing = EndpointingOptions(silence_s=options.silence, max_wait_s=max(MAX_WAIT_S, options.silence))
        conversation = ConversationOptions(
            system_prompt=SYSTEM_PROMPT if options.system_prompt is None else options.system_prompt,
            max_tokens=info.context_tokens - options.max_new_tokens,
            summarise=not options.no_summary,
        )
        if info.max_audio_s is not None:  # and the longest turn is to fit beside what is remembered
            max_audio_s = min(conversation.max_audio_s, info.max_audio_s - endpointing.max_turn_s)
            conversation = replace(conversation, max_audio_s=max_audio_s)
        return SessionOptions(
            vad=VadOptions(engine=options.vad),
            endpointing=endpointing,
            conversation=conversation,
            generation=_generation_options(options),
        )


def _load_scorer(options: argparse.Namespace) -> "EndOfTurnScorer | None":
    """Our judgement on Smart Turn's encoder, unless silence alone is wanted or the weights are not there."""
    from realtime.turns.end_of_turn import EndOfTurn
    from realtime.turns.smart_turn import SmartTurn, find_smart_turn

    if options.endpointing == "silence":
        return None
    try:
        with _cache_dir(options) as cache_dir:
            return EndOfTurn(SmartTurn(find_smart_turn(cache_dir)))
    except ModelUnavailable as error:
        print(f"Turns will end by silence alone: {error}", file=sys.stderr)
        return None


def _check_folder(record: Path | None) -> None:
    from realtime.recordings.recorder import make_private_folder

    try:
        if record is not None:
            make_private_folder(record)
    except OSError as error:
        raise UsageError(f"--record {record}: {error.strerror}; choose a folder that can be written") from error


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


# ---- ask ----


def ask(options: argparse.Namespace) -> None:
    """Streams the answer about one recording to stdout, or writes down what is said in it.

    Raises:
        NothingUnderstood: nobody speaks in it, or no words were understood; what there is to say has been printed.
    """
    recording = _read(options.clip, options.track)
    check_clip(AudioClip(recording.samples))
    clip = AudioClip(recording.samples, measure_speech_s(recording.samples))
    if options.transcribe is not None and (options.prompt or options.system_prompt):
        raise UsageError("--transcribe writes down the recording alone; leave out the question and --system-prompt")
    generation = _generation_options(options)
    model = _load(options)
    transcript, report = asyncio.run(_ask(model, clip, options, generation))
    reason = _why_no_words(model, clip, transcript)
    if options.json:
        report = {**report, "model": model.info.name, **_facts(recording, clip), "no_words": reason}
        print(json.dumps(report, ensure_ascii=False))
    else:
        print(_marked(transcript) if options.transcribe is not None and transcript else "")
    if reason is not None:
        raise NothingUnderstood(f"{printable(options.clip)}: {reason}")


async def _ask(
    model: AudioLanguageModel, clip: AudioClip, options: argparse.Namespace, generation: GenerationOptions
) -> tuple[Transcript | None, dict[str, Any]]:
    """What ears wrote down of a recording, None if nothing says so, and what `--json` says of the answer."""
    began_s = time.perf_counter()
    try:
        if options.transcribe is not None:
            transcript = await _transcribe(model, clip, None if options.transcribe == "auto" else options.transcribe)
            words = [asdict(word) for word in transcript.words]
            return transcript, {"text": transcript.text, "words": words, "total_s": time.perf_counter() - began_s}
        written = None
        if model.transcriber is not None and clip.speech_s:  # ears first, which may know that there are no words
            written = await model.transcriber.transcribe(clip, dialogue="ask")
        writing_s = time.perf_counter() - began_s
        messages = _question(clip, written, options)
        text, understood, stats = await _answer(model, messages, generation, stream=not options.json)
    finally:
        await model.close()
    if understood is None and written is not None and not written.is_foreign:
        understood = written  # a model that listens itself may know more languages than the ears beside it
    return understood, {
        "text": text,
        "ttft_s": None if stats.ttft_s is None else stats.ttft_s + writing_s,
        "total_s": stats.total_s + writing_s,
        "prompt_tokens": stats.prompt_tokens,
        "completion_tokens": stats.completion_tokens,
    }


def _question(clip: AudioClip, written: Transcript | None, options: argparse.Namespace) -> list[Message]:
    """The conversation that a model is given; it is told where a recording has no words."""
    note = ""
    if clip.speech_s == 0:
        note = NO_SPEECH_NOTE
    elif written is not None and not written.text and not written.is_foreign:
        note = NO_WORDS_NOTE
    messages = [Message("user", (clip, *(text for text in (note, options.prompt) if text)))]
    if options.system_prompt:
        messages.insert(0, Message("system", (options.system_prompt,)))
    return messages


def _why_no_words(model: AudioLanguageModel, clip: AudioClip, transcript: Transcript | None) -> str | None:
    """Why a recording has none, for a person; None where it has some, or nothing says that it has none."""
    if clip.speech_s == 0:
        return "no speech was detected in it"
    if transcript is None or transcript.text:
        return None
    if transcript.is_foreign and model.transcriber is not None:
        return f"it sounds like another language. {what_is_understood(model.transcriber.languages)}"
    return "no words were understood in it"


def _marked(transcript: Transcript) -> str:
    """The text, with "(?)" behind each word of which the ears are not sure."""
    marked, end = "", 0
    for word in transcript.words:
        if word.text not in transcript.text[end:]:
            continue
        begin, end = end, transcript.text.index(word.text, end) + len(word.text)
        marked += transcript.text[begin:end] + ("(?)" if word.probability < UNSURE else "")
    return marked + transcript.text[end:]


def _read(name: str, track: int | None = None) -> AudioFile:
    """Reads a recording, and says on stderr what a person should know of it."""
    recording = read_audio_file(name, track=track)
    for note in recording.notes:
        print(f"earpiece: {printable(name)}: {note}", file=sys.stderr)
    return recording


def _facts(recording: AudioFile, clip: AudioClip) -> dict[str, Any]:
    """What `--json` says of a recording."""
    return {
        "audio_s": clip.duration_s,
        "speech_s": clip.speech_s,
        "lost_s": round(recording.lost_s, 3),
        "track": recording.track.number,
        "notes": recording.notes,
    }


async def _transcribe(model: AudioLanguageModel, clip: AudioClip, language: str | None) -> Transcript:
    if model.transcriber is None:
        raise UsageError(f"{model.info.name} has no request for transcription; ask it in words to write it down")
    return await model.transcriber.transcribe(clip, dialogue="ask", language=language)


async def _answer(
    model: AudioLanguageModel, messages: list[Message], options: GenerationOptions, *, stream: bool
) -> tuple[str, Transcript | None, GenerationStats]:
    """What a model answers, what it says that it understood, and what that cost."""
    text, understood, stats = "", None, None
    async for event in model.generate(messages, options, dialogue="ask"):
        if isinstance(event, TextDelta):
            text += event.text
            if stream:
                print(event.text, end="", flush=True)
        elif isinstance(event, Transcription):
            understood = event.transcript
        else:
            stats = event
    assert stats is not None, "generate ends with its stats"
    return text, understood, stats


# ---- talk ----

TALK_CHUNK_S = 0.02
TALK_BETWEEN_S = 1.5  # of silence between clips that are to interrupt
TALK_AFTER_S = 0.5  # of silence beyond the longest wait


def talk(options: argparse.Namespace) -> None:
    """Plays clips through a whole session on the sample clock and prints its events."""
    from realtime.server import open_session

    clips = [_read(path).samples for path in options.clips]
    _check_folder(options.record)
    model = _load(options)
    session_options = _session_options(options, model)
    session = open_session(model, session_options, scorer=_load_scorer(options), record=options.record)
    after_s = session_options.endpointing.max_wait_s + TALK_AFTER_S
    silences_s = [TALK_BETWEEN_S if options.realtime else after_s] * (len(clips) - 1) + [after_s]
    asyncio.run(_talk(model, session, options.clips, clips, silences_s, realtime=options.realtime))


async def _talk(
    model: AudioLanguageModel,
    session: "Session",
    names: Sequence[str],
    clips: Sequence[Samples],
    silences_s: Sequence[float],
    *,
    realtime: bool,
) -> None:
    import numpy as np

    from realtime.hearing.audio import AudioChunk

    tasks = [asyncio.create_task(session.run()), asyncio.create_task(_print_events(session))]
    chunk_samples, sample = round(TALK_CHUNK_S * SAMPLE_RATE_HZ), 0
    began_s = time.perf_counter()
    try:
        for name, clip, silence_s in zip(names, clips, silences_s, strict=True):
            print(f"▶ {name}", flush=True)
            audio = np.concatenate((clip, np.zeros(round(silence_s * SAMPLE_RATE_HZ), np.float32)))
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
    from realtime.doors.protocol import to_wire
    from realtime.events import ConversationWindow, ResponseDelta, SessionMetricsReported

    async for event in session.events():
        if isinstance(event, ConversationWindow | SessionMetricsReported):
            continue  # for the page; too long for a terminal after each answer
        if isinstance(event, ResponseDelta):
            print(event.delta, end="", flush=True)
            continue
        wire = to_wire(event)
        name = wire.pop("type")
        wire.pop("logprobs", None)
        print(
            f"\n  {name}  " + "  ".join(f"{key}={value}" for key, value in wire.items() if value is not None),
            flush=True,
        )


# ---- replay ----


def replay(options: argparse.Namespace) -> None:
    """Plays a recorded session through the same code and says whether it decided the same."""
    from realtime.recordings import replay as recording

    try:
        recorded = recording.read_recording(options.recording)
    except recording.RecordingError as error:
        raise UsageError(str(error)) from error
    played = asyncio.run(recording.replay(recorded))
    for event in played.sent:
        print(event)
    print(f"{recorded.audio_s:.1f} s of audio in {played.wall_s:.1f} s", file=sys.stderr)
    if played.difference is not None:
        raise UsageError(played.difference)
    print(f"All {len(recorded.sent)} events are the recorded ones, byte for byte", file=sys.stderr)


# ---- fetch, models ----


def fetch(options: argparse.Namespace) -> None:
    """Gets and verifies the weights of a model, of its ears and of the end-of-turn scorer."""
    from models.ears.loading import fetch_ears
    from realtime.turns.smart_turn import fetch_smart_turn

    with _cache_dir(options) as cache_dir:
        print(f"Smart Turn is in {fetch_smart_turn(cache_dir).parent}")
        ears = fetch_ears(options.ears, cache_dir)
        if ears is not None:
            print(f"The ears ({options.ears}) are in {ears}")
        _fetch_model(options, cache_dir)
        for old in UNUSED_WEIGHTS:
            if (cache_dir / old).is_dir():
                print(f"{cache_dir / old} is of an earlier version and not needed any more; you may delete it")


def _fetch_model(options: argparse.Namespace, cache_dir: Path) -> None:
    """Gets the model that was chosen; where none was and the default cannot be had, the smallest, with a word why."""
    name, load_options = options.model or DEFAULT_MODEL, _load_options(options, cache_dir)
    try:
        folder = fetch_model(name, load_options)
    except ModelUnavailable as error:
        if options.model is not None:
            raise
        print(f"earpiece: {error}\nGetting {SMALLEST_MODEL} instead, which knows little", file=sys.stderr)
        name, folder = SMALLEST_MODEL, fetch_model(SMALLEST_MODEL, load_options)
    print(f"The weights of {name} are in {folder}")


def list_models(_: argparse.Namespace) -> None:
    """Prints what there is to choose from."""
    from rich.console import Console
    from rich.padding import Padding

    console = Console(highlight=False)
    for info in MODELS.values():
        facts = [info.parameters, f"{info.memory_gb:g} GB", info.languages, info.licence]
        facts += ["gated: the hub asks for consent"] if info.gated else []
        console.print(f"[bold]{info.name}[/bold]  " + " · ".join(facts))
        console.print(Padding(info.description, (0, 0, 0, 4)))
        console.print(Padding(", ".join(info.checkpoints), (0, 0, 0, 4)), style="dim")
    console.print("\nTake one with --model NAME; a hub id or folder of another checkpoint of these families works too.")


if __name__ == "__main__":
    sys.exit(main())
