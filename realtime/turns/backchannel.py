"""Whether a sound over an answer leaves the turn with the assistant, as we hear it: a head on Smart Turn's encoder.

Read `interruption.py` for what becomes of the score.
"""

from pathlib import Path

import numpy as np

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.turns.smart_turn import Head, Heard, SmartTurn, probability_of

WEIGHTS = Path(__file__).with_name("backchannel.safetensors")
STATE_SAMPLES = SAMPLE_RATE_HZ * 20 // 1000  # of the encoder
PARTS = 4  # into which a sound is divided: what comes first and what comes last tells "no" from "on"


def features(heard: Heard, n_samples: int) -> np.ndarray:
    """What the head judges by: float32 `(1536,)`, the means of the encoder's states in each part of the sound.

    Args:
        heard: of the sound.
        n_samples: its length; what is before it in the encoder's window is silence.
    """
    n_states = min(len(heard.states), max(PARTS, -(-n_samples // STATE_SAMPLES)))
    parts = np.array_split(heard.states[-n_states:], PARTS)
    return np.concatenate([part.mean(axis=0) for part in parts])


class Backchannel:
    """Scores sounds over an answer; shared by all sessions.

    Args:
        encoder: Smart Turn.
        weights: safetensors with `weight` (1536,) and `bias` (1,).
    """

    def __init__(self, encoder: SmartTurn, weights: Path = WEIGHTS) -> None:
        self._encoder = encoder
        self._head = Head(weights)

    def score(self, samples: Samples) -> float:
        """Gives the probability that a sound, float32 `(n_samples,)` at 16 kHz, is a backchannel or a noise.

        Thread-safe; blocks for 60 to 100 ms.
        """
        heard = self._encoder.hear(samples)
        return probability_of(self._head.log_odds(features(heard, len(samples))))
