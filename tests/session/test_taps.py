"""Taps are told everything, in order; one that fails harms nobody."""

import logging

import pytest

from models.scripted import ScriptedModel
from models.types import ModelInfo, VoiceInfo
from realtime.events import ResponseDone, SessionCreated, SessionEvent
from realtime.inbox import InboxItem
from realtime.session import SessionOptions
from realtime.turns.actions import Action, StartResponse
from realtime.turns.observations import Observation, TextSubmitted
from realtime.turns.options import FloorOptions
from tests.session.conversing import conversing


class Notebook:
    """Notes what it is told, and raises when it is told something of one kind."""

    def __init__(self, fails_on: str = "") -> None:
        self.notes: list[object] = []
        self._fails_on = fails_on
        self.n_closed = 0

    def note(self, kind: str, what: object) -> None:
        if kind == self._fails_on:
            raise RuntimeError("the notebook is full")
        self.notes.append(what)

    def start(
        self,
        session_id: str,
        model: ModelInfo,
        options: SessionOptions,
        floor: FloorOptions,
        *,
        caption_languages: tuple[str, ...] | None,
        voices: tuple[VoiceInfo, ...],
    ) -> None:
        self.note("start", session_id)

    def take_item(self, item: InboxItem, now_s: float) -> None:
        self.note("item", item)

    def take_decision(self, observation: Observation, actions: tuple[Action, ...]) -> None:
        self.note("decision", actions)

    def take_event(self, event: SessionEvent) -> None:
        self.note("event", event)

    async def close(self) -> None:
        self.n_closed += 1
        if self._fails_on == "close":
            raise RuntimeError("the notebook does not close")


async def test_a_tap_is_told_what_goes_in_what_is_decided_and_what_comes_out() -> None:
    notebook = Notebook()
    async with conversing(ScriptedModel([["Yes."]]), taps=[notebook]) as conversation:
        conversation.session.submit_text("hello")
        await conversation.session.settled()
    first, created, *rest = notebook.notes
    assert first == conversation.session.id
    assert isinstance(created, SessionCreated)
    assert rest[0] == TextSubmitted("hello")
    assert any(isinstance(action, StartResponse) for action in rest[1])  # type: ignore[attr-defined]
    assert any(isinstance(note, ResponseDone) for note in rest)
    assert notebook.n_closed == 1


@pytest.mark.parametrize("kind", ["start", "item", "decision", "event", "close"])
async def test_a_tap_that_fails_is_told_nothing_more_and_the_session_goes_on(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken, whole = Notebook(kind), Notebook()
    async with conversing(ScriptedModel([["Yes."]]), taps=[broken, whole]) as conversation:
        conversation.session.submit_text("hello")
        await conversation.until("response.done")
    warnings = [record.name for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["realtime.taps"]
    assert (broken.n_closed, whole.n_closed) == (1, 1)
    assert len(whole.notes) > len(broken.notes) or kind == "close"
