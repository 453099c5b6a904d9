"""How many of a model's notes are right: ten scripted meetings, spoken by Kokoro's voices and written down by ears.

Each line is spoken by its voice, into a file in the folder of `--sounds`, and written down by the model's ears. Who
speaks is taken from the script: telling speakers apart is judged elsewhere. The model then takes notes twice: of what
the ears wrote, and of the true words, which is the ceiling of the ears. `meetings.py` says which notes are right. Every
cited place of a note that speaks of a truth, right or not, is compared with where that was said, and every JSON with
the published schema.
Run: `python -m tests.benchmarks.bench_notes --json --sounds FOLDER`.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from jsonschema import Draft202012Validator
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from app import default_cache_dir
from models.base import AudioLanguageModel
from models.loading import LoadOptions
from models.registry import load_model
from models.types import SAMPLE_RATE_HZ, AudioClip, Samples
from realtime.notes.minutes import Line, Minutes, Note, NoteKind, Span
from realtime.notes.noting import write_minutes
from realtime.notes.published import minutes_schema, to_json
from tests.benchmarks.meetings import Meeting, Score, count, read_meetings
from tests.benchmarks.voices import Speakers

FILE = Path(__file__).with_name("meetings.txt")
PAUSE_S = 0.5  # between two lines
PLACE_LIMIT_S = 2.0  # how far a cited place may begin or end from the line
JUDGED: tuple[NoteKind, ...] = ("decision", "action_item", "open_question")


class Result:
    """What was found out of one way of being told what was said."""

    def __init__(self) -> None:
        self.scores = {kind: Score() for kind in JUDGED}
        self.n_places = self.n_near = self.n_valid = self.n_meetings = 0
        self.total_s = 0.0

    def add(self, minutes: Minutes, meeting: Meeting, places_s: Sequence[tuple[float, float]]) -> None:
        """Counts the minutes of one meeting."""
        self.n_meetings += 1
        self.n_valid += Draft202012Validator(dict(minutes_schema())).is_valid(to_json(minutes))
        for kind, score in self.scores.items():
            count(score, kind, minutes.notes, meeting.truths, places_s)
        for note in minutes.notes:
            if note.kind != "summary":
                distances_s = _distances_s(note, meeting, places_s)
                self.n_places += len(distances_s)
                self.n_near += sum(distance_s <= PLACE_LIMIT_S for distance_s in distances_s)

    def report(self) -> dict[str, object]:
        """For the line of JSON."""
        kinds: dict[str, object] = {
            kind: {
                "precision": round(score.precision, 3),
                "recall": round(score.recall, 3),
                "right": score.n_right,
                "written": score.n_written,
                "true": score.n_true,
            }
            for kind, score in self.scores.items()
        }
        return {
            **kinds,
            "places_within_2_s": [self.n_near, self.n_places],
            "valid_json": [self.n_valid, self.n_meetings],
            "s_per_meeting": round(self.total_s / max(1, self.n_meetings), 1),
        }


def _distances_s(note: Note, meeting: Meeting, places_s: Sequence[tuple[float, float]]) -> list[float]:
    """How far each span of a note is from where the thing that it speaks of was said; none where nobody knows."""
    truths = [truth for truth in meeting.truths if any(word in note.text.lower() for word in truth.words)]
    said_s = [places_s[number - 1] for truth in truths for number in truth.lines]
    return [
        min(max(abs(span.start_s - start_s), abs(span.end_s - end_s)) for start_s, end_s in said_s)
        for span in note.spans
        if said_s
    ]


async def speak(meeting: Meeting, speakers: Speakers, folder: Path) -> list[Samples]:
    """The sound of each line, float32 `(n_samples,)` at 16 kHz; spoken once, and kept."""
    sounds = []
    for number, spoken in enumerate(meeting.spoken, 1):
        file = folder / f"{meeting.title.lower().replace(' ', '-')}-{number:02}-{spoken.voice}.flac"
        if not file.exists():
            soundfile.write(file, await speakers.speak(spoken.text, spoken.voice), SAMPLE_RATE_HZ)
        sounds.append(np.asarray(soundfile.read(file, dtype="float32")[0], np.float32))
    return sounds


async def lines_of(model: AudioLanguageModel, meeting: Meeting, sounds: Sequence[Samples]) -> tuple[list[Line], ...]:
    """What the ears wrote of a meeting, and what was really said, at the same places."""
    assert model.transcriber is not None, "a model with ears"
    written, true, at_s = list[Line](), list[Line](), 0.0
    for spoken, samples in zip(meeting.spoken, sounds, strict=True):
        span = Span(start_s=at_s, end_s=at_s + len(samples) / SAMPLE_RATE_HZ, speaker=spoken.speaker)
        transcript = await model.transcriber.transcribe(AudioClip(samples), dialogue="bench")
        written.append(Line(span=span, text=transcript.text))
        true.append(Line(span=span, text=spoken.text))
        at_s = span.end_s + PAUSE_S
    return written, true


async def judge(
    model: AudioLanguageModel, meetings: Sequence[Meeting], speakers: Speakers, folder: Path
) -> dict[str, Result]:
    """Lets a model take notes of all meetings, by its ears and by the true words."""
    results = {"ears": Result(), "true words": Result()}
    for meeting in tqdm(meetings, unit="meeting"):
        both = await lines_of(model, meeting, await speak(meeting, speakers, folder))
        places_s = [(line.span.start_s, line.span.end_s) for line in both[1]]
        for result, lines in zip(results.values(), both, strict=True):
            began_s = time.perf_counter()
            minutes = await write_minutes(model, lines, title=meeting.title, duration_s=places_s[-1][1])
            result.total_s += time.perf_counter() - began_s
            result.add(minutes, meeting, places_s)
    return results


def show(results: dict[str, Result]) -> None:
    """The table, and what was wrong."""
    table = Table("told by", "kind", "precision", "recall", "right / written / true")
    for told_by, result in results.items():
        for kind, score in result.scores.items():
            counts = f"{score.n_right} / {score.n_written} / {score.n_true}"
            table.add_row(told_by, kind, f"{score.precision:.2f}", f"{score.recall:.2f}", counts)
    console = Console(stderr=True)
    console.print(table)
    for told_by, result in results.items():
        for kind, score in result.scores.items():
            for wrong in score.wrong:
                console.print(f"{told_by}: {kind}: {wrong}", markup=False)


def main() -> None:
    """Reads the options and judges."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default="pocket", help="(%(default)s)")
    parser.add_argument("--sounds", type=Path, default=Path("/tmp/earpiece-meetings"), help="(%(default)s)")
    parser.add_argument("--meetings", type=int, default=0, metavar="N", help="the first ones only")
    parser.add_argument("--json", action="store_true", help="a line of JSON at the end")
    options = parser.parse_args()
    options.sounds.mkdir(parents=True, exist_ok=True)
    meetings = read_meetings(FILE)[: options.meetings or None]
    voices = sorted({spoken.voice for meeting in meetings for spoken in meeting.spoken})
    speakers = Speakers(voices, default_cache_dir())
    model = load_model(options.model, LoadOptions(cache_dir=default_cache_dir()))

    async def run() -> dict[str, Result]:
        try:
            return await judge(model, meetings, speakers, options.sounds)
        finally:
            await model.close()

    results = asyncio.run(run())
    show(results)
    if options.json:
        reports = {told_by.replace(" ", "_"): result.report() for told_by, result in results.items()}
        print(json.dumps({"model": options.model, "meetings": len(meetings), **reports}))


if __name__ == "__main__":
    main()
