"""The words of what users say: of every message, while they speak, and in whatever order things happen."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import GenerationFailed
from models.scripted import ScriptedModel
from models.types import AudioClip, Transcript, Transcription
from realtime.captions import AgreedWords
from realtime.conversation import ConversationOptions
from realtime.events import MessageAdded, MessageDrafted, MessageTranscribed, SessionCreated, TranscriptionFailed
from realtime.hearing.audio import AudioChunk
from realtime.load import AnswerLoad
from realtime.recordings.recorder import SessionRecorder
from realtime.recordings.replay import read_recording, replay
from realtime.turns.observations import DEFAULT_SPEAKER
from tests.models.scripted_ears import ScriptedEars, spelled, with_ears
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, loudness_detector, quiet

DELTA, COMPLETED, FAILED = (
    f"conversation.item.input_audio_transcription.{kind}" for kind in ("delta", "completed", "failed")
)


def transcripts(conversation: Conversation) -> list[str]:
    return [event.transcript for event in conversation.events if isinstance(event, MessageTranscribed)]


def user_ids(conversation: Conversation) -> list[str]:
    added = [event for event in conversation.events if isinstance(event, MessageAdded)]
    return [event.item_id for event in added if event.role == "user"]


def words_by_length(clip: AudioClip) -> str:
    """A word for each half second, so that a turn that goes on has more of them."""
    return " ".join(f"w{number}" for number in range(int(clip.duration_s / 0.5)))


# ---- Every message ----


async def test_every_spoken_turn_is_written_down_once_and_no_typed_one() -> None:
    ears = ScriptedEars(lambda clip: "What is it?")
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ears)) as conversation:
        await conversation.hear(loud(0.4), quiet(1.0))
        conversation.session.submit_text("typed")
        await conversation.session.settled()
        (event,) = conversation.of(COMPLETED)
        assert event == MessageTranscribed(
            item_id=user_ids(conversation)[0], transcript="What is it?", words=spelled("What is it?").words
        )
        assert len(ears.asked) == 1
        metrics = conversation.session.metrics
        assert (metrics.captions, metrics.failed_captions) == (1, 0)
        created = conversation.events[0]
        assert isinstance(created, SessionCreated)
        assert created.caption_languages == ("en",)


async def test_a_model_without_ears_has_no_captions() -> None:
    model = ScriptedModel([["Yes."]], sounds=["never asked"])
    async with conversing(model) as conversation:
        await conversation.hear(loud(2.0), quiet(1.0))
        assert not (conversation.of(DELTA) or conversation.of(COMPLETED) or model.asked)
        created = conversation.events[0]
        assert isinstance(created, SessionCreated)
        assert created.caption_languages is None


async def test_words_are_asked_for_once_the_answer_has_begun() -> None:
    gate = asyncio.Semaphore(0)
    ears = ScriptedEars(lambda clip: "What is it?")
    async with conversing(with_ears(ScriptedModel([["One ", "two."]], gate=gate), ears)) as conversation:
        await conversation.hear(loud(0.4), quiet(1.0), wait=False)
        await conversation.until("response.committed")
        await conversation.session_caught_up()
        assert not ears.asked, "the first word is waited for"
        gate.release()
        await conversation.until(COMPLETED)
        assert conversation.types()[-2:] == ["response.output_text.delta", COMPLETED]


async def test_words_that_the_model_said_are_neither_asked_for_nor_sent_again() -> None:
    ears = ScriptedEars(lambda clip: "from the ears")
    model = ScriptedModel([["Yes."]], transcripts=[spelled("from the model")])
    async with conversing(with_ears(model, ears)) as conversation:
        await conversation.hear(loud(0.4), quiet(1.0))
        assert transcripts(conversation) == ["from the model"]
        assert not ears.asked
        assert conversation.session.metrics.captions == 1


async def test_words_come_after_the_answer_has_ended() -> None:
    gate = asyncio.Semaphore(0)
    async with conversing(
        with_ears(ScriptedModel([["Yes."]]), ScriptedEars(lambda clip: "late", gate))
    ) as conversation:
        await conversation.hear(loud(0.4), quiet(1.0), wait=False)
        await conversation.until("response.done")
        assert not conversation.of(COMPLETED)
        gate.release()
        await conversation.until(COMPLETED)
        assert transcripts(conversation) == ["late"]


@pytest.mark.parametrize("how", ["clear", "close"])
async def test_words_of_a_message_that_has_gone_are_dropped(how: str) -> None:
    gate = asyncio.Semaphore(0)
    ears = ScriptedEars(lambda clip: "late", gate)
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ears)) as conversation:
        await conversation.hear(loud(0.4), quiet(1.0), wait=False)
        await conversation.until("response.done")
        if how == "clear":
            conversation.session.clear()
            await conversation.until("conversation.cleared")
            gate.release()
            await conversation.session.settled()
            await conversation.session_caught_up()
    assert not conversation.of(COMPLETED) and not conversation.of(FAILED)


async def test_a_message_that_the_model_cannot_take_has_no_words_to_come() -> None:
    gate = asyncio.Semaphore(0)
    from models.errors import InvalidPrompt

    model = ScriptedModel([[InvalidPrompt("too strange")], ["Yes."]])
    async with conversing(with_ears(model, ScriptedEars(lambda clip: "late", gate))) as conversation:
        await conversation.hear(loud(0.4), quiet(1.0), wait=False)
        await conversation.until("conversation.item.deleted")
        gate.release()
        await conversation.session_caught_up()
        assert not conversation.of(COMPLETED)


@pytest.mark.parametrize(
    ("error", "told"),
    [(GenerationFailed("the ears are full"), "the ears are full"), (ValueError("secret"), "the ears failed")],
)
async def test_ears_that_fail_are_told_and_counted_and_the_answer_is_unharmed(error: Exception, told: str) -> None:
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ScriptedEars(lambda clip: error))) as conversation:
        await conversation.hear(loud(1.0), quiet(1.0))
        (event,) = conversation.of(FAILED)
        assert event == TranscriptionFailed(item_id=user_ids(conversation)[0], message=told)
        assert [event.text for event in conversation.of("response.done")] == ["Yes."]  # type: ignore[attr-defined]
        metrics = conversation.session.metrics
        assert (metrics.captions, metrics.failed_captions, metrics.failed) == (0, 1, 0)


async def test_ears_that_hang_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.model_work.CAPTION_LIMIT_S", 0.05)
    ears = ScriptedEars(lambda clip: "never", asyncio.Semaphore(0))
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ears)) as conversation:
        await conversation.hear(loud(0.4), quiet(1.0), wait=False)
        await conversation.until(FAILED)
        await conversation.until("response.done")
        (event,) = conversation.of(FAILED)
        assert isinstance(event, TranscriptionFailed)
        assert event.message == "the ears have given nothing in 0.05 s"


async def test_a_long_turn_is_written_down_part_by_part() -> None:
    ears = ScriptedEars(lambda clip: f"{clip.duration_s:.0f} s")
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ears)) as conversation:
        await conversation.hear(loud(6.0), quiet(1.0))
        captions = [event for event in conversation.events if isinstance(event, MessageTranscribed)]
        assert [event.item_id for event in captions] == user_ids(conversation)
        assert transcripts(conversation) == ["4 s", "2 s"]


async def test_what_is_said_while_a_key_is_held_is_written_down() -> None:
    async with conversing(
        with_ears(ScriptedModel([["Yes."]]), ScriptedEars(lambda clip: "by key"))
    ) as conversation:
        conversation.session.change_settings(turn_detection=False)
        conversation.session.press_to_talk()
        await conversation.hear(loud(0.4))
        conversation.session.release_to_talk()
        await conversation.session.settled()
        assert transcripts(conversation) == ["by key"]


async def test_the_turns_of_several_speakers_are_written_down_apart() -> None:
    options = replace(OPTIONS, speakers=("a", "b"))
    ears = ScriptedEars(lambda clip: "long" if clip.duration_s > 1 else "short")
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ears), options) as conversation:
        streams = {"a": [loud(0.4), quiet(3.0)], "b": [loud(1.6), quiet(1.8)]}
        for sample in range(0, sum(map(len, streams["b"])), 512):
            for name, pieces in streams.items():
                audio = [value for piece in pieces for value in piece][sample : sample + 512] if False else None
                del audio
                samples = _joined(pieces)[sample : sample + 512]
                conversation.session.push_audio(AudioChunk(samples, sample, name))
            await conversation.session.settled()
        assert sorted(transcripts(conversation)) == ["long", "short"]
