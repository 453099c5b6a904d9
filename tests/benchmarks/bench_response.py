"""How long after a speaker's last word an answer comes: ours, and FastRTC's `ReplyOnPause` with the same model.

Both servers run as processes of their own; every clip is spoken to both in real time over the same transport, each in
a new conversation, turn about. Run: `python -m tests.benchmarks.bench_response --clips DIR --json`.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.files import read_audio_file
from tests.doors.clients import Client, webrtc_client, websocket_client
from tests.voiced import first_voiced_sample, last_voiced_sample

START_TIMEOUT_S = 60
SILENCE_AFTER_S = 2.5  # longer than either endpoint
ANSWER_TIMEOUT_S = 40
FIRST_DELTAS = 10  # of a long answer, before it is interrupted
AUDIO_SUFFIXES = {".ogg", ".flac", ".wav", ".mp3", ".opus", ".m4a"}


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one clip, in seconds from its last voiced sample; None: no such thing came."""

    first_provisional_s: float | None
    first_committed_s: float | None
    done_s: float | None
    answers: int


def times_of(client: Client, voice_ended_s: float) -> Latency:
    """Reads the last answer's times from a client's events."""
    events = list(zip(client.events, client.times_s, strict=True))
    created = [index for index, (event, _) in enumerate(events) if event["type"] == "response.created"]
    answers = sum(event["type"] == "response.done" for event, _ in events)
    last = events[created[-1] :] if created else _last_of_baseline(events)

    def first(*types: str) -> float | None:
        return next((time_s - voice_ended_s for event, time_s in last if event["type"] in types), None)

    provisional, committed = first("response.output_text.delta"), first("response.committed")
    visible = provisional if committed is None or provisional is None else max(provisional, committed)
    return Latency(provisional, visible, first("response.done"), answers)


def _last_of_baseline(events: list[tuple[dict[str, object], float]]) -> list[tuple[dict[str, object], float]]:
    """What came after the last answer but one was done."""
    done = [index for index, (event, _) in enumerate(events) if event["type"] == "response.done"]
    return events[done[-2] + 1 :] if len(done) > 1 else events


async def speak(client: Client, samples: Samples) -> Latency:
    """Says a clip and waits for the answer to it."""
    began_s = asyncio.get_running_loop().time()
    await client.say(np.concatenate((samples, np.zeros(round(SILENCE_AFTER_S * SAMPLE_RATE_HZ), np.float32))))
    answers = len(client.of("response.done"))
    if not answers:
        try:
            await client.until("response.done", timeout_s=ANSWER_TIMEOUT_S)
        except TimeoutError:
            print("no answer came within", ANSWER_TIMEOUT_S, "s", file=sys.stderr)
    return times_of(client, began_s + last_voiced_sample(samples) / SAMPLE_RATE_HZ)


@contextmanager
def server(*command: str) -> Iterator[int]:
    """Runs a server of ours or the baseline on a free port until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, *command, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"},  # FastRTC's own page would report the start
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(START_TIMEOUT_S * 4):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            try:
                process.wait(0.25)
            except subprocess.TimeoutExpired:
                continue
            break
    raise SystemExit(f"the server at {address} did not start")


def connect(transport: str, port: int, *, ours: bool) -> AbstractAsyncContextManager[Client]:
    """A client of either server."""
    created = "session.created" if ours else None
    if transport == "webrtc":
        return webrtc_client(port, os.urandom(4).hex(), greeting=created)
    return websocket_client(port, greeting=created)


async def measure(clips: list[Path], transport: str, ports: dict[str, int]) -> dict[str, list[Latency]]:
    """Speaks every clip to every server."""
    found: dict[str, list[Latency]] = {name: [] for name in ports}
    for path in tqdm(clips, unit="clip"):
        samples = read_audio_file(path).samples
        for name, port in ports.items():
            async with connect(transport, port, ours=name == "ours") as client:
                found[name].append(await speak(client, samples))
    return found


async def measure_barge_in(clips: list[Path], transport: str, port: int) -> list[float]:
    """Speaks every clip over a long answer: seconds from its first voiced sample to the answer's last delta."""
    found = []
    for path in tqdm(clips, unit="interruption"):
        samples = read_audio_file(path).samples
        async with connect(transport, port, ours=True) as client:
            await client.type_text("count")
            await client.until("response.output_text.delta", FIRST_DELTAS)
            began_s = asyncio.get_running_loop().time()
            await client.say(samples)
            if not client.of("response.done"):
                print(f"{path.name} did not interrupt", file=sys.stderr)
                continue
            found.append(last_delta_s(client) - began_s - first_voiced_sample(samples) / SAMPLE_RATE_HZ)
    return found


def last_delta_s(client: Client) -> float:
    """When the last delta before the first `response.done` came, on the loop's clock."""
    types = [event["type"] for event in client.events]
    end = types.index("response.done")
    return max(client.times_s[index] for index in range(end) if types[index] == "response.output_text.delta")


def summary(latencies: list[Latency], field: str) -> dict[str, float]:
    """p50 and p95 over the clips that were answered."""
    return percentiles([value for latency in latencies if (value := getattr(latency, field)) is not None])


def percentiles(values: list[float]) -> dict[str, float]:
    """p50 and p95; empty for no values."""
    if not values:
        return {}
    return {"p50": round(float(np.percentile(values, 50)), 4), "p95": round(float(np.percentile(values, 95)), 4)}


def find_clips(folder: Path, count: int, max_s: float) -> list[Path]:
    """A seeded choice of the recordings in a folder that are speech-sized."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    random.Random(0).shuffle(paths)
    clips = [path for path in paths if 0.5 < len(read_audio_file(path).samples) / SAMPLE_RATE_HZ < max_s][:count]
    if not clips:
        raise SystemExit(f"{folder}: no recordings between 0.5 and {max_s:g} s")
    return clips


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_response", description=__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of recordings, one turn each")
    parser.add_argument("--count", type=int, default=20, help="how many of them (%(default)s)")
    parser.add_argument("--max-s", type=float, default=12, help="longest recording taken (%(default)s)")
    parser.add_argument("--model", default="pocket", help="answers in both (%(default)s)")
    parser.add_argument("--transport", choices=("websocket", "webrtc"), default="websocket")
    parser.add_argument(
        "--barge-in",
        action="store_true",
        help="also speak every clip over a long answer and time how soon it stops",
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    clips = find_clips(options.clips, options.count, options.max_s)
    model = ("--model", options.model)
    with server("app.py", *model) as ours, server("-m", "tests.benchmarks.reply_on_pause", *model) as baseline:
        found = asyncio.run(measure(clips, options.transport, {"ours": ours, "reply_on_pause": baseline}))
    fields: dict[str, tuple[str, ...]] = {
        "ours": ("first_provisional_s", "first_committed_s", "done_s"),
        "reply_on_pause": ("first_committed_s", "done_s"),
    }
    result: dict[str, Any] = {name: {field: summary(found[name], field) for field in fields[name]} for name in found}
    title = f"Seconds after the last voiced sample, {len(clips)} clips over {options.transport}, {options.model}"
    table = Table(title=title)
    for column in ("server", "first shown p50", "p95", "first committed p50", "p95", "done p50", "p95", "answers"):
        table.add_column(column)
    for name, numbers in result.items():
        cells = [numbers.get(field, {}) for field in fields["ours"]]
        answers = sum(latency.answers for latency in found[name])
        table.add_row(name, *(f"{cell.get(p, '-')}" for cell in cells for p in ("p50", "p95")), str(answers))
    Console().print(table)
    if options.barge_in:
        with server("-m", "tests.benchmarks.endless") as port:
            stops_s = asyncio.run(measure_barge_in(clips, options.transport, port))
        result["barge_in_s"] = percentiles(stops_s)
        print(f"Voice over an answer to its last delta, {len(stops_s)} interruptions: {result['barge_in_s']}")
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
