"""`python app.py ask` for recordings that are longer than what a model takes at once. Read `review.py` next."""

import argparse
import asyncio
import json
from dataclasses import asdict
from typing import Any

from commands.errors import NothingUnderstood, UsageError
from commands.review import cited, opened_journal, read_with_progress, say_remarks, transcript_of
from commands.schema import parse_answer
from models.base import AudioLanguageModel
from models.types import GenerationOptions
from realtime.hearing.files import printable
from realtime.review.journal import Journal
from realtime.review.parts import divide
from realtime.review.questions import Question
from realtime.review.transcript import NO_SPEECH

DEFAULT_QUESTION = "What is this recording about? Summarise it."


def ask_long(options: argparse.Namespace, model: AudioLanguageModel, generation: GenerationOptions) -> None:
    """Answers a question about a long recording, or writes it down.

    Raises:
        NothingUnderstood: nobody speaks in it.
        AudioFileError: it cannot be read.
        ModelError: the model failed.
    """
    question = options.prompt or DEFAULT_QUESTION
    if options.transcribe is not None:
        question = ""
    elif options.system_prompt:
        question = f"{options.system_prompt}\n\n{question}"
    about = (model.info.name, str(options.ears), str(options.track), question, str(options.transcribe))
    with opened_journal(options, *about) as journal:
        if options.transcribe is not None:
            asyncio.run(_transcribe(options, model, journal))
        else:
            asyncio.run(_ask(options, model, question, generation, journal))


async def _transcribe(options: argparse.Namespace, model: AudioLanguageModel, journal: Journal | None) -> None:
    language = None if options.transcribe == "auto" else options.transcribe
    transcript = transcript_of(options, model, journal, language=language)
    lines = []
    try:
        async for spoken in read_with_progress(transcript, journal, "Writing it down"):
            if options.json:
                lines.append(asdict(spoken.line))
            elif spoken.line.text:
                print(f"{cited(spoken.line.span)} {spoken.line.text}", flush=True)
    finally:
        await model.close()
    if options.json:
        text = " ".join(line["text"] for line in lines if line["text"])
        print(json.dumps({"text": text, "lines": lines, "audio_s": transcript.duration_s}, ensure_ascii=False))
    _finish(options.clip, transcript.remarks, transcript)


async def _ask(
    options: argparse.Namespace,
    model: AudioLanguageModel,
    question: str,
    generation: GenerationOptions,
    journal: Journal | None,
) -> None:
    transcript = transcript_of(options, model, journal)
    asked = Question(model, question, generation, journal=journal)
    text = ""
    try:
        async for part in divide(read_with_progress(transcript, journal, "Listening"), model.info):
            await asked.ask(part)
        async for delta in asked.answer():
            text += delta
            if not options.json:
                print(delta, end="", flush=True)
    finally:
        await model.close()
    spans = asked.spans()
    value, cut_off = (None, None) if options.schema is None else parse_answer(text, "length")
    if options.json:
        report: dict[str, Any] = {"text": text, "spans": [asdict(span) for span in spans]}
        report |= {"audio_s": transcript.duration_s, "model": model.info.name, "notes": list(transcript.remarks)}
        if options.schema is not None:
            report["answer"] = value
        print(json.dumps(report, ensure_ascii=False))
    else:
        print("\n" + " ".join(map(cited, spans)) if spans and options.schema is None else "")
    _finish(options.clip, transcript.remarks, transcript)
    if cut_off is not None:
        raise UsageError(f"{printable(options.clip)}: {cut_off}")


def _finish(name: str, remarks: tuple[str, ...], transcript: Any) -> None:
    if NO_SPEECH in remarks:
        raise NothingUnderstood(f"{printable(name)}: no speech was detected in it")
    say_remarks(name, transcript)
