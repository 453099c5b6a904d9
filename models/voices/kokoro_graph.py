"""Makes Kokoro's graph tell how long it says each phoneme, once, when its weights are fetched.

The model knows: it chooses the durations, and stretches its sound by them. The graph as it is published gives the sound
alone. With the durations, one knows how much of a text has been heard when the sound is stopped.
Read `kokoro.py` for who runs the graph.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from models.voices.kokoro import DURATIONS

_ROUNDED = "/encoder/Clip_output_0"  # frames of each token, (1, n_tokens)


def add_durations(model: Path, into: Path) -> None:
    """Writes the graph with the output `DURATIONS` beside `AUDIO`.

    Args:
        model: Kokoro-82M v1.0 as it is published for ONNX Runtime.
        into: a file.

    Raises:
        ValueError: the graph is not built as that of Kokoro.
    """
    proto = onnx.load(model)
    if not any(_ROUNDED in node.output for node in proto.graph.node):
        raise ValueError(f"{model} has no {_ROUNDED}, so it is not the Kokoro that this was written for")
    proto.graph.node.append(helper.make_node("Identity", [_ROUNDED], [DURATIONS]))
    proto.graph.output.append(helper.make_tensor_value_info(DURATIONS, TensorProto.FLOAT, None))
    onnx.save(proto, into)
