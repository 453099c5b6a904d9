"""What holds whatever people say, press and type, and however their audio is cut up."""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.errors import GenerationFailed
from models.scripted import ScriptedModel, ScriptedVoice
from models.types import Samples
from realtime.events import (
    AudioCleared,
    AudioStarted,
    AudioStopped,
    ConversationWindow,
    MessageAdded,
    MessageDrafted,
    MessageRemoved,
    MessageTranscribed,
    ResponseCommitted,
    ResponseCreated,
    ResponseDelta,
    ResponseDone,
    ResponseRetracted,
    SessionEvent,
    TranscriptionFailed,
    UserSpeechDiscarded,
    UserSpeechStarted,
    UserSpeechStopped,
)
from realtime.hearing.vad import SILERO_FRAME_SAMPLES
from realtime.inbox import ImportedMessage
from realtime.load import AnswerLoad
from realtime.recordings.recorder import SessionRecorder
from realtime.recordings.replay import read_recording, replay
from realtime.session import Session
from realtime.speaking import SpeakingOptions
from realtime.turns.observations import DEFAULT_SPEAKER
from tests.models.scripted_ears import ScriptedEars, with_ears
from tests.session.conversing import OPTIONS, Conversation, alternating, conversing, loudness_detector

COMMANDS: dict[str, Callable[[Session], None]] = {
    "type": lambda session: session.submit_text("typed"),
    "add text": lambda session: session.add_text("added"),
    "ask": lambda session: session.request_answer(),
    "commit": lambda session: session.end_turn(),
    "clear speech": lambda session: session.clear_speech(),
    "cancel": lambda session: session.cancel(),
    "clear": lambda session: session.clear(),
    "press": lambda session: session.press_to_talk(),
    "release": lambda session: session.release_to_talk(),
    "mute": lambda session: session.change_settings(muted=True),
    "unmute": lambda session: session.change_settings(muted=False),
    "protect": lambda session: session.change_settings(protect_answer=True),
    "keys only": lambda session: session.change_settings(turn_detection=False),
    "detect": lambda session: session.change_settings(turn_detection=True),
}
SAID = [ImportedMessage("user", "My name is Tom."), ImportedMessage("assistant", "Hello, Tom.")]
COMMANDS_OF_THE_PAGE: dict[str, Callable[[Session], None]] = {  # which play no part in what is listened to
    "bring": lambda session: session.import_conversation(SAID),
    "send a file": lambda session: session.submit_recording(np.full(16_000, 0.25, np.float32), "a.wav"),
    "take back": lambda session: session.remove_from(f"item_{session.id.removeprefix('sess_')}_3"),
    "read aloud": lambda session: session.change_settings(spoken=True),
    "fall silent": lambda session: session.change_settings(spoken=False),
}
WORDS = 8

Step = tuple[str, int, int]

speaking = st.tuples(st.just("speak"), st.sampled_from([2, 4, 10, 40, 150]), st.integers(1, 25))  # frames
wording = st.tuples(st.just("words"), st.integers(1, WORDS), st.just(0))
commanding = st.tuples(st.sampled_from(sorted(COMMANDS)), st.just(0), st.just(0))
of_the_page = st.tuples(st.sampled_from(sorted(COMMANDS_OF_THE_PAGE)), st.just(0), st.just(0))
scripts = st.lists(st.one_of(speaking, speaking, wording, commanding), min_size=4, max_size=25)


STEP = 1 / 32768  # of 16 bits: a frame's level says whether it is speech, and its remainder which frame it is
LOUD, QUIET = 10_000 * STEP, 33 * STEP


class Speaker:
    """Gives every frame a level of its own, so that it can be found again."""

    def __init__(self) -> None:
        self._frame = 0

    def say(self, n_frames: int, level: float) -> Samples:
        values = level + (self._frame + np.arange(n_frames)) * STEP
        self._frame += n_frames
        return alternating(np.repeat(values, SILERO_FRAME_SAMPLES).astype(np.float32))


def frame_numbers(samples: Samples) -> NDArray[np.int64]:
    """Which frame each sample of a clip came from; muted ones left out."""
    levels = np.abs(samples)
    heard = levels[levels > QUIET / 2]
    return np.round((heard - np.where(heard > 0.2, LOUD, QUIET)) / STEP).astype(np.int64)


async def act(conversation: Conversation, script: list[Step], gate: asyncio.Semaphore, chunk_samples: int) -> None:
    speaker = Speaker()
    for what, amount, pause in script:
        match what:
            case "speak":
                audio = np.concatenate((speaker.say(amount, LOUD), speaker.say(pause, QUIET)))
                await conversation.hear(audio, chunk_samples=chunk_samples, wait=False)
            case "words":
                for _ in range(amount):
                    gate.release()
            case _:
                (COMMANDS | COMMANDS_OF_THE_PAGE)[what](conversation.session)
        await conversation.session_caught_up()


def check_answers(events: list[SessionEvent]) -> None:
    """Never two answers at once, no text after the end, all provisional text committed or retracted."""
    answering: str | None = None
    provisional, text = False, ""
    for event in events:
        match event:
            case ResponseCreated():
                assert answering is None
                answering, provisional, text = event.response_id, event.provisional, ""
            case ResponseDelta():
                assert event.response_id == answering
                assert event.provisional == provisional
                text += event.delta
            case ResponseCommitted():
                assert event.response_id == answering
                assert provisional
                provisional = False
            case ResponseRetracted():
                assert event.response_id == answering
                assert provisional
                answering = None
            case ResponseDone():
                assert event.response_id == answering
                assert not provisional
                assert event.text == text
                answering = None
    assert answering is None


def check_sound(events: list[SessionEvent]) -> None:
    """Sound begins, then ends or is dropped, within its answer, which says no more than what was written."""
    sounding: str | None = None
    text = ""
    for event in events:
        match event:
            case ResponseCreated():
                text = ""
            case ResponseDelta():
                text += event.delta
            case AudioStarted():
                assert sounding is None
                sounding = event.response_id
            case AudioStopped() | AudioCleared():
                assert sounding == event.response_id
                sounding = None
            case ResponseDone():
                assert sounding is None
                assert text.startswith(event.text)
    assert sounding is None


def check_audio(model: ScriptedModel, events: list[SessionEvent], *, muted: bool) -> None:
    """No sample is in two turns, and none is missing within a turn or between the parts of a long one."""
    committed = [event.item_id for event in events if isinstance(event, MessageAdded) and event.role == "user"]
    assert len(committed) == len(set(committed))
    asked = {message.id: message for request in model.requests for message in request}
    frames = [frame_numbers(clip.samples) for item in committed if item in asked for clip in asked[item].clips]
    for one in frames:
        starts = np.flatnonzero(np.diff(one, prepend=-1))
        assert (np.diff(one[starts]) >= 1).all(), "a turn goes back in time"
        assert (np.diff(starts)[1:] == SILERO_FRAME_SAMPLES).all() or muted, "a part of a frame is missing"
        assert (np.diff(one[starts]) == 1).all() or muted, "a frame is missing"
    heard = {item: clip for item in committed if item in asked for clip in asked[item].clips}
    for before, window, after in zip(events, events[1:], events[2:], strict=False):
        match before, window, after:  # a turn that has reached the longest length goes on in the next
            case MessageAdded(item_id=first), ConversationWindow(), UserSpeechStarted(item_id=second) if not muted:
                if first in heard and second in heard:
                    gap = frame_numbers(heard[second].samples)[0] - frame_numbers(heard[first].samples)[-1]
                    assert gap in (0, 1), "something is missing between two parts of a turn"
    together = np.concatenate([np.zeros(0, np.int64), *frames])
    assert (np.diff(together) >= 0).all(), "a turn begins before the one before ended"
    assert not len(together) or np.bincount(together).max() <= SILERO_FRAME_SAMPLES, "a sample is in two turns"


def check_lengths(events: list[SessionEvent]) -> None:
    """A turn reaches from where its speech began to where it was last heard to stop."""
    started = {event.item_id: event.audio_start_ms for event in events if isinstance(event, UserSpeechStarted)}
    stopped: dict[str, int] = {}
    for event in events:
        if isinstance(event, UserSpeechStopped):
            stopped[event.item_id] = event.audio_end_ms
        elif isinstance(event, MessageAdded) and event.item_id in stopped:
            assert event.audio_s * 1000 >= stopped[event.item_id] - started[event.item_id] - 1


class LengthScorer:
    """Scores a turn by its length, anywhere between 0 and 1."""

    def score(self, samples: Samples) -> float:
        return len(samples) % 7919 / 7919


def check_words(events: list[SessionEvent]) -> None:
    """Deltas only add to what was said; the words of a message come once, and none when it has gone."""
    ended: set[str] = set()
    for event in events:
        match event:
            case MessageDrafted():
                assert event.item_id not in ended
                assert event.delta or event.draft
            case MessageAdded():
                ended.add(event.item_id)
            case UserSpeechDiscarded() | MessageRemoved():
                ended.add(event.item_id)
    finals = [event.item_id for event in events if isinstance(event, TranscriptionFailed)]
    assert len(finals) == len(set(finals))
    for gone, event in enumerate(events):
        if isinstance(event, UserSpeechDiscarded | MessageRemoved):
            after = [one for one in events[gone:] if isinstance(one, MessageTranscribed | TranscriptionFailed)]
            assert event.item_id not in {one.item_id for one in after}


@pytest.mark.no_cover
@given(script=scripts, chunk_samples=st.sampled_from([100, 512, 1000, 4096]), n_told=st.sampled_from([0, 2, 20]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_every_session_replays_to_the_byte(script: list[Step], chunk_samples: int, n_told: int) -> None:
    gate = asyncio.Semaphore(0)
    words = ["Count.", "Mm-hm.", "", "Stop.", "Yeah, right."] * 10
    script_of_words = [f"{number} " for number in range(WORDS)]
    scripted = ScriptedModel([script_of_words], gate=gate, transcripts=words[: 2 * n_told])
    said: list[str | Exception] = [*words[1:], GenerationFailed("the ears are full")]
    model = with_ears(scripted, ScriptedEars(lambda clip: said[len(clip.samples) % len(said)]))
    with tempfile.TemporaryDirectory() as folder:
        recorder = SessionRecorder(Path(folder))
        async with conversing(model, scorer=LengthScorer(), load=AnswerLoad(2), taps=[recorder]) as conversation:
            await act(conversation, script, gate, chunk_samples)
        played = await replay(read_recording(Path(folder)), detectors={DEFAULT_SPEAKER: loudness_detector(OPTIONS.vad)})
    assert played.difference is None
    check_words(conversation.events)
    check_answers(conversation.events)
    check_lengths(conversation.events)


@pytest.mark.no_cover
@given(script=scripts, chunk_samples=st.sampled_from([100, 512, 1000, 4096]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_answers_and_audio_stay_in_order(script: list[Step], chunk_samples: int) -> None:
    gate = asyncio.Semaphore(0)
    model = ScriptedModel([[f"{number} " for number in range(WORDS)]], gate=gate)
    async with conversing(model) as conversation:
        await act(conversation, script, gate, chunk_samples)
    check_answers(conversation.events)
    check_audio(model, conversation.events, muted=("mute", 0, 0) in script)
    check_lengths(conversation.events)


@pytest.mark.no_cover
@given(
    script=st.lists(st.one_of(speaking, speaking, wording, commanding, of_the_page), min_size=4, max_size=25),
    failing=st.sets(st.integers(0, 9)),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_sound_stays_in_order_and_replays_to_the_byte(script: list[Step], failing: set[int]) -> None:
    gate = asyncio.Semaphore(0)
    model = ScriptedModel([[f"{number}, " for number in range(WORDS)]], gate=gate, sounds=["Mm-hm.", "Stop."] * 10)
    failures = [GenerationFailed("out of memory") if number in failing else None for number in range(10)]
    spoken = replace(OPTIONS, speaking=SpeakingOptions(spoken=True))
    with tempfile.TemporaryDirectory() as folder:
        recorder = SessionRecorder(Path(folder))
        async with conversing(model, spoken, voice=ScriptedVoice(failures=failures), taps=[recorder]) as conversation:
            await act(conversation, script, gate, 512)
        played = await replay(read_recording(Path(folder)), detectors={DEFAULT_SPEAKER: loudness_detector(OPTIONS.vad)})
    assert played.difference is None
    check_sound(conversation.events)
