"""The scripted model keeps the interface's promises about writing speech down."""

import numpy as np
import pytest

from models.errors import GenerationFailed
from models.scripted import ScriptedModel
from models.types import AudioClip


async def test_it_says_what_clips_are_to_have_been() -> None:
    model = ScriptedModel([["Hello."]], sounds=["one", GenerationFailed("no room"), "three"])
    assert model.transcriber is model
    clips = [AudioClip(np.zeros(16_000, np.float32)) for _ in range(4)]
    assert (await model.transcribe(clips[0], dialogue="a")).text == "one"
    with pytest.raises(GenerationFailed, match="no room"):
        await model.transcribe(clips[1], dialogue="a", language="en")
    assert [(await model.transcribe(clip, dialogue="a")).text for clip in clips[2:]] == ["three", "three"]
    assert model.asked == clips


def test_without_them_it_writes_nothing_down() -> None:
    assert ScriptedModel([["Hello."]]).transcriber is None
