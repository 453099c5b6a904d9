"""From logits to text: choosing tokens, turning them into whole characters, ending at stop strings.

`Sampler` follows transformers' order (repetition penalty, temperature, top-k, top-p), so that greedy answers equal
`model.generate`'s; where an answer is held to a JSON schema, what may not come next goes after the penalty.
`Detokenizer` never delivers half a character; `StopStrings` never delivers part of a stop string. None of them knows of
caches, threads or dialogues: `worker.py` does.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import torch

from models.engine.schema import SchemaState
from models.errors import GenerationFailed
from models.types import GenerationOptions

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # what decoders put in place of bytes that are no (or not yet a) character
MAX_WINDOW_TOKENS = 32  # a character is at most 4 bytes, so at most 4 tokens; more means the model emits broken bytes


class Tokenizer(Protocol):
    """The part of transformers' tokenizers that answers need."""

    def decode(
        self, token_ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool
    ) -> str | list[str]:
        """Text of the tokens; `REPLACEMENT` for bytes that are no character."""
        ...


class Sampler:
    """Chooses the tokens of one answer.

    Args:
        options: how to sample.
        prompt_ids: the prompt's text tokens, which the repetition penalty counts as seen (as transformers does).
        max_new_tokens: how many tokens the answer can have at most.
        schema: where the answer is in its JSON schema; None if it is held to none.
    """

    def __init__(
        self,
        options: GenerationOptions,
        prompt_ids: Iterable[int],
        max_new_tokens: int,
        schema: SchemaState | None = None,
    ) -> None:
        self.is_greedy = options.temperature == 0
        self._options = options
        self._schema = schema
        self._generator: torch.Generator | None = None
        self._seen: torch.Tensor | None = None
        self._n_seen = 0
        if options.repetition_penalty != 1:
            unique = sorted(set(prompt_ids))
            self._seen = torch.tensor(unique + [0] * max_new_tokens, dtype=torch.long)
            self._n_seen = len(unique)

    def count_seen(self, token: int) -> None:
        """Counts a token of the answer as seen."""
        if self._seen is not None:
            self._seen[self._n_seen] = token
            self._n_seen += 1

    def penalise(self, logits: torch.Tensor) -> None:
        """Applies the repetition penalty to `logits` (vocabulary,), in place (Keskar et al., 2019)."""
        if self._seen is None:
            return
        if self._seen.device != logits.device:
            self._seen = self._seen.to(logits.device)
        seen = self._seen[: self._n_seen]
        penalty = self._options.repetition_penalty
        scores = logits[seen]
        logits[seen] = torch.where(scores < 0, scores * penalty, scores / penalty)

    def restrict(self, logits: torch.Tensor) -> None:
        """Leaves only the tokens of `logits` (vocabulary,) that the JSON schema lets come next, in place."""
        if self._schema is not None:
            self._schema.restrict(logits)

    def sample(self, logits: torch.Tensor) -> int:
        """Draws a token from penalised and restricted `logits` (vocabulary,), float32."""
        options = self._options
        if self._generator is None:
            self._generator = torch.Generator(device=logits.device)
            if options.seed is None:
                self._generator.seed()
            else:
                self._generator.manual_seed(options.seed)
        if not options.top_k and options.top_p == 1:
            return int(torch.multinomial(torch.softmax(logits / options.temperature, -1), 1, generator=self._generator))
        # Sorted once: top-k is then a slice, and top-p a cumulative sum.
        n_kept = min(options.top_k or logits.shape[-1], logits.shape[-1])
        scores, tokens = torch.topk(logits / options.temperature, n_kept)
        probabilities = torch.softmax(scores, dim=-1)
        if options.top_p < 1:
            before = probabilities.cumsum(-1) - probabilities
            probabilities[before >= options.top_p] = 0
        return int(tokens[torch.multinomial(probabilities, 1, generator=self._generator)])


def choose_tokens(logits: torch.Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """The next token of each answer; waits for the device once, whatever the number of greedy answers.

    Args:
        logits: (n_answers, vocabulary), any float dtype; not changed.
        samplers: one per answer.

    Raises:
        GenerationFailed: they are no numbers, of one answer at least.
    """
    logits = logits.to(dtype=torch.float32, copy=True)
    for row, sampler in zip(logits, samplers, strict=True):
        sampler.penalise(row)
        sampler.restrict(row)
    best, likeliest = logits.max(-1)
    tokens: list[int] = likeliest.tolist()
    if not all(map(math.isfinite, best.tolist())):
        raise GenerationFailed("the model's numbers overflow; load it with --dtype bfloat16 or float32")
    return [
        token if sampler.is_greedy else sampler.sample(row)
        for token, row, sampler in zip(tokens, logits, samplers, strict=True)
    ]


class Detokenizer:
    """Turns tokens into text as they come, whole characters only.

    Decoding looks at a window: the tokens of the last delivery, because a token's text may depend on the one before it
    (SentencePiece drops a leading space), and what came since. The answer's length does not matter.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []
        self._n_context = 0  # tokens at the window's start that are fully delivered
        self._n_delivered = 0  # characters of the window's text that are delivered

    def push(self, token: int) -> str:
        """Text that became certain with this token; empty while a character is incomplete."""
        self._window.append(token)
        text = self._decode(self._window)
        # Of an incomplete character some tokenizers show one mark, and some one for each byte.
        is_overdue = len(self._window) - self._n_context >= MAX_WINDOW_TOKENS
        is_open = text.endswith(REPLACEMENT) and not is_overdue
        certain = text.rstrip(REPLACEMENT) if is_open else text
        delta = certain[self._n_delivered :]
        self._n_delivered = max(self._n_delivered, len(certain))
        if (delta or is_overdue) and not is_open:
            del self._window[: self._n_context]
            self._n_context = len(self._window)
            self._n_delivered = len(self._decode(self._window))
        return delta

    def _decode(self, tokens: list[int]) -> str:
        text = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)  # a list only for a batch
        return text


class StopStrings:
    """Ends an answer before the first of `stops`, and holds back text that may be the beginning of one."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """What may be delivered, and whether a stop string was completed."""
        if not self._stops:
            return text, False
        text = self._held + text
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self._held = ""
            return text[: min(found)], True
        n_held = max(self._overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - n_held :]
        return text[: len(text) - n_held], False

    def flush(self) -> str:
        """What was held back, when the answer has ended without a stop string."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """Length of the longest end of `text` that a `stop` may begin with."""
        longest = min(len(text), len(stop) - 1)
        return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
