"""What the tiny checkpoints share: a tokenizer, sizes, and the shape of a reference answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from models.types import Message

VOCABULARY = 400  # of the tokenizer; a model's may be larger


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Of a checkpoint.

    Attributes:
        vocab_size: of the language model.
        hidden_size: of the language model.
        intermediate_size: of the language model.
        layers: of the language model.
        heads: of the language model.
        key_heads: of the language model's keys and values.
        audio_hidden_size: of the encoder.
        audio_layers: of the encoder.
        audio_heads: of the encoder.
        initializer_range: of all random weights.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    key_heads: int
    audio_hidden_size: int
    audio_layers: int
    audio_heads: int
    initializer_range: float

    @property
    def text(self) -> dict[str, Any]:
        """The settings of a Llama-like language model."""
        return {
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_heads,
            "max_position_embeddings": 32_768,
            "initializer_range": self.initializer_range,
        }

    @property
    def whisper(self) -> dict[str, Any]:
        """The settings of a Whisper-like encoder, but for its mel bins."""
        return {
            "d_model": self.audio_hidden_size,
            "encoder_layers": self.audio_layers,
            "encoder_attention_heads": self.audio_heads,
            "encoder_ffn_dim": 4 * self.audio_hidden_size,
        }


# Wide enough that greedy answers wander instead of repeating one token.
TINY = Sizes(
    vocab_size=VOCABULARY,
    hidden_size=64,
    intermediate_size=128,
    layers=2,
    heads=4,
    key_heads=2,
    audio_hidden_size=32,
    audio_layers=2,
    audio_heads=2,
    initializer_range=0.3,
)
# For benchmarks: 75M to 125M parameters; the encoder is Whisper tiny's. As deep as small models are, and so narrow that
# attention weighs more beside the matrix products than in any published checkpoint.
NARROW = Sizes(
    vocab_size=32_000,
    hidden_size=768,
    intermediate_size=2048,
    layers=10,
    heads=12,
    key_heads=6,
    audio_hidden_size=384,
    audio_layers=4,
    audio_heads=6,
    initializer_range=0.02,
)
# For benchmarks: as wide as Llama 3.2 1B, the smallest language model under a published checkpoint, and cut in depth (2
# of 16 layers) and vocabulary: attention has the share of a layer's work that it has there. The encoder is Whisper
# base's, a sixth of the language model, as Voxtral Mini's is; together 145M to 152M parameters.
MEDIUM = Sizes(
    vocab_size=1024,
    hidden_size=2048,
    intermediate_size=8192,
    layers=2,
    heads=32,
    key_heads=8,
    audio_hidden_size=512,
    audio_layers=6,
    audio_heads=8,
    initializer_range=0.02,
)
# For benchmarks on a GPU: about the sizes of Llama 3.1 8B and of Whisper large's encoder.
FULL = Sizes(
    vocab_size=128_256,
    hidden_size=4096,
    intermediate_size=14_336,
    layers=32,
    heads=32,
    key_heads=8,
    audio_hidden_size=1280,
    audio_layers=32,
    audio_heads=20,
    initializer_range=0.02,
)
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
        name: its file in `models/families/`.
        save: writes a checkpoint of a size into an empty folder.
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
    save: Callable[[Path, Sizes], None]
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


def greedy(
    model: Any,
    tokenizer: Any,
    inputs: dict[str, torch.Tensor],
    n_new: int,
    stop_ids: list[int],
    *,
    ids: torch.Tensor | None = None,
    generate: Callable[..., torch.Tensor] | None = None,
) -> Reference:
    """Recomputes everything with transformers' own `generate`.

    Args:
        model: the publisher's class.
        tokenizer: its tokenizer.
        inputs: of the model, the whole prompt.
        n_new: longest answer.
        stop_ids: what ends it.
        ids: (1, positions), the prompt where `inputs` hold its embeddings.
        generate: instead of the model's.
    """
    n_prompt = inputs["input_ids"].shape[1] if ids is None else 0  # generate gives back the ids it was given
    generate = generate or model.generate
    with torch.inference_mode():
        logits = model(**inputs).logits[0, -1]
        output = generate(**inputs, max_new_tokens=n_new, do_sample=False, eos_token_id=stop_ids, pad_token_id=0)
    text = tokenizer.decode(output[0, n_prompt:], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Reference(logits, text, (inputs["input_ids"] if ids is None else ids)[0].tolist())


def as_chat(message: Message) -> dict[str, Any]:
    """A message as transformers' chat templates take it."""
    parts = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "audio", "audio": part.samples}
        for part in message.parts
    ]
    return {"role": message.role, "content": parts}
