"""Moonshine base on real speech, with its real weights."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from app import default_cache_dir
from models.ears.moonshine import WINDOW_S, MoonshineEars
from models.errors import InvalidPrompt
from models.types import SAMPLE_RATE_HZ, AudioClip, Samples, Transcript
from models.weights.fetching import find_weights
from models.weights.packages import MOONSHINE_BASE
from tests.benchmarks.voices import make_sound
from tests.conftest import silence

Speech = Callable[[str], Samples]
CAPITAL = "What is the capital of France?"


@pytest.fixture(scope="module")
def ears() -> MoonshineEars:
    return MoonshineEars(find_weights(MOONSHINE_BASE, default_cache_dir()))


async def write(ears: MoonshineEars, samples: Samples, speech_s: float | None = None, dialogue: str = "") -> Transcript:
    transcript = await ears.transcribe(AudioClip(samples, speech_s), dialogue=dialogue or "test")
    if not dialogue:
        await ears.forget(dialogue="test")
    return transcript


@pytest.mark.parametrize(
    ("clip", "text"),
    [
        ("question_capital", CAPITAL),
        ("question_story", "Please tell me a long story about a dragon and a princess."),
        ("name_tell", "Hello, my name is Peter."),
        ("interrupt_stop", "Stop, please. What is the capital of Spain?"),
    ],
)
async def test_speech_is_written_down(ears: MoonshineEars, speech: Speech, clip: str, text: str) -> None:
    transcript = await write(ears, speech(clip))
    assert transcript.text == text
    assert " ".join(word.text for word in transcript.words) == text
    assert not transcript.is_foreign


async def test_words_are_where_they_are_said(ears: MoonshineEars, speech: Speech) -> None:
    clip = speech("hesitation")  # "I would like to know" (0.45 s) "what the capital of Germany is."
    words = (await write(ears, clip)).words
    edges = [edge for word in words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)
    assert edges[0] > 0 and edges[-1] < len(clip) / SAMPLE_RATE_HZ
    when = {word.text: word for word in words}
    assert when["know"].end_s < 1.2 < 1.5 < when["the"].start_s, (
        'a pause is in no word; which side "what" is on, varies'
    )
    later = (await write(ears, np.concatenate((silence(3), clip)))).words
    shifts_s = [after.start_s - before.start_s for before, after in zip(words, later, strict=True)]
    assert shifts_s == pytest.approx([3.0] * len(words), abs=0.2)


async def test_words_in_noise_are_less_sure(ears: MoonshineEars, speech: Speech) -> None:
    clip = speech("question_capital")
    noisy = clip.copy()
    at = slice(round(0.86 * SAMPLE_RATE_HZ), round(1.14 * SAMPLE_RATE_HZ))  # "capital"
    noisy[at] += np.random.default_rng(0).normal(0, 0.3, at.stop - at.start).astype(np.float32)
    clean, masked = (await write(ears, clip)).words, (await write(ears, noisy, 1.0)).words
    assert min(word.probability for word in clean) > 0.6
    assert min(word.probability for word in masked) < 0.5


@pytest.mark.parametrize("clip", ["question_story", "meeting"])
async def test_a_clip_that_grows_ends_as_if_it_had_come_at_once(ears: MoonshineEars, speech: Speech, clip: str) -> None:
    samples, other = speech(clip), speech("question_capital")
    for end in np.linspace(SAMPLE_RATE_HZ // 2, len(samples), 7)[:-1].astype(int):
        await write(ears, samples[:end], dialogue="grows")
    grown, at_once = await write(ears, samples, dialogue="grows"), await write(ears, samples)
    assert grown.text == at_once.text
    starts_s = [[word.start_s for word in transcript.words] for transcript in (grown, at_once)]
    assert starts_s[0] == pytest.approx(starts_s[1], abs=0.1), "one pass and steps of one token round otherwise"
    assert (await write(ears, other, dialogue="grows")).text == CAPITAL, "what came before has no part in another clip"
    await ears.forget(dialogue="grows")


async def test_two_clips_at_once_are_written_down_as_each_alone(ears: MoonshineEars, speech: Speech) -> None:
    clips = [speech("question_capital"), speech("name_tell")]
    both = await asyncio.gather(*(write(ears, clip, dialogue="both") for clip in clips))
    assert both == [await write(ears, clip) for clip in clips]
    await ears.forget(dialogue="both")


@pytest.mark.parametrize("lead_s", [2, 10, 40])
async def test_silence_that_leads_takes_no_words(ears: MoonshineEars, speech: Speech, lead_s: int) -> None:
    clip = np.concatenate((silence(lead_s), speech("question_capital"), silence(2)))
    assert (await write(ears, clip)).text == CAPITAL


async def test_a_long_recording_is_written_down_to_its_end(ears: MoonshineEars, speech: Speech) -> None:
    tale = speech("tale_of_two_cities")
    assert len(tale) > 2 * WINDOW_S * SAMPLE_RATE_HZ
    words = (await write(ears, tale)).words
    assert len(words) > 110
    assert words[-1].end_s > len(tale) / SAMPLE_RATE_HZ - 4


@pytest.mark.parametrize("sound", ["silence", "noise", "melody"])
async def test_where_nobody_speaks_there_are_no_words(ears: MoonshineEars, sound: str) -> None:
    assert await write(ears, make_sound(sound)) == Transcript("")


@pytest.mark.parametrize("level", [0.0, 1e-5, 0.05, 1.0])
async def test_a_constant_has_no_words(ears: MoonshineEars, level: float) -> None:
    assert await write(ears, np.full(2 * SAMPLE_RATE_HZ, level, np.float32)) == Transcript("")


async def test_another_language_is_told_and_not_made_english(ears: MoonshineEars, speech: Speech) -> None:
    assert await write(ears, speech("german")) == Transcript("", is_foreign=True)


async def test_what_cannot_be_written_down_is_refused(ears: MoonshineEars) -> None:
    with pytest.raises(InvalidPrompt, match="English alone and was asked for 'fr'"):
        await ears.transcribe(AudioClip(silence(1)), dialogue="test", language="fr")
    with pytest.raises(InvalidPrompt, match="at least"):
        await ears.transcribe(AudioClip(np.zeros(3, np.float32)), dialogue="test")
    with pytest.raises(InvalidPrompt, match="not finite"):
        await ears.transcribe(AudioClip(np.full(SAMPLE_RATE_HZ, np.nan, np.float32)), dialogue="test")


async def test_who_stops_waiting_harms_nobody(ears: MoonshineEars, speech: Speech) -> None:
    gone = asyncio.create_task(ears.transcribe(AudioClip(speech("tale_of_two_cities")), dialogue="test"))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await write(ears, speech("question_capital"))).text == CAPITAL
    assert gone.cancelled()
