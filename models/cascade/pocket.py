"""The embedded models: cascades that answer real speech on two cores, offline.

    pocket          Qwen2.5-Coder-1.5B-Instruct, the default
    pocket-small    Qwen2.5-Coder-0.5B-Instruct
    pocket-tiny     SmolLM2-135M-Instruct, for weak machines

Ears write down, Moonshine base unless others are chosen, and the language model answers. Both run on the CPU, as fast
as it can. Read `models/weights/packages.py` for where the weights come from, `cascade.py` for what they do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transformers.utils import logging as transformers_logging

from models.cascade.cascade import Cascade
from models.cascade.language import convert_gguf, load_language
from models.cascade.needed_ears import load_needed_ears
from models.engine.prompt import Prompt
from models.engine.weight_only import Bits
from models.errors import ModelUnavailable
from models.loading import LoadOptions, load_engine, loading
from models.prompts.chatml import write_chatml
from models.types import Message, ModelInfo
from models.weights.fetching import fetch_weights, find_weights
from models.weights.limits import check_memory
from models.weights.packages import QWEN_0_5B, QWEN_1_5B, SMOLLM2_135M, Package


@dataclass(frozen=True, slots=True)
class Pocket:
    """What makes one of them.

    Attributes:
        language: the weights of its language model.
        bits: of the whole numbers that decoding multiplies with; None for the weights as they are.
        repetition_penalty: of its answers.
    """

    language: Package
    bits: Bits | None
    repetition_penalty: float


POCKETS = {
    "pocket": Pocket(QWEN_1_5B, 4, 1.0),
    "pocket-small": Pocket(QWEN_0_5B, 4, 1.0),
    # Without it the smallest SmolLM2 repeats itself; with 1.1 it avoids the question's words.
    "pocket-tiny": Pocket(SMOLLM2_135M, None, 1.03),
}


def find(info: ModelInfo, options: LoadOptions) -> Path:
    """Gives the folder of the language model's weights.

    Raises:
        ModelUnavailable: they are missing or altered, the machine is too small for them, or it is to run otherwise than
            it can.
    """
    if options.device not in ("auto", "cpu") or (options.dtype, options.quantization) != ("auto", "none"):
        raise ModelUnavailable(f"{info.name} runs on the CPU as it is; leave out --device, --dtype and --quantization")
    language = POCKETS[info.name].language
    check_memory(language)
    return find_weights(language, options.cache_dir)


def fetch(info: ModelInfo, options: LoadOptions) -> Path:
    """Gets the language model's weights, once.

    Raises:
        ModelUnavailable: they cannot be had.
    """
    pocket = POCKETS[info.name]
    return fetch_weights(pocket.language, options.cache_dir, partial(_make, bits=pocket.bits))


def _make(taken: Path, into: Path, report: Callable[[int, int], None], *, bits: Bits | None) -> None:
    (gguf,) = taken.iterdir()
    convert_gguf(gguf, into, bits=bits, progress=report)


def load(info: ModelInfo, folder: Path, options: LoadOptions) -> Cascade[Prompt]:
    """Loads the model from the folder that `find` gives, and the ears.

    Raises:
        ModelUnavailable: weights are missing or cannot be read; the message names them.
    """
    transformers_logging.disable_progress_bar()
    ears = load_needed_ears(info, options)
    with loading(folder):
        language_model, tokenizer = load_language(folder)
        engine = load_engine(
            language_model,
            tokenizer,
            language_model.generation_config,
            "<|im_end|>",
            "<|endoftext|>",
            context_tokens=info.context_tokens,
        )
    penalty = POCKETS[info.name].repetition_penalty
    return Cascade(info, ears, partial(write, tokenizer), engine, repetition_penalty=penalty)


def write(tokenizer: Any, messages: Sequence[Message]) -> Prompt:
    """Plain ChatML: the models' own templates would introduce them by name where there is no system prompt."""
    return write_chatml(tokenizer, messages, lambda writer, message: writer.add_text(message.text))
