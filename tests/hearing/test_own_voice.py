"""The assistant's own voice, back through a microphone, is no speech; speech over it is."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
import soxr

from models.base import Voice
from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, Samples
from realtime.hearing.own_voice import OwnVoice
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.turns.observations import SpeechStarted

CHUNK_SAMPLES = 640  # 40 ms
TEXT = "The capital of France is Paris, which lies on the river Seine, where about two million people live today."


def at(level_db: float, samples: Samples) -> Samples:
    return (samples * 10 ** (level_db / 20)).astype(np.float32)


def through_a_room(samples: Samples, random: np.random.Generator) -> Samples:
    """Reflections that fade within 100 ms."""
    room = random.normal(size=1600) * np.exp(-np.arange(1600) / 300) * 0.15
    room[0] = 1.0
    return np.convolve(samples, room)[: len(samples)].astype(np.float32)


def late(samples: Samples, delay_s: float, length: int) -> Samples:
    sound = np.zeros(length, np.float32)
    begin = round(delay_s * SAMPLE_RATE_HZ)
    sound[begin : begin + len(samples)] = samples[: length - begin]
    return sound


@pytest.fixture(scope="module")
def answer(real_voice: Voice) -> Samples:
    return asyncio.run(real_voice.speak(TEXT, voice="af_heart")).samples


class Room:
    """A loudspeaker and a microphone: what is played is known, what the microphone hears is given."""

    def __init__(self, answer: Samples) -> None:
        self.answer = answer
        self.at_16_khz = soxr.resample(answer, VOICE_RATE_HZ, SAMPLE_RATE_HZ).astype(np.float32)
        self.n_samples = len(self.at_16_khz) + SAMPLE_RATE_HZ
        random = np.random.default_rng(1)
        self.noise = at(-60, random.normal(size=self.n_samples))
        self.reflected = through_a_room(self.at_16_khz, random)

    def onsets(self, microphone: Samples, *, knows: bool = True) -> list[int]:
        """Where speech began, by a detector that knows what is played; or by one that does not."""
        own_voice = OwnVoice()
        own_voice.begin()
        own_voice.add(self.answer)
        detector = SpeechDetector(VadOptions())
        detector.known_sound = own_voice if knows else None
        found = []
        for start in range(0, self.n_samples, CHUNK_SAMPLES):
            played = start * VOICE_RATE_HZ // SAMPLE_RATE_HZ
            if played <= len(self.answer):
                own_voice.note_played(played)
            for frame in detector.push(microphone[start : start + CHUNK_SAMPLES]):
                if isinstance(frame.event, SpeechStarted):
                    found.append(frame.event.onset_sample)
        return found


@pytest.mark.parametrize(("level_db", "delay_s"), [(-6, 0.3), (-15, 0.05), (-15, 0.3), (-15, 0.6), (-20, 0.3)])
def test_an_echo_is_no_speech(answer: Samples, level_db: float, delay_s: float) -> None:
    room = Room(answer)
    microphone = late(at(level_db, room.reflected), delay_s, room.n_samples) + room.noise
    assert room.onsets(microphone, knows=False), "it sounds like speech"
    assert room.onsets(microphone) == []


@pytest.mark.parametrize("clip", ["question_capital", "hesitation"])
def test_speech_over_the_answer_is_speech(answer: Samples, speech: Callable[[str], Samples], clip: str) -> None:
    room = Room(answer)
    said = late(speech(clip), 1.5, room.n_samples)
    echo = late(at(-15, room.reflected), 0.3, room.n_samples)
    (expected, *_), (found, *_) = room.onsets(said + room.noise, knows=False), room.onsets(said + echo + room.noise)
    assert abs(found - expected) < 0.15 * SAMPLE_RATE_HZ


def test_speech_without_an_echo_is_found_where_it_is(answer: Samples, speech: Callable[[str], Samples]) -> None:
    room = Room(answer)
    said = late(speech("question_capital"), 1.5, room.n_samples) + room.noise
    assert room.onsets(said)[0] == pytest.approx(room.onsets(said, knows=False)[0], abs=0.1 * SAMPLE_RATE_HZ)


def test_the_same_voice_with_other_sounds_is_speech(answer: Samples) -> None:
    room = Room(answer)
    other = late(room.at_16_khz[::-1].copy(), 1.0, room.n_samples)  # the same sounds, backwards
    assert room.onsets(at(-3, other) + room.noise)


def test_long_after_the_answer_nothing_is_explained_by_it(answer: Samples) -> None:
    own_voice = OwnVoice()
    own_voice.begin()
    own_voice.add(answer)
    own_voice.note_played(VOICE_RATE_HZ)
    echo = Room(answer).at_16_khz[: SAMPLE_RATE_HZ // 2]
    own_voice.listen(echo)
    assert own_voice.explained > 0.9
    own_voice.listen(np.zeros(SAMPLE_RATE_HZ, np.float32))
    own_voice.listen(echo)
    assert own_voice.explained == 0.0


def test_what_was_played_of_the_last_answer_is_known_when_the_next_begins(answer: Samples) -> None:
    own_voice = OwnVoice()
    own_voice.begin()
    own_voice.add(answer)
    own_voice.note_played(VOICE_RATE_HZ)
    own_voice.begin()
    own_voice.add(answer[::-1].copy())
    own_voice.note_played(VOICE_RATE_HZ // 10)
    own_voice.listen(Room(answer).at_16_khz[SAMPLE_RATE_HZ // 2 : SAMPLE_RATE_HZ])
    assert own_voice.explained > 0.9


def test_silence_is_explained_by_nothing(answer: Samples) -> None:
    own_voice = OwnVoice()
    own_voice.begin()
    own_voice.add(answer)
    own_voice.note_played(VOICE_RATE_HZ)
    assert own_voice.explained == 0.0
