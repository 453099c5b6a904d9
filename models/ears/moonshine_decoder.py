"""Moonshine base on ONNX Runtime: from one window of audio to tokens, greedily, and how sure it was of each.

It can be given a guess, which it checks in one pass: what it writes is what it would have written without.
Read `moonshine_graphs.py` for how the graphs were made, `moonshine.py` for the ears.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.ears.pieces import END, START
from models.types import Samples

ENCODER, PASS, STEP = "encoder.onnx", "pass.onnx", "step.onnx"  # files
Tensors = dict[str, Any]  # OrtValues by name: what passes from one run to the next is copied nowhere


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """What was written of one window.

    Attributes:
        tokens: without the start, and without the end.
        log_probabilities: (n_tokens,), or one more if the end was written too.
        attention: (n_tokens or one more, n_frames), where in the window it looked before each.
    """

    tokens: tuple[int, ...]
    log_probabilities: NDArray[np.float32]
    attention: NDArray[np.float32]


class MoonshineDecoder:
    """The three graphs.

    Args:
        folder: holds them.
        threads: of each run.
    """

    def __init__(self, folder: Path, *, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others need the cores between runs
        options.log_severity_level = 3  # errors alone
        self._encoder, self._pass, self._step = (
            onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
            for name in (ENCODER, PASS, STEP)
        )
        self._remembered = [entry.name for entry in self._step.get_inputs() if entry.name.startswith("past")]

    def write(self, samples: Samples, max_tokens: int, guess: Sequence[int] = ()) -> Written:
        """Writes down (n_samples,).

        Args:
            samples: of one window.
            max_tokens: it writes no more.
            guess: what it may be.
        """
        encoded = self._encoder.run(None, {"input_values": samples[None]})[0]
        tokens = [START, *guess[: max_tokens - 1]]
        outputs = _run(self._pass, {"input_ids": _ids(tokens), "encoder_hidden_states": _value(encoded)})
        logits = outputs["logits"].numpy()[0]
        n_right = _n_right(tokens[1:], logits)
        best, scores = _choose(logits[: n_right + 1])
        attention = [outputs["attention"].numpy()[0, : n_right + 1]]
        memory = _cropped(_memory(outputs), n_right + 1)
        written = [*tokens[1 : n_right + 1], int(best[-1])]
        while written[-1] != END and len(written) < max_tokens:
            past = {name: memory[name] for name in self._remembered}
            outputs = _run(self._step, {"input_ids": _ids(written[-1:]), **past})
            memory |= _memory(outputs)
            best, score = _choose(outputs["logits"].numpy()[0])
            attention.append(outputs["attention"].numpy()[0])
            scores = np.concatenate((scores, score))
            written.append(int(best[0]))
        return Written(tuple(token for token in written if token != END), scores, np.concatenate(attention))


def _run(session: Any, inputs: Tensors) -> Tensors:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run_with_ort_values(names, inputs), strict=True))


def _value(array: NDArray[Any]) -> Any:
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


def _ids(tokens: Sequence[int]) -> Any:
    return _value(np.array([tokens], np.int64))


def _memory(outputs: Tensors) -> Tensors:
    """Keys and values, under the names by which the next step takes them."""
    return {name.replace("present", "past_key_values"): value for name, value in outputs.items() if "present" in name}


def _cropped(memory: Tensors, n_tokens: int) -> Tensors:
    """Without what was computed of tokens (axis 2) that proved wrong; the encoder's keys and values stay."""
    return {
        name: _value(value.numpy()[:, :, :n_tokens]) if "decoder" in name and value.shape()[2] > n_tokens else value
        for name, value in memory.items()
    }


def _n_right(guess: Sequence[int], logits: NDArray[np.float32]) -> int:
    """How many tokens of a guess are what would have been written; `logits` are (n_guess + 1, n_pieces)."""
    wrong = np.nonzero(logits[: len(guess)].argmax(axis=1) != np.array(guess, np.int64))[0]
    return int(wrong[0]) if len(wrong) else len(guess)


def _choose(logits: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The most probable token of each row (n_rows, n_pieces), and the logarithm of its probability."""
    best = logits.max(axis=1, keepdims=True)
    return logits.argmax(axis=1), -np.log(np.exp(logits - best).sum(axis=1))
