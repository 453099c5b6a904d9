"""A clip is written down once, whoever asks."""

import asyncio

import numpy as np
import pytest

from models.ears.memory import CLIPS_KEPT, TranscriptMemory
from models.errors import GenerationFailed
from models.scripted import ScriptedModel
from models.types import AudioClip


def clip() -> AudioClip:
    return AudioClip(np.zeros(16_000, np.float32))


async def test_a_clip_is_written_down_once_in_each_dialogue() -> None:
    ears = ScriptedModel([], sounds=["one", "two", "three", "four"])
    memory, first, second = TranscriptMemory(ears, language="en"), clip(), clip()
    together = await asyncio.gather(*(memory.transcribe(first, dialogue="a") for _ in range(3)))
    assert [transcript.text for transcript in together] == ["one"] * 3
    assert (await memory.transcribe(first, dialogue="a", language="en")).text == "one"
    assert (await memory.transcribe(second, dialogue="a")).text == "two"
    assert (await memory.transcribe(first, dialogue="a")).text == "one"
    assert (await memory.transcribe(first, dialogue="b")).text == "three"
    await memory.forget(dialogue="a")
    await memory.forget(dialogue="nobody")
    assert ears.forgotten == ["a", "nobody"]
    assert (await memory.transcribe(first, dialogue="a")).text == "four"
    assert ears.asked == [first, second, first, first]


async def test_who_stops_waiting_takes_the_words_from_nobody() -> None:
    memory, spoken = TranscriptMemory(ScriptedModel([], sounds=["one", "two"])), clip()
    gone = asyncio.create_task(memory.transcribe(spoken, dialogue="a"))
    waiting = asyncio.create_task(memory.transcribe(spoken, dialogue="a"))
    await asyncio.sleep(0)  # both have asked by then
    gone.cancel()
    assert (await waiting).text == "one"
    assert gone.cancelled()


async def test_a_failure_is_not_kept() -> None:
    memory, spoken = TranscriptMemory(ScriptedModel([], sounds=[GenerationFailed("no room"), "words"])), clip()
    with pytest.raises(GenerationFailed, match="no room"):
        await memory.transcribe(spoken, dialogue="a")
    assert (await memory.transcribe(spoken, dialogue="a")).text == "words"


async def test_the_clips_asked_for_last_are_kept() -> None:
    ears = ScriptedModel([], sounds=["words"])
    memory, first, clips = TranscriptMemory(ears), clip(), [clip() for _ in range(CLIPS_KEPT)]
    for spoken in (first, *clips, clips[0], first):
        await memory.transcribe(spoken, dialogue="a")
    assert len(ears.asked) == CLIPS_KEPT + 2
    assert ears.asked[-1] is first
