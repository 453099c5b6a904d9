"""What finding speech costs: percent of one core per session, for many sessions of real-time audio on one event loop.

Every session gets the same recording, shifted, in chunks of 20 ms at its own phase, as fast as it was spoken; the CPU
time of the process is counted, event loop included. Sessions that share calls of Silero's network are compared with
sessions that do not, and with WebRTC's detector, in turns. Run:
`python -m tests.benchmarks.bench_detection --sessions 40 --json`.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.files import read_audio_file
from realtime.hearing.vad import SileroBatch, SpeechDetector, VadOptions

CHUNK_S = 0.02
CLIP = Path(__file__).parents[2] / "assets" / "clips" / "tale_of_two_cities.ogg"
WARM_UP_S = 0.5
VARIANTS = ("silero, batched", "silero, each alone", "webrtc", "no detector")


async def run_session(detector: SpeechDetector | None, samples: Samples, began_s: float, late_s: list[float]) -> None:
    """Plays samples in real time into a detector, or nowhere; notes how long after its chunk each result came."""
    size = round(CHUNK_S * SAMPLE_RATE_HZ)
    for start in range(0, len(samples), size):
        due_s = began_s + start / SAMPLE_RATE_HZ
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        if detector is not None and await detector.push_batched(samples[start : start + size]):
            late_s.append(time.perf_counter() - due_s)


async def measure(variant: str, n_sessions: int, seconds: float) -> dict[str, float]:
    """CPU time of one variant."""
    clip = read_audio_file(CLIP).samples
    batch = SileroBatch() if variant == "silero, batched" else None
    options = VadOptions(engine="webrtc" if variant == "webrtc" else "silero")
    length = round(seconds * SAMPLE_RATE_HZ)
    late_s: list[float] = []
    began_s, began_cpu_s = time.perf_counter() + WARM_UP_S, time.process_time()
    async with asyncio.TaskGroup() as group:
        for index in range(n_sessions):
            samples = np.resize(np.roll(clip, index * len(clip) // n_sessions), length)
            detector = None if variant == "no detector" else SpeechDetector(options, batch=batch)
            group.create_task(run_session(detector, samples, began_s + index * CHUNK_S / n_sessions, late_s))
    cpu_s = time.process_time() - began_cpu_s
    p50, p95 = np.percentile(late_s, [50, 95]) * 1000 if late_s else (0.0, 0.0)
    percent = 100 * cpu_s / seconds / n_sessions
    return {"percent_of_core": round(percent, 4), "p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2)}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_detection", description=__doc__)
    parser.add_argument("--sessions", type=int, default=40, help="at one time (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="of audio in each (%(default)s)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    asyncio.run(measure("silero, batched", options.sessions, 1))  # loads the network
    result = {variant: asyncio.run(measure(variant, options.sessions, options.seconds)) for variant in VARIANTS}
    idle = result.pop("no detector")["percent_of_core"]
    table = Table(
        title=f"{options.sessions} sessions of {options.seconds:g} s in real time; event loop alone: {idle} %"
    )
    for column in ("detector", "% of a core per session", "without the event loop", "ms late p50", "p95"):
        table.add_column(column)
    for variant, figures in result.items():
        figures["detection_percent"] = round(figures["percent_of_core"] - idle, 4)
        cells = [figures[key] for key in ("percent_of_core", "detection_percent", "p50_ms", "p95_ms")]
        table.add_row(variant, *map(str, cells))
    Console().print(table)
    if options.json:
        print(json.dumps({"sessions": options.sessions, "seconds": options.seconds, "event_loop": idle, **result}))


if __name__ == "__main__":
    main()
