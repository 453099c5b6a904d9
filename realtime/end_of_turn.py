"""Whether a turn sounds complete, as we judge it: a linear head on the states of Smart Turn's encoder.

Smart Turn's own classifier was made for conversations. The head was trained on pauses within and after sentences of
LibriSpeech's readers (CC BY 4.0) by `tests/benchmarks/train_end_of_turn.py`; on sentences and commands of speakers it
has not heard its AUC is 0.78, the classifier's 0.72. It costs nothing beside the encoder. Its weights, 6 kB, are in
this folder. Read `endpointing.py` for what becomes of the score.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from models.types import Samples
from realtime.smart_turn import STATE_SIZE, Heard, SmartTurn

WEIGHTS = Path(__file__).with_name("end_of_turn.safetensors")
RECENT_STATES, MEAN_STATES = 30, 10  # the last 0.6 s, in means of 0.2 s: the pause and the syllables before it


def features(heard: Heard) -> np.ndarray:
    """What the head judges by: float32 `(1536,)`."""
    recent = heard.states[-RECENT_STATES:].reshape(-1, MEAN_STATES, STATE_SIZE).mean(axis=1)
    return np.concatenate((heard.pooled, recent.ravel()))


class EndOfTurn:
    """Scores turns at their pauses; shared by all sessions.

    Args:
        encoder: Smart Turn.
        weights: safetensors with `weight` (1536,) and `bias` (1,).
    """

    def __init__(self, encoder: SmartTurn, weights: Path = WEIGHTS) -> None:
        self._encoder = encoder
        tensors = load_file(weights)
        self._weight, self._bias = tensors["weight"], float(tensors["bias"][0])

    def score(self, samples: Samples) -> float:
        """Gives the probability that the turn float32 `(n_samples,)` at 16 kHz, up to its present pause, is complete.

        Thread-safe; blocks for 60 to 100 ms.
        """
        log_odds = float(features(self._encoder.hear(samples)) @ self._weight) + self._bias
        return float(1 / (1 + np.exp(-np.clip(log_odds, -50, 50))))
