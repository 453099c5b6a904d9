"""Reads a recording that somebody named, and says on stderr what a person should know of it."""

import sys

from realtime.hearing.files import AudioFile, printable, read_audio_file


def read_recording(name: str, track: int | None = None) -> AudioFile:
    """Reads a recording, and says on stderr what a person should know of it."""
    recording = read_audio_file(name, track=track)
    for note in recording.notes:
        print(f"earpiece: {printable(name)}: {note}", file=sys.stderr)
    return recording
