"""Trains the head of `realtime/turns/backchannel.py` on the clips of `interjections.py`.

Each clip is varied by chance (pitch, room, band, level), heard by the real detector over an answer, and cut as the
floor has it cut; what it has judged is one example. A logistic regression, both classes weighed alike. How much it is
held back, and the scale of its log-odds, are chosen on the voices of "dev"; so are the thresholds of `interruption.py`,
for which a table says what they would do there. The same data, the same weights.
Run: `python -m tests.benchmarks.train_interruption --clips DIR`.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save_file
from tqdm import tqdm

from app import default_cache_dir
from models.types import Samples
from realtime.turns.backchannel import WEIGHTS, features
from realtime.turns.observations import SoundJudged
from realtime.turns.smart_turn import SmartTurn, find_smart_turn
from tests.benchmarks.interjections import LEAVE_TURN, TAKE_TURN, read_clips
from tests.benchmarks.overhearing import overhear, rules_of, vary
from tests.benchmarks.train_end_of_turn import auc, fit

HELD_BACK = (100.0, 300.0, 1000.0, 3000.0, 10_000.0)  # weight of the squared norm against the sum of losses
MAX_SOUNDS = 2  # of one clip
KEPT = "sounds.npz"  # the examples of a folder of clips
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Sounds:
    """Examples.

    Attributes:
        features: float32 `(n_sounds, n_features)`.
        sets: of each, as a clip has it.
    """

    features: torch.Tensor
    sets: list[str]

    @property
    def leave_turn(self) -> torch.Tensor:
        """Bool `(n_sounds,)`."""
        return torch.tensor([set_ in LEAVE_TURN for set_ in self.sets])


def sounds_of(samples: Samples) -> list[Samples]:
    """What the floor has judged of a clip (n_samples,), if every sound is taken for none."""
    judged: list[Samples] = []

    def dismiss(number: int, sound: Samples) -> SoundJudged:
        judged.append(sound)
        return SoundJudged(number, None, backchannel_probability=1.0)

    overhear(samples, rules_of(transcribes=False, scores=True), dismiss)
    return judged[:MAX_SOUNDS]


def read_sounds(folder: Path, encoder: SmartTurn) -> Sounds:
    """All sounds of the clips in a folder; they are kept there, and read the next time."""
    kept = folder / KEPT
    if kept.exists():
        arrays = np.load(kept)
        return Sounds(torch.tensor(arrays["features"]), arrays["sets"].tolist())
    inputs, sets = [], []
    for number, clip in enumerate(tqdm(read_clips(folder), desc=folder.name, unit="clip")):
        for sound in sounds_of(vary(clip.samples, np.random.default_rng(number))):
            inputs.append(features(encoder.hear(sound), len(sound)))
            sets.append(clip.set)
    np.savez(kept, features=np.array(inputs), sets=sets)
    return Sounds(torch.tensor(np.array(inputs)), sets)


def show(sounds: Sounds, probabilities: torch.Tensor) -> None:
    """Prints how many sounds of each set leave the turn if a score suffices for it."""
    table = Table(title="dev: sounds that leave the turn")
    table.add_column("threshold")
    for set_ in (*LEAVE_TURN, *TAKE_TURN):
        table.add_column(f"of {sounds.sets.count(set_)} {set_}")
    for threshold in THRESHOLDS:
        leaving = [set_ for set_, score in zip(sounds.sets, probabilities, strict=True) if score >= threshold]
        table.add_row(str(threshold), *(str(leaving.count(set_)) for set_ in (*LEAVE_TURN, *TAKE_TURN)))
    Console(width=120).print(table)


def main() -> None:
    """Trains, and writes the weights."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.train_interruption", description=__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder that interjections wrote")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="(%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="fetched weights (%(default)s)")
    options = parser.parse_args()
    encoder = SmartTurn(find_smart_turn(options.cache_dir))
    train, dev = (read_sounds(options.clips / name, encoder) for name in ("train", "dev"))
    heads = {held_back: fit(train.features, train.leave_turn, held_back) for held_back in HELD_BACK}
    log_odds = {held_back: dev.features @ weight + bias for held_back, (weight, bias) in heads.items()}
    aucs = {held_back: auc(scores, dev.leave_turn) for held_back, scores in log_odds.items()}
    best = max(aucs, key=aucs.__getitem__)
    print(f"{len(train.sets)} sounds; AUC on {len(dev.sets)} of dev: {aucs}")
    (scale,), _ = fit(log_odds[best][:, None], dev.leave_turn, 0.0)
    show(dev, torch.sigmoid(log_odds[best] * scale))
    weight, bias = heads[best]
    save_file({"weight": (weight * scale).numpy(), "bias": (bias * scale).numpy()}, options.out)


if __name__ == "__main__":
    main()
