"""`python app.py replay`: plays a recorded session again and says whether it decided the same."""

import argparse
import asyncio
import sys

from commands.errors import UsageError


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
