"""Several people in one session: each is listened to, has turns of their own, and is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, Samples
from realtime.events import MessageAdded, SessionEvent, UserSpeechStarted
from realtime.hearing.audio import AudioChunk
from realtime.recordings.recorder import SessionRecorder
from realtime.recordings.replay import decide_again, read_recording, replay
from realtime.session import Session
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, loudness_detector, quiet

TWO = replace(OPTIONS, speakers=("me", "them"))
CHUNK_SAMPLES = 320


def marked(samples: Samples, mark: float) -> Samples:
    """Gives loud samples a level of their own, in whole steps of 16 bits."""
    return np.where(samples == 0, samples, np.sign(samples) * mark).astype(np.float32)


async def speak_together(session: Session, me: Samples, them: Samples, *, start: int = 0) -> None:
    """Plays two channels side by side, from a sample of the session's clock on."""
    for at in range(0, max(len(me), len(them)), CHUNK_SAMPLES):
        for speaker, audio in (("me", me), ("them", them)):
            session.push_audio(AudioChunk(audio[at : at + CHUNK_SAMPLES], start + at, speaker))
        await session.settled()


def user_turns(conversation: Conversation) -> list[MessageAdded]:
    return [event for event in conversation.events if isinstance(event, MessageAdded) and event.role == "user"]


def speakers_of(events: list[SessionEvent], kind: type) -> list[str | None]:
    return [event.speaker for event in events if isinstance(event, kind)]


async def test_two_voices_on_two_channels_have_turns_of_their_own(tmp_path: Path) -> None:
    mine = marked(np.concatenate((loud(2.0), quiet(4.0))), 0.5)
    theirs = marked(np.concatenate((quiet(1.0), loud(3.0), quiet(2.0))), 0.25)
    model = ScriptedModel([["Yes."]])
    recorder = SessionRecorder(tmp_path / "one")
    async with conversing(model, TWO, taps=[recorder]) as conversation:
        await speak_together(conversation.session, mine, theirs)
        assert [turn.speaker for turn in user_turns(conversation)] == ["me", "them"]
        assert speakers_of(conversation.events, UserSpeechStarted) == ["me", "them"]
        assert len(conversation.of("response.done")) == 1, "both are answered, once"
    (request,) = model.requests
    messages = {message.speaker: message for message in request if message.role == "user"}
    for speaker, audio, level in (("me", mine, 0.5), ("them", theirs, 0.25)):
        samples = messages[speaker].clips[0].samples
        assert set(np.abs(samples[samples != 0])) == {np.float32(level)}, "only this speaker's voice"
        assert np.count_nonzero(samples) == np.count_nonzero(audio), "all of it, and once"
        assert len(samples) < 1.2 * np.count_nonzero(audio)
    recording = read_recording(tmp_path / "one")
    assert {speaker: len(audio) for speaker, audio in recording.audio.items()} == {"me": len(mine), "them": len(theirs)}
    detectors = {speaker: loudness_detector(OPTIONS.vad, speaker) for speaker in TWO.speakers}
    played = await replay(recording, detectors=detectors)
    assert played.difference is None
    assert all(now == then for _, now, then in decide_again(recording))


async def test_real_voices_that_overlap_are_told_apart(speech: Callable[[str], Samples]) -> None:
    capital, river = speech("question_capital"), speech("question_river")
    mine = np.concatenate((capital, np.zeros(4 * SAMPLE_RATE_HZ, np.float32)))
    theirs = np.concatenate((np.zeros(SAMPLE_RATE_HZ, np.float32), river, np.zeros(4 * SAMPLE_RATE_HZ, np.float32)))
    model = ScriptedModel([["Paris, on the Seine."]])
    async with conversing(model, TWO, real_vad=True) as conversation:
        await speak_together(conversation.session, mine, theirs)
        turns = user_turns(conversation)
        assert sorted(turn.speaker or "" for turn in turns) == ["me", "them"]
    heard = {message.speaker: message.clips[0].samples for message in model.requests[-1] if message.role == "user"}
    for speaker, clip in (("me", capital), ("them", river)):
        overlap = np.correlate(np.pad(heard[speaker], len(clip)), clip, "valid").max()
        assert overlap > 0.95 * float(clip @ clip), "the turn holds what its speaker said"


async def test_where_there_is_one_speaker_nobody_is_named() -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0))
        assert user_turns(conversation)[0].speaker is None


async def test_audio_of_a_stranger_is_reported() -> None:
    async with conversing(ScriptedModel([["Yes."]]), TWO) as conversation:
        conversation.session.push_audio(AudioChunk(loud(0.5), 0, "nobody"))
        await conversation.session.settled()
        assert "'nobody'" in conversation.of("error")[0].message
