"""Writes the spans of a prompt: text between marks is tokenised in one piece, and no text becomes a mark.

Read `chatml.py` and `chat_template.py` for the formats.
"""

from typing import Any

from models.engine.prompt import AudioSpan, Prompt, TokenSpan
from models.errors import ModelUnavailable


class PromptWriter:
    """Writes the spans of a prompt, tokenising text between marks in one piece, as the official processors do.

    Args:
        tokenizer: a transformers tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._text = ""
        self._ids: list[int] = []
        self._spans: list[TokenSpan | AudioSpan] = []

    def add_text(self, text: str) -> None:
        """Adds plain text; what looks like a mark in it stays text."""
        self._text += text

    def add_mark(self, token: str) -> None:
        """Adds one special token.

        Raises:
            ModelUnavailable: the tokenizer does not have it.
        """
        self._flush_text()
        self._ids.append(token_id(self._tokenizer, token))

    def add_audio(self, span: AudioSpan) -> None:
        """Adds an audio window."""
        self._flush_ids()
        self._spans.append(span)

    def spans(self) -> Prompt:
        """All that was written."""
        self._flush_ids()
        return tuple(self._spans)

    def _flush_text(self) -> None:
        if self._text:
            self._ids += self._tokenizer.encode(self._text, add_special_tokens=False, split_special_tokens=True)
            self._text = ""

    def _flush_ids(self) -> None:
        self._flush_text()
        if self._ids:
            self._spans.append(TokenSpan(tuple(self._ids)))
            self._ids = []


def token_id(tokenizer: Any, token: str) -> int:
    """The id of a special token.

    Raises:
        ModelUnavailable: the tokenizer does not have it.
    """
    ids = tokenizer.get_added_vocab()
    if token not in ids:
        raise ModelUnavailable(f"the checkpoint's tokenizer has no {token}; its files do not belong to this model")
    return int(ids[token])
