"""`python app.py notes`: minutes of a recording, as Markdown or JSON, or its words as subtitles.

A recording of any length is written down line by line; then the model takes notes of it, window by window. What was
done is kept until the whole is done, so that whoever stops it can go on. Read `review.py` for that, and
`realtime/notes/` for the notes.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from commands.errors import NothingUnderstood, UsageError
from commands.loading import load
from commands.review import check_readable, ears_of, opened_journal, read_with_progress
from models.base import AudioLanguageModel
from models.types import AudioClip
from realtime.hearing.files import printable
from realtime.notes.minutes import Line, Minutes, Span
from realtime.notes.noting import write_minutes
from realtime.notes.prompts import Sound
from realtime.notes.published import to_json
from realtime.notes.subtitles import to_srt, to_vtt
from realtime.notes.writing import clock, to_markdown
from realtime.review.journal import Journal
from realtime.review.transcript import SPEAKERS, Transcript

if TYPE_CHECKING:
    from realtime.review.line_speakers import LineSpeakers

MAX_CONTEXT_CHARACTERS = 8000
MAX_SOUND_S = 1800.0  # of speech, 115 MB, that is kept for a model that listens itself
WRITERS: dict[str, Callable[[Minutes], str]] = {
    "markdown": to_markdown,
    "json": lambda minutes: json.dumps(to_json(minutes), ensure_ascii=False, indent=1) + "\n",
    "srt": lambda minutes: to_srt(minutes.lines),
    "vtt": lambda minutes: to_vtt(minutes.lines),
}
SUBTITLES = ("srt", "vtt")  # which need no notes
SUFFIXES = {".md": "markdown", ".json": "json", ".srt": "srt", ".vtt": "vtt"}


def notes(options: argparse.Namespace) -> None:
    """Writes the minutes of one recording to stdout or into a file.

    Raises:
        NothingUnderstood: nobody speaks in it, or no words were understood.
        UsageError: options cannot be, or the file cannot be written.
        AudioFileError: the recording cannot be read.
        ModelError: the model failed, or there is none.
    """
    check_readable(options.clip)
    if len(options.about) > MAX_CONTEXT_CHARACTERS:
        raise UsageError(f"--about is {len(options.about)} characters long; give at most {MAX_CONTEXT_CHARACTERS}")
    form, speakers = _form_of(options), _speakers_of(options)
    _check_folder(options.output)
    voices = _voices_of(options)
    model = load(options)
    told = (options.about, str(options.tell_speakers))
    kept_apart = (model.info.name, str(options.ears), str(options.track), *speakers, *told)
    with opened_journal(options, "notes", *kept_apart) as journal:
        minutes = asyncio.run(_minutes(options, model, journal, speakers, voices, with_notes=form not in SUBTITLES))
        name = printable(options.clip)
        for remark in minutes.remarks if form != "markdown" else ():  # which has them
            print(f"earpiece: {name}: {remark}", file=sys.stderr)
        if not minutes.notes and not any(line.text for line in minutes.lines):
            raise NothingUnderstood(f"{name}: no words were understood in it")
        _write(WRITERS[form](minutes), options.output)


def _form_of(options: argparse.Namespace) -> str:
    """The form that was asked for, or that the name of the file to write asks for."""
    if options.format is not None:
        return str(options.format)
    return "markdown" if options.output is None else SUFFIXES.get(options.output.suffix.lower(), "markdown")


def _speakers_of(options: argparse.Namespace) -> tuple[str, str]:
    if options.speakers is None:
        return SPEAKERS
    names = [" ".join(name.split()) for name in options.speakers.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise UsageError(
            "--speakers: give the names of who is left and who is right, with a comma between: --speakers Anna,Ben"
        )
    return names[0], names[1]


def _voices_of(options: argparse.Namespace) -> "LineSpeakers | None":
    """What tells several people in one channel apart; None: nothing is to.

    Raises:
        UsageError: there cannot be so many.
        ModelUnavailable: the package is missing.
    """
    if options.tell_speakers is None:
        return None
    if options.tell_speakers < 0:
        raise UsageError(f"--tell-speakers {options.tell_speakers}: give the number of people, or none")
    from models.voiceprints import load_voiceprints
    from realtime.review.line_speakers import LineSpeakers

    return LineSpeakers(load_voiceprints(), n_speakers=options.tell_speakers or None)


def _check_folder(output: Path | None) -> None:
    """Refuses a file that cannot be written before the work for it is done."""
    if output is not None and (output.is_dir() or not output.absolute().parent.is_dir()):
        raise UsageError(f"-o {output}: is a folder, or its folder is not there; name a file in a folder that is")


async def _minutes(
    options: argparse.Namespace,
    model: AudioLanguageModel,
    journal: Journal | None,
    speakers: tuple[str, str],
    voices: "LineSpeakers | None",
    *,
    with_notes: bool,
) -> Minutes:
    listens = with_notes and model.info.listens
    ears = model.transcriber if listens else ears_of(model)
    sounds = dict[Span, AudioClip]()
    try:
        known = () if journal is None else tuple(journal.lines)
        transcript = Transcript(options.clip, ears, track=options.track, speakers=speakers, known=known)
        lines, speech_s = list[Line](), 0.0
        async for spoken in read_with_progress(transcript, journal, "Writing it down"):
            lines.append(spoken.line)
            if voices is not None:
                await voices.take(spoken)
            speech_s += spoken.passage.clip.duration_s
            if listens and speech_s <= MAX_SOUND_S:
                sounds[spoken.line.span] = spoken.passage.clip
        if voices is not None:
            given, lines = lines, voices.name(lines)
            sounds = {new.span: sounds[old.span] for old, new in zip(given, lines, strict=True) if old.span in sounds}
        title = "standard input" if options.clip == "-" else printable(Path(options.clip).name)
        minutes = Minutes(title=title, duration_s=transcript.duration_s, lines=tuple(lines))
        if with_notes and (sounds or any(line.text for line in lines)):
            minutes = await _noted(model, minutes, options.about, journal, sounds.get if sounds else None)
    finally:
        await model.close()
    unheard = []
    if listens and len(sounds) < len(minutes.lines):
        unheard = [f"from {clock(list(sounds)[-1].end_s)} on, the model was given the words alone"] if sounds else []
    remarks = tuple(dict.fromkeys((*transcript.remarks, *unheard, *minutes.remarks)))
    return replace(minutes, remarks=remarks)


async def _noted(
    model: AudioLanguageModel, minutes: Minutes, about: str, journal: Journal | None, sound: Sound | None
) -> Minutes:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Taking notes", total=1.0)
        return await write_minutes(
            model,
            minutes.lines,
            title=minutes.title,
            duration_s=minutes.duration_s,
            context=about,
            answers=journal,
            sound=sound,
            progress=lambda share: progress.update(task, completed=share),
        )


def _write(text: str, output: Path | None) -> None:
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"-o {output}: {error.strerror}; choose a file that can be written") from error
