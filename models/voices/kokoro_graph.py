"""Makes Kokoro's graph tell, and take, how long each phoneme lasts, once, when its weights are fetched.

The model chooses durations and stretches its sound by them; the graph as it is published gives the sound alone. With
the durations, one knows how much of a text has been heard when the sound is stopped. With a limit for each, the
silence around a phrase, most of a second, is not computed only to be cut off.
Read `kokoro.py` for who runs the graph.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from models.voices.kokoro import DURATIONS, LONGEST

_CHOSEN = "/encoder/Clip_output_0"  # frames of each token, (1, n_tokens)


def open_durations(model: Path, into: Path) -> None:
    """Writes the graph with the input `LONGEST` and the output `DURATIONS`, both float32 (1, n_tokens) in frames.

    Args:
        model: Kokoro-82M v1.0 as it is published for ONNX Runtime.
        into: a file.

    Raises:
        ValueError: the graph is not built as that of Kokoro.
    """
    proto = onnx.load(model)
    nodes = proto.graph.node
    maker = next((index for index, node in enumerate(nodes) if _CHOSEN in node.output), None)
    if maker is None:
        raise ValueError(f"{model} has no {_CHOSEN}, so it is not the Kokoro that this was written for")
    for node in nodes:
        node.input[:] = [DURATIONS if name == _CHOSEN else name for name in node.input]
    nodes.insert(maker + 1, helper.make_node("Min", [_CHOSEN, LONGEST], [DURATIONS]))
    shape = (1, "sequence_length")
    proto.graph.input.append(helper.make_tensor_value_info(LONGEST, TensorProto.FLOAT, shape))
    proto.graph.output.append(helper.make_tensor_value_info(DURATIONS, TensorProto.FLOAT, shape))
    onnx.save(proto, into)
