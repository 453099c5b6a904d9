"""A model with ears beside it answers as it did."""

import numpy as np

from models.scripted import ScriptedModel
from models.types import AudioClip, GenerationOptions, GenerationStats, Message, TextDelta
from tests.models.scripted_ears import ScriptedEars, with_ears

PROMPT = [Message("user", ("Are you there?",))]


async def test_all_but_writing_down_is_the_models() -> None:
    model = ScriptedModel([["Yes", "."]], sounds=["what the model would write"])
    both = with_ears(model, ScriptedEars(lambda clip: "what the ears write"))
    events = [event async for event in both.generate(PROMPT, GenerationOptions(), dialogue="a")]
    assert events[:2] == [TextDelta("Yes"), TextDelta(".")]
    assert isinstance(events[2], GenerationStats)
    await both.prefill(PROMPT, dialogue="a")
    assert (both.info, model.prefilled) == (model.info, [tuple(PROMPT)])
    assert (both.has_ears, model.has_ears) == (True, False)
    clip = AudioClip(np.zeros(1600, np.float32))
    assert (await both.transcriber.transcribe(clip, dialogue="a")).text == "what the ears write"
    assert both.transcriber.languages == ("en",)
    assert not model.asked
    await both.close()


async def test_a_dialogue_is_forgotten_by_both() -> None:
    model, ears = ScriptedModel([["Yes."]]), ScriptedEars(lambda clip: "words")
    both = with_ears(model, ears)
    clip = AudioClip(np.zeros(1600, np.float32))
    for _ in range(2):
        await both.transcriber.transcribe(clip, dialogue="a")
    assert len(ears.asked) == 1, "written down once"
    await both.forget(dialogue="a")
    await both.transcriber.transcribe(clip, dialogue="a")
    assert (len(ears.asked), model.forgotten, ears.forgotten) == (2, ["a"], ["a"])
