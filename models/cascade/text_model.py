"""A cascade with any text model that chats: a folder or hub id of a transformers checkpoint, given with `--text-model`.

The ears are those of `--ears` and run on the CPU; `--device`, `--dtype` and `--quantization` are the text model's.
Conversations are written down by its own chat template. Read `cascade.py` for what both do.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from models.cascade.cascade import Cascade
from models.cascade.needed_ears import load_needed_ears
from models.engine.prompt import Prompt
from models.errors import ModelUnavailable
from models.loading import (
    LoadOptions,
    find_checkpoint,
    load_engine,
    load_pretrained,
    loading,
    read_config,
    weights_gb,
)
from models.prompts.chat_template import ChatTemplate
from models.prompts.writer import PromptWriter
from models.types import Message, ModelInfo


class TemplateWriter:
    """Writes conversations of text down by the text model's own chat template.

    Args:
        tokenizer: the text model's.

    Raises:
        ModelUnavailable: it has no chat template.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._template = ChatTemplate(tokenizer)

    def write(self, messages: Sequence[Message]) -> Prompt:
        """Writes one down.

        Raises:
            InvalidPrompt: the template refuses the conversation.
        """
        writer = PromptWriter(self._tokenizer)
        self._template.write(writer, messages, _refuse_clip)
        return writer.spans()


def _refuse_clip(_: object) -> None:
    raise AssertionError("ears have written every clip down")


def find(_: ModelInfo, options: LoadOptions) -> Path:
    """Gives the folder of the text model; downloads it where that is needed.

    Raises:
        ModelUnavailable: none is named, or it is no checkpoint.
    """
    if not options.text_model:
        raise ModelUnavailable("cascade needs a language model: give its folder or hub id with --text-model")
    folder = find_checkpoint(options.text_model)
    read_config(folder)
    return folder


def fetch(info: ModelInfo, options: LoadOptions) -> Path:
    """Gets the text model, once; raises as `find` does."""
    return find(info, options)


def load(info: ModelInfo, folder: Path, options: LoadOptions) -> Cascade[Prompt]:
    """Loads the text model from the folder that `find` gives, and the ears.

    Raises:
        ModelUnavailable: something is missing or broken; the message names it.
    """
    ears = load_needed_ears(info, options)
    with loading(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        writer = TemplateWriter(tokenizer)
        model = load_pretrained(AutoModelForCausalLM, folder, options)
        engine = load_engine(model, tokenizer, model.generation_config, decode_bits=options.decode_bits)
    info = replace(
        info,
        description=f"Ears write down what you say, and {options.text_model} answers it.",
        checkpoints=(*info.checkpoints, str(options.text_model)),
        memory_gb=round(info.memory_gb + weights_gb(folder), 1),
    )
    return Cascade(info, ears, writer.write, engine)
