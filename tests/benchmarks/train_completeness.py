"""Trains `realtime/turns/completeness.safetensors`: how often texts end after which words, and what joins all features.

First, on texts of one whole utterance a line: a logistic regression on their last words, in which each text is an
end and two places within it are none. Second, on turns that were spoken (`build_dialogues --part train` and
`build_difficult --part train`): every pause that our detector notices is one example, with what sound and ears made of
it at that moment. What is made least is what the rule of `endpointing.py` pays: the seconds that it waits after ends,
and what it takes a cut-in to be worth. The weights begin as set by hand and are pulled back there, because voices of
programs and readings are not how people speak; that of the sound, whose log-odds were fitted to people, stays. The same
data, the same weights.

The texts that the shipped weights come from: the questions of Disfl-QA's training part, fluent and not (CC BY 4.0),
CLINC's queries (CC BY 3.0), banking77's (CC BY 4.0), ChatterBot's English dialogues (BSD-3), and the sentences of
LibriSpeech's training readers as the dialogue set has them (CC BY 4.0).
Run: `python -m tests.benchmarks.train_completeness --texts FILE… --data DIR… [--test DIR…]`.
"""

import argparse
import re
from collections import Counter
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
from realtime.turns.endpointing import MAX_WAIT_S, SHORTEST_PAUSE_S, EndpointingOptions
from tests.benchmarks.bench_endpointing import hear_set
from tests.benchmarks.pauses import Listener
from tests.benchmarks.train_end_of_turn import LATE_S, auc

INNER_PLACES = 2  # of each text that are taken as places where it goes on
MOST_PLACES = 5  # that one text looks at
EPOCHS, LEARNING_RATE, HELD_BACK = 12, 0.05, 2e-5
TEXTS_HELD_OUT = 10  # every so manyth
BY_HAND = {
    "sound": 1.0,
    "endings": 0.35,
    "no_words": -1.5,
    "filler": -3.0,
    "open_word": -3.0,
    "open_number": -3.0,
    "whole_number": 2.5,
    "open_spelling": -3.0,
    "whole_address": 2.5,
    "open_list": -1.5,
    "greeting": 1.0,
    "question": 2.0,
    "request": 1.6,
    "statement": -1.5,
    "short_answer": 3.0,
    "answers_us": 2.0,
    "comma": -1.5,
    "question_mark": 0.7,
    "one_word": 0.3,
}
PULL = 0.02  # seconds a pause for each squared step away from the weights set by hand; four times as much for the bias
SHORT_KINDS, SHORT_WEIGHT = ("one word", "complete", "answer"), 10.0  # what most people say to an assistant
SOFT_S = 0.08  # a pause is cut in part where the wait is so near its length
READY_S = 0.26  # after the last voiced sample, the median of what the score takes
FIT_STEPS, FIT_RATE = 400, 0.02


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
    """One pause.

    Attributes:
        sound: how complete the turn sounds.
        transcript: of the turn so far.
        asked: what the assistant said last.
        has_ended: whether the turn has.
        pause_s: how long the pause lasts if it has not.
        source: kind of the turn, or where it is from.
        folder: which set it is from.
    """

    sound: float
    transcript: Transcript
    asked: str
    has_ended: bool
    pause_s: float
    source: str
    folder: str


def read_examples(folder: Path, listener: Listener) -> list[Example]:
    """All pauses of the turns in a folder."""
    heard, _ = hear_set(folder, None, listener)
    return [
        Example(
            sound=sound.head,
            transcript=written.transcript,
            asked=turn.row.get("asked") or "",
            has_ended=pause.offset_s >= turn.row["silences"][-1][0] - LATE_S,
            pause_s=min(MAX_WAIT_S, pause.silences[-1][1] - pause.offset_s),
            source=turn.row.get("kind") or turn.row["source"],
            folder=folder.name,
        )
        for turn in heard
        for pause, sound, written in zip(turn.pauses, turn.sounds, turn.written, strict=True)
    ]


def inputs_of(examples: Sequence[Example], endings: Endings) -> torch.Tensor:
    """Their features, float32 `(n_examples, n_features)`."""
    return torch.tensor(np.array([features(e.sound, e.transcript.text, e.asked, endings) for e in examples]))


def costs(log_odds: torch.Tensor, examples: Sequence[Example]) -> torch.Tensor:
    """What the rule pays for each pause `(n_examples,)` of a new speaker, in seconds, by the log-odds of an end."""
    options = EndpointingOptions()
    half_s = options.half_pause_s
    beyond_s = half_s + options.silence_s - SHORTEST_PAUSE_S
    wait_s = SHORTEST_PAUSE_S - half_s + beyond_s * torch.exp(-log_odds.clamp(-12, 12) / 2)
    wait_s = wait_s.clamp(READY_S, options.max_wait_s)
    pause_s = torch.tensor([example.pause_s for example in examples]).double()
    has_ended = torch.tensor([example.has_ended for example in examples])
    return torch.where(has_ended, wait_s, beyond_s**2 / half_s * torch.sigmoid((pause_s - wait_s) / SOFT_S))


def fit_features(inputs: torch.Tensor, examples: Sequence[Example]) -> tuple[np.ndarray, float]:
    """Weights `(n_features,)` and a bias for which the rule pays least; each folder weighs the same."""
    by_hand = torch.tensor([BY_HAND[name] for name in FEATURES]).double()
    weight, bias = by_hand.clone().requires_grad_(), torch.zeros(1, dtype=torch.float64, requires_grad=True)
    folders = Counter(example.folder for example in examples)
    is_short = [example.has_ended and example.source in SHORT_KINDS for example in examples]
    share = torch.tensor(
        [(SHORT_WEIGHT if s else 1.0) / folders[e.folder] for s, e in zip(is_short, examples, strict=True)]
    ).double()
    optimizer = torch.optim.Adam([weight, bias], lr=FIT_RATE)
    for _ in tqdm(range(FIT_STEPS), desc="features"):
        optimizer.zero_grad()
        paid = (costs(inputs.double() @ weight + bias, examples) * share).sum()
        pull = PULL * ((weight - by_hand).square().sum() + 4 * bias.square().sum())
        (paid + pull).backward()  # type: ignore[no-untyped-call]
        assert weight.grad is not None
        weight.grad[FEATURES.index("sound")] = 0.0
        optimizer.step()
    return weight.detach().float().numpy(), float(bias.detach()[0])


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
