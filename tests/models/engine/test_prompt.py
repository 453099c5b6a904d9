"""What decides a position's content."""

from typing import Any

import pytest

from models.engine.prompt import TokenSpan, clip_spans, common_prefix, flatten
from models.errors import InvalidPrompt
from tests.models.engine.probing import Encoder, running


async def test_one_clip_of_two_lengths_is_an_invalid_prompt(model: Any) -> None:
    encoder = Encoder()
    async with running(model) as engine:
        with pytest.raises(InvalidPrompt, match="5 and as 6"):
            await engine.prefill([encoder.span("x", 5), encoder.span("x", 6)], dialogue="a")


def test_a_prompt_is_told_apart_position_by_position() -> None:
    encoder = Encoder()
    keys, clips = flatten([TokenSpan((7, 8)), encoder.span("x", 2), TokenSpan((9,))])
    assert keys == [7, 8, ("x", 0), ("x", 1), 9]
    assert list(clips) == ["x"]
    assert common_prefix(keys, [7, 8, ("x", 0), ("y", 1), 9]) == 3
    assert common_prefix(keys, keys[:4]) == 4
    assert common_prefix(keys, []) == 0


def test_stretches_of_audio_are_found_in_any_chunk() -> None:
    assert clip_spans([5, ("x", 3), ("x", 4), ("y", 0), 6, ("x", 0)]) == [
        (1, "x", 3, 2),
        (3, "y", 0, 1),
        (5, "x", 0, 1),
    ]
    assert clip_spans([1, 2]) == []
