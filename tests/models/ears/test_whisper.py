"""Whisper base on real speech, with its real weights."""

from collections.abc import Callable

import numpy as np
import pytest

from app import default_cache_dir
from models.ears.whisper import WhisperEars, padded_s
from models.errors import InvalidPrompt
from models.types import SAMPLE_RATE_HZ, AudioClip, Samples
from models.weights.fetching import find_weights
from models.weights.packages import WHISPER_BASE


@pytest.fixture(scope="module")
def ears() -> WhisperEars:
    return WhisperEars(find_weights(WHISPER_BASE, default_cache_dir()))


async def test_speech_is_written_down(ears: WhisperEars, speech: Callable[[str], Samples]) -> None:
    clip = AudioClip(speech("question_capital"))
    words = (await ears.transcribe(clip, dialogue="test")).text
    assert words == "What is the capital of France?"
    assert (await ears.transcribe(clip, dialogue="another", language="en")).text == words


async def test_fast_speech_is_written_down_to_its_end(ears: WhisperEars, speech: Callable[[str], Samples]) -> None:
    tale = speech("tale_of_two_cities")
    fast = np.interp(np.arange(0, len(tale), 1.4), np.arange(len(tale)), tale)[: 29 * SAMPLE_RATE_HZ]
    words = (await ears.transcribe(AudioClip(fast.astype(np.float32)), dialogue="test")).text
    assert len(words.split()) > 110


@pytest.mark.parametrize(
    ("clip", "start_s", "word"),
    [("question_sky", 1.05, "blue"), ("meeting", 4.55, "morning"), ("name_ask", 0.7, "name")],
)
async def test_a_single_word_that_was_detected_is_not_taken_for_none(
    ears: WhisperEars, speech: Callable[[str], Samples], clip: str, start_s: float, word: str
) -> None:
    start = round(start_s * SAMPLE_RATE_HZ)
    spoken = AudioClip(speech(clip)[start : start + round(0.7 * SAMPLE_RATE_HZ)], speech_s=0.5)
    assert word in (await ears.transcribe(spoken, dialogue="test", language="en")).text.lower()


async def test_where_nobody_speaks_there_are_no_words(ears: WhisperEars) -> None:
    assert (await ears.transcribe(AudioClip(np.zeros(SAMPLE_RATE_HZ, np.float32)), dialogue="test")).text == ""


async def test_words_have_times_and_probabilities(ears: WhisperEars, speech: Callable[[str], Samples]) -> None:
    words = (await ears.transcribe(AudioClip(speech("question_capital")), dialogue="test")).words
    assert [word.text for word in words] == ["What", "is", "the", "capital", "of", "France?"]
    edges = [edge for word in words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= 2.3
    assert all(0.3 < word.probability <= 1 for word in words)


async def test_another_language_is_written_down_in_itself(ears: WhisperEars, speech: Callable[[str], Samples]) -> None:
    german = AudioClip(speech("german"))
    found, told = [await ears.transcribe(german, dialogue="test", language=language) for language in (None, "de")]
    assert found.text == told.text
    assert "Hauptstadt" in found.text
    assert {"en", "de", "fr", "zh"} <= set(ears.languages)


async def test_what_cannot_be_written_down_is_refused(ears: WhisperEars) -> None:
    clip = AudioClip(np.zeros(SAMPLE_RATE_HZ, np.float32))
    with pytest.raises(InvalidPrompt, match="and were asked for 'xx'"):
        await ears.transcribe(clip, dialogue="test", language="xx")
    with pytest.raises(InvalidPrompt, match="at least"):
        await ears.transcribe(AudioClip(np.zeros(3, np.float32)), dialogue="test")


@pytest.mark.parametrize(("clip_s", "window_s"), [(0.0, 10), (6.0, 10), (6.1, 11), (11.0, 15), (26.0, 30), (30.0, 30)])
def test_a_clip_is_written_down_with_four_seconds_of_padding_where_they_fit(clip_s: float, window_s: int) -> None:
    assert padded_s(np.zeros(round(clip_s * SAMPLE_RATE_HZ), np.float32)) == window_s
