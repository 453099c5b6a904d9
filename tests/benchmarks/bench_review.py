"""Memory of a review: a recording of three hours beside one of ten minutes, each in a process of its own.

The recordings are made here, of the project's own clips with pauses between them, in seeded order. Reading, cutting and
dividing are real; ears and model are scripted, so that a run takes minutes. Run:
`python -m tests.benchmarks.bench_review --json`.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, GenerationOptions
from realtime.hearing.files import read_audio_file
from realtime.review.parts import divide
from realtime.review.questions import Question
from realtime.review.transcript import Transcript

CLIPS = Path(__file__).parents[2] / "assets" / "clips"
PAUSE_S = (0.4, 3.0)  # between clips
FOUND = json.dumps({"lines": [1], "answer": "Somebody asks something."})


def make_recording(path: Path, length_s: float) -> None:
    """Writes a recording of so many seconds as Opus in Ogg."""
    random = np.random.default_rng(0)
    clips = [read_audio_file(clip).samples for clip in sorted(CLIPS.glob("*.ogg"))]
    n_written = 0
    with av.open(str(path), "w", format="ogg") as container, tqdm(total=round(length_s), leave=False) as bar:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        while n_written < length_s * SAMPLE_RATE_HZ:
            pause = np.zeros(round(random.uniform(*PAUSE_S) * SAMPLE_RATE_HZ), np.float32)
            piece = np.concatenate((clips[random.integers(len(clips))], pause))
            samples = np.repeat((piece * 32767).astype(np.int16), 3)[np.newaxis]
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.rate, frame.pts = 48_000, 3 * n_written
            container.mux(stream.encode(frame))
            n_written += len(piece)
            bar.update(len(piece) // SAMPLE_RATE_HZ)
        container.mux(stream.encode(None))


async def review(path: Path) -> dict[str, Any]:
    """Puts a question to one recording, and says what that took."""
    model = ScriptedModel([[FOUND]], sounds=["Somebody asks what the capital of a country is."])
    transcript = Transcript(path, model.transcriber)
    question = Question(model, "What is asked?", GenerationOptions())
    began_s = time.perf_counter()
    n_parts = 0
    async for part in divide(transcript.lines(), model.info):
        await question.ask(part)
        model.requests.clear()
        model.asked.clear()
        n_parts += 1
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "length_s": round(transcript.duration_s),
        "parts": n_parts,
        "took_s": round(time.perf_counter() - began_s, 1),
        "peak_mb": round(peak_mb, 1),
    }


def measure(length_s: float, folder: Path) -> dict[str, Any]:
    """The figures of a recording of so many seconds, from a process of its own."""
    path = folder / f"{length_s:.0f}.ogg"
    make_recording(path, length_s)
    command = [sys.executable, "-m", "tests.benchmarks.bench_review", "--measure", str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    """Prints a table, and with --json a last line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=180.0, help="of the long recording (%(default)s)")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print a last line of JSON")
    options = parser.parse_args()
    if options.measure is not None:
        print(json.dumps(asyncio.run(review(options.measure))))
        return
    with tempfile.TemporaryDirectory() as folder:
        short, long = (measure(60 * minutes, Path(folder)) for minutes in (10.0, options.minutes))
    table = Table("recording", "parts", "took (s)", "peak (MB)")
    for each in (short, long):
        table.add_row(f"{each['length_s'] / 60:.0f} min", *(str(each[name]) for name in ("parts", "took_s", "peak_mb")))
    Console().print(table)
    if options.json:
        ratio = round(long["peak_mb"] / short["peak_mb"], 3)
        print(json.dumps({"short": short, "long": long, "peak_ratio": ratio}))


if __name__ == "__main__":
    main()
