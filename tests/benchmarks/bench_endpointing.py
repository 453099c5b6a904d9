"""How long rules wait after a turn has ended, against how often they cut a speaker off, after eot-bench's protocol.

Each row of `manifest.jsonl` is one turn and its silences of at least 100 ms: the last is the end of the turn, the
others are holds. Every rule hears the audio causally and is swept over its own settings; a hold of 0.2 to 5 s that it
answers is a cut-off. Reported are the least cut-off rate at a mean wait of 300 and 600 ms, and the least mean wait at
5 and 10 % cut-offs, each with a 95 % interval from a bootstrap over turns.

`vad only` is given the annotated silences and waits for their length, as in eot-bench. All others hear the audio: the
rule of FastRTC's `ReplyOnPause`, ours on silence, ours with a scorer, and the same scores under eot-bench's own policy
of threshold, action delay and time-out. Run: `python -m tests.benchmarks.bench_endpointing --data DIR --json`.
"""

import argparse
import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from fastrtc.reply_on_pause import AlgoOptions
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from app import default_cache_dir
from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.files import read_audio_file
from realtime.hearing.vad import SILERO_FRAME_SAMPLES, DetectedFrame, SpeechDetector, VadOptions
from realtime.turns.end_of_turn import EndOfTurn
from realtime.turns.endpointing import EndOfTurnScorer, Endpointing, EndpointingOptions
from realtime.turns.floor import HEAD_START_SAMPLES
from realtime.turns.machine import SpeechStarted, SpeechStopped
from realtime.turns.smart_turn import SmartTurn, find_smart_turn
from tests.benchmarks.reply_on_pause import LocalSilero

MIN_HOLD_S, MAX_HOLD_S = 0.2, 5.0  # the holds eot-bench counts
WAIT_BUDGETS_S = (0.3, 0.6)
CUT_BUDGETS = (0.05, 0.10)
CUT_IN_S = 1.0  # an answer talked over within this tells the rule that it cut in
BOOTSTRAPS = 500
WAITS_S = np.round(np.arange(0.1, 3.01, 0.02), 2)
CHUNKS_S = (0.3, 0.6, 1.2, 1.8)  # ReplyOnPause; 0.6 is its default
SILENCES_S = np.round(np.arange(0.3, 1.31, 0.02), 2)
MEAN_PAUSES_S = (0.05, 0.07, 0.1, 0.15, 0.2)
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.985)
DELAYS_S = np.round(np.arange(0.3, 1.21, 0.1), 2)
TIMEOUTS_S = np.round(np.arange(0.4, 3.01, 0.1), 2)


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause the detector noticed; times in seconds from the beginning of the audio.

    Attributes:
        noticed_s: when the detector called it a pause.
        score: probability that the turn is complete.
        silences: from the end of each voiced frame to the next; more than one if sounds too short for speech fell in.
        resumed: whether speech went on, confirmed.
    """

    noticed_s: float
    score: float
    silences: tuple[tuple[float, float], ...]
    resumed: bool

    @property
    def offset_s(self) -> float:
        """End of the last voiced frame before it."""
        return self.silences[0][0]

    def commit_s(self, wait_s: float) -> float | None:
        """When a wait is over; None if the speaker goes on before."""
        for begin_s, end_s in self.silences:
            if (commit_s := max(self.noticed_s, begin_s + wait_s)) < end_s:
                return commit_s
        return None


@dataclass(frozen=True, slots=True)
class Turn:
    """One row of the manifest, and what the detector made of it."""

    row: dict[str, Any]
    pauses: tuple[Pause, ...]

    @property
    def end_s(self) -> float:
        """When the turn has ended."""
        return float(self.row["silences"][-1][0])

    @property
    def holds(self) -> list[tuple[float, float]]:
        """The holds that count."""
        return [(a, b) for a, b in self.row["silences"][:-1] if MIN_HOLD_S <= b - a <= MAX_HOLD_S]


Rule = Callable[[Turn], Iterator[float]]  # when the rule commits, in seconds, in order


def find_pauses(samples: Samples, scorer: EndOfTurnScorer) -> tuple[Pause, ...]:
    """Runs our detector over float32 `(n_samples,)` and scores pauses at their first silent frames, as sessions do."""
    pauses: list[Pause] = []
    head_start = math.ceil(HEAD_START_SAMPLES / SILERO_FRAME_SAMPLES) * SILERO_FRAME_SAMPLES
    frames = SpeechDetector(VadOptions()).push(samples)
    for frame in frames:
        if isinstance(frame.event, SpeechStopped):
            silences, resumed = silences_until_speech(frames, frame.event.offset_sample)
            score = scorer.score(samples[: frame.event.offset_sample + head_start])
            pauses.append(Pause(frame.event.sample / SAMPLE_RATE_HZ, score, silences, resumed))
    return tuple(pauses)


def silences_until_speech(
    frames: Iterator[DetectedFrame], offset_sample: int
) -> tuple[tuple[tuple[float, float], ...], bool]:
    """Follows a pause from its last voiced sample until speech is confirmed or the audio ends."""
    begin, found = offset_sample, []
    for frame in frames:
        if frame.silence_samples == 0:
            found.append((begin / SAMPLE_RATE_HZ, frame.end_sample / SAMPLE_RATE_HZ))
            begin = frame.end_sample
        if isinstance(frame.event, SpeechStarted):
            return tuple(found), True
    return (*found, (begin / SAMPLE_RATE_HZ, math.inf)), False


# ---- rules ----


def by_annotated_silence(wait_s: float) -> Rule:
    """Commits in every annotated silence that lasts long enough."""

    def commits(turn: Turn) -> Iterator[float]:
        for begin, end in [*turn.holds, turn.row["silences"][-1]]:
            if end - begin > wait_s:
                yield begin + wait_s

    return commits


def by_pauses(wait_of: Callable[[Pause], float]) -> Rule:
    """Commits in every pause the detector noticed that outlasts its wait."""

    def commits(turn: Turn) -> Iterator[float]:
        for pause in turn.pauses:
            commit_s = pause.commit_s(wait_of(pause))
            if commit_s is not None:
                yield commit_s

    return commits


def by_endpointing(options: EndpointingOptions) -> Rule:
    """Our rule for a speaker it has not heard before, at every pause."""
    endpointing = Endpointing(options)
    return by_pauses(lambda pause: our_wait_s(endpointing, pause, options.score_at_s))


def by_adapting(options: EndpointingOptions) -> Rule:
    """Our rule as it learns from each speaker's turns, in the order of the manifest."""
    speakers: dict[str, Endpointing] = {}

    def commits(turn: Turn) -> Iterator[float]:
        endpointing = speakers.setdefault(turn.row["speaker"] or turn.row["path"], Endpointing(options))
        for pause in turn.pauses:
            commit_s = pause.commit_s(our_wait_s(endpointing, pause, options.score_at_s))
            ended_s = pause.silences[-1][1]
            if commit_s is None:
                scored = ended_s >= pause.noticed_s + options.score_at_s
                endpointing.observe_hold(
                    round((ended_s - pause.offset_s) * SAMPLE_RATE_HZ), pause.score if scored else None
                )
                continue
            yield commit_s
            endpointing.observe_end(pause.score)
            if pause.resumed and ended_s - commit_s <= CUT_IN_S:
                endpointing.observe_cut_in(round((ended_s - pause.offset_s) * SAMPLE_RATE_HZ))

    return commits


def our_wait_s(endpointing: Endpointing, pause: Pause, score_at_s: float) -> float:
    """How long the session waits after the last voiced frame of a pause: never before the score counts."""
    scored_s = pause.noticed_s - pause.offset_s + score_at_s
    return max(scored_s, endpointing.wait_samples(pause.score) / SAMPLE_RATE_HZ)


def by_threshold(threshold: float, delay_s: float, timeout_s: float) -> Rule:
    """eot-bench's policy: a score that reaches the threshold commits after the delay, any other at the time-out."""
    return by_pauses(lambda pause: delay_s if pause.score >= threshold else timeout_s)


def reply_on_pause_commits(samples: Samples, chunk_s: float) -> list[float]:
    """When FastRTC's `ReplyOnPause` would answer, with chunks of a given length and its other parameters as published.

    Each chunk is judged by itself; a chunk with much speech starts a turn, one with hardly any ends it.
    """
    published = AlgoOptions()
    detector, size = LocalSilero(), round(chunk_s * SAMPLE_RATE_HZ)
    commits, talking = [], False
    for start in range(0, len(samples) - size + 1, size):
        speech_s, _ = detector.vad((SAMPLE_RATE_HZ, samples[start : start + size]), None)
        talking = talking or speech_s > published.started_talking_threshold
        if talking and speech_s < published.speech_threshold:
            commits.append((start + size) / SAMPLE_RATE_HZ)
            talking = False
    return commits


# ---- figures ----


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a sweep of rules did: for each rule and turn the answers before its end, and the wait after it.

    Attributes:
        cuts: int `(n_rules, n_turns)`.
        waits_s: float `(n_rules, n_turns)`; a turn never answered counts as waited for to the end of its audio.
        holds: int `(n_turns,)`.
    """

    cuts: np.ndarray
    waits_s: np.ndarray
    holds: np.ndarray

    def at_budgets(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """The four figures, each `(n_samples,)`, for weights of the turns `(n_turns, n_samples)`."""
        cut_rate = (self.cuts @ weights) / (self.holds @ weights)
        wait_s = (self.waits_s @ weights) / weights.sum(axis=0)
        figures = {
            f"cutoff_at_{round(budget * 1000)}ms": np.where(wait_s <= budget, cut_rate, np.inf).min(axis=0)
            for budget in WAIT_BUDGETS_S
        }
        for budget in CUT_BUDGETS:
            figures[f"wait_s_at_{round(budget * 100)}pct"] = np.where(cut_rate <= budget, wait_s, np.inf).min(axis=0)
        return figures


def outcomes(turns: Sequence[Turn], rules: Sequence[Rule]) -> Outcomes:
    """Plays every rule on every turn."""
    cuts = np.zeros((len(rules), len(turns)))
    waits_s = np.zeros((len(rules), len(turns)))
    for column, turn in enumerate(turns):
        for row, rule in enumerate(rules):
            answers = list(rule(turn))
            cuts[row, column] = sum(answer < turn.end_s for answer in answers)
            after = [answer for answer in answers if answer >= turn.end_s]
            waits_s[row, column] = (after[0] if after else turn.row["seconds"]) - turn.end_s
    return Outcomes(cuts, waits_s, np.array([len(turn.holds) for turn in turns]))


def figures_of(name: str, found: Outcomes, seed: int) -> dict[str, Any]:
    """One row of the result: the figures and their 95 % intervals; None where no setting meets a budget."""
    n_turns = len(found.holds)
    rng = np.random.default_rng(seed)
    resampled = rng.multinomial(n_turns, np.full(n_turns, 1 / n_turns), size=BOOTSTRAPS).T.astype(float)
    point = found.at_budgets(np.ones((n_turns, 1)))
    spread = found.at_budgets(resampled)

    def rounded(value: float) -> float | None:
        return round(float(value), 4) if np.isfinite(value) else None

    row: dict[str, Any] = {"name": name, "turns": n_turns, "seed": seed}
    for key, value in point.items():
        row[key] = rounded(value[0])
        row[f"{key}_95"] = [rounded(bound) for bound in np.percentile(spread[key], [2.5, 97.5], method="nearest")]
    return row


def first_visible(turns: Sequence[Turn]) -> dict[str, float]:
    """When provisional text may first be shown after the end of a turn, and how much of it is withdrawn."""
    last = [turn.pauses[-1].noticed_s - turn.end_s for turn in turns if turn.pauses]
    starts = sum(len(turn.pauses) for turn in turns)
    retracted = sum(pause.resumed for turn in turns for pause in turn.pauses)
    return {"first_visible_s": round(float(np.mean(last)), 4), "regret_rate": round(retracted / starts, 4)}


def at_defaults(turns: Sequence[Turn], rule: Rule) -> dict[str, float]:
    """Where one rule stands."""
    found = outcomes(turns, [rule])
    return {
        "default_cutoff": round(float(found.cuts.sum() / found.holds.sum()), 4),
        "default_wait_s": round(float(found.waits_s.mean()), 4),
    }


# ---- columns ----


def settings() -> list[EndpointingOptions]:
    """The settings of our rule that are swept."""
    return [
        EndpointingOptions(silence_s=float(silence_s), mean_pause_s=mean_pause_s)
        for silence_s, mean_pause_s in itertools.product(SILENCES_S, MEAN_PAUSES_S)
    ]


def reply_on_pause_rules(rows: list[dict[str, Any]], audio: list[Samples]) -> list[Rule]:
    """`ReplyOnPause` with several lengths of its chunks."""

    def rule(chunk_s: float) -> Rule:
        commits = {
            row["path"]: reply_on_pause_commits(samples, chunk_s) for row, samples in zip(rows, audio, strict=True)
        }
        return lambda turn: iter(commits[turn.row["path"]])

    return [rule(chunk_s) for chunk_s in tqdm(CHUNKS_S, desc="ReplyOnPause")]


def measure(
    folder: Path, rows: list[dict[str, Any]], scorers: dict[str, EndOfTurnScorer], seed: int
) -> list[dict[str, Any]]:
    """All columns over the rows of a manifest."""
    audio = [read_audio_file(folder / row["path"]).samples for row in rows]
    heard = {
        name: [
            Turn(row, find_pauses(samples, scorer))
            for row, samples in zip(rows, tqdm(audio, desc=name, unit="turn"), strict=True)
        ]
        for name, scorer in scorers.items()
    }
    turns = next(iter(heard.values()))
    unscored = [Turn(turn.row, tuple(replace(pause, score=0.5) for pause in turn.pauses)) for turn in turns]
    shipped, swept = EndpointingOptions(), settings()
    columns: list[tuple[str, list[Turn], list[Rule], Rule | None]] = [
        ("vad only", turns, [by_annotated_silence(float(wait_s)) for wait_s in WAITS_S], None),
        ("ReplyOnPause", turns, reply_on_pause_rules(rows, audio), None),
        ("ours, silence", unscored, [by_endpointing(o) for o in swept], by_endpointing(shipped)),
        ("ours, silence, adapting", unscored, [by_adapting(o) for o in swept], by_adapting(shipped)),
    ]
    policies = [by_threshold(p, float(d), float(t)) for p in THRESHOLDS for d in DELAYS_S for t in TIMEOUTS_S if t >= d]
    for name, scored in heard.items():
        columns += [
            (f"ours, {name}", scored, [by_endpointing(o) for o in swept], by_endpointing(shipped)),
            (f"ours, {name}, adapting", scored, [by_adapting(o) for o in swept], by_adapting(shipped)),
            (f"{name}, threshold", scored, policies, None),
        ]
    visible = first_visible(turns)
    result = []
    for name, scored, rules, default in columns:
        row = figures_of(name, outcomes(scored, rules), seed)
        result.append(row if default is None else row | visible | at_defaults(scored, default))
    return result


def show(result: list[dict[str, Any]]) -> None:
    """Prints the table."""
    baseline = result[0]
    table = Table(title=f"{baseline['turns']} turns; cut-offs at a mean wait, mean wait at a share of cut-offs")
    for column in ("rule", "at 0.3 s", "at 0.6 s", "at 5 %", "of vad", "at 10 %", "of vad", "defaults"):
        table.add_column(column)
    for row in result:
        cells = [row["name"]]
        cells += ["-" if (v := row[f"cutoff_at_{ms}ms"]) is None else f"{v:.1%}" for ms in (300, 600)]
        for percent in (5, 10):
            wait_s, base_s = row[f"wait_s_at_{percent}pct"], baseline[f"wait_s_at_{percent}pct"]
            cells += ["-", "-"] if wait_s is None else [f"{wait_s * 1000:.0f} ms", f"{wait_s / base_s:.2f}"]
        cells.append(f"{row['default_cutoff']:.1%}, {row['default_wait_s']:.2f} s" if "default_cutoff" in row else "")
        table.add_row(*cells)
    Console(width=120).print(table)
    ours = next(row for row in result if "first_visible_s" in row)
    print(f"provisional text from {ours['first_visible_s']:.3f} s on, {ours['regret_rate']:.1%} of it withdrawn")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_endpointing", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with a manifest.jsonl of turns")
    parser.add_argument("--source", help="only rows of one source")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="fetched weights (%(default)s)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    rows = [json.loads(line) for line in (options.data / "manifest.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if options.source in (None, row.get("source"))]
    if not rows:
        raise SystemExit(f"{options.data}: no turns in the manifest")
    encoder = SmartTurn(find_smart_turn(options.cache_dir))
    result = measure(options.data, rows, {"Smart Turn": encoder, "our head": EndOfTurn(encoder)}, options.seed)
    show(result)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
