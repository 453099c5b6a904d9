"""How long rules wait after a turn has ended, against how often they cut a speaker off, after eot-bench's protocol.

Each row of `manifest.jsonl` is one turn and its silences of at least 100 ms: the last is the end of the turn, the
others are holds. Every rule hears the audio causally and is swept over its own settings; a hold of 0.2 to 5 s that it
answers is a cut-off. Reported are the least cut-off rate at a mean wait of 300 and 600 ms, and the least mean wait at
5 and 10 % cut-offs, each with a 95 % interval from a bootstrap over turns. Every source is swept by itself, against
its own baseline. All of them pooled come last, and flatter what adapts: one setting then learns from whom it hears
which source it is in, and sources differ more than speakers do.

`vad only` is given the annotated silences and waits for their length, as in eot-bench. All others hear the audio: the
rule of FastRTC's `ReplyOnPause`, ours on silence, ours with a scorer, ours with sound and words, and scores under
eot-bench's own policy of threshold, action delay and time-out. A score counts when it was ready on this machine.

At the shipped settings: the first turn of a new speaker and those after it, and with `--difficult` how many turns of
each kind of `build_difficult` are cut. The ears need minutes for a set; `--kept FILE` keeps what they wrote down.
Run: `python -m tests.benchmarks.bench_endpointing --data DIR --difficult DIR --json`.
"""

import argparse
import itertools
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from realtime.hearing.scoring import WORDS_LIMIT_S
from realtime.turns import completeness
from realtime.turns.endpointing import EndpointingOptions
from tests.benchmarks.endpointing_rules import (
    Outcomes,
    Rule,
    Turn,
    by_adapting,
    by_annotated_silence,
    by_endpointing,
    by_threshold,
    figures_of,
    outcomes,
)
from tests.benchmarks.manifests import read_manifest
from tests.benchmarks.pauses import JUDGED_SAMPLES, Listener, Pause, Sound, Written, notice_pauses
from tests.benchmarks.reply_on_pause import LocalSilero

WAITS_S = np.round(np.arange(0.1, 3.01, 0.02), 2)
CHUNKS_S = (0.3, 0.6, 1.2, 1.8)  # ReplyOnPause; 0.6 is its default
SILENCES_S = np.round([*np.arange(0.3, 1.3, 0.02), *np.arange(1.3, 2.51, 0.1)], 2)
HALF_PAUSES_S = (0.02, 0.05, 0.1, 0.2)
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.985)
DELAYS_S = np.round(np.arange(0.3, 1.21, 0.1), 2)
TIMEOUTS_S = np.round(np.arange(0.4, 3.01, 0.1), 2)
JUDGED_S = JUDGED_SAMPLES / SAMPLE_RATE_HZ  # of a silence, before its score is begun
SESSION_TURNS = 6  # of a speaker, where first turns are compared with later ones: then the speaker is new again
SHORT_KINDS = ("one word", "complete", "answer")  # of difficult turns: those without holds


# ---- what is judged ----


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """One turn, its pauses, and what sound and ears made of each of them."""

    row: dict[str, Any]
    pauses: tuple[Pause, ...]
    sounds: tuple[Sound, ...]
    written: tuple[Written, ...]


def hear_turn(row: dict[str, Any], samples: Samples, listener: Listener) -> HeardTurn:
    """Listens to a turn at each of its pauses."""
    pauses = tuple(notice_pauses(samples))
    heard = [samples[: pause.judged_to] for pause in pauses]
    sounds = tuple(listener.sound(part) for part in heard)
    written = tuple(
        listener.written(part, pause.speech_s, row["path"]) for part, pause in zip(heard, pauses, strict=True)
    )
    listener.forget(row["path"])
    return HeardTurn(row, pauses, sounds, written)


def hear_set(folder: Path, source: str | None, listener: Listener) -> tuple[list[HeardTurn], list[Samples]]:
    """Listens to the turns of a folder, of one source if it is named; gives their audio, too."""
    rows = read_manifest(folder)
    rows = [row for row in rows if source in (None, row.get("source"))]
    if not rows:
        raise SystemExit(f"{folder}: no turns in the manifest")
    audio = [read_audio_file(folder / row["path"]).samples for row in rows]
    heard = [
        hear_turn(row, samples, listener)
        for row, samples in zip(rows, tqdm(audio, desc=folder.name, unit="turn"), strict=True)
    ]
    listener.save()
    return heard, audio


Judge = Callable[[HeardTurn, int], tuple[float, bool, float]]  # n-th pause: score, whether to wait, seconds it took


def judged(heard: Sequence[HeardTurn], judge: Judge) -> list[Turn]:
    """The turns as one judge scores their pauses; a score is begun at the first silent frames."""
    turns = []
    for turn in heard:
        pauses = []
        for number, pause in enumerate(turn.pauses):
            score, asks_to_wait, took_s = judge(turn, number)
            pauses.append(replace(pause, score=score, asks_to_wait=asks_to_wait, ready_s=JUDGED_S + took_s))
        turns.append(Turn(turn.row, tuple(pauses)))
    return turns


def took_s(found: Sound | Written) -> float:
    """How long a judgement takes on this machine: less than the clock said where other programs had the core."""
    return min(found.wall_s, found.cpu_s)


def by_smart_turn(turn: HeardTurn, number: int) -> tuple[float, bool, float]:
    """Smart Turn's own score."""
    sound = turn.sounds[number]
    return sound.smart_turn, False, took_s(sound)


def by_head(turn: HeardTurn, number: int) -> tuple[float, bool, float]:
    """That of our head."""
    sound = turn.sounds[number]
    return sound.head, False, took_s(sound)


def by_sound_and_words(turn: HeardTurn, number: int) -> tuple[float, bool, float]:
    """As sessions judge: both at the same time, and words that come late are left out."""
    sound, written = turn.sounds[number], turn.written[number]
    words_s = min(took_s(written), WORDS_LIMIT_S)
    transcript = written.transcript if words_s < WORDS_LIMIT_S else None
    found = completeness.judge(sound.head, transcript, turn.row.get("asked") or "")
    return found.probability, found.asks_to_wait, max(took_s(sound), words_s)


def judges() -> dict[str, Judge]:
    """All that are compared, ours last."""
    return {
        "silence": lambda _turn, _number: (0.5, False, 0.0),
        "Smart Turn": by_smart_turn,
        "our head": by_head,
        "sound and words": by_sound_and_words,
    }


def readiness(heard: Sequence[HeardTurn]) -> dict[str, float]:
    """How long after the last voiced frame scores are known: medians and 95th percentiles in seconds."""
    sounds = [found for turn in heard for found in turn.sounds]
    written = [found for turn in heard for found in turn.written]
    found: dict[str, float] = {"pauses": len(sounds)}
    for name, costs in (("sound", sounds), ("words", written)):
        ready_s = [JUDGED_S + took_s(cost) for cost in costs]
        found[f"{name}_ready_s"] = round(float(np.median(ready_s)), 3)
        found[f"{name}_ready_p95_s"] = round(float(np.percentile(ready_s, 95)), 3)
        found[f"{name}_wall_s"] = round(float(np.median([cost.wall_s for cost in costs])), 3)
    found["words_too_late"] = round(float(np.mean([took_s(cost) >= WORDS_LIMIT_S for cost in written])), 4)
    return found


# ---- swept ----


@dataclass(frozen=True, slots=True)
class Column:
    """One way to end turns: all its settings, played on all turns; and the shipped ones, if it has any."""

    name: str
    swept: Outcomes
    shipped: Outcomes | None


def settings() -> list[EndpointingOptions]:
    """The settings of our rule that are swept."""
    return [
        EndpointingOptions(silence_s=float(silence_s), half_pause_s=half_pause_s)
        for silence_s, half_pause_s in itertools.product(SILENCES_S, HALF_PAUSES_S)
    ]


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


def reply_on_pause_rules(rows: Sequence[dict[str, Any]], audio: Sequence[Samples], listener: Listener) -> list[Rule]:
    """`ReplyOnPause` with several lengths of its chunks."""

    def rule(chunk_s: float) -> Rule:
        commits = {
            row["path"]: listener.remember(
                f"ReplyOnPause {chunk_s}", samples, partial(reply_on_pause_commits, samples, chunk_s)
            )
            for row, samples in zip(rows, audio, strict=True)
        }
        return lambda turn: iter(commits[turn.row["path"]])

    return [rule(chunk_s) for chunk_s in tqdm(CHUNKS_S, desc="ReplyOnPause")]


def play(rivals: Sequence[Rule], judgements: dict[str, list[Turn]]) -> list[Column]:
    """All columns, the baseline first, then the rules of others."""
    turns = next(iter(judgements.values()))
    annotated = [by_annotated_silence(float(wait_s)) for wait_s in WAITS_S]
    columns = [
        Column("vad only", outcomes(turns, annotated), None),
        Column("ReplyOnPause", outcomes(turns, rivals), None),
    ]
    policies = [by_threshold(p, float(d), float(t)) for p in THRESHOLDS for d in DELAYS_S for t in TIMEOUTS_S if t >= d]
    shipped = EndpointingOptions()
    for name, scored in tqdm(judgements.items(), desc="settings"):
        for suffix, rule in (("", by_endpointing), (", adapting", by_adapting)):
            swept = outcomes(scored, [rule(options) for options in settings()])
            columns.append(Column(f"ours, {name}{suffix}", swept, outcomes(scored, [rule(shipped)])))
        if name != "silence":
            columns.append(Column(f"{name}, threshold", outcomes(scored, policies), None))
    return columns


def table_of(columns: Sequence[Column], chosen: Sequence[int], seed: int) -> list[dict[str, Any]]:
    """The figures of some turns."""
    found = []
    for column in columns:
        row = figures_of(column.name, column.swept.of(chosen), seed)
        if column.shipped is not None:
            shipped = column.shipped.of(chosen)
            row |= {"default_cutoff": round(shipped.cut_rate, 4), "default_wait_s": round(shipped.wait_s, 4)}
        found.append(row)
    return found


# ---- at the shipped settings ----


def first_visible(turns: Sequence[Turn]) -> dict[str, float]:
    """When provisional text may first be shown after the end of a turn, and how much of it is withdrawn."""
    last = [turn.pauses[-1].noticed_s - turn.end_s for turn in turns if turn.pauses]
    starts = sum(len(turn.pauses) for turn in turns)
    retracted = sum(pause.resumed for turn in turns for pause in turn.pauses)
    return {"first_visible_s": round(float(np.mean(last)), 4), "regret_rate": round(retracted / starts, 4)}


def sessions(rows: Sequence[dict[str, Any]]) -> dict[str, tuple[str, int]]:
    """For each turn whose speaker is known: a session of up to six turns of that speaker, and its place in it."""
    n_turns: Counter[str] = Counter()
    found = {}
    for row in rows:
        speaker = row["speaker"]
        if speaker:
            session, place = divmod(n_turns[speaker], SESSION_TURNS)
            found[row["path"]] = (f"{speaker} {session}", place)
            n_turns[speaker] += 1
    return found


def by_place(turns: Sequence[Turn]) -> list[dict[str, float]]:
    """What the shipped settings do in the first turn of a session, in the second, and so on."""
    places = sessions([turn.row for turn in turns])
    known = [turn for turn in turns if turn.row["path"] in places]
    rule = by_adapting(EndpointingOptions(), lambda turn: places[turn.row["path"]][0])
    found = outcomes(known, [rule]) if known else None
    chosen = [[n for n, turn in enumerate(known) if places[turn.row["path"]][1] == m] for m in range(SESSION_TURNS)]
    return [at_shipped(found.of(turns_there)) for turns_there in chosen if turns_there and found is not None]


def as_first(turns: Sequence[Turn]) -> Outcomes:
    """What the shipped settings do where each turn is the first of a new speaker."""
    return outcomes(turns, [by_adapting(EndpointingOptions(), lambda turn: str(turn.row["path"]))])


def at_shipped(found: Outcomes) -> dict[str, float]:
    """Cut-offs for each hold, and the mean wait."""
    return {"turns": len(found.holds), "cutoff": round(found.cut_rate, 4), "wait_s": round(found.wait_s, 4)}


def by_kind(turns: Sequence[Turn]) -> dict[str, dict[str, float]]:
    """For each kind of difficult turns, each of a new speaker: the share that is cut, and the median wait after it."""
    found = as_first(turns)
    kinds = [turn.row["kind"] for turn in turns]
    result = {}
    for kind in dict.fromkeys(kinds):
        of_kind = found.of([number for number, other in enumerate(kinds) if other == kind])
        result[kind] = {
            "turns": len(of_kind.holds),
            "cut": round(float((of_kind.cuts[0] > 0).mean()), 4),
            "median_wait_s": round(float(np.median(of_kind.waits_s)), 4),
        }
    return result


# ---- shown ----


def show_swept(title: str, result: Sequence[dict[str, Any]]) -> None:
    """Prints one table of swept rules."""
    baseline = result[0]
    table = Table(
        title=f"{title}: {baseline['turns']} turns; cut-offs at a mean wait, mean wait at a share of cut-offs"
    )
    for column in ("rule", "at 0.3 s", "at 0.6 s", "at 5 %", "of vad", "at 10 %", "of vad", "shipped"):
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


def show_first_turns(result: dict[str, dict[str, Any]]) -> None:
    """Prints how first turns fare."""
    sources = list(next(iter(result.values()))["first"])
    n_places = len(next(iter(result.values()))["by_place"])
    table = Table(title="cut-offs a pause and mean wait in s, shipped settings: each turn a new speaker's; turns 1-6")
    for column in ("rule", *sources, *(f"turn {place + 1}" for place in range(n_places))):
        table.add_column(column)
    for name, figures in result.items():
        cells = [*figures["first"].values(), *figures["by_place"]]
        table.add_row(name, *(f"{cell['cutoff']:.1%} {cell['wait_s']:.2f}" for cell in cells))
    Console(width=150).print(table)


def show_difficult(result: dict[str, dict[str, dict[str, float]]]) -> None:
    """Prints how difficult turns fare."""
    table = Table(title="difficult turns, each a new speaker's: share that is cut, median wait in s, shipped settings")
    for column in ("kind", "turns", *result):
        table.add_column(column)
    for kind, first in next(iter(result.values())).items():
        cells = (f"{found[kind]['cut']:.0%}  {found[kind]['median_wait_s']:.2f}" for found in result.values())
        table.add_row(kind, str(int(first["turns"])), *cells)
    Console(width=120).print(table)


def show_goals(result: dict[str, Any]) -> None:
    """Prints which goals sound and words reach."""
    ours, adapting = "sound and words", "ours, sound and words, adapting"
    for source, rows in result["sources"].items():
        by_name = {row["name"]: row for row in rows}
        for percent, most in ((5, 1.0), (10, 0.85)):
            key = f"wait_s_at_{percent}pct"
            wait_s, base_s = by_name[adapting][key], by_name["vad only"][key]
            if wait_s is not None and base_s is not None:
                show_goal(f"{source} at {percent} %, of vad only", wait_s / base_s, most)
            else:
                print(f"{source} at {percent} %: out of reach")
    first = result["first_turns"][ours]["first"]["all"]
    show_goal("first turn, cut-offs a pause", first["cutoff"], 0.10)
    show_goal("first turn, mean wait in s", first["wait_s"], 0.8)
    for kind, found in result.get("difficult", {}).get(ours, {}).items():
        if kind not in SHORT_KINDS:
            show_goal(f"{kind}, turns cut", found["cut"], 0.25)
        elif kind != "answer":
            show_goal(f"{kind}, median wait in s", found["median_wait_s"], 0.45)


def show_goal(name: str, value: float, most: float) -> None:
    """Prints one goal."""
    print(f"{'reached' if value <= most else 'MISSED '}  {name}: {value:.2f} (at most {most:.2f})")


def measure(options: argparse.Namespace, listener: Listener) -> dict[str, Any]:
    """All figures."""
    heard, audio = hear_set(options.data, options.source, listener)
    compared = judges()
    judgements = {name: judged(heard, judge) for name, judge in compared.items()}
    rivals = reply_on_pause_rules([turn.row for turn in heard], audio, listener)
    listener.save()
    columns = play(rivals, judgements)
    of_source: dict[str, list[int]] = {}
    for number, turn in enumerate(heard):
        of_source.setdefault(turn.row.get("source") or "all", []).append(number)
    result: dict[str, Any] = {
        "ready": readiness(heard),
        "visible": first_visible(judgements["silence"]),
        "sources": {source: table_of(columns, chosen, options.seed) for source, chosen in of_source.items()},
        "pooled": table_of(columns, range(len(heard)), options.seed),
    }
    result["first_turns"] = {}
    for name, turns in judgements.items():
        first = as_first(turns)
        of_all = {source: at_shipped(first.of(chosen)) for source, chosen in of_source.items()}
        of_all["all"] = at_shipped(first)
        result["first_turns"][name] = {"first": of_all, "by_place": by_place(turns)}
    if options.difficult:
        hard, _ = hear_set(options.difficult, None, listener)
        result["difficult"] = {name: by_kind(judged(hard, judge)) for name, judge in compared.items()}
    return result


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_endpointing", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with a manifest.jsonl of turns")
    parser.add_argument("--difficult", type=Path, help="the same of difficult turns")
    parser.add_argument("--source", help="only rows of one source")
    parser.add_argument("--kept", type=Path, help="file in which what is heard in pauses is kept for the next run")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="fetched weights (%(default)s)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    result = measure(options, Listener(options.cache_dir, options.kept))
    for source, rows in result["sources"].items():
        show_swept(source, rows)
    if len(result["sources"]) > 1:
        show_swept("pooled (adapting learns the source)", result["pooled"])
    show_first_turns(result["first_turns"])
    if "difficult" in result:
        show_difficult(result["difficult"])
    ready, visible = result["ready"], result["visible"]
    print(
        f"{ready['pauses']} pauses; after the last voiced frame the sound is judged at {ready['sound_ready_s']:.3f} s, "
        f"words are known at {ready['words_ready_s']:.3f} s (95 %: {ready['words_ready_p95_s']:.3f} s); "
        f"{ready['words_too_late']:.1%} too late; by the clock, with what else ran here, the sound took "
        f"{ready['sound_wall_s']:.3f} s and the words {ready['words_wall_s']:.3f} s (medians)"
    )
    print(f"provisional text from {visible['first_visible_s']:.3f} s on, {visible['regret_rate']:.1%} of it withdrawn")
    show_goals(result)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
