"""How many people one server process serves at once, and what each costs beside a plain FastRTC handler.

Sessions are added step by step, each speaking in turns, until p95 of the lag is 100 ms or more: a client asks its
session for its numbers once a second, and the answer comes from the same inbox as the audio, behind all that was sent
before. The last step below the limit counts. CPU per session is the server process's own time, ours and FastRTC's at
the same time with as many sessions and the same sound. Server, clients and baseline are processes of their own.
Run: `python -m tests.benchmarks.bench_sessions --json` on a machine that does nothing else; it takes four minutes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

CLIPS = Path(__file__).parents[2] / "assets" / "clips"
LIMIT_S = 0.1
SLOWEST_TURN_S = 30.0  # who answers less often has not kept up with the sound: a turn takes 9 s at most
SETTLE_S = 1.0  # after sessions were opened
STEPS = {"websocket": range(10, 201, 10), "webrtc": range(5, 81, 5)}
COMPARED = {"websocket": 40, "webrtc": 15}  # sessions; both servers and their clients fit two cores
KINDS = ("ours", "fastrtc")
GOALS = {"websocket": 60, "webrtc": 25, "cpu_ratio": 0.6}


class Process:
    """One of the processes, which prints a line when it is ready.

    Args:
        arguments: of the interpreter.
    """

    def __init__(self, *arguments: str) -> None:
        pipe = subprocess.PIPE
        environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"}
        self._process = subprocess.Popen(
            [sys.executable, *arguments], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        self.first = self._read()

    def ask(self, **order: float) -> dict[str, Any]:
        """Gives an order and returns what came of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = self._read()
        return found

    @property
    def cpu_s(self) -> float:
        """The time that it has computed so far."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def end(self) -> None:
        """Ends it."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args} has ended")
        return json.loads(line)


@contextmanager
def talking(kind: str, transport: str, clips: Path, *, asks: bool) -> Iterator[tuple[Process, Process]]:
    """Starts a server and its clients, which ask ours how late it is; FastRTC's handler has no word for that."""
    server = Process("-m", "tests.benchmarks.sessions_server", kind)
    silent = () if asks else ("--silent",)
    clients = Process("-m", "tests.benchmarks.sessions_clients", transport, str(server.first), str(clips), *silent)
    try:
        yield server, clients
    finally:
        clients.end()
        server.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was measured with so many sessions.

    Attributes:
        sessions: how many there were.
        p50_s: of the lag.
        p95_s: of the lag.
        cpu: share of a core that the server took.
        clients_p95_s: how late the process of the clients was itself.
        answers: that came.
        lost: connections that have ended.
    """

    sessions: int
    p50_s: float
    p95_s: float
    cpu: float
    clients_p95_s: float
    answers: int
    lost: int


def measure(server: Process, clients: Process, sessions: int, duration_s: float) -> Step:
    """Lets all speak for a while."""
    time.sleep(SETTLE_S)
    began_s, worked_s = time.monotonic(), server.cpu_s
    found = clients.ask(measure=duration_s)
    cpu = (server.cpu_s - worked_s) / (time.monotonic() - began_s)
    lags_s = found["lags_s"] or [0.0]
    return Step(
        sessions=sessions,
        p50_s=statistics.median(lags_s),
        p95_s=float(np.percentile(lags_s, 95)),
        cpu=cpu,
        clients_p95_s=found["own_p95_s"],
        answers=found["answers"],
        lost=found["lost"],
    )


def ramp(transport: str, clips: Path, duration_s: float) -> list[Step]:
    """Adds sessions until the lag is too long, or one is lost."""
    steps: list[Step] = []
    with talking("ours", transport, clips, asks=True) as (server, clients):
        progress = tqdm(STEPS[transport], desc=transport, unit="step")
        for sessions in progress:
            clients.ask(open=sessions - (steps[-1].sessions if steps else 0))
            steps.append(measure(server, clients, sessions, duration_s))
            progress.set_postfix(sessions=sessions, p95_ms=round(1000 * steps[-1].p95_s))
            if steps[-1].p95_s >= LIMIT_S or steps[-1].lost:
                break
    return steps


def served(steps: Sequence[Step]) -> int:
    """How many sessions there were in the last step that was good."""
    return max((step.sessions for step in steps if step.p95_s < LIMIT_S and not step.lost), default=0)


def compare(transport: str, clips: Path, sessions: int, duration_s: float) -> dict[str, float]:
    """CPU per session of ours and of the plain handler, in shares of a core; both at the same time."""
    with ExitStack() as stack:
        pairs = {kind: stack.enter_context(talking(kind, transport, clips, asks=False)) for kind in KINDS}
        for _, clients in pairs.values():
            clients.ask(open=sessions)
        with ThreadPoolExecutor() as threads, tqdm(total=1, desc=f"CPU, {transport}", unit="run") as progress:
            running = {kind: threads.submit(measure, *pair, sessions, duration_s) for kind, pair in pairs.items()}
            steps = {kind: each.result() for kind, each in running.items()}
            progress.update()
    for kind, step in steps.items():
        if step.lost or step.answers < sessions * duration_s / SLOWEST_TURN_S:
            raise SystemExit(
                f"{kind} over {transport}: {step.answers} answers, {step.lost} of {sessions} connections lost; the "
                "machine is too busy for its time to mean anything: try again, or with fewer --compared"
            )
    return {kind: step.cpu / sessions for kind, step in steps.items()}


def show(steps: Sequence[Step], title: str) -> None:
    """Prints a table of steps."""
    table = Table(title=title)
    for column in (
        "sessions",
        "lag p50, ms",
        "lag p95, ms",
        "server, cores",
        "clients late p95, ms",
        "answers",
        "lost",
    ):
        table.add_column(column, justify="right")
    for step in steps:
        late_ms = [f"{1000 * value_s:.0f}" for value_s in (step.p50_s, step.p95_s)]
        rest = f"{step.cpu:.2f}", f"{1000 * step.clients_p95_s:.0f}", str(step.answers), str(step.lost)
        table.add_row(str(step.sessions), *late_ms, *rest)
    Console().print(table)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_sessions", description=__doc__)
    parser.add_argument("clips", nargs="?", type=Path, default=CLIPS, help="a folder of recordings (%(default)s)")
    parser.add_argument("--step-s", type=float, default=4.0, help="each step of the ramps (%(default)s)")
    parser.add_argument("--compare-s", type=float, default=27.0, help="the comparison (%(default)s)")
    parser.add_argument("--compared", type=int, metavar="N", help=f"sessions of each comparison ({COMPARED})")
    parser.add_argument("--transports", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--only", choices=("ramp", "compare"), help="one half of it")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    result: dict[str, Any] = {}
    for transport in options.transports:
        if options.only != "ramp":
            cpu = compare(transport, options.clips, options.compared or COMPARED[transport], options.compare_s)
            names = ("", "fastrtc_") if transport == "websocket" else ("webrtc_", "fastrtc_webrtc_")
            for name, value in zip(names, cpu.values(), strict=True):
                result[f"{name}cpu_per_session"] = round(value, 5)
            ratio = cpu["ours"] / cpu["fastrtc"]
            shares = {kind: f"{100 * value:.2f} %" for kind, value in cpu.items()}
            print(f"{transport}: {shares} of a core a session; ratio {ratio:.2f}, goal {GOALS['cpu_ratio']}")
        if options.only != "compare":
            steps = ramp(transport, options.clips, options.step_s)
            show(steps, f"{transport}: {served(steps)} sessions with p95 below 100 ms, goal {GOALS[transport]}")
            result[transport] = served(steps)
    result["load_before"] = round(load_before, 2)
    result["cores"] = os.cpu_count()
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
