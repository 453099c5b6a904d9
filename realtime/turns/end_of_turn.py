"""Whether a turn sounds complete, as we judge it: a linear head on the states of Smart Turn's encoder.

The head was trained on pauses within and after sentences of LibriSpeech's readers (CC BY 4.0) by
`tests/benchmarks/train_end_of_turn.py`; to its log-odds a part of those of Smart Turn's own classifier is added, which
knows questions and conversations. On sentences and commands of speakers it has not heard the sum's AUC is 0.78, the
classifier's 0.71. It costs nothing beside the encoder. Its weights, 6 kB, are in this folder.
Read `endpointing.py` for what becomes of the score.
"""

from pathlib import Path

import numpy as np

from models.types import Samples
from realtime.turns.smart_turn import STATE_SIZE, Head, Heard, SmartTurn, probability_of

WEIGHTS = Path(__file__).with_name("end_of_turn.safetensors")
RECENT_STATES, MEAN_STATES = 30, 10  # the last 0.6 s, in means of 0.2 s: the pause and the syllables before it
OWN_SHARE = 0.2  # of the classifier's log-odds; half as much or as much again changes the AUC by 0.01
OWN_DOUBT = 1e-3  # the classifier is not taken to be surer


def features(heard: Heard) -> np.ndarray:
    """What the head judges by: float32 `(1536,)`."""
    recent = heard.states[-RECENT_STATES:].reshape(-1, MEAN_STATES, STATE_SIZE).mean(axis=1)
    return np.concatenate((heard.pooled, recent.ravel()))


def own_share(probability: np.ndarray) -> np.ndarray:
    """What the classifier's probability (...) adds to the log-odds of the head."""
    doubted = np.clip(probability, OWN_DOUBT, 1 - OWN_DOUBT)
    share: np.ndarray = OWN_SHARE * np.log(doubted / (1 - doubted))
    return share


class EndOfTurn:
    """Scores turns in their silences; shared by all sessions.

    Args:
        encoder: Smart Turn.
        weights: safetensors with `weight` (1536,) and `bias` (1,).
    """

    def __init__(self, encoder: SmartTurn, weights: Path = WEIGHTS) -> None:
        self._encoder = encoder
        self._head = Head(weights)

    def score(self, samples: Samples) -> float:
        """Gives the probability that the turn float32 `(n_samples,)` at 16 kHz, up to its present pause, is complete.

        Thread-safe; blocks for 60 to 100 ms.
        """
        heard = self._encoder.hear(samples)
        own = float(own_share(np.array(heard.probability)))
        return probability_of(self._head.log_odds(features(heard)) + own)
