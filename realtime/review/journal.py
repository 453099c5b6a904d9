"""Keeps what was found out of a recording while it is reviewed, so that whoever is interrupted can go on.

It is a folder of its own for each recording and each way of reviewing it, with a file of JSON lines that is written as
the work goes on and deleted once it is done: what people said does not stay behind. A line that a crash cut off is left
out. Read `transcript.py` for the lines, `questions.py` for what a model has found.
"""

import fcntl
import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from models.types import Word
from realtime.notes.minutes import Line, Span

FILE_NAME = "journal.jsonl"
BLOCK_BYTES = 2**20


def key_of(path: Path, *about: str) -> str:
    """Names a recording by its content, together with what is done to it; raises `OSError`."""
    digest = hashlib.sha256("\0".join(about).encode())
    with path.open("rb") as file:
        for block in iter(lambda: file.read(BLOCK_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()[:32]


class JournalError(Exception):
    """A journal that cannot be used; the message says why and what to do."""


class Journal:
    """What is known of one recording so far.

    Args:
        folder: of this recording and this way of reviewing it; made if it is not there, for its owner alone.

    Attributes:
        lines: that were written down, in order.

    Raises:
        JournalError: another process has it.
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lines: list[Line] = []
        self._found: dict[str, Any] = {}
        self._file: IO[str] = (folder / FILE_NAME).open("a+", encoding="utf-8", buffering=1)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise JournalError("another process is at work on this recording; wait until it has ended") from None
        self._file.truncate(self._read())  # what a crash cut off goes

    def add_line(self, line: Line) -> None:
        """Keeps the next line."""
        self.lines.append(line)
        self._write({"line": asdict(line)})

    def find(self, name: str) -> Any:
        """What was found out under this name; None: nothing yet."""
        return self._found.get(name)

    def keep(self, name: str, found: Any) -> None:
        """Keeps what was found out, as JSON."""
        self._found[name] = found
        self._write({"name": name, "found": found})

    def close(self) -> None:
        """Leaves it for the next time."""
        self._file.close()

    def remove(self) -> None:
        """Deletes it: the work is done."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, entry: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        except OSError as error:
            raise JournalError(f"{self._folder}: {error.strerror}; make room, or give another --cache-dir") from error

    def _read(self) -> int:
        """Reads the entries that are whole, and gives where the last of them ends, in bytes."""
        end = 0
        for text in (self._folder / FILE_NAME).read_bytes().splitlines(keepends=True):
            try:
                self._take(json.loads(text.decode()))
            except (ValueError, KeyError, TypeError):
                break  # a crash has cut it off here
            end += len(text)
        return end

    def _take(self, entry: dict[str, Any]) -> None:
        if "line" in entry:
            self.lines.append(line_of(entry["line"]))
        else:
            self._found[entry["name"]] = entry["found"]


def line_of(fields: dict[str, Any]) -> Line:
    """What `asdict` was made of."""
    words = tuple(Word(**word) for word in fields["words"])
    return Line(span=Span(**fields["span"]), text=fields["text"], words=words)
