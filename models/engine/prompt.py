"""A prompt as the engine reads it: stretches of text tokens, and stretches that an audio clip's embeddings fill.

What decides a position's content is its key: a token, or a clip's key and an index in it. Two prompts share their
beginning as far as their keys are equal, and that far the cache holds. Read `dialogue.py` for the cache.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from models.errors import InvalidPrompt


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """A stretch of text tokens."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AudioSpan:
    """A stretch of positions that an audio clip fills.

    Attributes:
        key: names the clip; the same key means the same embeddings.
        n_tokens: how many positions.
        embed: returns (n_tokens, hidden). Called on the engine's thread, at most once as long as the dialogue's cached
            or pending prompts hold the key.
    """

    key: str
    n_tokens: int
    embed: Callable[[], torch.Tensor]


Prompt = Sequence[TokenSpan | AudioSpan]
PositionKey = int | tuple[str, int]  # a token, or a clip's key and the index in it


def flatten(prompt: Prompt) -> tuple[list[PositionKey], dict[str, AudioSpan]]:
    """What decides each position's content, and the clips by key.

    Raises:
        InvalidPrompt: there is nothing in it, or one clip is given with two lengths.
    """
    keys: list[PositionKey] = []
    clips: dict[str, AudioSpan] = {}
    for span in prompt:
        if isinstance(span, TokenSpan):
            keys.extend(span.ids)
        else:
            other = clips.setdefault(span.key, span)
            if other.n_tokens != span.n_tokens:
                raise InvalidPrompt(f"clip {span.key} is given as {other.n_tokens} and as {span.n_tokens} tokens long")
            keys.extend((span.key, index) for index in range(span.n_tokens))
    if not keys:
        raise InvalidPrompt("the prompt is empty; say or write something first")
    return keys, clips


def common_prefix(a: Sequence[PositionKey], b: Sequence[PositionKey]) -> int:
    """How many positions two sequences begin with alike."""
    n = min(len(a), len(b))
    return next((index for index in range(n) if a[index] != b[index]), n)


def clip_spans(chunk: Sequence[PositionKey]) -> list[tuple[int, str, int, int]]:
    """The stretches of audio in a chunk: (position in the chunk, clip, first row, number of rows)."""
    spans: list[tuple[int, str, int, int]] = []
    for at, key in enumerate(chunk):
        if isinstance(key, tuple):
            if spans and (spans[-1][0] + spans[-1][3], spans[-1][1], spans[-1][2] + spans[-1][3]) == (at, *key):
                spans[-1] = (*spans[-1][:3], spans[-1][3] + 1)
            else:
                spans.append((at, key[0], key[1], 1))
    return spans
