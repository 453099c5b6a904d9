"""Fits the weights of `realtime/turns/address.py`, and prints them: to the assistant, or to somebody else?

Said to an assistant: queries of CLINC's set (CC BY 3.0) and questions of ChatterBot's corpus (BSD-3-Clause). Said to
others: meetings of ICSI and committees of parliaments, as QMSum has them (MIT), and the texts of LJ Speech. The
sentences of `address_examples.py` are on both sides. A logistic regression; each source weighs as `SHARES` says. How
often it is right is said of texts to which it was not fitted, a fifth of them at a time. Run:
`python -m tests.benchmarks.train_address --clinc data_small.json --chatterbot DIR --meetings FILE.jsonl ... --lj
manifest.jsonl`, with files of the sets' repositories.
"""

import argparse
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from realtime.turns.address import MIN_AFTER_ANSWER, MIN_PROBABILITY, features, judge_address
from tests.benchmarks.address_examples import TO_SOMEBODY_ELSE, TO_THE_ASSISTANT, sentences

SHARES = {"queries": 0.4, "questions": 0.2, "ours, asked": 0.4, "meetings": 0.5, "readings": 0.15, "ours, beside": 0.35}
MOST = 6000  # texts of a source
FOLDS = 5
WEIGHT = 2000.0  # of each side, in examples
HELD_BACK = 3.0  # half the weight of the squared norm; a third or three times of it change nothing
STEPS = 30  # of Newton's method, which needs fewer
ASKS = re.compile(
    r"(?:am|are|can|could|did|do|does|has|have|how|is|should|what|when|where|which|who|why|will|would)\b|\w+'s\b", re.I
)
LENGTHS = (15, 25, 40, 60)  # words until somebody pauses


@dataclass(frozen=True, slots=True)
class Example:
    """A text, where it is from, and whether it is said to an assistant."""

    text: str
    source: str
    is_addressed: bool


def read_clinc(path: Path) -> Iterator[Example]:
    """Queries, with the capitals and the marks that ears would write."""
    sets = json.loads(path.read_text("utf-8"))
    for text, _ in [*sets["train"], *sets["oos_train"]]:
        capital = re.sub(r"\bi\b", "I", text[0].upper() + text[1:])
        yield Example(capital + ("?" if ASKS.match(text) else "."), "queries", True)


def read_chatterbot(folder: Path) -> Iterator[Example]:
    """What each dialogue begins with."""
    for path in sorted(folder.glob("*.yml")):
        for text in re.findall(r"^- - (.+)$", path.read_text("utf-8"), re.MULTILINE):
            yield Example(text.strip("\"' "), "questions", True)


def read_meetings(path: Path, rng: random.Random) -> Iterator[Example]:
    """What a microphone in the room hears until a pause: a turn, or some together."""
    for line in path.read_text("utf-8").splitlines():
        turns = [_plain(turn["content"]) for turn in json.loads(line)["meeting_transcripts"]]
        while turns:
            n_turns = rng.choice((1, 1, 1, 2, 3))
            words = " ".join(turns[:n_turns]).split()[: rng.choice(LENGTHS)]
            del turns[:n_turns]
            if len(words) > 1:
                yield Example(" ".join(words), "meetings", False)


def _plain(text: str) -> str:
    """Without marks of noises, and without the spaces that tokens have."""
    text = re.sub(r"\{[^}]*\}", "", text).replace(" '", "'").replace(" - ", "-")
    return re.sub(r"\s+", " ", re.sub(r"\s+([.,?!])", r"\1", text)).strip()


def read_lj(manifest: Path, rng: random.Random) -> Iterator[Example]:
    """Sentences that are read, and ends of such."""
    for line in manifest.read_text("utf-8").splitlines():
        words = json.loads(line)["transcript"].split()
        for start in (0, rng.randrange(max(1, len(words) - 6))):
            yield Example(" ".join(words[start:]), "readings", False)


def fit(inputs: NDArray[np.float64], targets: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logistic regression by Newton's method: a weight for each of the inputs (n_examples, n_features)."""
    weights = np.zeros(inputs.shape[1])
    held_back = HELD_BACK * np.diag([0.0] + [1.0] * (len(weights) - 1)) + 1e-9 * np.eye(len(weights))
    for _ in range(STEPS):
        found = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (shares * (found - targets)) + held_back @ weights
        bend = (inputs * (shares * found * (1 - found))[:, None]).T @ inputs + held_back
        weights -= np.linalg.solve(bend, slope)
    return weights


def main() -> None:
    """Fits, and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.train_address", description=__doc__)
    parser.add_argument("--clinc", type=Path, required=True, help="data_small.json")
    parser.add_argument("--chatterbot", type=Path, required=True, help="folder of the English corpus")
    parser.add_argument("--meetings", type=Path, nargs="+", required=True, help="transcripts of QMSum")
    parser.add_argument("--lj", type=Path, required=True, help="manifest.jsonl of LJ Speech")
    options = parser.parse_args()
    rng = random.Random(1)
    examples = [*read_clinc(options.clinc), *read_chatterbot(options.chatterbot), *read_lj(options.lj, rng)]
    for path in options.meetings:
        of_meetings = list(read_meetings(path, rng))
        examples += rng.sample(of_meetings, min(MOST // len(options.meetings), len(of_meetings)))
    examples += [Example(text, "ours, asked", True) for text in sentences(TO_THE_ASSISTANT)]
    examples += [Example(text, "ours, beside", False) for text in sentences(TO_SOMEBODY_ELSE)]
    rng.shuffle(examples)
    inputs = np.array([list(features(example.text).values()) for example in examples])
    targets = np.array([float(example.is_addressed) for example in examples])
    sources = np.array([example.source for example in examples])
    shares = np.array([WEIGHT * SHARES[source] / (sources == source).sum() for source in sources])
    folds, found = np.arange(len(examples)) % FOLDS, np.zeros(len(examples))
    for fold in range(FOLDS):
        weights = fit(inputs[folds != fold], targets[folds != fold], shares[folds != fold])
        for at in np.flatnonzero(folds == fold):
            found[at] = judge_address(examples[at].text, dict(zip(features(""), weights, strict=True)))
    table = Table(title="judged to be said to the assistant, %")
    for column in ("source", "texts", f"above {MIN_PROBABILITY}", f"above {MIN_AFTER_ANSWER}, after an answer"):
        table.add_column(column)
    for source in SHARES:
        own = found[sources == source]
        rates = (f"{100 * (own >= least).mean():.1f}" for least in (MIN_PROBABILITY, MIN_AFTER_ANSWER))
        table.add_row(source, str(len(own)), *rates)
    Console().print(table)
    for name, weight in zip(features(""), fit(inputs, targets, shares), strict=True):
        print(f'    "{name}": {weight:.2f},')


if __name__ == "__main__":
    main()
