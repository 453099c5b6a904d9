"""Makes the three graphs of Moonshine base out of the two that its publisher ships, once, when its weights are fetched.

The publisher's decoder is one graph with an If in it, which turns all weights into floats at each token (31 to 37 ms a
token on one core). Here it becomes two graphs, one for many tokens at once and one for one token after others. Their
matrices stay int8 (5 ms a token), and each tells which moments of the clip the decoder looked at, from which
`alignment.py` tells when words were said. Read `moonshine.py` for who runs the graphs, `pieces.py` for the tokens.
"""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.ears.moonshine_decoder import ENCODER, PASS, STEP
from models.ears.pieces import PIECES

BRANCHES = {"then_branch": STEP, "else_branch": PASS}  # of the If: with what is known of earlier tokens, and without
BLOCK = 32  # weights that share a scale; of 45 readings 3.98 % of the words are wrong, with float32 weights as many
INT8_STEPS = 127  # on either side of zero, which is stored as 128
ROWS_IN_INT8 = 4  # MatMulNBits' `accuracy_level`: each row of the other factor gets scales of its own, so that the
# logits of a token do not depend on how many are computed with it; a dynamically quantised MatMul has one scale for all
ALIGNED_LAYER, ALIGNED_HEADS = 5, (5, 6)  # of 64 heads these two are the nearest to Whisper base's words (24 clips of
# LibriSpeech and LJ Speech): 28 ms in the median, 120 ms at most for nine words of ten
ATTENTION = f"/model/decoder/layers.{ALIGNED_LAYER}/encoder_attn/Softmax_output_0"


def convert(encoder_ort: Path, decoder_ort: Path, tokenizer_bin: Path, into: Path) -> None:
    """Writes the folder that `MoonshineEars` takes.

    Args:
        encoder_ort: `encoder_model.ort` of Moonshine base as its publisher ships it.
        decoder_ort: `decoder_model_merged.ort`.
        tokenizer_bin: `tokenizer.bin`.
        into: the folder; made if it is not there.

    Raises:
        ValueError: a graph is not built as that of Moonshine base.
    """
    into.mkdir(parents=True, exist_ok=True)
    encoder = _read_ort(encoder_ort, into)
    _quantize(encoder)
    onnx.save(encoder, into / ENCODER)
    decoder = _read_ort(decoder_ort, into)
    for name in BRANCHES.values():
        branch = _take_branch(decoder, name)
        _quantize(branch)
        onnx.save(branch, into / name)
    shutil.copyfile(tokenizer_bin, into / PIECES)


def _read_ort(path: Path, scratch: Path) -> ModelProto:
    """Reads a graph in ONNX Runtime's own format, which it can write as ONNX."""
    copy = scratch / f".{path.stem}.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(copy)
    options.add_session_config_entry("session.save_model_format", "ONNX")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    try:
        return onnx.load(copy)
    finally:
        copy.unlink()


def _take_branch(decoder: ModelProto, name: str) -> ModelProto:
    """One branch of the decoder's If as a graph of its own, which gives out its attention too."""
    graph = decoder.graph
    choices = [node for node in graph.node if node.op_type == "If"]
    branches = [a.g for node in choices for a in node.attribute if BRANCHES.get(a.name) == name]
    if len(branches) != 1 or not any(ATTENTION in node.output for node in branches[0].node):
        raise ValueError("the decoder is not that of Moonshine base: it has no such branch")
    (branch,) = branches
    outer = {inner.name: given.name for inner, given in zip(branch.output, graph.output, strict=True)}
    nodes = [node for node in graph.node if node.op_type != "If"]
    nodes += [_renamed(node, outer) for node in branch.node] + _attention_nodes()
    made, used = ({name for node in nodes for name in names(node)} for names in (_outputs, _inputs))
    attention = helper.make_tensor_value_info("attention", TensorProto.FLOAT, None)
    taken = helper.make_graph(
        nodes,
        name,
        [value for value in graph.input if value.name in used],
        [*(value for value in graph.output if value.name in made), attention],
        [tensor for tensor in (*graph.initializer, *branch.initializer) if tensor.name in used],
    )
    return helper.make_model(taken, opset_imports=decoder.opset_import, ir_version=decoder.ir_version)


def _attention_nodes() -> list[NodeProto]:
    """The mean attention of the heads that follow the speech: "attention" (1, n_tokens, n_frames)."""
    heads = helper.make_node(
        "Constant", [], ["aligned_heads"], value=numpy_helper.from_array(np.array(ALIGNED_HEADS, np.int64))
    )
    taken = helper.make_node("Gather", [ATTENTION, "aligned_heads"], ["aligned_attention"], axis=1)
    return [heads, taken, helper.make_node("ReduceMean", ["aligned_attention"], ["attention"], axes=[1], keepdims=0)]


def _renamed(node: NodeProto, names: dict[str, str]) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    return copy


def _inputs(node: NodeProto) -> list[str]:
    return list(node.input)


def _outputs(node: NodeProto) -> list[str]:
    return list(node.output)


def _quantize(model: ModelProto) -> None:
    """Leaves weights in int8 wherever they are multiplied or looked up, in place.

    The publisher stores each as bytes that a Cast, a Mul and an Add make floats of.
    """
    graph = model.graph
    chains = _weight_chains(graph)
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    transposed = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Transpose" and n.input[0] in chains}
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type == "MatMul" and (node.input[1] in chains or node.input[1] in transposed):
            source = transposed.get(node.input[1], node.input[1])
            weights = _floats(chains[source], tensors)
            columns = weights if node.input[1] in transposed else weights.T
            nodes.append(_int8_product(graph, node, columns))
        elif node.op_type == "Gather" and node.input[0] in chains:
            nodes += _look_up_first(node, chains[node.input[0]])
        elif not (node.output and node.output[0] in transposed):
            nodes.append(node)
    _keep_what_is_used(graph, nodes)
    kept = [helper.make_opsetid("", opset.version) for opset in model.opset_import if not opset.domain]
    del model.opset_import[:]
    model.opset_import.extend([*kept, helper.make_opsetid("com.microsoft", 1)])


def _weight_chains(graph: GraphProto) -> dict[str, tuple[NodeProto, NodeProto, NodeProto]]:
    """The Cast, Mul and Add behind each weight, by the name of the floats that they make."""
    stored = {tensor.name for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node if node.output}
    chains = {}
    for add in (node for node in graph.node if node.op_type == "Add"):
        mul = makers.get(add.input[0])
        cast = makers.get(mul.input[0]) if mul is not None and mul.op_type == "Mul" else None
        if mul is not None and cast is not None and cast.op_type == "Cast" and cast.input[0] in stored:
            chains[add.output[0]] = (cast, mul, add)
    if not chains:
        raise ValueError("the graph is not one of Moonshine base: it holds no quantised weights")
    return chains


def _floats(chain: tuple[NodeProto, NodeProto, NodeProto], tensors: dict[str, TensorProto]) -> NDArray[np.float32]:
    cast, mul, add = chain
    steps, scale, zero = (numpy_helper.to_array(tensors[name]) for name in (cast.input[0], mul.input[1], add.input[1]))
    return np.asarray(steps.astype(np.float32) * scale + zero, np.float32)


def _int8_product(graph: GraphProto, node: NodeProto, columns: NDArray[np.float32]) -> NodeProto:
    """A product with a matrix, given column by column (n_columns, n_rows), whose weights are int8 in blocks."""
    n_columns, n_rows = columns.shape
    blocks = np.pad(columns, ((0, 0), (0, -n_rows % BLOCK))).reshape(n_columns, -1, BLOCK)
    scales = np.maximum(np.abs(blocks).max(axis=2) / INT8_STEPS, np.finfo(np.float32).tiny).astype(np.float32)
    steps = (np.rint(blocks / scales[..., None]) + INT8_STEPS + 1).astype(np.uint8)
    names = [f"{node.name}_steps", f"{node.name}_scales"]
    graph.initializer.extend(numpy_helper.from_array(a, name) for a, name in zip((steps, scales), names, strict=True))
    sizes = {"K": n_rows, "N": n_columns, "bits": 8, "block_size": BLOCK, "accuracy_level": ROWS_IN_INT8}
    return helper.make_node(
        "MatMulNBits", [node.input[0], *names], list(node.output), name=node.name, domain="com.microsoft", **sizes
    )


def _look_up_first(gather: NodeProto, chain: tuple[NodeProto, NodeProto, NodeProto]) -> list[NodeProto]:
    """Looks rows up among the bytes and makes floats of those alone, not of the whole table."""
    cast, mul, add = chain
    row = gather.output[0]
    return [
        helper.make_node("Gather", [cast.input[0], gather.input[1]], [f"{row}_bytes"], axis=0),
        helper.make_node("Cast", [f"{row}_bytes"], [f"{row}_cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{row}_cast", mul.input[1]], [f"{row}_scaled"]),
        helper.make_node("Add", [f"{row}_scaled", add.input[1]], [row]),
    ]


def _keep_what_is_used(graph: GraphProto, nodes: list[NodeProto]) -> None:
    """Puts `nodes` in place of the graph's, without those whose outputs nobody takes, and without their weights."""
    wanted = {value.name for value in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(nodes):  # nodes stand behind what they take
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
            wanted.update(name for a in node.attribute if a.type == AttributeProto.GRAPH for name in _taken_by(a.g))
    tensors = [tensor for tensor in graph.initializer if tensor.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(tensors)


def _taken_by(graph: GraphProto) -> list[str]:
    return [name for node in graph.node for name in node.input]
