"""ChatML: who says what, between marks."""

from typing import Any

from models.engine.prompt import TokenSpan
from models.prompts.chatml import write_chatml
from models.types import Message
from tests.models.tiny.family import byte_tokenizer

TOKENIZER = byte_tokenizer(("<|endoftext|>", "<|im_start|>", "<|im_end|>"))
SYSTEM, WHY, HELLO = Message("system", ("Be a fox.",)), Message("user", ("why?",)), Message("assistant", ("over",))


def write(*messages: Message, **settings: Any) -> str:
    spans = write_chatml(TOKENIZER, messages, lambda writer, message: writer.add_text(message.text), **settings)
    return TOKENIZER.decode([token for span in spans if isinstance(span, TokenSpan) for token in span.ids])


def test_a_question_is_closed_and_an_answer_opened() -> None:
    expected = "<|im_start|>system\nBe a fox.<|im_end|>\n<|im_start|>user\nwhy?<|im_end|>\n<|im_start|>assistant\n"
    assert write(SYSTEM, WHY) == expected
    assert write(SYSTEM, WHY, HELLO, WHY).startswith(expected + "over<|im_end|>\n<|im_start|>user")


def test_an_answer_to_be_continued_stays_open() -> None:
    assert write(WHY, HELLO).endswith("<|im_start|>assistant\nover")


def test_a_default_system_prompt_stands_where_there_is_none() -> None:
    assert write(WHY, default_system_prompt="Be a dog.").startswith("<|im_start|>system\nBe a dog.<|im_end|>")
    assert "dog" not in write(SYSTEM, WHY, default_system_prompt="Be a dog.")
