"""Messages taken back, conversations brought along, recordings sent; and all of it replayed."""

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, Message
from realtime.events import ErrorReported, MessageAdded, MessageRemoved, ResponseDone
from realtime.inbox import ImportedMessage
from realtime.recordings.recorder import SessionRecorder
from realtime.recordings.replay import read_recording, replay
from realtime.turns.observations import DEFAULT_SPEAKER
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, loudness_detector, quiet

FILE = np.full(8000, 0.25, np.float32)


def added(conversation: Conversation) -> list[MessageAdded]:
    return [event for event in conversation.events if isinstance(event, MessageAdded)]


def removed(conversation: Conversation) -> list[str]:
    return [event.item_id for event in conversation.events if isinstance(event, MessageRemoved)]


def said(prompt: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in prompt if message.role != "system"]


async def ask(conversation: Conversation, text: str, count: int) -> None:
    conversation.session.submit_text(text)
    await conversation.until("response.done", count)
    await conversation.session.settled()


async def test_a_message_is_taken_back_with_all_that_followed() -> None:
    model = ScriptedModel([["One."], ["Two."], ["Three."]])
    async with conversing(model) as conversation:
        await ask(conversation, "first", 1)
        await ask(conversation, "second", 2)
        before = added(conversation)
        conversation.session.remove_from(before[2].item_id)
        await ask(conversation, "another second", 3)
        assert removed(conversation) == [before[2].item_id, before[3].item_id]
        assert said(model.requests[-1]) == [("user", "first"), ("assistant", "One."), ("user", "another second")]


async def test_an_answer_under_way_ends_when_its_question_is_taken_back() -> None:
    gate = asyncio.Semaphore(1)
    model = ScriptedModel([["One", "."]], gate=gate)
    async with conversing(model) as conversation:
        conversation.session.submit_text("first")
        await conversation.until("response.output_text.delta")
        conversation.session.remove_from(added(conversation)[0].item_id)
        done = await conversation.until("response.done")
        assert isinstance(done, ResponseDone) and (done.status, done.stop_reason) == ("cancelled", None)
        await conversation.session.settled()
        assert removed(conversation) == [message.item_id for message in added(conversation)]
        assert len(removed(conversation)) == 2


async def test_what_is_not_remembered_cannot_be_taken_back() -> None:
    async with conversing(ScriptedModel([["One."]])) as conversation:
        await ask(conversation, "first", 1)
        conversation.session.remove_from("item_of_old")
        error = await conversation.until("error")
        assert isinstance(error, ErrorReported) and "new conversation" in error.message
        assert removed(conversation) == []


async def test_a_conversation_is_brought_along() -> None:
    model = ScriptedModel([["One."], ["Tom."]])
    async with conversing(model) as conversation:
        await ask(conversation, "first", 1)
        brought = [ImportedMessage("user", "I am Tom."), ImportedMessage("assistant", "Hello, Tom.")]
        conversation.session.import_conversation(brought)
        await ask(conversation, "Who am I?", 2)
        assert "conversation.cleared" in conversation.types()
        expected = [("user", "I am Tom."), ("assistant", "Hello, Tom."), ("user", "Who am I?")]
        assert said(model.requests[-1]) == expected


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([ImportedMessage("assistant", "Hello.")], "begins with what the user said"),
        ([ImportedMessage("user", "")], "1 to 20000"),
        ([ImportedMessage("user", "x" * 20_001)], "1 to 20000"),
        (1001 * [ImportedMessage("user", "x")], "at most 1000"),
    ],
)
async def test_what_no_conversation_can_be_is_explained(messages: list[ImportedMessage], reason: str) -> None:
    async with conversing(ScriptedModel([["One."]])) as conversation:
        conversation.session.import_conversation(messages)
        error = await conversation.until("error")
        assert isinstance(error, ErrorReported) and reason in error.message
        assert "conversation.cleared" not in conversation.types()


@pytest.mark.alone
async def test_a_long_conversation_is_cut_to_the_window() -> None:
    model = ScriptedModel([["Yes."]])
    async with conversing(model) as conversation:
        began_s = time.perf_counter()
        roles = ("user", "assistant")
        brought = [ImportedMessage(roles[number % 2], f"{number} " + "x" * 500) for number in range(1000)]  # type: ignore[arg-type]
        conversation.session.import_conversation(brought)
        await ask(conversation, "and now?", 1)
        assert time.perf_counter() - began_s < 2, "the work grows with the messages, and not with their square"
        assert len(added(conversation)) == 1002
        first = said(model.requests[-1])[0]
        assert first[0] == "user" and int(first[1].split()[0]) > 980


async def test_a_recording_joins_what_is_being_said() -> None:
    model = ScriptedModel([["Yes."]])
    async with conversing(model) as conversation:
        await conversation.hear(loud(0.5))
        conversation.session.submit_recording(FILE, "a.wav")
        await conversation.hear(quiet(1.5))
        (message, _) = added(conversation)
        assert message.file_name == "a.wav" and message.audio_s > 1
        assert len(model.requests[-1][-1].clips) == 2
        assert conversation.session.audio_of(message.item_id) is not None
        conversation.session.clear()
        await conversation.session.settled()
        assert conversation.session.audio_of(message.item_id) is None


async def test_files_that_are_sent_while_the_key_is_held_do_not_pile_up() -> None:
    model = ScriptedModel([["Yes."]])
    second = np.full(SAMPLE_RATE_HZ, 0.25, np.float32)  # the longest turn has four
    async with conversing(model) as conversation:
        conversation.session.press_to_talk()
        for number in range(5):
            conversation.session.submit_recording(second, f"{number}.wav")
        conversation.session.release_to_talk()
        error = await conversation.until("error")
        assert isinstance(error, ErrorReported) and "longer than 4 s together" in error.message
        await conversation.until("response.done")
        assert len(model.requests[-1][-1].clips) == 4
        conversation.session.submit_recording(second, "again.wav")
        await conversation.until("response.done", 2)


async def test_all_of_it_replays_to_the_byte(tmp_path: Path) -> None:
    recorder = SessionRecorder(tmp_path / "one")
    async with conversing(ScriptedModel([["One."], ["Two."]]), taps=[recorder]) as conversation:
        conversation.session.change_settings(instructions="Be kind.", patience="high", temperature=1.0, captions=False)
        await conversation.hear(loud(0.5), quiet(2.0))
        for number in range(2):
            conversation.session.submit_recording(FILE / (number + 1), f"{number}.wav")
            await conversation.until("response.done", number + 2)
        await conversation.session.settled()
        conversation.session.remove_from(added(conversation)[2].item_id)
        conversation.session.import_conversation([ImportedMessage("user", "I am Tom.")])
        await ask(conversation, "Who?", 4)
    recording = read_recording(tmp_path / "one")
    played = await replay(recording, detectors={DEFAULT_SPEAKER: loudness_detector(OPTIONS.vad)})
    assert played.difference is None
    assert played.sent == recording.sent
    assert (tmp_path / "one" / "file-2.wav").stat().st_mode & 0o777 == 0o600
