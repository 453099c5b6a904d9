"""Reads a recording that somebody named, and says on stderr what a person should know of it."""

import os.path
import sys

from realtime.hearing.files import MAX_FILE_S, AudioFile, printable, read_audio_file


def read_recording(name: str, track: int | None = None, *, max_s: float = MAX_FILE_S) -> AudioFile:
    """Reads a recording, and says on stderr what a person should know of it.

    Raises:
        AudioTooLong: it is longer than `max_s`; of a pipe, which is read once, than the longest file.
        AudioFileError: it cannot be read.
    """
    is_file = os.path.isfile(name)  # noqa: PTH113  # which takes any name
    recording = read_audio_file(name, track=track, max_s=max_s if is_file else MAX_FILE_S)
    for note in recording.notes:
        print(f"earpiece: {printable(name)}: {note}", file=sys.stderr)
    return recording
