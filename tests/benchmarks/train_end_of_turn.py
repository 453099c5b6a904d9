"""Trains the head of `realtime/end_of_turn.py` on the part `train` of the dialogue set.

Every pause that our detector notices is one example: its features, as the session would compute them at that moment,
and whether the turn had ended. A logistic regression, both classes weighed alike; how much it is held back is chosen on
readers it was not fitted to, and so is the scale of its log-odds. The same data, the same weights.
Run: `python -m tests.benchmarks.build_dialogues --part train --data DATA --out DIR`, then
`python -m tests.benchmarks.train_end_of_turn --data DIR [--test OTHER]`.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save_file
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from app import default_cache_dir
from models.types import Samples
from realtime.hearing.files import read_audio_file
from realtime.turns.end_of_turn import WEIGHTS, features, own_share
from realtime.turns.smart_turn import SmartTurn, find_smart_turn
from tests.benchmarks.manifests import read_manifest
from tests.benchmarks.pauses import find_pauses

HELD_BACK = (1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0)  # weight of the squared norm against the sum of losses
FOLDS = 3
LATE_S = 0.15  # how much before its annotated end the detector may hear a turn end


@dataclass(frozen=True, slots=True)
class Pauses:
    """Examples.

    Attributes:
        features: float32 `(n_pauses, n_features)`.
        scores: `(n_pauses,)`, Smart Turn's own.
        has_ended: bool `(n_pauses,)`.
        speakers: of each, and where it was recorded.
    """

    features: torch.Tensor
    scores: torch.Tensor
    has_ended: torch.Tensor
    speakers: list[str]


class Hearing:
    """Keeps the features of every turn it is asked to score."""

    def __init__(self, encoder: SmartTurn) -> None:
        self._encoder = encoder
        self.features: list[np.ndarray] = []

    def score(self, samples: Samples) -> float:
        """Smart Turn's own score."""
        heard = self._encoder.hear(samples)
        self.features.append(features(heard))
        return heard.probability


def read_pauses(folder: Path, encoder: SmartTurn) -> Pauses:
    """All pauses of the turns in a folder."""
    hearing, scores, has_ended, speakers = Hearing(encoder), [], [], []
    rows = read_manifest(folder)
    for row in tqdm(rows, desc=folder.name, unit="turn"):
        for pause in find_pauses(read_audio_file(folder / row["path"]).samples, hearing):
            scores.append(pause.score)
            has_ended.append(pause.offset_s >= row["silences"][-1][0] - LATE_S)
            speakers.append(f"{row['source']} {row['speaker']}")
    return Pauses(torch.tensor(np.array(hearing.features)), torch.tensor(scores), torch.tensor(has_ended), speakers)


def fit(inputs: torch.Tensor, has_ended: torch.Tensor, held_back: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logistic regression: weight `(n_features,)` and bias `(1,)` for inputs as they are."""
    mean, spread = inputs.mean(0), inputs.std(0) + 1e-6
    scaled_inputs, targets = ((inputs - mean) / spread).double(), has_ended.double()
    share = targets.mean()
    balance = torch.where(has_ended, 0.5 / share, 0.5 / (1 - share))
    weight = torch.zeros(inputs.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        wrong = binary_cross_entropy_with_logits(scaled_inputs @ weight + bias, targets, balance, reduction="sum")
        total = wrong + held_back / 2 * weight @ weight
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    scaled = (weight / spread).detach().float()
    return scaled, bias.detach().float() - scaled @ mean


def auc(scores: torch.Tensor, has_ended: torch.Tensor) -> float:
    """How often an ended turn scores above one that goes on; ties count half."""
    ended, going_on = scores[has_ended][:, None], scores[~has_ended][None]
    return float((ended > going_on).float().mean() + 0.5 * (ended == going_on).float().mean())


def log_odds_of_others(pauses: Pauses, held_back: float) -> torch.Tensor:
    """Log-odds `(n_pauses,)` of readers that were left out of the fit, a third of them at a time."""
    readers = sorted(set(pauses.speakers))
    scores = torch.zeros(len(pauses.speakers))
    for fold in range(FOLDS):
        left_out = torch.tensor([speaker in readers[fold::FOLDS] for speaker in pauses.speakers])
        weight, bias = fit(pauses.features[~left_out], pauses.has_ended[~left_out], held_back)
        scores[left_out] = pauses.features[left_out] @ weight + bias
    return scores


def show_test(pauses: Pauses, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Prints the AUC of Smart Turn and of our score for each source."""
    table = Table(title="AUC on other speakers")
    for column in ("source", "ended", "going on", "Smart Turn", "ours"):
        table.add_column(column)
    sources = [speaker.split()[0] for speaker in pauses.speakers]
    scores = pauses.features @ weight + bias + torch.tensor(own_share(pauses.scores.numpy()))
    for source in [*dict.fromkeys(sources), "all"]:
        chosen = torch.tensor([source in (other, "all") for other in sources])
        ended = pauses.has_ended[chosen]
        figures = (f"{auc(found[chosen], ended):.3f}" for found in (pauses.scores, scores))
        table.add_row(source, str(int(ended.sum())), str(int((~ended).sum())), *figures)
    Console().print(table)


def main() -> None:
    """Trains, and writes the weights."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.train_end_of_turn", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the manifest.jsonl of the part train")
    parser.add_argument("--test", type=Path, help="of the part test: figures on it are printed")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="(%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="fetched weights (%(default)s)")
    options = parser.parse_args()
    encoder = SmartTurn(find_smart_turn(options.cache_dir))
    pauses = read_pauses(options.data, encoder)
    of_others = {held_back: log_odds_of_others(pauses, held_back) for held_back in HELD_BACK}
    aucs = {held_back: auc(log_odds, pauses.has_ended) for held_back, log_odds in of_others.items()}
    best = max(aucs, key=aucs.__getitem__)
    print(f"AUC on readers left out: {aucs}")
    weight, bias = fit(pauses.features, pauses.has_ended, best)
    (scale,), _ = fit(of_others[best][:, None], pauses.has_ended, 0.0)
    print(f"Log-odds are scaled by {scale:.2f}")
    weight, bias = weight * scale, bias * scale
    save_file({"weight": weight.numpy(), "bias": bias.numpy()}, options.out)
    if options.test:
        show_test(read_pauses(options.test, encoder), weight, bias)


if __name__ == "__main__":
    main()
