"""Whether other people's voices hold a turn open, cut it or begin one: the detector and the floor, with others ignored
and heard.

Each recording has two turns of one test speaker (of LibriSpeech's test readers, LJ Speech and spoken commands) with
6.5 s between and behind them. One other reader, at 10 to 25 dB below, or six together at 15 dB, read on all the time.
The frames of the shipped detector go into the shipped floor, which ends turns by silence. A turn has ended if the floor
has committed it 1.5 s after its end, and late if 2.5 s after it; a commit inside a turn is a cut-off; what is opened
between a turn's commit and the next turn was begun by somebody else. Levels are mean powers of the frames within 25 dB
of the loudest. Run: `python -m tests.benchmarks.bench_babble --data DIR --json`.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.files import read_audio_file
from realtime.hearing.vad import OTHER_VOICES, SileroBatch, SpeechDetector, VadOptions
from realtime.turns.actions import CommitTurn, OpenTurn, StartProvisional, StartResponse
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.floor import Floor
from realtime.turns.observations import AnswerFinished, DetectedFrame
from realtime.turns.options import FloorOptions
from tests.benchmarks.build_dialogues import TEST_READERS, fade_together, joined, load, room
from tests.benchmarks.manifests import read_manifest

READERS, LJ, COMMANDS = "libri_mini_train5", "ljspeech_part", "picovoice_coffee_commands"
BETWEEN_S, BEHIND_S = 6.5, 3.0  # the latter added to the 4 s that `joined` leaves
TALK_S = 45.0  # of one other talker, from any place on
ENDED_WITHIN_S, ENDED_LATE_S = 1.5, 2.5
MAX_UTTERANCES = 4  # in a turn
CONDITIONS = {"clean": None, "one, 10 dB": 10, "one, 15 dB": 15, "one, 20 dB": 20, "one, 25 dB": 25, "six, 15 dB": 15}
SHARES = ("ended", "ended_late", "begun")
AT_ONCE = 48  # recordings that share calls of the network


@dataclass(frozen=True, slots=True)
class Recording:
    """Two turns of one speaker, and others.

    Attributes:
        source: the data set.
        samples: float32 `(n_samples,)`, the speaker alone.
        turns: where they begin and end, in samples.
        one: another talker, as loud as the speaker.
        six: six of them, together as loud.
    """

    source: str
    samples: Samples
    turns: tuple[tuple[int, int], ...]
    one: Samples
    six: Samples

    def mixed(self, condition: str) -> Samples:
        """What the microphone hears."""
        below_db = CONDITIONS[condition]
        if below_db is None:
            return self.samples
        others = self.six if condition.startswith("six") else self.one
        return self.samples + np.float32(10 ** (-below_db / 20)) * others


def level(samples: Samples) -> float:
    """The RMS of the frames of 32 ms that are within 25 dB of the loudest 5 %."""
    power = np.square(samples[: len(samples) // 512 * 512].reshape(-1, 512)).mean(axis=1)
    return float(np.sqrt(power[power > np.percentile(power, 95) * 10**-2.5].mean()))


# ---- recordings ----


def readers(data: Path, part: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of each reader of a part of LibriSpeech."""
    rows = read_manifest(data / READERS)
    names = sorted({row["speaker"] for row in rows})
    test = set(names[::TEST_READERS])
    wanted = [name for name in names if (name in test) == (part == "test")]
    return {name: [row for row in rows if row["speaker"] == name] for name in wanted}


def talkers(data: Path, by_reader: dict[str, list[dict[str, Any]]], rng: np.random.Generator) -> dict[str, Samples]:
    """45 s of each reader, all equally loud."""
    found = {}
    for name, rows in by_reader.items():
        pieces: list[Samples] = []
        while sum(map(len, pieces)) < TALK_S * SAMPLE_RATE_HZ:
            samples = read_audio_file(data / READERS / rows[int(rng.integers(len(rows)))]["path"]).samples
            pieces.append((samples / level(samples)).astype(np.float32))
        found[name] = np.concatenate(pieces)[: round(TALK_S * SAMPLE_RATE_HZ)]
    return found


def stretch(data: Path, name: str, rows: Sequence[dict[str, Any]], rng: np.random.Generator) -> Samples:
    """One to four utterances out of one recording, with the pauses between them as they are."""
    while True:
        row = rows[int(rng.integers(len(rows)))]
        recording = load(data / name / row["path"], row)
        cuts = [0, *((end + begin) // 2 for (_, end), (begin, _) in pairwise(recording.spans)), len(recording.samples)]
        if recording.spans:
            count = min(len(recording.spans), int(rng.integers(1, MAX_UTTERANCES + 1)))
            first = int(rng.integers(0, len(recording.spans) - count + 1))
            return recording.samples[cuts[first] : cuts[first + count]]


def recordings(data: Path, part: str, count: int, seed: int) -> Iterator[Recording]:
    """Recordings of every source in turns; of the readers alone for the part `train`."""
    rng = np.random.default_rng(seed)
    by_reader = readers(data, part)
    voices = talkers(data, by_reader, rng)
    names = list(by_reader)
    rows = {name: read_manifest(data / name) for name in (LJ, COMMANDS)} if part == "test" else {}
    sources = [READERS, *rows]
    for number in range(count):
        source, speaker = sources[number % len(sources)], ""
        if source == READERS:
            speaker = names[number // len(sources) % len(names)]
            said = [stretch(data, source, by_reader[speaker], rng) for _ in range(2)]
        elif source == LJ:
            said = [stretch(data, source, rows[LJ], rng) for _ in range(2)]
        else:  # who says a command is not known, so it is said twice
            row = rows[COMMANDS][int(rng.integers(len(rows[COMMANDS])))]
            said = [read_audio_file(data / COMMANDS / row["path"]).samples] * 2
        others = [voices[name] for name in rng.permutation([name for name in names if name != speaker])]
        made = record(source, said, others, rng)
        if made is not None:
            yield made


def record(source: str, said: list[Samples], others: Sequence[Samples], rng: np.random.Generator) -> Recording | None:
    """Joins two turns, and puts others beside them; None if nothing is said."""
    turn = joined(said, [BETWEEN_S], rng)
    if turn is None:
        return None
    behind = room(said[-1], round(BEHIND_S * SAMPLE_RATE_HZ), rng)
    samples = fade_together(turn.samples, behind).astype(np.float32)
    (end, begin), (last, _) = [span for span in turn.silences if span[1] - span[0] > 3 * SAMPLE_RATE_HZ]

    def heard(voice: Samples) -> Samples:
        return np.roll(voice, int(rng.integers(len(voice))))[: len(samples)]

    one, six = heard(others[0]), np.sum([heard(voice) for voice in others[:6]], axis=0)
    own = level(samples)
    scaled = [(voice * (own / level(voice))).astype(np.float32) for voice in (one, six)]
    return Recording(source, samples, ((0, end), (begin, last)), *scaled)


# ---- what the floor does ----


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the floor did with one recording: of both turns together."""

    cut_offs: int
    ended: int
    ended_late: int
    begun: int
    missed: int


def follow(frames: Sequence[DetectedFrame], turns: Sequence[tuple[int, int]]) -> Outcome:
    """Gives the frames to a floor, and counts."""
    floor = Floor(FloorOptions(endpointing=EndpointingOptions(), pre_roll_s=VadOptions().pre_roll_s))
    opened: list[int] = []
    committed: list[int] = []
    for frame in frames:
        for action in floor.observe(frame):
            opened += [frame.end_sample] if isinstance(action, OpenTurn) else []
            committed += [frame.end_sample] if isinstance(action, CommitTurn) else []
            if isinstance(action, StartProvisional | StartResponse):
                floor.observe(AnswerFinished())
    return count(opened, committed, turns, frames[-1].end_sample)


def count(opened: Sequence[int], committed: Sequence[int], turns: Sequence[tuple[int, int]], last: int) -> Outcome:
    """Counts by the positions where turns were opened and committed."""

    def has_ended(end: int, within_s: float) -> bool:
        due = end + round(within_s * SAMPLE_RATE_HZ)
        return sum(sample <= due for sample in opened) <= sum(sample <= due for sample in committed)

    cut_offs = ended = ended_late = begun = missed = 0
    for (begin, end), (next_begin, _) in pairwise([*turns, (last, last)]):
        cut_offs += sum(begin < sample < end for sample in committed)
        ended += has_ended(end, ENDED_WITHIN_S)
        ended_late += has_ended(end, ENDED_LATE_S)
        done = next((sample for sample in committed if sample >= end), next_begin)
        begun += any(max(end, done) < sample < next_begin for sample in opened)
        was_open = sum(sample <= end for sample in opened) > sum(sample < begin for sample in committed)
        missed += not was_open
    return Outcome(cut_offs, ended, ended_late, begun, missed)


async def detect(audio: Sequence[Samples], other_voices: str) -> list[list[DetectedFrame]]:
    """The detector's frames of every recording."""
    batch, options = SileroBatch(window_s=0), VadOptions(other_voices=other_voices)
    detectors = [SpeechDetector(options, batch=batch) for _ in audio]
    return await asyncio.gather(
        *(detector.push_batched(samples) for detector, samples in zip(detectors, audio, strict=True))
    )


def measure(made: Sequence[Recording], condition: str, other_voices: str) -> list[Outcome]:
    """One condition."""
    found = []
    for start in range(0, len(made), AT_ONCE):
        some = made[start : start + AT_ONCE]
        frames = asyncio.run(detect([one.mixed(condition) for one in some], other_voices))
        found += [follow(own, one.turns) for own, one in zip(frames, some, strict=True)]
    return found


def row_of(condition: str, other_voices: str, source: str, found: Sequence[Outcome]) -> dict[str, Any]:
    """One row of the result."""
    n_turns = 2 * len(found)
    row: dict[str, Any] = {"others": condition, "other_voices": other_voices, "source": source, "turns": n_turns}
    row["ended"] = round(sum(one.ended for one in found) / n_turns, 3)
    row["ended_late"] = round(sum(one.ended_late for one in found) / n_turns, 3)
    row["cut_offs"] = sum(one.cut_offs for one in found)
    row["begun"] = round(sum(one.begun for one in found) / n_turns, 3)
    row["missed"] = sum(one.missed for one in found)
    return row


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_babble", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets, each with a manifest.jsonl")
    parser.add_argument("--part", choices=("test", "train"), default="test", help="(%(default)s)")
    parser.add_argument("--count", type=int, default=90, help="recordings (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    made = list(tqdm(recordings(options.data, options.part, options.count, options.seed), total=options.count))
    sources = sorted({one.source for one in made})
    rows = []
    for condition in tqdm(CONDITIONS, desc="conditions"):
        for other_voices in reversed(OTHER_VOICES):
            found = measure(made, condition, other_voices)
            rows.append(row_of(condition, other_voices, "all", found))
            rows += [
                row_of(
                    condition,
                    other_voices,
                    source,
                    [f for f, one in zip(found, made, strict=True) if one.source == source],
                )
                for source in sources
            ]
    table = Table(title=f"{2 * len(made)} turns with others behind; in parentheses {', '.join(sources)}")
    for column in (
        "others",
        "they are",
        "ended in 1.5 s",
        "in 2.5 s",
        "cut-offs",
        "others begin a turn",
        "turns missed",
    ):
        table.add_column(column)
    for index in range(0, len(rows), 1 + len(sources)):
        all_, *each = rows[index : index + 1 + len(sources)]
        cells = [f"{all_[key]:.0%} ({', '.join(f'{one[key]:.0%}' for one in each)})" for key in SHARES]
        counts = [f"{all_[key]} ({', '.join(str(one[key]) for one in each)})" for key in ("cut_offs", "missed")]
        table.add_row(all_["others"], all_["other_voices"], *cells[:2], counts[0], cells[2], counts[1])
    Console(width=150).print(table)
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
