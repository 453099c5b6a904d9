"""A session whose model hangs: the person is told, may cancel, and goes on."""

import asyncio
from typing import Any

import pytest

from models.watched import WatchedModel
from realtime.events import ErrorReported, ResponseDone
from tests.models.hanging import HangingModel
from tests.session.conversing import Conversation, conversing, loud, quiet


def statuses(conversation: Conversation) -> list[str]:
    return [event.status for event in conversation.events if isinstance(event, ResponseDone)]


async def test_the_person_is_told_and_the_next_answer_comes() -> None:
    model = WatchedModel(HangingModel([["Yes."]], n_hanging=1), 0.05)
    async with conversing(model) as conversation:
        for _ in range(2):
            conversation.session.submit_text("Are you there?")
            await conversation.session.settled()
        assert statuses(conversation) == ["failed", "completed"]
        error = conversation.of("error")[0]
        assert isinstance(error, ErrorReported)
        assert error.error_type == "server_error"
        assert error.message == "scripted has given nothing for an answer in 0.05 s; try again"


async def test_an_answer_that_hangs_can_be_cancelled() -> None:
    async with conversing(HangingModel([["Yes."]], n_hanging=1)) as conversation:
        conversation.session.submit_text("Are you there?")
        await conversation.until("response.created")
        conversation.session.cancel()
        await conversation.until("response.done")
        conversation.session.submit_text("And now?")
        await conversation.until("response.done", 2)
        assert statuses(conversation) == ["cancelled", "completed"]


async def test_ears_that_hang_hold_no_answer_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.model_work.JUDGEMENT_LIMIT_S", 0.05)
    monkeypatch.setattr("models.watched.FREE_LIMIT_S", 0.05)
    gate = asyncio.Semaphore(2)
    script: list[Any] = [["0 "] * 100, ["New answer."]]
    model = HangingModel(script, sounds=["mm-hm"], hangs_beside=True, gate=gate)
    async with conversing(WatchedModel(model)) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0), wait=False)
        await conversation.until("response.output_text.delta", 2)
        await conversation.hear(loud(0.5), quiet(0.25), wait=False)
        await conversation.until("response.done")
        assert statuses(conversation) == ["cancelled"], "what nobody can judge counts as a turn"
