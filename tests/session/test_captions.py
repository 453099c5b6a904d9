"""The words of what users say: of every message, while they speak, and in whatever order things happen."""

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import GenerationFailed, InvalidPrompt
from models.scripted import ScriptedModel
from models.types import AudioClip, Transcript
from realtime.captions import AgreedWords
from realtime.conversation import ConversationOptions
from realtime.events import (
    MessageAdded,
    MessageDrafted,
    MessageTranscribed,
    SessionCreated,
    SessionEvent,
    TranscriptionFailed,
    UserSpeechStarted,
)
from realtime.load import AnswerLoad
from realtime.recordings.recorder import SessionRecorder
from realtime.recordings.replay import read_recording, replay
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.observations import DEFAULT_SPEAKER
from tests.models.scripted_ears import Said, ScriptedEars, spelled, with_ears
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, loudness_detector, quiet
from tests.session.test_speakers import TWO, speak_together

Kind = TypeVar("Kind", bound=SessionEvent)
DELTA, COMPLETED, FAILED = (
    f"conversation.item.input_audio_transcription.{kind}" for kind in ("delta", "completed", "failed")
)


def transcripts(conversation: Conversation) -> list[str]:
    return [event.transcript for event in of_kind(conversation, MessageTranscribed)]


def of_kind(conversation: Conversation, kind: type[Kind]) -> list[Kind]:
    return [event for event in conversation.events if isinstance(event, kind)]


def user_ids(conversation: Conversation) -> list[str]:
    return [event.item_id for event in of_kind(conversation, MessageAdded) if event.role == "user"]


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
        assert [event.item_id for event in of_kind(conversation, MessageTranscribed)] == user_ids(conversation)
        assert transcripts(conversation) == ["4 s", "2 s"]


async def test_what_is_said_while_a_key_is_held_is_written_down() -> None:
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ScriptedEars(lambda clip: "by key"))) as conversation:
        conversation.session.change_settings(turn_detection=False)
        conversation.session.press_to_talk()
        await conversation.hear(loud(0.4))
        conversation.session.release_to_talk()
        await conversation.session.settled()
        assert transcripts(conversation) == ["by key"]


async def test_the_turns_of_several_speakers_are_written_down_apart() -> None:
    ears = ScriptedEars(lambda clip: "long" if clip.duration_s > 2.5 else "short")
    mine = np.concatenate((loud(1.0), quiet(5.0)))
    theirs = np.concatenate((quiet(0.5), loud(3.0), quiet(2.5)))
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ears), TWO) as conversation:
        await speak_together(conversation.session, mine, theirs)
        captions = {event.item_id: event.transcript for event in of_kind(conversation, MessageTranscribed)}
        turns = [event for event in of_kind(conversation, MessageAdded) if event.role == "user"]
        assert {turn.speaker: captions[turn.item_id] for turn in turns} == {"me": "short", "them": "long"}


async def test_a_turn_in_another_language_is_a_turn() -> None:
    foreign = Transcript("", is_foreign=True)
    model = ScriptedModel([["I understand only English."]], transcripts=[foreign])
    async with conversing(with_ears(model, ScriptedEars(lambda clip: foreign))) as conversation:
        await conversation.hear(loud(0.4), quiet(1.0))
        assert of_kind(conversation, MessageTranscribed)[0].is_foreign
        assert len(user_ids(conversation)) == 1
        assert len(conversation.of("response.done")) == 1


async def test_a_short_sound_in_another_language_stops_an_answer() -> None:
    gate = asyncio.Semaphore(2)
    ears = ScriptedEars(lambda clip: Transcript("", is_foreign=True))
    model = ScriptedModel([[f"{number} " for number in range(9)], ["What?"]], gate=gate)
    async with conversing(with_ears(model, ears)) as conversation:
        await conversation.hear(loud(0.4), quiet(1.0), wait=False)
        await conversation.until("response.output_text.delta", 2)
        await conversation.hear(loud(0.4), quiet(0.3), wait=False)
        await conversation.until("response.done")
        assert not conversation.of("response.resumed")


async def test_whatever_the_model_audio_is_demoted_to_what_the_ears_wrote() -> None:
    conversation_options = ConversationOptions(max_audio_s=2.0, keep=0.6, summarise=False)
    options = replace(OPTIONS, conversation=conversation_options)
    numbers = itertools.count(1)
    model = ScriptedModel([["Yes."]])
    ears = ScriptedEars(lambda clip: f"question {next(numbers)}")
    async with conversing(with_ears(model, ears), options) as conversation:
        for _ in range(5):
            await conversation.hear(loud(0.4), quiet(2.0))
    given = model.requests[-1]
    assert next(message.text for message in given if message.role == "user") == "question 1"
    assert not given[1].clips and given[-1].clips, "the oldest is text, the newest audio"


# ---- While somebody speaks ----


async def test_words_come_while_they_are_spoken_and_stay_once_two_drafts_agree() -> None:
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ScriptedEars(words_by_length))) as conversation:
        await conversation.hear(loud(3.0), quiet(1.0))
        drafts = of_kind(conversation, MessageDrafted)
        assert len(drafts) >= 4
        agreed = ""
        for event in drafts:
            agreed += event.delta
            assert len((agreed + " " + event.draft).split()) >= len(agreed.split())
        (final,) = transcripts(conversation)
        assert final.startswith(agreed) and len(agreed.split()) >= len(final.split()) - 2
        assert conversation.events.index(drafts[-1]) < conversation.events.index(conversation.of(COMPLETED)[0])
        assert {event.item_id for event in drafts} == set(user_ids(conversation))


async def test_one_draft_at_a_time_and_none_that_comes_too_late() -> None:
    gate = asyncio.Semaphore(0)
    ears = ScriptedEars(words_by_length, gate)
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ears)) as conversation:
        await conversation.hear(loud(3.0), wait=False)
        await conversation.session_caught_up()
        assert len(ears.asked) == 1
        await conversation.hear(quiet(1.0), wait=False)
        await conversation.until("response.done")
        for _ in range(2):
            gate.release()
        await conversation.until(COMPLETED)
        assert not conversation.of(DELTA), "the turn has ended"


async def test_ears_that_are_slow_are_asked_less_often() -> None:
    gate = asyncio.Semaphore(0)
    ears = ScriptedEars(words_by_length, gate)
    options = replace(OPTIONS, endpointing=EndpointingOptions(max_turn_s=100.0))
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ears), options) as conversation:
        await conversation.hear(loud(1.0), wait=False)
        await conversation.session_caught_up()
        await asyncio.sleep(0.3)  # wall time that the draft takes: the ears' own, which no clock of samples drives
        gate.release()
        await conversation.until(DELTA)
        while len(ears.asked) < 2:
            await conversation.hear(loud(0.1))
        first, second = ears.asked
        assert second.duration_s - first.duration_s >= 5 * 0.3


async def test_while_others_are_answered_nothing_is_drafted() -> None:
    load, ears = AnswerLoad(1), ScriptedEars(words_by_length)
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ears), load=load) as conversation:
        with load.share(lambda _: None).answering():
            await conversation.hear(loud(2.0))
            assert not ears.asked
        await conversation.hear(loud(1.0))
        assert ears.asked


async def test_ears_that_fail_in_drafts_are_asked_once() -> None:
    ears = ScriptedEars(lambda clip: GenerationFailed("no"))
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ears)) as conversation:
        await conversation.hear(loud(3.0), quiet(1.0))
        assert len(ears.asked) == 2, "a draft and the message"
        assert not conversation.of(DELTA)


async def test_drafts_of_a_turn_that_is_dropped_end_with_it() -> None:
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ScriptedEars(words_by_length))) as conversation:
        await conversation.hear(loud(2.0))
        conversation.session.clear_speech()
        await conversation.hear(loud(2.0), quiet(1.0))
        first, second = (event.item_id for event in of_kind(conversation, UserSpeechStarted))
        dropped = conversation.events.index(conversation.of("input_audio_buffer.cleared")[0])
        after = [event.item_id for event in conversation.events[dropped:] if isinstance(event, MessageDrafted)]
        assert first not in after and second in after


@pytest.mark.parametrize("how", ["well", "fail"])
async def test_words_are_recorded_and_replayed(how: str, tmp_path: Path) -> None:
    def say(clip: AudioClip) -> Said:
        return GenerationFailed("the ears are full") if how == "fail" else words_by_length(clip)

    recorder = SessionRecorder(tmp_path / "one")
    async with conversing(with_ears(ScriptedModel([["Yes."]]), ScriptedEars(say)), taps=[recorder]) as conversation:
        for _ in range(2):
            await conversation.hear(loud(2.0), quiet(1.0))
        assert len(conversation.of(COMPLETED if how == "well" else FAILED)) == 2
    recording = read_recording(tmp_path / "one")
    assert recording.caption_languages == ("en",)
    played = await replay(recording, detectors={DEFAULT_SPEAKER: loudness_detector(OPTIONS.vad)})
    assert played.difference is None
    assert played.sent == recording.sent


# ---- What drafts agree on ----


def test_words_that_two_drafts_share_stay_and_the_others_may_change() -> None:
    agreed = AgreedWords()
    assert agreed.take(["What", "is."]) == ("", "What is.")
    assert agreed.take(["What", "is", "the"]) == ("What is", "the")
    assert agreed.take(["What", "is", "the", "cap"]) == (" the", "cap")
    assert agreed.take(["What", "is", "the", "capital", "of"]) == ("", "capital of")
    assert agreed.take(["What"]) == ("", ""), "what was agreed on stays"
    assert agreed.take(["What", "was", "the", "capital", "of", "France?"]) == ("", "capital of France?")


@given(st.lists(st.lists(st.sampled_from(["a", "b", "A.", "c"]), max_size=6), max_size=8))
def test_what_is_agreed_on_only_grows(drafts: list[list[str]]) -> None:
    agreed, text = AgreedWords(), ""
    for words in drafts:
        delta, draft = agreed.take(words)
        assert not delta.strip() or delta.startswith(" ") == bool(text)
        text += delta
        assert len(text.split()) + len(draft.split()) == max(len(words), len(text.split()))
    assert len(text.split()) <= max(map(len, drafts), default=0)
