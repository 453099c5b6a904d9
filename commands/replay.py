"""`python app.py replay`: plays a recorded session again and says whether it decided the same."""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence

from commands.errors import UsageError


def replay(options: argparse.Namespace) -> None:
    """Plays a recorded session through the same code and says whether it decided the same."""
    from realtime.recordings import replay as recording

    try:
        recorded = recording.read_recording(options.recording)
    except recording.RecordingError as error:
        raise UsageError(str(error)) from error
    played = asyncio.run(recording.replay(recorded))
    if played.difference is None:
        print(f"All {len(recorded.sent)} events are the recorded ones, byte for byte", file=sys.stderr)
    print(f"{recorded.audio_s:.1f} s of audio in {played.wall_s:.1f} s: {_counted(played.sent)}", file=sys.stderr)
    if options.verbose:
        for event in played.sent:
            print(event)
    if played.difference is not None:
        raise UsageError(played.difference)


def _counted(events: Sequence[str]) -> str:
    """How many events there are of each kind, the most first."""
    names = Counter(json.loads(event)["name"] for event in events)
    return ", ".join(f"{number} {name}" for name, number in names.most_common())
