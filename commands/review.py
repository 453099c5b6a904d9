"""What the commands that go through a whole recording share: a progress bar, and a journal to go on from.

Read `realtime/review/` for what is done with a recording.
"""

import argparse
import asyncio
import os.path
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from commands.errors import UsageError
from models.base import AudioLanguageModel, Transcriber
from realtime.hearing.files import AudioFileError, printable
from realtime.notes.minutes import Span
from realtime.notes.writing import clock
from realtime.review.journal import Journal, JournalError, key_of
from realtime.review.transcript import Spoken, Transcript

FOLDER = "reviews"  # in that of the weights


def ears_of(model: AudioLanguageModel) -> Transcriber:
    """What writes the recording down.

    Raises:
        UsageError: there is nothing that does.
    """
    if model.transcriber is None:
        raise UsageError(f"{model.info.name} cannot write speech down, and there are no ears; leave out --ears none")
    return model.transcriber


@contextmanager
def opened_journal(options: argparse.Namespace, *about: str) -> Iterator[Journal | None]:
    """Gives the journal of a review; it is deleted at the end, and kept when the review breaks off.

    None: the recording is no file, so that nobody could go on with it.
    """
    if not os.path.isfile(options.clip):  # noqa: PTH113  # which takes any name
        yield None
        return
    path = Path(options.clip)
    try:
        journal = Journal(options.cache_dir / FOLDER / key_of(path, *about))
    except JournalError as error:
        raise UsageError(f"{printable(options.clip)}: {error}") from error
    except OSError as error:
        raise UsageError(
            f"--cache-dir {options.cache_dir}: {error.strerror}; choose a folder that can be written"
        ) from error
    if journal.lines:
        print(f"earpiece: going on at {clock(journal.lines[-1].span.end_s)}, where it was stopped", file=sys.stderr)
    try:
        yield journal
    except JournalError as error:
        raise UsageError(str(error)) from error
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("earpiece: stopped; run the same again to go on from here", file=sys.stderr)
        raise
    else:
        journal.remove()
    finally:
        journal.close()


async def read_with_progress(transcript: Transcript, journal: Journal | None, what: str) -> AsyncIterator[Spoken]:
    """Yields the lines of a recording, keeps them, and shows on stderr how far it has come."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[at]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=1.0, at="0:00")
        n_known = 0 if journal is None else len(journal.lines)
        number = 0
        async for spoken in transcript.lines():
            number += 1
            if journal is not None and number > n_known:
                journal.add_line(spoken.line)
            progress.update(task, completed=transcript.share, at=clock(spoken.line.span.end_s))
            yield spoken


def transcript_of(
    options: argparse.Namespace, model: AudioLanguageModel, journal: Journal | None, *, language: str | None = None
) -> Transcript:
    """Begins to read the recording of a command; `language` is the one that is spoken, None: the ears find out."""
    known = () if journal is None else tuple(journal.lines)
    return Transcript(options.clip, ears_of(model), track=options.track, known=known, language=language)


def say_remarks(name: str, transcript: Transcript) -> None:
    """Says on stderr what a person should know of a recording."""
    for remark in transcript.remarks:
        print(f"earpiece: {printable(name)}: {remark}", file=sys.stderr)


def cited(span: Span) -> str:
    """A place in a recording, as an answer cites it."""
    speaker = "" if span.speaker is None else f" {span.speaker}"
    return f"[{clock(span.start_s)}–{clock(span.end_s)}{speaker}]"


def check_readable(name: str) -> None:
    """Raises `AudioFileError` where a file is not there, before a model is loaded for it."""
    if name != "-" and not os.path.exists(name):  # noqa: PTH110  # which takes any name
        raise AudioFileError(f"{printable(name)}: no such file")
