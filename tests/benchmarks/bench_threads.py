"""How soon a spoken question is answered, and how fast, by how OpenMP's threads wait; beside busy processes, too.

Every policy is a process of its own with the same model, because it counts from the start of a process; all are loaded,
then they answer in turns, alone and beside processes that never rest. The first policy is the one that `models` sets.
Run: `python -m tests.benchmarks.bench_threads --json` on a machine that does nothing else.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

POLICIES: dict[str, dict[str, str]] = {
    "ours": {},
    "OpenMP's own": {"GOMP_SPINCOUNT": "300000"},  # times that a thread looks before it sleeps, as if nobody said more
    "short spin": {"GOMP_SPINCOUNT": "1000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
CLIP = Path("assets/clips/question_story.ogg")  # 4 s long
N_NEW = 24


def answer_in_turns(model_name: str, cache_dir: Path, clip: Path) -> None:
    """Answers a spoken question once for each line of stdin and prints the times; runs in a process of its own."""
    from models.loading import LoadOptions
    from models.registry import load_model
    from models.types import AudioClip, GenerationOptions, GenerationStats, Message
    from realtime.conversation import SYSTEM_PROMPT
    from realtime.hearing.files import read_audio_file

    samples = read_audio_file(clip).samples
    system = Message("system", (SYSTEM_PROMPT,))
    past = [system, Message("user", ("Hello there.",)), Message("assistant", ("Hello! How can I help you?",))]

    async def answer(model: Any) -> dict[str, float]:
        await model.prefill(past, dialogue="bench")
        question = Message("user", (AudioClip(samples),))
        try:
            async for event in model.generate(
                [*past, question], GenerationOptions(max_new_tokens=N_NEW), dialogue="bench"
            ):
                if isinstance(event, GenerationStats):
                    decode_s = event.total_s - (event.ttft_s or 0.0)
                    return {"ttft_s": event.ttft_s or 0.0, "token_s": decode_s / max(1, event.completion_tokens - 1)}
        finally:
            await model.forget(dialogue="bench")
        raise AssertionError("an answer ends with its stats")

    async def work() -> None:
        model = load_model(model_name, LoadOptions(cache_dir=cache_dir))
        await answer(model)
        print("ready", flush=True)
        for _ in iter(sys.stdin.readline, ""):
            print(json.dumps(await answer(model)), flush=True)
        await model.close()

    asyncio.run(work())


def _never_rest() -> None:
    while True:
        pass


@contextmanager
def beside(n_busy: int) -> Iterator[None]:
    """Keeps so many processes busy."""
    processes = [multiprocessing.Process(target=_never_rest, daemon=True) for _ in range(n_busy)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


class Candidate:
    """A process that answers under one policy.

    Args:
        policy: what its environment says.
        arguments: for `answer_in_turns`, as the command line has them.
    """

    def __init__(self, policy: dict[str, str], arguments: list[str]) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.bench_threads", "--child", *arguments]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment | policy
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def answer(self) -> dict[str, float]:
        """Answers once; gives seconds to the first token and seconds a token."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        times: dict[str, float] = json.loads(self._line())
        return times

    def end(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def measure(candidates: dict[str, Candidate], rounds: int, n_busy: int) -> dict[str, dict[str, float]]:
    """Medians of the rounds, in which the candidates take turns."""
    times: dict[str, list[dict[str, float]]] = {name: [] for name in candidates}
    with beside(n_busy):
        time.sleep(0.5)
        for _ in tqdm(range(rounds), unit="round", desc=f"{n_busy} busy"):
            for name, candidate in candidates.items():
                times[name].append(candidate.answer())
    return {
        name: {key: round(statistics.median(found[key] for found in each), 4) for key in ("ttft_s", "token_s")}
        for name, each in times.items()
    }


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_threads", description=__doc__)
    parser.add_argument("--model", default="pocket", help="which answers (%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=Path.home() / ".cache/earpiece", help="(%(default)s)")
    parser.add_argument("--clip", type=Path, default=CLIP, help="a spoken question (%(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="answers of each policy (%(default)s)")
    parser.add_argument("--busy", type=int, default=2, help="processes beside, on the busy machine (%(default)s)")
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=list(POLICIES), help="which of them")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        answer_in_turns(options.model, options.cache_dir, options.clip)
        return
    arguments = ["--model", options.model, "--cache-dir", str(options.cache_dir), "--clip", str(options.clip)]
    candidates = {name: Candidate(POLICIES[name], arguments) for name in tqdm(options.policies, desc="loading")}
    result = {f"{n_busy} busy": measure(candidates, options.rounds, n_busy) for n_busy in (0, options.busy)}
    for candidate in candidates.values():
        candidate.end()
    table = Table(title=f"{options.model}: median of {options.rounds} answers, in seconds")
    for column in ("policy", *(f"{kind}, {name}" for name in result for kind in ("first token", "each token"))):
        table.add_column(column)
    for name in candidates:
        table.add_row(name, *(str(times[name][key]) for times in result.values() for key in ("ttft_s", "token_s")))
    Console().print(table)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
