"""What stops an answer: backchannels and short noises that should not, interruptions, numbers and commands that should.

Three kinds of models: one with words of its own (the pocket's, whose ears are Moonshine), one with ears beside
(Whisper), and one without any; each with our scorer of sounds and, "before", without it. Every clip of a folder that
`interjections.py` wrote (which says what of it is synthetic) goes through the real detector and the real floor, and is
judged by the real ears and scorer.
Run: `python -m tests.benchmarks.bench_interruptions --clips DIR/test [--kinds none,own,beside] [--every 2] [--json]`.
"""

import argparse
import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from app import default_cache_dir
from models.base import Transcriber
from models.ears.loading import load_ears
from models.types import AudioClip, Samples
from realtime.turns.backchannel import Backchannel
from realtime.turns.interruption import BackchannelScorer
from realtime.turns.observations import SoundJudged
from realtime.turns.smart_turn import SmartTurn, find_smart_turn
from tests.benchmarks.interjections import LEAVE_TURN, TAKE_TURN, Clip, read_clips
from tests.benchmarks.overhearing import Outcome, in_a_room, overhear, rules_of

EARS = {"own": "moonshine", "beside": "whisper", "none": "none"}


@dataclass(frozen=True, slots=True)
class Result:
    """What a clip did to the answer, and how long its judgements took, wall time."""

    clip: Clip
    outcome: Outcome
    judged: tuple[SoundJudged, ...]
    judgement_s: float

    @property
    def is_wrong(self) -> bool:
        """Whether the answer should have gone on, or stopped."""
        return (self.clip.set in LEAVE_TURN) is (self.outcome is Outcome.STOPPED)


def hear_clip(clip: Clip, samples: Samples, ears: Transcriber | None, scorer: BackchannelScorer | None) -> Result:
    """What becomes of an answer over which a clip is heard."""
    rules = rules_of(transcribes=ears is not None, scores=scorer is not None)
    judged: list[SoundJudged] = []
    judgement_s = 0.0

    def judge(number: int, sound: Samples) -> SoundJudged:
        nonlocal judgement_s
        began_s = time.perf_counter()
        judged.append(judge_sound(number, sound, ears, scorer))
        judgement_s = max(judgement_s, time.perf_counter() - began_s)
        return judged[-1]

    outcome = overhear(samples, rules, judge)
    return Result(clip, outcome, tuple(judged), judgement_s)


def judge_sound(number: int, sound: Samples, ears: Transcriber | None, scorer: BackchannelScorer | None) -> SoundJudged:
    """As a session has a sound (n_samples,) judged."""
    probability = None if scorer is None else scorer.score(sound)
    if ears is None:
        return SoundJudged(number, None, backchannel_probability=probability)
    transcript = asyncio.run(ears.transcribe(AudioClip(sound), dialogue="bench"))
    if transcript.is_foreign:
        return SoundJudged(number, None)
    least = min((word.probability for word in transcript.words), default=1.0)
    return SoundJudged(number, transcript.text, least, probability)


def measure(
    clips: Sequence[Clip], kinds: Sequence[str], scorer: BackchannelScorer, cache_dir: Path, seed: int
) -> dict[str, list[Result]]:
    """All clips over all kinds of models, with the scorer and before it."""
    rng = np.random.default_rng(seed)
    heard = [in_a_room(clip.samples, rng) for clip in clips]
    results: dict[str, list[Result]] = {}
    for kind in kinds:
        ears = load_ears(EARS[kind], cache_dir)
        for name, used in ((f"{kind}, before", None), (kind, scorer)):
            pairs = zip(clips, heard, strict=True)
            results[name] = [
                hear_clip(clip, samples, ears, used)
                for clip, samples in tqdm(pairs, desc=name, total=len(clips), unit="clip")
            ]
    return results


def figures_of(results: Sequence[Result]) -> dict[str, Any]:
    """How many of each set, and of all that leave the turn, are wrong; noises count if they pause the answer."""
    heard = [result for result in results if result.clip.set != "noises" or result.outcome is not Outcome.NOT_PAUSED]
    figures: dict[str, Any] = {"both": _count([result for result in heard if result.clip.set in LEAVE_TURN])}
    for set_ in (*LEAVE_TURN, *TAKE_TURN):
        figures[set_] = _count([result for result in heard if result.clip.set == set_])
    waits_s = [result.judgement_s for result in results if result.judged]
    if waits_s:
        figures["judgement_p50_s"], figures["judgement_p95_s"] = np.percentile(waits_s, (50, 95)).round(3).tolist()
    return figures


def _count(results: Sequence[Result]) -> dict[str, Any]:
    sources: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for result in results:
        source = sources[result.clip.source.split()[0]]
        source[0] += result.is_wrong
        source[1] += 1
    return {"wrong": sum(result.is_wrong for result in results), "of": len(results), "sources": dict(sources)}


def show(figures: dict[str, dict[str, Any]]) -> None:
    """Prints the table."""
    columns = {"backchannels": "backchannels that stop it", "noises": "noises that pause, and stop it", "both": "both"}
    columns |= {set_: f"{set_} missed" for set_ in TAKE_TURN}
    table = Table("words", *columns.values(), "judged in p50, p95", title="answers over which something is heard")
    for name, row in figures.items():
        cells = [f"{row[column]['wrong']} of {row[column]['of']}" for column in columns]
        waits = f"{row['judgement_p50_s']:.2f}, {row['judgement_p95_s']:.2f} s" if "judgement_p50_s" in row else "-"
        table.add_row(name, *cells, waits)
    Console(width=140).print(table)


def describe(name: str, result: Result) -> str:
    """What became of a clip, as a line of JSON."""
    row: dict[str, Any] = {"kind": name, "set": result.clip.set, "source": result.clip.source, "text": result.clip.text}
    row |= {"outcome": result.outcome.name, "is_wrong": result.is_wrong}
    row["judged"] = [
        (judged.text, round(judged.least_probability, 3), judged.backchannel_probability) for judged in result.judged
    ]
    return json.dumps(row)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_interruptions", description=__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of a split that interjections wrote")
    parser.add_argument("--kinds", default="none,own,beside", help="of models (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the room (%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="fetched weights (%(default)s)")
    parser.add_argument("--every", type=int, default=1, help="take every Nth clip alone (%(default)s)")
    parser.add_argument("--judged", type=Path, help="file to write, a line of JSON for each clip and kind")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    clips = read_clips(options.clips)[:: options.every]
    scorer = Backchannel(SmartTurn(find_smart_turn(options.cache_dir)))
    results = measure(clips, options.kinds.split(","), scorer, options.cache_dir, options.seed)
    figures = {name: figures_of(found) for name, found in results.items()}
    show(figures)
    if options.judged is not None:
        lines = [describe(name, result) for name, found in results.items() for result in found]
        options.judged.write_text("\n".join(lines) + "\n", "utf-8")
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
