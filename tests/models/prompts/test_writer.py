"""Spans of a prompt: text between marks is one piece, and only marks become marks."""

import pytest
import torch

from models.engine.prompt import AudioSpan, TokenSpan
from models.errors import ModelUnavailable
from models.prompts.writer import PromptWriter, token_id
from tests.models.tiny.family import byte_tokenizer

TOKENIZER = byte_tokenizer(("<s>", "</s>"))


def test_text_between_marks_is_tokenised_in_one_piece() -> None:
    writer, clip = PromptWriter(TOKENIZER), AudioSpan("x", 3, lambda: torch.zeros(3, 4))
    writer.add_mark("<s>")
    writer.add_text("the qui")
    writer.add_text("ck fox")
    writer.add_audio(clip)
    writer.add_text("over</s>")
    first, audio, last = writer.spans()
    assert first == TokenSpan((0, *TOKENIZER.encode("the quick fox")))
    assert audio is clip
    assert isinstance(last, TokenSpan)
    assert TOKENIZER.decode(last.ids) == "over</s>"
    assert 1 not in last.ids


def test_a_mark_that_the_tokenizer_lacks_is_a_broken_checkpoint() -> None:
    assert token_id(TOKENIZER, "</s>") == 1
    with pytest.raises(ModelUnavailable, match="tokenizer has no <pad>"):
        PromptWriter(TOKENIZER).add_mark("<pad>")
