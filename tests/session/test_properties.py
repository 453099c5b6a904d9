"""What holds whatever people say, press and type, and however their audio is cut up."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.scripted import ScriptedModel
from realtime.events import (
    MessageAdded,
    ResponseCommitted,
    ResponseCreated,
    ResponseDelta,
    ResponseDone,
    ResponseRetracted,
    SessionEvent,
)
from realtime.session import Session
from realtime.vad import SILERO_FRAME_SAMPLES
from tests.session.conversing import Conversation, conversing, quiet

COMMANDS: dict[str, Callable[[Session], None]] = {
    "type": lambda session: session.submit_text("typed"),
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
WORDS = 8

steps = st.lists(
    st.one_of(
        st.tuples(st.just("loud"), st.sampled_from([1, 3, 5, 10, 20, 40])),  # frames
        st.tuples(st.just("quiet"), st.sampled_from([1, 4, 8, 12, 20, 40])),
        st.tuples(st.just("words"), st.integers(1, WORDS)),
        st.tuples(st.sampled_from(sorted(COMMANDS)), st.just(0)),
    ),
    max_size=25,
)


class Speaker:
    """Speaks with a different sample value in every frame, so that each frame can be found again."""

    def __init__(self) -> None:
        self._frame = 0

    def say(self, n_frames: int) -> np.ndarray:
        values = 0.2 + (self._frame + np.arange(n_frames)) * 1e-4
        self._frame += n_frames
        return np.repeat(values, SILERO_FRAME_SAMPLES).astype(np.float32)


async def act(
    conversation: Conversation, script: list[tuple[str, int]], gate: asyncio.Semaphore, chunk_samples: int
) -> None:
    speaker = Speaker()
    for what, amount in script:
        match what:
            case "loud":
                await conversation.hear(speaker.say(amount), chunk_samples=chunk_samples, wait=False)
            case "quiet":
                await conversation.hear(quiet(amount * 0.032), chunk_samples=chunk_samples, wait=False)
            case "words":
                for _ in range(amount):
                    gate.release()
            case _:
                COMMANDS[what](conversation.session)
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


def check_audio(model: ScriptedModel, events: list[SessionEvent]) -> None:
    """No sample of speech is in two committed turns, and within a turn none is missing."""
    committed = [event.item_id for event in events if isinstance(event, MessageAdded) and event.role == "user"]
    assert len(committed) == len(set(committed))
    asked = {message.id: message for request in model.requests for message in request}
    clips = [clip.samples for item in committed if item in asked for clip in asked[item].clips]
    heard = [np.round(samples[samples > 0.1], 5) for samples in clips]
    for one in heard:
        changes = np.flatnonzero(np.diff(one))
        assert all(after - before == SILERO_FRAME_SAMPLES for before, after in pairwise(changes)), "a part is missing"
    for before, after in pairwise([one for one in heard if len(one)]):
        assert before[-1] <= after[0]
        shared = (before == after[0]).sum() + (after == after[0]).sum() if before[-1] == after[0] else 0
        assert shared <= SILERO_FRAME_SAMPLES, "heard twice"


@given(script=steps, chunk_samples=st.sampled_from([100, 512, 1000, 4096]))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_answers_and_audio_stay_in_order(script: list[tuple[str, int]], chunk_samples: int) -> None:
    gate = asyncio.Semaphore(0)
    model = ScriptedModel([[f"{number} " for number in range(WORDS)]], gate=gate)
    async with conversing(model) as conversation:
        await act(conversation, script, gate, chunk_samples)
    check_answers(conversation.events)
    check_audio(model, conversation.events)
