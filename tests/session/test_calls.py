"""A call: two parties who talk to each other, suggestions for one of them, and the same loop and recording as ever."""

import asyncio
from pathlib import Path

import numpy as np

from models.scripted import ScriptedModel
from realtime.calls import call_options
from realtime.events import MessageAdded, ResponseCommitted, ResponseDone, ResponseRetracted, SessionCreated
from realtime.hearing.audio import AudioChunk
from realtime.recordings.recorder import SessionRecorder
from realtime.recordings.replay import decide_again, read_recording, replay
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, loudness_detector, quiet
from tests.session.test_speakers import speak_together

FRAME_SAMPLES = 512
CALL = call_options(OPTIONS)


def kinds_of(conversation: Conversation) -> list[str]:
    """What happened to messages and suggestions, in order."""
    shown = []
    for event in conversation.events:
        match event:
            case MessageAdded(role="user", speaker=speaker):
                shown.append(str(speaker))
            case MessageAdded(role="assistant"):
                shown.append("suggestion")
            case ResponseCommitted() | ResponseRetracted():
                shown.append(type(event).__name__)
    return shown


async def test_they_ask_and_i_am_helped_and_what_i_say_is_not_answered(tmp_path: Path) -> None:
    model = ScriptedModel([["Two ", "weeks."]])
    theirs = np.concatenate((loud(2.0), quiet(5.0)))
    mine = np.concatenate((quiet(3.0), loud(2.0), quiet(2.0)))
    recorder = SessionRecorder(tmp_path / "one")
    async with conversing(model, CALL, taps=[recorder]) as conversation:
        await speak_together(conversation.session, mine, theirs)
        assert kinds_of(conversation) == ["them", "ResponseCommitted", "suggestion", "me"]
        created = conversation.of("session.created")[0]
        assert isinstance(created, SessionCreated)
        assert (created.kind, created.speakers) == ("call", ("me", "them"))
    (request,) = model.requests
    assert request[-1].named_parts[0] == "them:"
    assert request[0].role == "system"
    recording = read_recording(tmp_path / "one")
    detectors = {name: loudness_detector(OPTIONS.vad, name) for name in CALL.speakers}
    assert (await replay(recording, detectors=detectors)).difference is None
    assert all(now == then for _, now, then in decide_again(recording))


async def test_what_i_want_to_be_helped_with_follows_the_prompt_of_the_call() -> None:
    model = ScriptedModel([["Yes."]])
    async with conversing(model, CALL) as conversation:
        conversation.session.change_settings(instructions="I sell bicycles. The blue one costs 900.")
        await speak_together(conversation.session, quiet(4.0), np.concatenate((loud(2.0), quiet(2.0))))
    (prompt,) = [message.text for message in model.requests[0] if message.role == "system"]
    assert prompt.startswith(CALL.conversation.system_prompt)
    assert prompt.endswith("The blue one costs 900.")


async def test_a_suggestion_stays_as_it_is_when_i_speak() -> None:
    gate = asyncio.Semaphore(1)
    model = ScriptedModel([["Two ", "weeks."]], gate=gate)
    async with conversing(model, CALL) as conversation:
        theirs, mine = np.concatenate((loud(2.0), quiet(4.0))), np.concatenate((quiet(3.5), loud(1.0), quiet(1.5)))
        for start in range(0, len(mine), FRAME_SAMPLES):
            for name, audio in (("me", mine), ("them", theirs)):
                chunk = audio[start : start + FRAME_SAMPLES]
                conversation.session.push_audio(AudioChunk(chunk, start, name))
            await conversation.session_caught_up()
        done = await conversation.until("response.done")
    assert isinstance(done, ResponseDone)
    assert (done.status, done.text) == ("cancelled", "Two ")
