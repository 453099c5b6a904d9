"""Trains `realtime/turns/completeness.safetensors`: how often texts end after which words, and what joins all features.

First, on texts of one whole utterance a line: a logistic regression on their last words, in which each text is an
end and two places within it are none. Second, on turns that were spoken (`build_dialogues --part train` and
`build_difficult --part train`): every pause that our detector notices is one example, with what sound and ears made of
it at that moment. A source weighs as much as another, and so do ended and going on. The same data, the same weights.

The texts that the shipped weights come from: the questions of Disfl-QA's training part, fluent and not (CC BY 4.0),
CLINC's queries (CC BY 3.0), banking77's (CC BY 4.0), ChatterBot's English dialogues (BSD-3), and the sentences of
LibriSpeech's training readers as the dialogue set has them (CC BY 4.0).
Run: `python -m tests.benchmarks.train_completeness --texts FILE… --data DIR… [--test DIR…]`.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save_file
from torch.nn.functional import binary_cross_entropy_with_logits, embedding_bag
from tqdm import tqdm

from app import default_cache_dir
from models.types import Transcript
from realtime.turns.completeness import FEATURES, N_ENDINGS, WEIGHTS, Endings, features, places, words_of
from tests.benchmarks.bench_endpointing import hear_set
from tests.benchmarks.pauses import Listener
from tests.benchmarks.train_end_of_turn import LATE_S, auc

INNER_PLACES = 2  # of each text that are taken as places where it goes on
MOST_PLACES = 5  # that one text looks at
EPOCHS, LEARNING_RATE, HELD_BACK = 12, 0.05, 2e-5
TEXTS_HELD_OUT = 10  # every so manyth
PULL = 3.0  # weight of the squared norm of the feature weights against the mean loss, in a thousandth


# ---- texts ----


def prefixes(lines: Sequence[str], rng: np.random.Generator) -> Iterator[tuple[list[str], bool]]:
    """Words up to some place in each text, and whether it ends there; sentences within it end, too."""
    for line in lines:
        before: list[str] = []
        for sentence in re.split(r"(?<=[.?!])\s+", line):
            words = words_of(sentence)
            if not words:
                continue
            yield words, True
            for place in rng.permutation(np.arange(1, len(words)))[:INNER_PLACES]:
                yield [*before, *words[:place]], False
            before = [*before, *words]


def fit_endings(examples: Sequence[tuple[list[str], bool]]) -> tuple[np.ndarray, float]:
    """Logistic regression on hashed last words: a table `(N_ENDINGS,)` and a bias."""
    torch.manual_seed(0)
    indices = torch.tensor([places(words) for words, _ in examples])
    ended = torch.tensor([float(is_end) for _, is_end in examples])
    balance = torch.where(ended > 0, 0.5 / ended.mean(), 0.5 / (1 - ended.mean()))
    table = torch.zeros(N_ENDINGS, 1, requires_grad=True)
    bias = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([table, bias], lr=LEARNING_RATE)
    for _ in tqdm(range(EPOCHS), desc="endings"):
        for batch in torch.randperm(len(examples)).split(4096):
            optimizer.zero_grad()
            log_odds = embedding_bag(indices[batch], table, mode="sum")[:, 0] + bias
            loss = binary_cross_entropy_with_logits(log_odds, ended[batch], balance[batch])
            (loss + HELD_BACK * table.square().sum()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return table.detach()[:, 0].numpy(), float(bias.detach()[0])


def quantized(table: np.ndarray) -> tuple[np.ndarray, float]:
    """The table in int8, and what one step of it is worth."""
    scale = float(np.abs(table).max()) / 127
    return np.round(table / scale).astype(np.int8), scale


# ---- pauses ----


@dataclass(frozen=True, slots=True)
class Example:
    """One pause: what sound and ears made of it, what had been asked, whether the turn had ended, where it is from."""

    sound: float
    transcript: Transcript
    asked: str
    has_ended: bool
    source: str


def read_examples(folder: Path, listener: Listener) -> list[Example]:
    """All pauses of the turns in a folder."""
    heard, _ = hear_set(folder, None, listener)
    return [
        Example(
            sound=sound.head,
            transcript=written.transcript,
            asked=turn.row.get("asked") or "",
            has_ended=pause.offset_s >= turn.row["silences"][-1][0] - LATE_S,
            source=turn.row["source"],
        )
        for turn in heard
        for pause, sound, written in zip(turn.pauses, turn.sounds, turn.written, strict=True)
    ]


def inputs_of(examples: Sequence[Example], endings: Endings) -> torch.Tensor:
    """Their features, float32 `(n_examples, n_features)`."""
    return torch.tensor(np.array([features(e.sound, e.transcript.text, e.asked, endings) for e in examples]))


def fit_features(inputs: torch.Tensor, examples: Sequence[Example]) -> tuple[np.ndarray, float]:
    """Logistic regression: weights `(n_features,)` and a bias; each source, and both classes in it, weigh the same."""
    ended = torch.tensor([example.has_ended for example in examples]).double()
    sources = [example.source for example in examples]
    groups = [f"{source} {has_ended}" for source, has_ended in zip(sources, ended.tolist(), strict=True)]
    balance = torch.tensor([1 / groups.count(group) for group in groups]).double()
    balance *= len(examples) / balance.sum()
    spread = inputs.std(0).double() + 1e-3
    weight = torch.zeros(len(FEATURES), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        wrong = binary_cross_entropy_with_logits(inputs.double() / spread @ weight + bias, ended, balance)
        total = wrong + PULL / 1000 * weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return (weight / spread).detach().float().numpy(), float(bias.detach()[0])


def show_test(examples: Sequence[Example], log_odds: torch.Tensor) -> None:
    """Prints for each source how well the end is told from a pause, by sound and by all."""
    table = Table(title="AUC on other speakers")
    for column in ("source", "ended", "going on", "sound", "sound and words"):
        table.add_column(column)
    ended = torch.tensor([example.has_ended for example in examples])
    sound = torch.tensor([example.sound for example in examples])
    sources = [example.source for example in examples]
    for source in [*dict.fromkeys(sources), "all"]:
        chosen = torch.tensor([source in (other, "all") for other in sources])
        figures = (f"{auc(found[chosen], ended[chosen]):.3f}" for found in (sound, log_odds))
        table.add_row(source, str(int(ended[chosen].sum())), str(int((~ended[chosen]).sum())), *figures)
    Console().print(table)


def main() -> None:
    """Trains, and writes the weights."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.train_completeness", description=__doc__)
    parser.add_argument("--texts", type=Path, nargs="+", required=True, help="files with one utterance a line")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of turns of the part train")
    parser.add_argument("--test", type=Path, nargs="*", default=[], help="of the part test: figures are printed")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="(%(default)s)")
    parser.add_argument("--kept", type=Path, help="file that keeps what was heard for the next run")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="fetched weights (%(default)s)")
    options = parser.parse_args()
    lines = [line for file in options.texts for line in file.read_text("utf-8").splitlines() if line.strip()]
    rng = np.random.default_rng(0)
    held_out = list(prefixes(lines[::TEXTS_HELD_OUT], rng))
    trained_on = [line for number, line in enumerate(lines) if number % TEXTS_HELD_OUT]
    table, endings_bias = fit_endings(list(prefixes(trained_on, rng)))
    steps, scale = quantized(table)
    endings = Endings(steps * np.float32(scale), endings_bias)
    scores = torch.tensor([endings.log_odds(words) for words, _ in held_out])
    print(f"AUC of endings on texts left out: {auc(scores, torch.tensor([is_end for _, is_end in held_out])):.3f}")

    listener = Listener(options.cache_dir, options.kept)
    examples = [example for folder in options.data for example in read_examples(folder, listener)]
    heard = [example for example in examples if not example.transcript.is_foreign]
    weight, bias = fit_features(inputs_of(heard, endings), heard)
    for name, value in zip(FEATURES, weight, strict=True):
        print(f"{name:15} {value:6.2f}")
    print(f"{'bias':15} {bias:6.2f}")
    save_file(
        {
            "endings": steps,
            "scale": np.array([scale], np.float32),
            "endings_bias": np.array([endings_bias], np.float32),
            "weight": weight,
            "bias": np.array([bias], np.float32),
        },
        options.out,
    )
    if options.test:
        others = [example for folder in options.test for example in read_examples(folder, listener)]
        show_test(others, inputs_of(others, endings) @ torch.tensor(weight) + bias)


if __name__ == "__main__":
    main()
