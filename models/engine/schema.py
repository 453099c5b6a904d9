"""Answers that are held to a JSON schema: before each token, those that cannot come next are taken out.

llguidance (Moskal et al., github.com/guidance-ai/llguidance) makes a grammar of a schema, follows the answer in it,
and says which tokens may come next; the one that ends the answer may, where the JSON is whole. The JSON is written on
one line, as Python's `json.dumps` writes it, so that no answer is lost in white space, and a number stops after as many
digits as anybody can use, which small models do not. An end that is the only way to go on is taken at once, without a
step of the model.

It refuses schemas that it could not hold an answer to in every point, and those that take too long to follow. One point
it cannot keep: where a schema leaves the names of properties open, the same name may come twice, and readers of JSON
keep the last.
Read `sampling.py` for where logits are restricted, `request.py` for where an answer ends.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from llguidance.hf import from_tokenizer
from transformers import PreTrainedTokenizerFast

from models.errors import InvalidPrompt

MAX_COMPILED = 64  # schemas that are kept for the next answer; as many bytes as their grammars, some 100 kB each
MAX_REASON_CHARACTERS = 200
MAX_DIGITS = 20  # in a row, as 64 bits hold; more only where a schema leaves no other way
JSON_STYLE: Any = {  # over what a schema says of itself under "x-guidance"
    "item_separator": ", ",
    "key_separator": ": ",
    "whitespace_flexible": False,
    "whitespace_pattern": None,
    "coerce_one_of": False,
    "lenient": False,
}
# A schema is somebody's input. llguidance's own limits on time are kept: 20 ms to read a pattern, 15 ms a token. A
# state of its lexer takes 1 to 2 kB.
LIMITS = LLParserLimits(max_lexer_states=50_000, verbose_errors=False)


@runtime_checkable
class BytePieces(Protocol):
    """A tokenizer that is not transformers' and says what its tokens are made of."""

    def byte_pieces(self) -> Sequence[bytes]:
        """The bytes of each token, in order; of special ones their names."""
        ...

    def special_ids(self) -> Sequence[int]:
        """The tokens that are no text."""
        ...

    def encode(self, text: str) -> list[int]:
        """Tokens of a text."""
        ...


class Vocabulary:
    """The tokens of a model, as llguidance sees them.

    Args:
        tokenizer: llguidance's.

    Attributes:
        tokenizer: as given.
        size: how many there are; a model's logits may be more, or fewer.
    """

    def __init__(self, tokenizer: LLTokenizer) -> None:
        self.tokenizer = tokenizer
        self.size = tokenizer.vocab_size

    @cached_property
    def begins_with_digit(self) -> torch.Tensor:
        """Which tokens do, bool (vocabulary,)."""
        return torch.tensor([self.tokenizer.decode_bytes([token])[:1].isdigit() for token in range(self.size)])


class DigitRun:
    """How many digits in a row the JSON written so far ends with, outside its strings."""

    def __init__(self) -> None:
        self.n_digits = 0
        self._is_in_string = self._is_escaped = False

    def push(self, piece: bytes) -> None:
        """Takes the next bytes of the JSON."""
        for byte in piece:
            self.n_digits = self.n_digits + 1 if not self._is_in_string and byte in b"0123456789" else 0
            if self._is_escaped:
                self._is_escaped = False
            elif byte == ord('"'):
                self._is_in_string = not self._is_in_string
            else:
                self._is_escaped = self._is_in_string and byte == ord("\\")


class SchemaState:
    """How far one answer has come in its JSON schema. Used by one thread at a time.

    Args:
        matcher: at the beginning; nobody else's.
        vocabulary: the model's.
    """

    def __init__(self, matcher: LLMatcher, vocabulary: Vocabulary) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._digits = DigitRun()
        self._bits = np.zeros((vocabulary.size + 31) // 32, np.int32)  # one for each token, set where it may come next

    def restrict(self, logits: torch.Tensor) -> None:
        """Leaves only the tokens of `logits` (vocabulary,) that may come next, in place.

        Where the schema turns out too complex, nothing is changed, and `accept` says so: a batch goes on without it.
        """
        forbidden = self._forbidden()
        if forbidden is None:
            return
        n_known = min(len(forbidden), len(logits))
        logits[:n_known].masked_fill_(forbidden[:n_known].to(logits.device), -torch.inf)
        logits[n_known:] = -torch.inf

    def accept(self, token: int) -> bool:
        """Takes the token that was chosen; gives whether the JSON is whole and cannot go on.

        Raises:
            InvalidPrompt: the schema is too complex to follow.
        """
        if self._matcher.is_error() or not self._matcher.consume_token(token):
            raise InvalidPrompt(
                f"the JSON schema is too complex to hold this answer to ({_short(self._matcher.get_error())}); "
                "give a simpler one"
            )
        self._digits.push(self._vocabulary.tokenizer.decode_bytes([token]))
        return self._matcher.is_stopped()

    def _forbidden(self) -> torch.Tensor | None:
        """The tokens that cannot come next, bool (vocabulary,); None where nobody can tell."""
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        if self._matcher.is_error():
            return None
        bits = np.unpackbits(~self._bits.view(np.uint8), count=self._vocabulary.size, bitorder="little")
        forbidden = torch.from_numpy(bits.view(np.bool_))
        if self._digits.n_digits >= MAX_DIGITS:
            without_digits = forbidden | self._vocabulary.begins_with_digit
            return forbidden if bool(without_digits.all()) else without_digits
        return forbidden


class Schemas:
    """The grammars of the schemas that were asked for last, for one tokenizer. Used by any thread.

    llguidance's view of the tokenizer is made for the first of them. That takes 0.4 to 1 s, in which no other thread of
    the process runs Python.

    Args:
        tokenizer: the model's: a fast one of transformers, or one with `BytePieces`; another is refused when it is
            needed.
        stop_token_ids: end an answer; they may come where the JSON is whole.
    """

    def __init__(self, tokenizer: Any, stop_token_ids: frozenset[int]) -> None:
        self._source = tokenizer
        self._stop_token_ids = sorted(stop_token_ids)
        self._vocabulary: Vocabulary | None = None
        self._compiled: OrderedDict[str, LLMatcher] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many grammars are kept."""
        return len(self._compiled)

    def begin(self, schema: Mapping[str, Any]) -> SchemaState:
        """Gives the beginning of an answer; compiles the schema if it is new.

        Args:
            schema: a JSON schema. The order of its properties is their order in the answer.

        Raises:
            InvalidPrompt: it is no schema, it asks for what no answer can be held to, or the tokenizer cannot be used.
        """
        written = json.dumps(schema)
        with self._lock:
            if self._vocabulary is None:
                self._vocabulary = Vocabulary(_read_tokenizer(self._source, self._stop_token_ids))
            if written not in self._compiled:
                self._compiled[written] = _compile(self._vocabulary.tokenizer, written)
                if len(self._compiled) > MAX_COMPILED:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(written)
            return SchemaState(self._compiled[written].deep_copy(), self._vocabulary)


def _read_tokenizer(tokenizer: Any, stop_token_ids: list[int]) -> LLTokenizer:
    if isinstance(tokenizer, PreTrainedTokenizerFast):
        return from_tokenizer(tokenizer, eos_token=stop_token_ids or None)
    if isinstance(tokenizer, BytePieces):
        return LLTokenizer(TokenizerWrapper(_Pieces(tokenizer, stop_token_ids[0])), eos_token=stop_token_ids)
    raise InvalidPrompt("this model's tokenizer does not say what its tokens are; ask for an answer without a schema")


class _Pieces:
    """A tokenizer as llguidance asks for it."""

    def __init__(self, tokenizer: BytePieces, eos_token_id: int) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = eos_token_id
        self.bos_token_id = None
        self.tokens = list(tokenizer.byte_pieces())
        self.special_token_ids = list(tokenizer.special_ids())

    def __call__(self, text: str | bytes) -> list[int]:
        """Tokens of a text."""
        return self._tokenizer.encode(text.decode() if isinstance(text, bytes) else text)


def _compile(tokenizer: LLTokenizer, schema: str) -> LLMatcher:
    """The grammar of a schema, after its first mask, which shows that an answer can begin."""
    try:
        grammar = LLMatcher.grammar_from_json_schema(schema, overrides=JSON_STYLE)
    except ValueError as error:
        raise InvalidPrompt(_refusal(str(error))) from error
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=LIMITS)
    if not matcher.is_error():
        matcher.compute_bitmask()
    if matcher.is_error():
        raise InvalidPrompt(_refusal(matcher.get_error()))
    return matcher


def _refusal(reason: str) -> str:
    return f"no answer can be held to this JSON schema ({_short(reason)}); mend it, or ask without one"


def _short(reason: str) -> str:
    """What llguidance says, on one line, without its advice to those who write grammars."""
    said = reason.split("; consider ", maxsplit=1)[0].replace("<non-verbose/>", "")
    return " ".join(said.split())[:MAX_REASON_CHARACTERS]
