import asyncio
import threading

import numpy as np
import pytest
import soxr

from models.errors import InvalidPrompt
from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, AudioClip
from models.voices.kokoro import MAX_PHRASES


async def write_down(ears, samples):
    clip = soxr.resample(samples, VOICE_RATE_HZ, SAMPLE_RATE_HZ).astype(np.float32)
    return await ears.transcribe(AudioClip(clip), dialogue="of a voice")


@pytest.mark.parametrize("voice", ["af_heart", "am_michael", "bf_emma"])
async def test_what_is_read_aloud_is_understood(real_voice, real_ears, voice):
    text = "The capital of France is Paris."
    speech = await real_voice.speak(text, voice=voice)
    assert (await write_down(real_ears, speech.samples)).text == text


async def test_words_are_where_they_are_heard(real_voice, real_ears):
    text = "I bought seven apples, and a big watermelon."
    speech = await real_voice.speak(text, voice="af_heart")
    heard = (await write_down(real_ears, speech.samples)).words
    assert [text[: word.end].rsplit(maxsplit=1)[-1] for word in speech.words] == text.split()
    assert [word.text.strip(",.") for word in heard] == [word.strip(",.") for word in text.split()]
    late_s = [w.end_sample / VOICE_RATE_HZ - h.end_s for w, h in zip(speech.words, heard, strict=True)]
    assert max(abs(seconds) for seconds in late_s) < 0.3
    assert abs(np.median(late_s)) < 0.15


async def test_a_text_without_words_makes_no_sound(real_voice):
    speech = await real_voice.speak("...", voice="af_heart")
    assert (len(speech.samples), speech.words) == (0, ())


LONG = (  # more phonemes than the model takes at once
    "The library opens at nine and closes at six. Most birds can fly, but penguins cannot. I would take an umbrella, "
    "because it may rain. Gold is heavier than iron and does not rust. We could meet at the corner of the park. "
    "Her sister works as an engineer in Toronto. The train to London leaves in half an hour. A triangle has "
    "three sides and three angles. He forgot his password and had to ask for help. Sound travels faster in water "
    "than in air. The film was long, yet nobody left the cinema. Honey never spoils if it is kept dry."
)


async def test_a_long_text_is_read_to_its_end(real_voice, real_ears):
    speech = await real_voice.speak(LONG, voice="af_heart")
    written = (await write_down(real_ears, speech.samples)).text
    assert written.endswith("kept dry.")
    assert abs(len(written.split()) - len(LONG.split())) < 5
    assert speech.words[-1].end == len(LONG)
    assert [word.end_sample for word in speech.words] == sorted(word.end_sample for word in speech.words)


async def test_an_unknown_voice_is_refused(real_voice):
    with pytest.raises(InvalidPrompt, match="there is no voice 'nobody'; there are af_heart"):
        await real_voice.speak("Hello.", voice="nobody")


async def test_two_phrases_may_be_read_at_the_same_time(real_voice):
    alone = await real_voice.speak("One moment, please.", voice="af_heart")
    both = await asyncio.gather(*(real_voice.speak("One moment, please.", voice="af_heart") for _ in range(2)))
    assert all(np.array_equal(speech.samples, alone.samples) for speech in both)


async def test_phrases_that_nobody_wants_any_more_do_not_pile_up(real_voice):
    """What is being computed cannot be stopped, so a place is free only when it has ended."""
    for _ in range(2 * MAX_PHRASES):
        given_up = asyncio.create_task(real_voice.speak("Nobody will ever want to listen to this.", voice="af_heart"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        given_up.cancel()
    wanted = asyncio.create_task(real_voice.speak("This is wanted.", voice="af_heart"))
    await asyncio.sleep(0)
    assert sum(thread.name == "the voice" for thread in threading.enumerate()) <= MAX_PHRASES
    assert len((await wanted).samples)
