"""Reads a recording that somebody named, and says on stderr what a person should know of it."""

import sys
from pathlib import Path

from realtime.hearing.files import MAX_FILE_S, AudioFile, printable, read_audio_file


def read_recording(name: str, track: int | None = None, *, max_s: float = MAX_FILE_S) -> AudioFile:
    """Reads a recording, and says on stderr what a person should know of it.

    Raises:
        AudioTooLong: it is longer than `max_s`; of a pipe, which is read once, than the longest file.
        AudioFileError: it cannot be read.
    """
    recording = read_audio_file(name, track=track, max_s=max_s if Path(name).is_file() else MAX_FILE_S)
    for note in recording.notes:
        print(f"earpiece: {printable(name)}: {note}", file=sys.stderr)
    return recording
