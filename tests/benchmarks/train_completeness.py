"""Fits the weights of `realtime/turns/completeness.py`, and prints them to be put there.

On turns of the part `train` of `build_dialogues` and of `build_difficult`: every pause that our detector notices is one
example, with what sound and ears made of it at that moment. What is made least is what the rule of `endpointing.py`
makes of them: the seconds that it waits after ends, and 8 s for each cut-in. The weights begin as set by hand and
are pulled back there, because voices of programs and readings are not how people speak; that of the sound, whose
log-odds were fitted to people, stays. The same data, the same weights.
Run: `python -m tests.benchmarks.train_completeness --data DIR… [--test DIR…]`.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from app import default_cache_dir
from models.types import Transcript
from realtime.turns.completeness import WEIGHTS, features
from realtime.turns.endpointing import MAX_WAIT_S, SHORTEST_PAUSE_S, EndpointingOptions
from tests.benchmarks.bench_endpointing import hear_set
from tests.benchmarks.pauses import Listener
from tests.benchmarks.train_end_of_turn import LATE_S, auc

BY_HAND = {
    "sound": 1.0,
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
BIAS_BY_HAND = -0.6
PULL = 0.02  # seconds a pause for each squared step away from the weights set by hand; four times as much for the bias
SHORT_KINDS, SHORT_WEIGHT = ("one word", "complete", "answer"), 10.0  # what most people say to an assistant
CUT_IN_S = 8.0  # what a cut-in is worth in seconds of waiting
SOFT_S = 0.08  # a pause is cut in part where the wait is so near its length
READY_S = 0.26  # after the last voiced sample, the median of what the score takes
FIT_STEPS, FIT_RATE = 400, 0.02


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


def inputs_of(examples: Sequence[Example]) -> torch.Tensor:
    """Their features, float32 `(n_examples, n_features)`."""
    found = [features(example.sound, example.transcript.text, example.asked) for example in examples]
    return torch.tensor([[float(row[name]) for name in WEIGHTS] for row in found])


def costs(log_odds: torch.Tensor, examples: Sequence[Example]) -> torch.Tensor:
    """What the rule pays for each pause `(n_examples,)` of a new speaker, in seconds, by the log-odds of an end."""
    options = EndpointingOptions()
    half_s = options.half_pause_s
    beyond_s = half_s + options.silence_s - SHORTEST_PAUSE_S
    wait_s = SHORTEST_PAUSE_S - half_s + beyond_s * torch.exp(-log_odds.clamp(-12, 12) / 2)
    wait_s = wait_s.clamp(READY_S, options.max_wait_s)
    pause_s = torch.tensor([example.pause_s for example in examples]).double()
    has_ended = torch.tensor([example.has_ended for example in examples])
    return torch.where(has_ended, wait_s, CUT_IN_S * torch.sigmoid((pause_s - wait_s) / SOFT_S))


def fit_features(inputs: torch.Tensor, examples: Sequence[Example]) -> tuple[torch.Tensor, float]:
    """Weights `(n_features,)` and a bias for which the rule pays least; each folder weighs the same."""
    by_hand = torch.tensor([BY_HAND[name] for name in WEIGHTS]).double()
    weight = by_hand.clone().requires_grad_()
    bias = torch.tensor([BIAS_BY_HAND], dtype=torch.float64, requires_grad=True)
    folders = Counter(example.folder for example in examples)
    is_short = [example.has_ended and example.source in SHORT_KINDS for example in examples]
    share = torch.tensor(
        [(SHORT_WEIGHT if s else 1.0) / folders[e.folder] for s, e in zip(is_short, examples, strict=True)]
    ).double()
    optimizer = torch.optim.Adam([weight, bias], lr=FIT_RATE)
    for _ in tqdm(range(FIT_STEPS), desc="features"):
        optimizer.zero_grad()
        paid = (costs(inputs.double() @ weight + bias, examples) * share).sum()
        pull = PULL * ((weight - by_hand).square().sum() + 4 * (bias - BIAS_BY_HAND).square().sum())
        (paid + pull).backward()  # type: ignore[no-untyped-call]
        assert weight.grad is not None
        weight.grad[list(WEIGHTS).index("sound")] = 0.0
        optimizer.step()
    return weight.detach().float(), float(bias.detach()[0])


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
    """Fits, and prints the weights."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.train_completeness", description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of turns of the part train")
    parser.add_argument("--test", type=Path, nargs="*", default=[], help="of the part test: figures are printed")
    parser.add_argument("--kept", type=Path, help="file that keeps what was heard for the next run")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="fetched weights (%(default)s)")
    options = parser.parse_args()
    listener = Listener(options.cache_dir, options.kept)
    examples = [example for folder in options.data for example in read_examples(folder, listener)]
    heard = [example for example in examples if not example.transcript.is_foreign]
    weight, bias = fit_features(inputs_of(heard), heard)
    for name, value in zip(WEIGHTS, weight, strict=True):
        print(f'"{name}": {value:.2f},')
    print(f"BIAS = {bias:.2f}")
    if options.test:
        others = [example for folder in options.test for example in read_examples(folder, listener)]
        show_test(others, inputs_of(others) @ weight + bias)


if __name__ == "__main__":
    main()
