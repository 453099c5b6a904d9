"""What the tiny checkpoints share: a tokenizer, sizes, and the shape of a reference answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from models.types import Message

VOCABULARY = 400
HIDDEN = 64
TEXT_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32_768,
    "initializer_range": 0.3,  # wide enough that greedy answers wander instead of repeating one token
}
CORPUS = "the quick brown fox jumps over the lazy dog, and stops there: user assistant system You are a helpful one.\n"


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a full recompute gives.

    Attributes:
        logits: (vocabulary,) after the whole prompt.
        text: of the greedy answer.
        ids: the prompt, audio positions as placeholders.
    """

    logits: torch.Tensor
    text: str
    ids: list[int]


Answer = Callable[[Sequence[Message], int], Reference]


@dataclass(frozen=True, slots=True)
class TinyFamily:
    """One family.

    Attributes:
        name: its file in `models/`.
        save: writes a checkpoint into an empty folder.
        reference: loads that folder with the publisher's own classes and gives a function from messages and a number of
            new tokens to the reference answer.
        encoder: the class of the module that hears one window per call; its calls are counted.
        window_s: longer clips are cut into several of this length, which the reference has to be given as clips of
            their own; None where the publisher's processor takes them whole.
        min_window_s: shorter windows are padded to this with silence, because the publisher's processor drops them.
        max_clip_s: longest clip the family takes.
        warmed_share: of the next prompt, when all but its new question was prefilled; less where the template writes
            the last answer otherwise than those before, so that it is read again.
    """

    name: str
    save: Callable[[Path], None]
    reference: Callable[[Path], Answer]
    encoder: type[Any]
    window_s: float | None = None
    min_window_s: float = 0.02
    max_clip_s: float = 600.0
    warmed_share: float = 0.7


def byte_tokenizer(special_tokens: Sequence[str], **settings: Any) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of `VOCABULARY` tokens at most; `special_tokens` come first."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(special_tokens),
        show_progress=False,
    )
    bpe.train_from_iterator([CORPUS] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, extra_special_tokens=list(special_tokens), **settings)


def greedy(model: Any, tokenizer: Any, inputs: dict[str, torch.Tensor], n_new: int, stop_ids: list[int]) -> Reference:
    """Recomputes everything with transformers' own `generate`."""
    n_prompt = inputs["input_ids"].shape[1]
    with torch.inference_mode():
        logits = model(**inputs).logits[0, -1]
        output = model.generate(**inputs, max_new_tokens=n_new, do_sample=False, eos_token_id=stop_ids, pad_token_id=0)
    text = tokenizer.decode(output[0, n_prompt:], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Reference(logits, text, inputs["input_ids"][0].tolist())
