"""A text language model from a GGUF file, on a CPU: converted once, loaded in seconds.

A GGUF's weights are rounded to a few bits. Converting writes them as bfloat16, which prompts are multiplied with, and
where it is asked for also as the whole numbers that decoding multiplies with. Numbers of 4 bits in groups of 32 that
share a scale and a minimum (GGUF's Q4_K) are taken as they are; what the file holds in 6 or more is rounded to 8.
It refuses architectures that transformers cannot read from GGUF. Read `engine/weight_only.py` for the products.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, ReaderTensor, dequantize
from gguf.quants import Q4_K
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

from models.engine.weight_only import Bits, Codes, pack_int4, packable, quantize, save_codes, use_codes
from models.loading import fastest_dtype

Q4_K_BLOCK_BYTES = 144  # two float16, 8 scales and 8 minima of 6 bits, and 256 numbers of 4 bits
CODES_FILE = "weight_only.safetensors"
SHARD_SIZE = "1GB"  # so much is in memory at once while a model is converted, beside the codes
COARSE_BITS = 6  # a weight, scales included; what a GGUF file holds in more is worth 8

Progress = Callable[[int, int], None]


def convert_gguf(gguf: Path, into: Path, *, bits: Bits | None, progress: Progress | None = None) -> None:
    """Writes a GGUF file as a checkpoint of transformers: its configuration, tokenizer, and weights in bfloat16.

    Args:
        gguf: the file.
        into: a folder, made if it is not there.
        bits: also write the weights as whole numbers of so many bits, for decoding.
        progress: is told how many weights are done, and how many there are.

    Raises:
        Exception: whatever transformers raises if it cannot read such a file.
    """
    config = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    into.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(into)
    GenerationConfig.from_model_config(model.config).save_pretrained(into)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(into)
    _Conversion(gguf, model, bits, progress or (lambda done, total: None)).write(into)


def load_language(folder: Path, dtype: torch.dtype | None = None) -> tuple[Any, Any]:
    """Loads what `convert_gguf` wrote.

    Args:
        folder: that was written.
        dtype: of the weights beside the codes; bfloat16 stays in the file until it is used. None is what is fastest on
            this CPU.

    Returns:
        A causal language model of transformers on the CPU, and its tokenizer.
    """
    has_codes = (folder / CODES_FILE).is_file()
    dtype = dtype or (torch.bfloat16 if has_codes else fastest_dtype())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True).eval()
    lay_out_for_short_prompts(model)
    if has_codes:
        use_codes(model, folder / CODES_FILE)
    return model, tokenizer


class _Conversion:
    """From the tensors of a GGUF file to those of a model.

    Args:
        gguf: the file.
        model: without weights.
        bits: of the codes; None for none.
        progress: is told of each tensor.
    """

    def __init__(self, gguf: Path, model: Any, bits: Bits | None, progress: Progress) -> None:
        self._reader = GGUFReader(gguf)
        self._sources = {tensor.name: tensor for tensor in self._reader.tensors}
        config = model.config
        architecture = self._reader.fields["general.architecture"].contents()
        self._processor = TENSOR_PROCESSORS.get(architecture, TensorProcessor)(config=config.to_dict())
        names = get_gguf_hf_weights_map(model, self._processor)
        self._source_names = {name: source for source, name in names.items() if source in self._sources}
        self._state = {name: tensor for name, tensor in model.state_dict().items() if name in self._source_names}
        self._layers = _layers_by_weight(model) if bits else {}
        self._bits = bits
        self._codes: dict[str, Codes] = {}
        self._progress = progress
        self._done = 0

    def write(self, into: Path) -> None:
        """Writes the weights and codes, one shard at a time."""
        shards = split_torch_state_dict_into_shards(self._state, max_shard_size=SHARD_SIZE)
        for file, names in shards.filename_to_tensors.items():
            save_file({name: self._convert(name) for name in names}, into / file, metadata={"format": "pt"})
        if shards.is_sharded:
            index = {"metadata": shards.metadata, "weight_map": shards.tensor_to_filename}
            (into / "model.safetensors.index.json").write_text(json.dumps(index, indent=1), "utf-8")
        if self._codes:
            save_codes(self._codes, into / CODES_FILE)

    def _convert(self, name: str) -> torch.Tensor:
        """Gives a tensor in bfloat16, and notes its codes."""
        source = self._sources[self._source_names[name]]
        weights = torch.from_numpy(np.array(self._process(dequantize(source.data, source.tensor_type), source)))
        if weights.shape != self._state[name].shape:
            raise ValueError(f"{source.name} is of shape {tuple(weights.shape)}, not {tuple(self._state[name].shape)}")
        if name in self._layers:
            self._codes[self._layers[name]] = self._quantize(weights, source)
        self._done += source.n_elements
        self._progress(int(self._done), sum(int(tensor.n_elements) for tensor in self._sources.values()))
        return weights.to(torch.bfloat16)

    def _process(self, array: np.ndarray[Any, Any], source: ReaderTensor) -> np.ndarray[Any, Any]:
        """Undoes what was done to the model's weights for GGUF, which is mostly to put the rows in another order."""
        processed: np.ndarray[Any, Any] = self._processor.process(weights=array, name=source.name).weights
        return processed

    def _quantize(self, weights: torch.Tensor, source: ReaderTensor) -> Codes:
        block, n_bytes = GGML_QUANT_SIZES[source.tensor_type]
        if self._bits == 8 or 8 * n_bytes / block > COARSE_BITS:
            return quantize(weights, 8)
        if source.tensor_type != GGMLQuantizationType.Q4_K:
            return quantize(weights, 4)
        numbers, scale, middle = (self._process(array, source) for array in read_q4_k(source.data))
        return pack_int4(torch.from_numpy(numbers), torch.from_numpy(scale), torch.from_numpy(middle))


def _layers_by_weight(model: Any) -> dict[str, str]:
    """The layers to pack, by the name under which their weights are written; a tied head's are the embeddings."""
    layers = packable(model)
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    written = {id(layer): f"{name}.weight" for name, layer in layers.items()}
    if model.config.tie_word_embeddings:
        written[id(head)] = next(f"{name}.weight" for name, module in model.named_modules() if module is embeddings)
    return {written[id(layer)]: name for name, layer in layers.items()}


def read_q4_k(rows: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Takes GGUF's Q4_K apart: blocks of 256 numbers, 8 groups of 32 with a scale and a minimum of 6 bits each.

    Args:
        rows: uint8 (out, in / 256 * 144).

    Returns:
        Numbers, uint8 (out, in); and for each group, float32 (out, in / 32), the difference between two numbers and the
        value of number 8.
    """
    n_rows = len(rows)
    blocks = rows.reshape(-1, Q4_K_BLOCK_BYTES)
    factors = blocks[:, :4].copy().view(np.float16).astype(np.float32)  # of the scales, of the minima
    scales, minima = Q4_K.get_scale_min(blocks[:, 4:16])
    scale = factors[:, :1] * scales
    middle = 8 * scale - factors[:, 1:] * minima
    halves = blocks[:, 16:].reshape(-1, 4, 1, 32)  # 32 bytes hold one group in their low halves, the next in the high
    numbers = np.concatenate((halves & 15, halves >> 4), axis=2)
    return numbers.reshape(n_rows, -1), scale.reshape(n_rows, -1), middle.reshape(n_rows, -1)


def lay_out_for_short_prompts(model: Any) -> None:
    """Stores the float32 weights of linear layers column by column; what they compute stays the same.

    In a model this narrow MKL then multiplies a short prompt, or the tokens of 4 dialogues and more, in half the time,
    and single tokens a few hundredths slower.
    """
    looked_up = model.get_input_embeddings().weight  # row by row; it is the output's weight too
    for weight in [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear)]:
        if weight.dtype == torch.float32 and weight is not looked_up:
            weight.data = weight.data.T.contiguous().T
