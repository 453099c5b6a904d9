"""Ears say what they are told to; the guard says what is passed on."""

import numpy as np
import pytest

from models.checks import MAX_CLIP_S
from models.ears.guard import QUIET_S, GuardedEars
from models.errors import InvalidPrompt
from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, AudioClip

LOOP = "Location, " * 40


def clip(duration_s: float = 1.0, speech_s: float | None = None) -> AudioClip:
    return AudioClip(np.ones(round(duration_s * SAMPLE_RATE_HZ), np.float32), speech_s)


async def transcribe(ears: ScriptedModel, spoken: AudioClip) -> str:
    return (await GuardedEars(ears).transcribe(spoken, dialogue="test", language="en")).text


async def test_words_that_can_have_been_said_pass() -> None:
    ears, spoken = ScriptedModel([], sounds=["No, no, not that!"]), clip(speech_s=0.7)
    assert await transcribe(ears, spoken) == "No, no, not that!"
    assert ears.asked == [spoken]


async def test_where_no_speech_was_detected_the_ears_are_not_asked() -> None:
    ears = ScriptedModel([], sounds=["Thank you."])
    assert await transcribe(ears, clip(speech_s=0.0)) == ""
    assert ears.asked == []
    with pytest.raises(InvalidPrompt, match="at least"):
        await transcribe(ears, clip(0.0, speech_s=0.0))


async def test_who_goes_round_in_circles_is_asked_again_with_silence_behind() -> None:
    ears, spoken = ScriptedModel([], sounds=[LOOP, "Location."]), clip(speech_s=0.8)
    assert await transcribe(ears, spoken) == "Location."
    again = ears.asked[1]
    assert again.speech_s == 0.8
    assert again.duration_s == spoken.duration_s + QUIET_S
    assert not again.samples[len(spoken.samples) :].any()


async def test_a_phrase_said_twice_is_believed_if_it_is_again() -> None:
    assert await transcribe(ScriptedModel([], sounds=["Five. Five.", "Five."]), clip()) == "Five."
    assert await transcribe(ScriptedModel([], sounds=["No, no, no!"]), clip()) == "No, no, no!"
    assert await transcribe(ScriptedModel([], sounds=["No, no, no!", ""]), clip()) == "No, no, no!"
    assert await transcribe(ScriptedModel([], sounds=["No, no, no!", LOOP]), clip(0.5)) == "Location,"


async def test_what_still_goes_round_in_circles_is_said_once() -> None:
    assert await transcribe(ScriptedModel([], sounds=[LOOP]), clip(speech_s=0.8)) == "Location,"


async def test_a_stock_phrase_for_hardly_any_speech_is_no_words() -> None:
    assert await transcribe(ScriptedModel([], sounds=["Thank you."]), clip(speech_s=0.13)) == ""
    assert await transcribe(ScriptedModel([], sounds=["Thank you."]), clip(speech_s=0.6)) == "Thank you."


async def test_the_longest_clip_is_not_made_longer() -> None:
    ears = ScriptedModel([], sounds=["so " * 30_000, "So."])
    assert await transcribe(ears, clip(MAX_CLIP_S)) == "So."
    assert ears.asked[1].duration_s == MAX_CLIP_S
