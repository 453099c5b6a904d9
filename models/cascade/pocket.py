"""The embedded default: a cascade that answers real speech on two cores, offline.

Whisper tiny.en writes down, SmolLM2-135M-Instruct answers. Both run on the CPU, as fast as it can.
Read `pocket_weights.py` for where the weights come from, `cascade.py` for what they do.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from models.cascade.cascade import Cascade
from models.cascade.pocket_weights import fetch_weights, find_weights
from models.ears.whisper import WhisperEars
from models.engine.prompt import Prompt
from models.errors import ModelUnavailable
from models.loading import LoadOptions, load_engine, loading
from models.prompts.chatml import write_chatml
from models.types import Message, ModelInfo

REPETITION_PENALTY = 1.03  # without it the smallest SmolLM2 repeats itself; with 1.1 it avoids the question's words


def find(options: LoadOptions) -> Path:
    """Gives the folder of its weights.

    Raises:
        ModelUnavailable: they are missing or altered, or it is to run otherwise than it can.
    """
    if options.device not in ("auto", "cpu") or (options.dtype, options.quantization) != ("auto", "none"):
        raise ModelUnavailable("pocket runs on the CPU as it is; leave out --device, --dtype and --quantization")
    return find_weights(options.cache_dir)


def fetch(options: LoadOptions) -> Path:
    """Gets its weights, once.

    Raises:
        ModelUnavailable: they cannot be had.
    """
    return fetch_weights(options.cache_dir)


def load(info: ModelInfo, folder: Path, options: LoadOptions) -> Cascade:
    """Loads the model from the folder that `find` gives.

    Raises:
        ModelUnavailable: the weights cannot be read; the message names the folder.
    """
    transformers_logging.disable_progress_bar()
    with loading(folder):
        ears = WhisperEars(folder / "ears")
        tokenizer = AutoTokenizer.from_pretrained(folder / "language")
        language_model = AutoModelForCausalLM.from_pretrained(folder / "language", dtype=fastest_dtype())
        lay_out_for_short_prompts(language_model)
        engine = load_engine(
            language_model,
            tokenizer,
            language_model.generation_config,
            "<|im_end|>",
            "<|endoftext|>",
            context_tokens=info.context_tokens,
        )
    return Cascade(info, ears, partial(write, tokenizer), engine, repetition_penalty=REPETITION_PENALTY)


def write(tokenizer: Any, messages: Sequence[Message]) -> Prompt:
    """Plain ChatML: SmolLM2's own template would introduce it as SmolLM where there is no system prompt."""
    return write_chatml(tokenizer, messages, lambda writer, message: writer.add_text(message.text))


def fastest_dtype() -> torch.dtype:
    """bfloat16 where the CPU multiplies it; elsewhere a prompt of 60 tokens takes twice as long in it as in float32."""
    can = torch.cpu.get_capabilities()
    return torch.bfloat16 if can.get("avx512_bf16") or can.get("amx_bf16") else torch.float32


def lay_out_for_short_prompts(model: Any) -> None:
    """Stores the float32 weights of linear layers column by column; what they compute stays the same.

    In a model this narrow MKL then multiplies a short prompt, or the tokens of 4 dialogues and more, in half the time,
    and single tokens a few hundredths slower.
    """
    looked_up = model.get_input_embeddings().weight  # row by row; it is the output's weight too
    for weight in [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear)]:
        if weight.dtype == torch.float32 and weight is not looked_up:
            weight.data = weight.data.T.contiguous().T
