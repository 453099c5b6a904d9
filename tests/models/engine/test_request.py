"""An answer's text: whole characters, ended at stop strings and at its longest."""

from typing import Any

import pytest

from models.types import GenerationOptions, TextDelta
from tests.models.engine.probing import answer, llama, running, saying, some_ids, text_prompt


async def test_characters_of_several_tokens_arrive_whole(tokenizer: Any) -> None:
    text = "fox 👩🏽‍🚀 jumps 世界 über the 🐕!"
    ids = some_ids(9)
    script = [*tokenizer.encode(text), tokenizer.eos_token_id]
    async with running(
        saying(llama(), 9, script), tokenizer, stop_token_ids=frozenset({tokenizer.eos_token_id})
    ) as engine:
        deltas = [event async for event in engine.generate(text_prompt(ids), GenerationOptions(), dialogue="a")]
    pieces = [event.text for event in deltas if isinstance(event, TextDelta)]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert len(pieces) > 10


async def test_an_answer_cut_inside_a_character_ends_before_it(tokenizer: Any) -> None:
    script = tokenizer.encode("dog 🐕")
    async with running(saying(llama(), 9, script), tokenizer) as engine:
        options = GenerationOptions(max_new_tokens=len(script) - 1)
        text, stats = await answer(engine, text_prompt(some_ids(9)), options, "a")
    assert text == "dog "
    assert (stats.finish_reason, stats.completion_tokens) == ("length", len(script) - 1)


@pytest.mark.parametrize(
    ("stops", "expected", "reason"),
    [
        (("there",), "the quick fox stops ", "stop"),
        (("x sto",), "the quick fo", "stop"),  # over several tokens
        (("never", "fox", "quick fox"), "the ", "stop"),  # the earliest wins
        (("there!!",), "the quick fox stops there", "length"),  # held back, then delivered at the end
    ],
)
async def test_stop_strings(tokenizer: Any, stops: tuple[str, ...], expected: str, reason: str) -> None:
    script = tokenizer.encode("the quick fox stops there")
    async with running(saying(llama(), 9, script), tokenizer) as engine:
        options = GenerationOptions(max_new_tokens=len(script), stop=stops)
        text, stats = await answer(engine, text_prompt(some_ids(9)), options, "a")
    assert text == expected
    assert stats.finish_reason == reason
