"""`python app.py ask`: puts a question to a recording, or has it written down."""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from typing import Any

from commands.errors import NothingUnderstood, UsageError
from commands.loading import generation_options, load
from commands.recording import read_recording
from commands.schema import parse_answer, with_schema
from commands.speech import load_reader, read_aloud, write_wav
from models.base import AudioLanguageModel
from models.checks import check_clip
from models.ears.languages import what_is_understood
from models.types import (
    AudioClip,
    GenerationOptions,
    GenerationStats,
    Message,
    TextDelta,
    Transcript,
    Transcription,
)
from realtime.hearing.files import AudioFile, AudioTooLong, printable
from realtime.hearing.speech import measure_speech_s

NO_SPEECH_NOTE = "No speech was detected in this recording; it may hold other sounds, or music."  # said to a model
NO_WORDS_NOTE = "No words were understood in this recording; it may hold other sounds, or music."
NOT_OF_THE_EARS = "to the ears it sounds like another language than theirs; the model, which listens itself, was asked"
SHORT_S = 180.0  # what is longer is asked part by part
UNSURE = 0.5  # a word that the ears find less probable may as well be another one


def ask(options: argparse.Namespace) -> None:
    """Streams the answer about one recording to stdout, or writes down what is said in it.

    Raises:
        NothingUnderstood: nobody speaks in it, or no words were understood; what there is to say has been printed.
        UsageError: options do not go together, or the answer's JSON was cut off, which has been printed, too.
    """
    try:
        recording = read_recording(options.clip, options.track, max_s=SHORT_S)
    except AudioTooLong:
        _ask_long(options)
        return
    check_clip(AudioClip(recording.samples))
    clip = AudioClip(recording.samples, measure_speech_s(recording.samples))
    _check_options(options)
    generation = generation_options(options)
    if options.schema is not None:
        generation = with_schema(generation, options.schema)
    reader = load_reader(options)
    model = load(options)
    transcript, report = asyncio.run(_ask(model, clip, options, generation))
    if reader is not None:
        write_wav(options.speak, asyncio.run(read_aloud(report["text"], *reader)))
    reason = _why_no_words(model, clip, transcript)
    note = report.pop("note", None)
    cut_off = None
    if options.schema is not None:
        report["answer"], cut_off = parse_answer(report["text"], report["finish_reason"])
    if options.json:
        report = {**report, "model": model.info.name, **_facts(recording, clip), "no_words": reason}
        report["notes"] = [*recording.notes, *([note] if note else [])]
        print(json.dumps(report, ensure_ascii=False))
    else:
        print(_marked(transcript) if options.transcribe is not None and transcript else "")
    if note is not None:
        print(f"earpiece: {printable(options.clip)}: {note}", file=sys.stderr)
    if reason is not None:
        raise NothingUnderstood(f"{printable(options.clip)}: {reason}")
    if cut_off is not None:
        raise UsageError(f"{printable(options.clip)}: {cut_off}")


def _ask_long(options: argparse.Namespace) -> None:
    from commands.ask_long import ask_long

    _check_options(options)
    if options.speak is not None:
        raise UsageError(f"--speak reads answers about recordings up to {SHORT_S / 60:g} minutes aloud; leave it out")
    generation = generation_options(options)
    if options.schema is not None:
        generation = with_schema(generation, options.schema)
    ask_long(options, load(options), generation)


def _check_options(options: argparse.Namespace) -> None:
    """Refuses options that do not go together."""
    if options.transcribe is not None and (options.prompt or options.system_prompt):
        raise UsageError("--transcribe writes down the recording alone; leave out the question and --system-prompt")
    if options.schema is not None and (options.transcribe is not None or options.speak is not None):
        raise UsageError("--schema makes the answer JSON; leave out --transcribe and --speak")


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
    is_foreign_to_ears = understood is None and written is not None and written.is_foreign
    if understood is None and not is_foreign_to_ears:  # else the model, which listens itself, may know the language
        understood = written
    return understood, {
        **({"note": NOT_OF_THE_EARS} if is_foreign_to_ears else {}),
        "text": text,
        "ttft_s": None if stats.ttft_s is None else stats.ttft_s + writing_s,
        "total_s": stats.total_s + writing_s,
        "prompt_tokens": stats.prompt_tokens,
        "completion_tokens": stats.completion_tokens,
        "finish_reason": stats.finish_reason,
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


def _facts(recording: AudioFile, clip: AudioClip) -> dict[str, Any]:
    """What `--json` says of a recording."""
    return {
        "audio_s": clip.duration_s,
        "speech_s": clip.speech_s,
        "lost_s": round(recording.lost_s, 3),
        "track": recording.track.number,
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
