"""Loads what a command needs: a model with its ears, the end-of-turn scorer, and the options of a session.

Only `serve` falls back to the smallest model; everywhere else a model that cannot be loaded ends the command.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from commands.engine import engine_settings
from commands.errors import UsageError
from models.base import AudioLanguageModel, Voice, VoiceReader
from models.errors import ModelUnavailable
from models.registry import load_model
from models.types import GenerationOptions

if TYPE_CHECKING:
    from models.loading import LoadOptions
    from realtime.session import SessionOptions
    from realtime.turns.endpointing import EndOfTurnScorer
    from realtime.turns.interruption import BackchannelScorer

ADDRESS_NEEDS = (
    "--address when-asked: whom words are meant for is judged by ears at pauses; it needs --ears moonshine and "
    "--endpointing semantic, or choose --address always"
)
DEFAULT_MODEL = "pocket"
SMALLEST_MODEL = "pocket-tiny"  # starts where nobody chose a model and the default's weights cannot be had


@contextmanager
def weights_folder(options: argparse.Namespace) -> Iterator[Path]:
    """Gives the folder of the weights, and names it where it cannot be used."""
    folder: Path = options.cache_dir
    try:
        yield folder
    except OSError as error:
        raise UsageError(f"--cache-dir {folder}: {error}; choose a folder that can be read and written") from error


def load_options(options: argparse.Namespace, cache_dir: Path) -> "LoadOptions":
    """Says how a model is to be loaded."""
    from models.loading import LoadOptions

    return LoadOptions(
        cache_dir=cache_dir,
        device=options.device,
        dtype=options.dtype,
        quantization=options.quantization,
        ears=options.ears,
        text_model=options.text_model,
        lend=options.lend,
    )


def load(options: argparse.Namespace) -> AudioLanguageModel:
    """Loads the model that was chosen, or the default; or finds out what somebody else's engine serves.

    Raises:
        ModelError: it cannot be had or run here.
        UsageError: the folder of the weights cannot be read.
    """
    engine = engine_settings(options)
    with weights_folder(options) as cache_dir:
        if engine is not None:
            from models.remote.loading import load_remote

            return load_remote(engine, load_options(options, cache_dir))
        return load_model(options.model or DEFAULT_MODEL, load_options(options, cache_dir))


def generation_options(options: argparse.Namespace) -> GenerationOptions:
    """Says how answers are generated.

    Raises:
        UsageError: an option is out of its range.
    """
    with options_that_cannot_be():
        return GenerationOptions(max_new_tokens=options.max_new_tokens, temperature=options.temperature)


@contextmanager
def options_that_cannot_be() -> Iterator[None]:
    """Names an option that an options object refuses; every other `ValueError` is a bug of ours."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def session_options(options: argparse.Namespace, model: AudioLanguageModel) -> "SessionOptions":
    """Says how a conversation with this model goes: turns, memory, answers.

    Raises:
        UsageError: an option is out of its range, or the model is too small for it.
    """
    from realtime.conversation import SYSTEM_PROMPT, ConversationOptions
    from realtime.hearing.scoring import ears_at_pauses
    from realtime.hearing.vad import VadOptions
    from realtime.session import SessionOptions
    from realtime.speaking import SpeakingOptions
    from realtime.turns.endpointing import MAX_WAIT_S, EndpointingOptions

    info = model.info
    if options.max_new_tokens >= info.context_tokens:
        raise UsageError(
            f"--max-new-tokens {options.max_new_tokens}: {info.name} takes {info.context_tokens} tokens, question and "
            "answer together; give less"
        )
    if options.address == "when-asked" and (ears_at_pauses(model) is None or options.endpointing == "silence"):
        raise UsageError(ADDRESS_NEEDS)
    with options_that_cannot_be():
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
            vad=VadOptions(
                engine=options.vad,
                other_voices=options.other_voices,
                suppress_noise=options.noise_suppression == "on",
            ),
            endpointing=endpointing,
            conversation=conversation,
            generation=generation_options(options),
            speaking=SpeakingOptions(voice="" if options.voice == "none" else options.voice),
            address=options.address,
        )


def load_scorers(options: argparse.Namespace) -> "tuple[EndOfTurnScorer, BackchannelScorer] | tuple[None, None]":
    """Our judgements on Smart Turn's encoder, unless silence alone is wanted or the weights are not there.

    Returns:
        What judges turns at their pauses, and what judges sounds over an answer.

    Raises:
        UsageError: the weights are not there, and whom words are meant for is to be judged with it.
    """
    from realtime.turns.backchannel import Backchannel
    from realtime.turns.end_of_turn import EndOfTurn
    from realtime.turns.smart_turn import SmartTurn, find_smart_turn

    if options.endpointing == "silence":
        return None, None
    try:
        with weights_folder(options) as cache_dir:
            encoder = SmartTurn(find_smart_turn(cache_dir))
    except ModelUnavailable as error:
        if options.address == "when-asked":
            raise UsageError(f"{ADDRESS_NEEDS} ({error})") from error
        print(f"Turns will end by silence alone: {error}", file=sys.stderr)
        return None, None
    return EndOfTurn(encoder), Backchannel(encoder)


def load_call_voices(options: argparse.Namespace) -> VoiceReader | None:
    """Loads what tells the others of a call apart, where that is wanted; raises `ModelUnavailable`."""
    if not options.tell_speakers:
        return None
    from models.voiceprints import load_voiceprints

    return load_voiceprints()


def load_voice(options: argparse.Namespace, name: str) -> Voice | None:
    """Loads what reads answers aloud; None for the name "none".

    Raises:
        ModelUnavailable: its weights are missing; the message says how to get them.
    """
    if name == "none":
        return None
    from models.voices import loading

    with weights_folder(options) as cache_dir:
        return loading.load_voice(cache_dir)


def check_folder(record: Path | None) -> None:
    """Makes the folder of `--record`, if there is one.

    Raises:
        UsageError: it cannot be written.
    """
    from realtime.recordings.recorder import make_private_folder

    try:
        if record is not None:
            make_private_folder(record)
    except OSError as error:
        raise UsageError(f"--record {record}: {error.strerror}; choose a folder that can be written") from error
