"""Audio as it should not be: it is repaired or endured, counted, and never ends a session."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import soxr

from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, Samples
from realtime.events import MessageAdded, ResponseDone
from realtime.hearing.audio import AudioChunk, Capture
from realtime.session import Session, SessionOptions
from realtime.turns.endpointing import EndpointingOptions
from tests.conftest import silence
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, loudness_detector, quiet

Speech = Callable[[str], Samples]


class Microphone:
    """Speaks to a session through `Capture`, as the transports do."""

    def __init__(self, conversation: Conversation) -> None:
        self.capture = Capture()
        self._session = conversation.session
        self._session.metrics.capture = self.capture.counters

    async def hear(self, audio: Samples, *, rate_hz: int = SAMPLE_RATE_HZ, chunk_samples: int = 320) -> None:
        for start in range(0, len(audio), chunk_samples):
            self._session.push_audio(self.capture.push(rate_hz, audio[start : start + chunk_samples]))
            await self._session.settled()


def user_turns(conversation: Conversation) -> list[MessageAdded]:
    return [event for event in conversation.events if isinstance(event, MessageAdded) and event.role == "user"]


def answered(conversation: Conversation) -> int:
    return sum(isinstance(event, ResponseDone) for event in conversation.events)


def noisy(samples: Samples, level: float = 0.0) -> Samples:
    """Adds white noise, float32 (n_samples,) -> (n_samples,)."""
    noise = np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)
    return samples + np.float32(level) * noise


def with_nan(samples: Samples) -> Samples:
    broken = samples.copy()
    broken[::1000] = np.nan
    return broken


BROKEN: dict[str, tuple[Callable[[Samples], Samples], str]] = {
    "NaN": (with_nan, "non_finite_samples"),
    "clipped": (lambda samples: samples * 20, "clipped_samples"),
    "offset": (lambda samples: samples + np.float32(0.2), "offset_samples"),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_broken_audio_is_answered_and_counted(how: str, speech: Speech) -> None:
    breaks, counter = BROKEN[how]
    async with conversing(ScriptedModel([["Paris."]]), SessionOptions(), real_vad=True) as conversation:
        microphone = Microphone(conversation)
        await microphone.hear(breaks(noisy(np.concatenate((speech("question_capital"), silence(2))), 1e-4)))
        assert answered(conversation) == 1
        report = conversation.session.metrics.report()
        assert getattr(report, counter) > 0


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
async def test_every_rate_is_understood(rate_hz: int, speech: Speech) -> None:
    audio = np.concatenate((speech("question_capital"), silence(1.5)))
    resampled = np.asarray(soxr.resample(audio, SAMPLE_RATE_HZ, rate_hz), np.float32)
    async with conversing(ScriptedModel([["Paris."]]), SessionOptions(), real_vad=True) as conversation:
        await Microphone(conversation).hear(resampled, rate_hz=rate_hz, chunk_samples=rate_hz // 50)
        assert answered(conversation) == 1
        assert user_turns(conversation)[0].audio_s == pytest.approx(1.87, abs=0.2)


async def test_a_rate_that_changes_is_followed_and_counted(speech: Speech) -> None:
    audio = np.concatenate((speech("question_capital"), silence(1.5)))
    async with conversing(ScriptedModel([["Paris."]]), SessionOptions(), real_vad=True) as conversation:
        microphone = Microphone(conversation)
        for rate_hz in (SAMPLE_RATE_HZ, 48_000, 8_000):
            await microphone.hear(np.asarray(soxr.resample(audio, SAMPLE_RATE_HZ, rate_hz)), rate_hz=rate_hz)
        assert answered(conversation) == 3
        assert conversation.session.metrics.report().rate_changes == 2


@pytest.mark.parametrize("chunk_samples", [1, 7, 320, 100_000])
async def test_the_chunks_size_changes_nothing(chunk_samples: int, speech: Speech) -> None:
    audio = np.concatenate((speech("hesitation")[: 2 * SAMPLE_RATE_HZ], silence(1)))
    lengths = []
    for size in (chunk_samples, 512):
        async with conversing(ScriptedModel([["Yes."]]), SessionOptions(), real_vad=True) as conversation:
            await conversation.hear(audio, chunk_samples=size)
            lengths.append([event.audio_s for event in user_turns(conversation)])
    assert lengths[0] == lengths[1]
    assert lengths[0]


async def test_gaps_and_repeats_of_any_length_are_endured_and_counted() -> None:
    rng = np.random.default_rng(0)
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        sample = 0
        for _ in range(300):
            sample = max(0, sample + int(rng.integers(-20_000, 20_000)))
            conversation.session.push_audio(AudioChunk(loud(0.064), sample))
            sample += len(loud(0.064))
            await conversation.session.settled()
        conversation.session.push_audio(AudioChunk(loud(0.064), 10**12))
        await conversation.session.settled()
        report = conversation.session.metrics.report()
        assert report.gap_samples > 10**11
        assert report.repeated_samples > 0


async def test_ten_minutes_of_babble_are_endured(speech: Speech) -> None:
    """Four people at once, for ten minutes, without anybody addressing the assistant."""
    voices = [speech("tale_of_two_cities"), speech("meeting")]
    length = 600 * SAMPLE_RATE_HZ
    babble = sum(np.roll(np.resize(voice, length), shift) for voice in voices for shift in (0, 150_000))
    async with conversing(ScriptedModel([["Pardon?"]]), SessionOptions(), real_vad=True) as conversation:
        await conversation.hear(np.asarray(babble, np.float32) / 4, chunk_samples=1600)
        metrics = conversation.session.metrics
        assert metrics.turns >= 1
        assert sum(event.audio_s for event in user_turns(conversation)) > 300
        assert max(event.audio_s for event in user_turns(conversation)) <= 181


async def test_ten_minutes_without_a_pause_are_kept_in_parts() -> None:
    options = replace(OPTIONS, endpointing=EndpointingOptions())
    async with conversing(ScriptedModel([["At last."]]), options) as conversation:
        await conversation.hear(loud(600), quiet(1), chunk_samples=16_000)
        parts = user_turns(conversation)
        assert len(parts) == 4
        assert sum(part.audio_s for part in parts) == pytest.approx(600.06, abs=0.1), "nothing is lost or doubled"
        assert conversation.session.metrics.long_turns == 3
        assert answered(conversation) == 1


def music(seconds: float) -> Samples:
    """Chords of four decaying notes, two a second, float32 (n_samples,)."""
    t = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    roots = np.array([220.0, 174.6, 261.6, 196.0])[(t // 0.5).astype(int) % 4]
    chord = sum(np.sin(2 * np.pi * roots * ratio * t) for ratio in (1, 1.25, 1.5, 2))
    return (0.1 * chord * np.exp(-3 * (t % 0.5))).astype(np.float32)


async def test_music_is_not_taken_for_speech() -> None:
    async with conversing(ScriptedModel([["Pardon?"]]), SessionOptions(), real_vad=True) as conversation:
        await conversation.hear(music(30), chunk_samples=1600)
        assert user_turns(conversation) == []


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
async def test_a_stuck_microphone_says_nothing_and_is_counted(value: float) -> None:
    async with conversing(ScriptedModel([["Pardon?"]]), SessionOptions(), real_vad=True) as conversation:
        await Microphone(conversation).hear(np.full(10 * SAMPLE_RATE_HZ, value, np.float32), chunk_samples=1600)
        assert user_turns(conversation) == []
        assert conversation.session.metrics.report().flat_samples == 10 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("speed", [0.99, 1.0, 1.01])
async def test_the_drift_of_the_clocks_is_measured_and_decides_nothing(speed: float) -> None:
    """A sound card that is 1 % fast or slow: ten minutes of its audio are six seconds more or less on the wall."""
    sample = 0

    def wall_s() -> float:
        return sample / SAMPLE_RATE_HZ / speed

    session = Session(
        ScriptedModel([["Yes."]]), OPTIONS, now=wall_s, make_detector=lambda _: loudness_detector(OPTIONS.vad)
    )
    running = asyncio.create_task(session.run())
    chunk = np.zeros(SAMPLE_RATE_HZ, np.float32)
    for _ in range(600):
        session.push_audio(AudioChunk(chunk, sample))
        sample += len(chunk)
        await session.settled()
    session.close()
    await running
    assert session.metrics.report().clock_drift_s == pytest.approx(599 / speed - 599, abs=0.01)
    assert session.metrics.turns == 0
