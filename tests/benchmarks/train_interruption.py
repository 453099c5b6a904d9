"""Trains the head of `realtime/turns/backchannel.py` on what `build_interjections` wrote.

Each clip is varied by chance (pitch, room, band, level), heard by the real detector over an answer, and cut as the
floor has it cut; what it has judged is one example. A logistic regression, both classes weighed alike; how much it is
held back is chosen on voices it was not fitted to, and so is the scale of its log-odds. The same data, the same
weights.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from tqdm import tqdm

from app import default_cache_dir
from models.types import Samples
from realtime.hearing.files import read_audio_file
from realtime.hearing.vad import VadOptions
from realtime.turns.backchannel import WEIGHTS, features
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.observations import SoundJudged
from realtime.turns.options import FloorOptions
from realtime.turns.smart_turn import SmartTurn, find_smart_turn
from tests.benchmarks.interjections import vary
from tests.benchmarks.overhearing import Rules, overhear
from tests.benchmarks.train_end_of_turn import auc, fit

HELD_BACK = (300.0, 1000.0, 3000.0, 10_000.0)  # weight of the squared norm against the sum of losses
FOLDS = 5
MAX_SOUNDS = 2  # of one clip
RULES = Rules(
    FloorOptions(endpointing=EndpointingOptions(), pre_roll_s=VadOptions().pre_roll_s, scores_sounds=True),
    VadOptions(),
)


@dataclass(frozen=True, slots=True)
class Sounds:
    """Examples.

    Attributes:
        features: float32 `(n_sounds, n_features)`.
        leaves_turn: bool `(n_sounds,)`.
        sources: of each, the voice or the reader.
    """

    features: torch.Tensor
    leaves_turn: torch.Tensor
    sources: list[str]


def sounds_of(samples: Samples) -> list[Samples]:
    """What the floor has judged of a clip (n_samples,), if every sound is taken for none."""
    judged: list[Samples] = []

    def dismiss(number: int, sound: Samples) -> SoundJudged:
        judged.append(sound)
        return SoundJudged(number, None, backchannel_probability=1.0)

    overhear(samples, RULES, dismiss)
    return judged[:MAX_SOUNDS]


def read_sounds(folder: Path, encoder: SmartTurn) -> Sounds:
    """All sounds of the clips in a folder."""
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    rng, inputs, leaves_turn, sources = np.random.default_rng(0), [], [], []
    for row in tqdm(rows, desc=folder.name, unit="clip"):
        for sound in sounds_of(vary(read_audio_file(str(folder / row["path"])).samples, rng)):
            inputs.append(features(encoder.hear(sound), len(sound)))
            leaves_turn.append(row["leaves_turn"])
            sources.append(row["source"])
    return Sounds(torch.tensor(np.array(inputs)), torch.tensor(leaves_turn), sources)


def log_odds_of_others(sounds: Sounds, held_back: float) -> torch.Tensor:
    """Log-odds `(n_sounds,)` by fits from which the sound's own voice was left out."""
    voices = sorted(set(sounds.sources))
    scores = torch.zeros(len(sounds.sources))
    for fold in range(FOLDS):
        left_out = torch.tensor([source in voices[fold::FOLDS] for source in sounds.sources])
        weight, bias = fit(sounds.features[~left_out], sounds.leaves_turn[~left_out], held_back)
        scores[left_out] = sounds.features[left_out] @ weight + bias
    return scores


def main() -> None:
    """Trains, and writes the weights."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.train_interruption", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that build_interjections wrote")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="(%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="fetched weights (%(default)s)")
    options = parser.parse_args()
    sounds = read_sounds(options.data, SmartTurn(find_smart_turn(options.cache_dir)))
    of_others = {held_back: log_odds_of_others(sounds, held_back) for held_back in HELD_BACK}
    aucs = {held_back: auc(log_odds, sounds.leaves_turn) for held_back, log_odds in of_others.items()}
    best = max(aucs, key=aucs.__getitem__)
    print(f"{len(sounds.sources)} sounds; AUC on voices left out: {aucs}")
    weight, bias = fit(sounds.features, sounds.leaves_turn, best)
    (scale,), _ = fit(of_others[best][:, None], sounds.leaves_turn, 0.0)
    print(f"Log-odds are scaled by {scale:.2f}")
    save_file({"weight": (weight * scale).numpy(), "bias": (bias * scale).numpy()}, options.out)


if __name__ == "__main__":
    main()
