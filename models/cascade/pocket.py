"""The embedded default: a cascade that answers real speech on two cores, offline.

Whisper tiny.en writes down, SmolLM2-135M-Instruct answers. Both run on the CPU, as fast as it can.
Read `pocket_weights.py` for where the weights come from, `cascade.py` for what they do.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers.utils import logging as transformers_logging

from models.cascade.cascade import Cascade
from models.cascade.language import load_language
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
        language_model, tokenizer = load_language(folder / "language")
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
