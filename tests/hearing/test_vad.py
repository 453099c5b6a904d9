"""The real detectors on real speech."""

import asyncio
import itertools
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.vad import (
    SILERO_FRAME_SAMPLES,
    WARM_UP_FRAMES,
    DetectedFrame,
    SileroBatch,
    SileroScorer,
    SileroStream,
    SpeechDetector,
    VadOptions,
    score_streams,
)
from realtime.turns.machine import SpeechStarted, SpeechStopped
from tests.conftest import silence


def noise(seconds: float, level: float) -> Samples:
    return np.random.default_rng(0).normal(0, level, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


@pytest.mark.parametrize("samples", [np.zeros(SAMPLE_RATE_HZ * 3, np.float32), noise(3, 0.02)])
def test_silence_and_noise_are_no_speech(samples: Samples) -> None:
    assert all(frame.event is None for frame in SpeechDetector(VadOptions()).push(samples))


def test_a_click_is_no_speech() -> None:
    samples = noise(2, 0.001)
    samples[16000:16400] = 0.9
    assert all(frame.event is None for frame in SpeechDetector(VadOptions()).push(samples))


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
def test_speech_is_found_where_it_is(engine: str, speech: Callable[[str], Samples]) -> None:
    clip = speech("question_capital")
    audio = np.concatenate((silence(1), clip, silence(1)))
    events = [frame.event for frame in SpeechDetector(VadOptions(engine=engine)).push(audio) if frame.event]
    assert isinstance(events[0], SpeechStarted)
    assert events[0].onset_sample == pytest.approx(1.3 * SAMPLE_RATE_HZ, abs=0.2 * SAMPLE_RATE_HZ)
    assert isinstance(events[-1], SpeechStopped)
    assert events[-1].offset_sample == pytest.approx(SAMPLE_RATE_HZ + len(clip), abs=0.5 * SAMPLE_RATE_HZ)


@given(sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=30))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chunking_changes_nothing(speech: Callable[[str], Samples], sizes: list[int]) -> None:
    audio = np.concatenate((silence(0.5), speech("hesitation"), silence(0.5)))
    whole = list(SpeechDetector(VadOptions()).push(audio))
    detector, pieces, start = SpeechDetector(VadOptions()), [], 0
    for size in [*sizes, len(audio)]:
        pieces += list(detector.push(audio[start : start + size]))
        start += size
    assert pieces == whole


def spoken(*pieces: Samples) -> list[object]:
    """The events the default detector finds in silence, the pieces and silence."""
    audio = np.concatenate((silence(0.5), *pieces, silence(1)))
    return [frame.event for frame in SpeechDetector(VadOptions()).push(audio) if frame.event]


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
@pytest.mark.parametrize("level", [-1.0, 0.3, 1.0])
def test_a_stuck_microphone_is_silence(engine: str, level: float) -> None:
    stuck = np.full(SAMPLE_RATE_HZ * 5, level, np.float32)
    assert all(frame.event is None for frame in SpeechDetector(VadOptions(engine=engine)).push(stuck))


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
def test_a_constant_offset_changes_no_decision(engine: str, speech: Callable[[str], Samples]) -> None:
    audio = np.concatenate((silence(0.5), speech("question_capital") * 0.5, silence(1)))
    plain = list(SpeechDetector(VadOptions(engine=engine)).push(audio))
    offset = list(SpeechDetector(VadOptions(engine=engine)).push(audio + np.float32(0.3)))
    assert [type(frame.event) for frame in offset if frame.event] == [
        type(frame.event) for frame in plain if frame.event
    ]
    for one, other in zip(plain, offset, strict=True):
        if isinstance(one.event, SpeechStarted) and isinstance(other.event, SpeechStarted):
            assert one.event.onset_sample == pytest.approx(other.event.onset_sample, abs=0.1 * SAMPLE_RATE_HZ)


@pytest.mark.parametrize("offset", [0.018, 0.03, 0.3])
def test_an_offset_does_not_hide_quiet_speech_in_a_room_long_listened_to(
    offset: float, speech: Callable[[str], Samples]
) -> None:
    quiet_speech = speech("question_capital")
    quiet_speech = quiet_speech * np.float32(10 ** (-40 / 20) / np.sqrt(np.square(quiet_speech).mean()))
    audio = np.concatenate((noise(45, 0.0005), quiet_speech, noise(1, 0.0005)))
    n_voiced, n_voiced_with_offset = (
        sum(frame.silence_samples == 0 for frame in SpeechDetector(VadOptions()).push(heard))
        for heard in (audio, audio + np.float32(offset))
    )
    assert n_voiced_with_offset == pytest.approx(n_voiced, abs=2) and n_voiced > 20


def test_clipped_speech_is_speech(speech: Callable[[str], Samples]) -> None:
    clipped = np.clip(speech("question_capital") * 20, -1, 1)
    events = spoken(clipped)
    assert isinstance(events[0], SpeechStarted)
    assert isinstance(events[-1], SpeechStopped)


def test_the_gate_rises_to_a_steady_noise_and_lets_speech_through(speech: Callable[[str], Samples]) -> None:
    class EverythingIsSpeech:
        frame_samples = 512

        def score(self, frame: Samples) -> float:
            return 1.0

        def forget(self) -> None:
            pass

    detector = SpeechDetector(VadOptions(), EverythingIsSpeech())
    frames = list(detector.push(noise(60, 0.01)))
    assert frames[0].silence_samples == 0
    assert frames[-1].silence_samples > SAMPLE_RATE_HZ
    assert any(frame.event for frame in detector.push(speech("question_capital")))


class CountingScorer(SileroScorer):
    """Silero's network, counting what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.n_frames = 0

    def score(self, frame: Samples) -> float:
        self.n_frames += 1
        return super().score(frame)


def test_silence_beyond_a_pause_is_not_scored(speech: Callable[[str], Samples]) -> None:
    clip, scorer = speech("question_capital"), CountingScorer()
    frames = list(SpeechDetector(VadOptions(), scorer).push(np.concatenate((silence(5), clip, silence(5)))))
    pauses = 2 * math.ceil(VadOptions().pause_s * SAMPLE_RATE_HZ / SILERO_FRAME_SAMPLES)
    assert scorer.n_frames <= len(clip) // SILERO_FRAME_SAMPLES + 2 + pauses + WARM_UP_FRAMES
    assert len(frames) == (10 * SAMPLE_RATE_HZ + len(clip)) // SILERO_FRAME_SAMPLES


class RecordingScorer:
    """Takes everything for silence, and notes what it is given."""

    frame_samples = SILERO_FRAME_SAMPLES

    def __init__(self) -> None:
        self.given: list[Samples | None] = []  # None: it was told to forget

    def score(self, frame: Samples) -> float:
        self.given.append(frame)
        return 0.0

    def forget(self) -> None:
        self.given.append(None)


def test_after_unheard_silence_the_scorer_begins_anew_with_the_end_of_it() -> None:
    scorer, loud = RecordingScorer(), noise(0.5, 0.1)
    list(SpeechDetector(VadOptions(), scorer).push(np.concatenate((loud, silence(3), loud))))
    assert sum(given is None for given in scorer.given) == 1
    warm_up = scorer.given[next(index for index, given in enumerate(scorer.given) if given is None) + 1 :][
        : WARM_UP_FRAMES + 1
    ]
    assert [given is not None and bool(np.abs(given).max() > 0.05) for given in warm_up] == [False] * WARM_UP_FRAMES + [
        True
    ]


def test_after_a_short_pause_the_scorer_goes_on() -> None:
    scorer, loud = RecordingScorer(), noise(0.5, 0.1)
    list(SpeechDetector(VadOptions(), scorer).push(np.concatenate((loud, silence(0.15), loud))))
    assert all(given is not None for given in scorer.given)


def noticed_after(before: Samples, clip: Samples) -> int:
    """How many samples of a clip pass until it is called speech, with this before it."""
    frames = SpeechDetector(VadOptions()).push(np.concatenate((before, clip)))
    starts = [frame.event.sample for frame in frames if isinstance(frame.event, SpeechStarted)]
    return next(sample for sample in starts if sample > len(before)) - len(before)


@pytest.mark.parametrize("clip", ["question_capital", "hesitation", "backchannel", "name_ask"])
@pytest.mark.parametrize("silence_s", [1, 30])
def test_speech_after_a_long_silence_is_found_as_soon(
    speech: Callable[[str], Samples], clip: str, silence_s: int
) -> None:
    quiet, talk = np.zeros(silence_s * SAMPLE_RATE_HZ, np.float32), speech("tale_of_two_cities")
    first, later = noticed_after(quiet, speech(clip)), noticed_after(np.concatenate((talk, quiet)), speech(clip))
    assert later == pytest.approx(first, abs=2 * SILERO_FRAME_SAMPLES)


def test_minutes_of_babble_raise_nothing(speech: Callable[[str], Samples]) -> None:
    clip = speech("meeting")
    babble = np.sum([np.roll(clip, shift) for shift in range(0, len(clip), len(clip) // 7)], axis=0)
    minutes = np.resize(np.clip(babble, -1, 1).astype(np.float32), 10 * 60 * SAMPLE_RATE_HZ)
    detector = SpeechDetector(VadOptions(engine="webrtc"))
    frames = [frame for start in range(0, len(minutes), 100_000) for frame in detector.push(minutes[start:][:100_000])]
    assert frames[-1].end_sample == len(minutes) // 480 * 480
    assert frames == sorted(frames, key=lambda frame: frame.end_sample)
    events = [frame.event for frame in frames if frame.event]
    assert all(type(one) is not type(other) for one, other in itertools.pairwise(events))


def test_streams_that_share_a_call_score_as_if_alone(speech: Callable[[str], Samples]) -> None:
    clips = [speech(name)[: 512 * 60] for name in ("question_capital", "hesitation", "interrupt_stop")]
    together = [SileroStream() for _ in clips]
    alone = [SileroStream() for _ in clips]
    for start in range(0, 512 * 60, 512):
        frames = [clip[start : start + 512] for clip in clips]
        shared = score_streams(together, frames)
        assert list(shared) == [score_streams([one], [frame])[0] for one, frame in zip(alone, frames, strict=True)]


@given(sizes=st.lists(st.lists(st.integers(1, 4000), min_size=1, max_size=8), min_size=2, max_size=4))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_batch_changes_nothing_however_sessions_are_chunked(
    speech: Callable[[str], Samples], sizes: list[list[int]]
) -> None:
    audio = np.concatenate((silence(0.3), speech("hesitation"), silence(1), speech("backchannel"), silence(0.5)))

    async def hear(detector: SpeechDetector, own_sizes: list[int]) -> list[DetectedFrame]:
        frames, start = [], 0
        for size in [*own_sizes, len(audio)]:
            frames += await detector.push_batched(audio[start : start + size])
            start += size
        return frames

    async def hear_all() -> list[list[DetectedFrame]]:
        batch = SileroBatch(window_s=0)
        return list(await asyncio.gather(*(hear(SpeechDetector(VadOptions(), batch=batch), own) for own in sizes)))

    whole = list(SpeechDetector(VadOptions()).push(audio))
    assert all(frames == whole for frames in asyncio.run(hear_all()))


async def test_a_session_that_leaves_does_not_disturb_the_batch(speech: Callable[[str], Samples]) -> None:
    batch = SileroBatch(window_s=0)
    leaving = asyncio.create_task(SpeechDetector(VadOptions(), batch=batch).push_batched(speech("hesitation")[:5120]))
    staying = asyncio.create_task(SpeechDetector(VadOptions(), batch=batch).push_batched(speech("hesitation")[:5120]))
    await asyncio.sleep(0)
    leaving.cancel()
    assert len(await staying) == 10


async def test_a_batch_that_fails_tells_everybody_in_it() -> None:
    batch, good, bad = SileroBatch(window_s=0), [np.zeros(512, np.float32)], [np.zeros(7, np.float32)]
    calls = (batch.score(SileroStream(), good), batch.score(SileroStream(), bad))
    failures = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
    assert all(isinstance(failure, ValueError) for failure in failures)
    assert len(await batch.score(SileroStream(), good)) == 1


async def test_without_a_batch_push_batched_is_push(speech: Callable[[str], Samples]) -> None:
    options = VadOptions(engine="webrtc")
    clip = speech("hesitation")
    batched = await SpeechDetector(options, batch=SileroBatch()).push_batched(clip)
    assert batched == list(SpeechDetector(options).push(clip))
    assert await SpeechDetector(VadOptions(), batch=SileroBatch()).push_batched(clip[:100]) == []


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="choose silero or webrtc"):
        VadOptions(engine="krisp")  # type: ignore[arg-type]


def test_a_network_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "silero_vad" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    for content in (None, b"something else"):
        if content is not None:
            (data / "silero_vad.onnx").write_bytes(content)
        program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import app
import commands.loading
from models.scripted import ScriptedModel
commands.loading.load_model = lambda *_: ScriptedModel([["hi"]])
sys.exit(app.main(["--port", "0", "--endpointing", "silence"]))
"""
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
        )
        assert ended.returncode == 2
        assert ended.stderr.startswith(
            f"earpiece: {data / 'silero_vad.onnx'} is missing or altered; get it again with:"
        )
