"""How soon an answer begins after a turn, with ears beside the model and without, in the same run.

The checkpoint has a family's real classes, random weights and the width of a small language model (see
`bench_prefix.py`); recorded questions are spoken to it in real time, since drafts of what is being said are written
while it is spoken. Two sessions share the model, and speak in turns: one has ears beside the model.
Measured is the wall time from the last voiced sample to the first token, provisional or not. With `--no-speculation` no
answer begins before its turn has ended, and nothing is drafted.
Run: `python -m tests.benchmarks.bench_captions --json` on a machine that does nothing else.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from app import default_cache_dir
from models.base import AudioLanguageModel
from models.ears.beside import ModelWithEars
from models.ears.loading import load_ears
from models.loading import LoadOptions
from models.registry import load_model
from models.types import SAMPLE_RATE_HZ, GenerationOptions, Samples
from realtime.events import MessageDrafted, ResponseDelta, ResponseDone, SessionEvent, UserSpeechStopped
from realtime.hearing.audio import AudioChunk
from realtime.hearing.files import read_audio_file
from realtime.load import AnswerLoad
from realtime.session import Session, SessionOptions
from tests.conftest import CLIPS
from tests.models.tiny import TINY_FAMILIES
from tests.models.tiny.family import MEDIUM, NARROW, TINY

SIZES = {"tiny": TINY, "medium": MEDIUM, "narrow": NARROW}
QUESTIONS = ("question_capital", "question_river", "question_sky", "question_story")
CHUNK_SAMPLES = 320  # 20 ms
AFTER_S = 2.0  # of silence: the turn ends in it, and the answer
OPTIONS = SessionOptions(generation=GenerationOptions(max_new_tokens=24))


class Person:
    """Speaks to one session in real time, and notes when its answers begin.

    Args:
        session: listens and answers.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.n_drafts = 0
        self._sample = 0
        self._began_s = 0.0  # wall time of sample 0, had all audio come at its pace
        self._stopped_ms = 0
        self._first_s: float | None = None

    async def read(self) -> None:
        """Reads the session's events until it ends."""
        async for event in self.session.events():
            self._take(event)

    def _take(self, event: SessionEvent) -> None:
        match event:
            case UserSpeechStopped():
                self._stopped_ms, self._first_s = event.audio_end_ms, None
            case ResponseDelta() | ResponseDone() if self._first_s is None:
                self._first_s = time.perf_counter()
            case MessageDrafted():
                self.n_drafts += 1

    async def ask(self, question: Samples) -> float:
        """Speaks, waits for the answer, and gives the seconds from the last voiced sample to its first token."""
        audio = np.concatenate((question, np.zeros(round(AFTER_S * SAMPLE_RATE_HZ), np.float32)))
        self._began_s = time.perf_counter() - self._sample / SAMPLE_RATE_HZ
        for start in range(0, len(audio), CHUNK_SAMPLES):
            chunk = audio[start : start + CHUNK_SAMPLES]
            self.session.push_audio(AudioChunk(chunk, self._sample))
            self._sample += len(chunk)
            await asyncio.sleep(max(0.0, self._began_s + self._sample / SAMPLE_RATE_HZ - time.perf_counter()))
        await self.session.settled()
        assert self._first_s is not None, "a turn has an answer"
        return self._first_s - (self._began_s + self._stopped_ms / 1000)


@asynccontextmanager
async def person(model: AudioLanguageModel, load: AnswerLoad) -> AsyncIterator[Person]:
    """Somebody in a session of their own."""
    someone = Person(Session(model, OPTIONS, load=load))
    tasks = [asyncio.create_task(someone.session.run()), asyncio.create_task(someone.read())]
    yield someone
    someone.session.close()
    await asyncio.gather(*tasks)


async def measure(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Latencies of both, turn about."""
    model = load_model(str(folder), LoadOptions(cache_dir=folder, dtype=options.dtype, ears="none"))
    ears = load_ears(options.ears, options.cache_dir)
    assert ears is not None, "--ears none has nothing to measure"
    questions = [read_audio_file(CLIPS / f"{name}.ogg").samples for name in QUESTIONS]
    load = AnswerLoad(0) if options.no_speculation else AnswerLoad()
    async with person(model, load) as plain, person(ModelWithEars(model, ears), load) as captioned:
        found: dict[str, list[float]] = {"without ears": [], "with ears": []}
        for number in tqdm(range(options.turns + 1), unit="turn"):  # the first warms up
            for name, someone in zip(found, (plain, captioned), strict=True):
                found[name].append(await someone.ask(questions[number % len(questions)]))
        metrics = captioned.session.metrics
    await model.close()
    result: dict[str, object] = {name: summary(latencies_s[1:]) for name, latencies_s in found.items()}
    result |= {
        "drafts": captioned.n_drafts,
        "captions": metrics.captions,
        "failed_captions": metrics.failed_captions,
        "mean_caption_wait_s": round(metrics.mean_caption_wait_s, 3),
    }
    return result


def summary(latencies_s: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {"p50_s": round(statistics.median(latencies_s), 3), "p95_s": round(float(np.quantile(latencies_s, 0.95)), 3)}


def main() -> None:
    """Runs the benchmark."""
    families = {tiny.name: tiny for tiny in TINY_FAMILIES}
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_captions", description=__doc__)
    parser.add_argument("--family", choices=families, default="ultravox", help="(%(default)s)")
    parser.add_argument("--size", choices=SIZES, default="medium", help="(%(default)s)")
    parser.add_argument("--dtype", default="auto", help="(%(default)s)")
    parser.add_argument("--ears", default="moonshine", help="(%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="(%(default)s)")
    parser.add_argument("--turns", type=int, default=20, help="of each (%(default)s)")
    parser.add_argument("--no-speculation", action="store_true", help="answers begin when their turns have ended")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        families[options.family].save(Path(folder), SIZES[options.size])
        result = asyncio.run(measure(Path(folder), options))
    table = Table(title=f"Last voiced sample to first token, {options.family}, {options.size}, {options.turns} turns")
    for column in ("", "p50 s", "p95 s"):
        table.add_column(column)
    for name in ("without ears", "with ears"):
        found = result[name]
        assert isinstance(found, dict)
        table.add_row(name, *map(str, found.values()))
    Console().print(table)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
