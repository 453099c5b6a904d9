"""Turn-taking of a whole session on the sample clock, with a model that says what it was told."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import GenerationFailed, PromptTooLong
from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, GenerationEvent, GenerationOptions, Message, Samples
from realtime.conversation import ConversationOptions
from realtime.events import ConversationWindow, ErrorReported, MessageAdded, ResponseDone
from realtime.hearing.audio import AudioChunk
from realtime.inbox import MAX_WAITING_COMMANDS
from realtime.outbox import MAX_UNREAD_EVENTS
from realtime.session import Session, SessionOptions
from realtime.turns.options import MAX_TEXT_CHARACTERS
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, loudness_detector, quiet, texts

NO_PROMPT = replace(OPTIONS, conversation=ConversationOptions(system_prompt="", summarise=False))
ONE_TURN = [
    "session.created",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "response.created",
    "response.output_text.delta",
    "conversation.item.created",
    "response.committed",
    "conversation.item.created",
    "response.done",
    "conversation.window",
    "session.metrics",
]


def done(conversation: Conversation) -> list[ResponseDone]:
    return [event for event in conversation.events if isinstance(event, ResponseDone)]


def added(conversation: Conversation, role: str) -> list[MessageAdded]:
    return [event for event in conversation.events if isinstance(event, MessageAdded) and event.role == role]


async def test_a_turn_is_answered_provisionally_and_then_committed() -> None:
    model = ScriptedModel([["It ", "is ", "Paris."]])
    async with conversing(model) as conversation:
        await conversation.hear(quiet(0.5), loud(1.0), quiet(1.0))
        assert conversation.types() == ONE_TURN
        assert [event.provisional for event in conversation.of("response.output_text.delta")] == [True] * 3
        assert done(conversation)[0].text == "It is Paris."
        assert done(conversation)[0].status == "completed"
        assert len(model.requests) == 1, "committing computes nothing twice"
        # 1 s of speech, 0.3 s before it and two silent frames after it
        assert added(conversation, "user")[0].audio_s == pytest.approx(1.36, abs=0.05)


async def test_a_speaker_who_goes_on_is_not_cut_off() -> None:
    model = ScriptedModel([["Early."], ["It is Rome."]])
    async with conversing(model) as conversation:
        await conversation.hear(loud(1.0), quiet(0.4), loud(1.0), quiet(1.0))
        assert len(conversation.of("response.retracted")) == 1
        assert [event.text for event in done(conversation)] == ["It is Rome."]
        assert conversation.session.metrics.retracted == 1
        first, second = (request[-1].clips[0] for request in model.requests)
        assert np.array_equal(second.samples[: len(first.samples)], first.samples), "the turn begins where it began"
        assert second.duration_s == pytest.approx(2.46, abs=0.05)


async def test_the_second_turn_knows_the_first() -> None:
    model = ScriptedModel([["One."], ["Two."]])
    async with conversing(model) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0), loud(0.5), quiet(1.0))
        roles = [message.role for message in model.requests[1]]
        assert roles == ["system", "user", "assistant", "user"]
        assert texts(model.requests[1])[2] == "One."


async def test_barge_in_stops_at_the_onset_and_keeps_what_was_delivered() -> None:
    gate = asyncio.Semaphore(2)
    model = ScriptedModel([[f"{number} " for number in range(100)], ["Yes?"]], gate=gate)
    async with conversing(model) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0), wait=False)
        await conversation.until("response.output_text.delta", 2)
        await conversation.hear(loud(0.13), wait=False)
        for _ in range(5):
            gate.release()
        await conversation.hear(loud(0.4), wait=False)
        await conversation.until("response.done")
        assert done(conversation)[0].status == "cancelled"
        assert done(conversation)[0].text == "0 1 "
        assert model.cancelled == 1
        await conversation.hear(quiet(1.0), wait=False)
        gate.release()
        await conversation.until("response.done", 2)
        assert texts(model.requests[1])[2] == "0 1 "
        assert model.requests[1][2].interrupted


async def test_a_cough_over_the_answer_lets_it_go_on_where_it_stopped() -> None:
    gate = asyncio.Semaphore(2)
    model = ScriptedModel([["The ", "sky ", "is ", "blue."], ["is ", "blue."]], gate=gate)
    async with conversing(model) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0), wait=False)
        await conversation.until("response.output_text.delta", 2)
        await conversation.hear(loud(0.16), quiet(0.3), wait=False)
        await conversation.until("response.resumed")
        gate.release()
        gate.release()
        await conversation.until("response.done")
        assert done(conversation)[0].text == "The sky is blue."
        assert texts(model.requests[1])[-1] == "The sky ", "the answer continues from what was delivered"
        assert conversation.session.metrics.false_interruptions == 1


async def test_typed_text_is_a_turn() -> None:
    model = ScriptedModel([["Hello."]])
    async with conversing(model) as conversation:
        conversation.session.submit_text("  hi  ")
        await conversation.session.settled()
        assert added(conversation, "user")[0].text == "hi"
        assert done(conversation)[0].text == "Hello."
        assert done(conversation)[0].response_latency_s is None


async def test_typed_text_joins_the_spoken_turn() -> None:
    model = ScriptedModel([["Early."], ["Both."]])
    async with conversing(model) as conversation:
        await conversation.hear(loud(0.5))
        conversation.session.submit_text("in French")
        await conversation.hear(quiet(1.0))
        message = model.requests[0][-1]
        assert message.text == "in French"
        assert len(message.clips) == 1
        await conversation.hear(loud(0.5), quiet(0.3))
        conversation.session.submit_text("and now")
        await conversation.session.settled()
        assert done(conversation)[-1].text == "Both."
        assert len(conversation.of("response.retracted")) == 1


async def test_typing_over_an_answer_interrupts_it() -> None:
    gate = asyncio.Semaphore(1)
    model = ScriptedModel([["Long ", "answer."], ["New."]], gate=gate)
    async with conversing(model) as conversation:
        conversation.session.submit_text("first")
        await conversation.until("response.output_text.delta")
        conversation.session.submit_text("second")
        await conversation.until("response.done")
        gate.release()
        await conversation.until("response.done", 2)
        assert [event.text for event in done(conversation)] == ["Long ", "New."]


async def test_cancel_keeps_what_was_said_and_is_harmless_otherwise() -> None:
    gate = asyncio.Semaphore(1)
    model = ScriptedModel([["Long ", "answer."]], gate=gate)
    async with conversing(model) as conversation:
        conversation.session.cancel()
        conversation.session.submit_text("first")
        await conversation.until("response.output_text.delta")
        conversation.session.cancel()
        await conversation.until("response.done")
        assert done(conversation)[0].status == "cancelled"
        await conversation.hear(loud(0.5), quiet(0.3), wait=False)
        await conversation.until("response.created", 2)
        conversation.session.cancel()
        await conversation.until("response.retracted")
        await conversation.until("conversation.item.created", 3)
        assert added(conversation, "user")[-1].audio_s > 0.5, "a cancelled answer loses no turn"


async def test_a_new_conversation_forgets() -> None:
    model = ScriptedModel([["One."], ["Two."]])
    async with conversing(model) as conversation:
        conversation.session.submit_text("first")
        await conversation.session.settled()
        conversation.session.clear()
        conversation.session.submit_text("second")
        await conversation.session.settled()
        assert texts(model.requests[1])[1:] == ["second"]
        assert "conversation.cleared" in conversation.types()


@pytest.mark.parametrize("moment", ["listening", "speaking", "paused", "responding", "interrupted"])
async def test_clearing_and_leaving_at_any_moment(moment: str) -> None:
    gate = asyncio.Semaphore(0)
    pieces: dict[str, list[Samples]] = {
        "listening": [quiet(0.5)],
        "speaking": [loud(0.5)],
        "paused": [loud(0.5), quiet(0.3)],
        "responding": [loud(0.5), quiet(1.0)],
        "interrupted": [loud(0.5), quiet(1.0), loud(0.16)],
    }
    model = ScriptedModel([["never"]], gate=gate)
    async with conversing(model) as conversation:
        await conversation.hear(*pieces[moment], wait=False)
        conversation.session.clear()
        await conversation.until("conversation.cleared")
        await conversation.hear(quiet(1.0), *pieces[moment], wait=False)
        await conversation.session_caught_up()
    assert model.forgotten == [conversation.session.id]
    assert model.cancelled == {"listening": 0, "speaking": 0, "paused": 2, "responding": 2, "interrupted": 2}[moment]


async def test_a_model_that_fails_is_reported_and_the_session_goes_on() -> None:
    model = ScriptedModel([["Well, ", GenerationFailed("out of memory; ask for less")], ["Fine."]])
    async with conversing(model) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0))
        assert done(conversation)[0].status == "failed"
        assert "out of memory" in conversation.of("error")[0].message
        conversation.session.submit_text("again")
        await conversation.session.settled()
        assert done(conversation)[1].text == "Fine."
        assert conversation.session.metrics.failed == 1


async def test_an_error_that_was_not_translated_ends_only_the_answer() -> None:
    model = ScriptedModel([["Well, ", RuntimeError("a bug")]])
    async with conversing(model) as conversation:
        conversation.session.submit_text("go")
        await conversation.session.settled()
        assert done(conversation)[0].status == "failed"
        assert done(conversation)[0].text == "Well, "


async def test_noise_without_words_is_no_turn() -> None:
    model = ScriptedModel([["I did not catch that."]], transcripts=[""])
    async with conversing(model) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0))
        assert added(conversation, "user") == []
        assert done(conversation) == []
        assert conversation.types()[-1] == "input_audio_buffer.cleared"
        assert conversation.of("input_audio_buffer.cleared")[0].reason == "no_words"


@pytest.mark.parametrize("when", ["detection is switched off", "it is stopped"])
async def test_a_pause_without_words_leaves_no_empty_turn(when: str) -> None:
    model = ScriptedModel([["never"]], transcripts=[""], gate=asyncio.Semaphore(0))
    async with conversing(model) as conversation:
        await conversation.hear(loud(0.5), quiet(0.3), wait=False)
        await conversation.session_caught_up()  # the words have come, and there are none
        if when == "it is stopped":
            conversation.session.cancel()
        else:
            conversation.session.change_settings(turn_detection=False)
        await conversation.until("input_audio_buffer.cleared")
        assert added(conversation, "user") == []
        conversation.session.submit_text("hello")
        await conversation.until("response.created", 2)
        await conversation.session_caught_up()
        assert [message.text for message in model.requests[1] if message.role == "user"] == ["hello"]


async def test_a_message_that_leaves_the_conversation_is_announced() -> None:
    model = ScriptedModel([["never"]], transcripts=[""])
    async with conversing(model) as conversation:
        conversation.session.press_to_talk()
        await conversation.hear(loud(0.5))
        conversation.session.release_to_talk()
        await conversation.until("conversation.item.deleted")
        (turn,) = added(conversation, "user")
        assert conversation.of("conversation.item.deleted")[0].item_id == turn.item_id


async def test_the_client_is_told_who_has_the_floor() -> None:
    async with conversing(ScriptedModel([["Yes."]], gate=asyncio.Semaphore(0))) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0), loud(0.16), quiet(0.3), wait=False)
        conversation.session.cancel()
        conversation.session.press_to_talk()
        conversation.session.release_to_talk()
        await conversation.until("floor.changed", 8)
        assert [event.state for event in conversation.of("floor.changed")] == [
            "user_speaking",
            "paused",
            "responding",
            "interrupted",
            "responding",
            "listening",
            "key_held",
            "listening",
        ]


async def test_why_a_session_ends_is_the_last_thing_it_says() -> None:
    async with conversing(ScriptedModel([["Long ", "answer."]], gate=asyncio.Semaphore(1))) as conversation:
        conversation.session.submit_text("hello")
        await conversation.until("response.output_text.delta")
        conversation.session.close("the server is going down")
        await conversation.until("session.ended")
        assert conversation.types()[-1] == "session.ended"
        assert done(conversation)[0].text == "Long "


async def test_a_turn_without_a_pause_is_kept_in_parts() -> None:
    model = ScriptedModel([["Finally."]])
    async with conversing(model) as conversation:
        await conversation.hear(loud(10.0), quiet(1.0))
        parts = added(conversation, "user")
        assert len(parts) == 3
        assert sum(part.audio_s for part in parts) == pytest.approx(10.06, abs=0.1), "nothing is lost or doubled"
        assert len(done(conversation)) == 1


@pytest.mark.parametrize("text", ["", "   \n", "x" * (MAX_TEXT_CHARACTERS + 1)])
async def test_empty_and_endless_text_are_refused(text: str) -> None:
    async with conversing(ScriptedModel([["Hello."]])) as conversation:
        conversation.session.submit_text(text)
        await conversation.until("error")
        assert done(conversation) == []


async def test_gaps_become_silence_and_repeats_are_ignored() -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        await conversation.hear(loud(0.5))
        await conversation.skip(SAMPLE_RATE_HZ)
        await conversation.hear(quiet(0.1))
        assert len(done(conversation)) == 1, "the lost second counts as the silence that ends the turn"
        await conversation.skip(-1600)
        await conversation.hear(quiet(0.5))
        report = conversation.session.metrics.report()
        assert (report.gap_samples, report.repeated_samples) == (SAMPLE_RATE_HZ, 1600)


@pytest.mark.parametrize("chunk_samples", [43, 512, 48_000])
async def test_audio_beyond_20_s_is_dropped_and_counted(chunk_samples: int) -> None:
    session = Session(ScriptedModel([["Hello."]]), OPTIONS)
    n_chunks = 25 * SAMPLE_RATE_HZ // chunk_samples
    for index in range(n_chunks):
        session.push_audio(AudioChunk(np.zeros(chunk_samples, np.float32), index * chunk_samples))
    n_kept = 20 * SAMPLE_RATE_HZ // chunk_samples
    assert session.metrics.dropped_samples == (n_chunks - n_kept) * chunk_samples
    running = asyncio.create_task(session.run())
    async for event in session.events():
        if isinstance(event, ErrorReported):
            lost_s = (n_chunks - n_kept) * chunk_samples / SAMPLE_RATE_HZ
            assert event.message.startswith(f"{lost_s:.1f} s of audio were lost")
            session.close()
    await running


async def test_a_client_that_reads_nothing_is_closed() -> None:
    gate = asyncio.Semaphore(MAX_UNREAD_EVENTS + 10)
    options = SessionOptions(generation=OPTIONS.generation.__class__(max_new_tokens=MAX_UNREAD_EVENTS + 10))
    session = Session(ScriptedModel([["x"] * (MAX_UNREAD_EVENTS + 5)], gate=gate), options)
    session.submit_text("go on for ever")
    await asyncio.wait_for(session.run(), 20)


async def test_a_client_that_reads_nothing_is_closed_whatever_is_under_way() -> None:
    session = Session(ScriptedModel([["Yes."]]), OPTIONS)
    running = asyncio.create_task(session.run())
    for number in range(MAX_UNREAD_EVENTS - 1):
        session.request_metrics()
        if number % MAX_WAITING_COMMANDS == 0:
            await session.settled()
    await session.settled()
    session.submit_text("and now?")
    await asyncio.wait_for(running, 20)
    await asyncio.wait_for(session.settled(), 20)


async def test_a_session_that_is_ended_takes_back_what_was_provisional() -> None:
    model = ScriptedModel([["Perhaps ", "this."]], gate=asyncio.Semaphore(1))
    session = Session(model, OPTIONS, make_detector=lambda _: loudness_detector(OPTIONS.vad))
    conversation, running = Conversation(session), asyncio.create_task(session.run())
    await conversation.hear(loud(0.5), quiet(0.3), wait=False)
    await conversation.session_caught_up()
    running.cancel()
    await conversation.collect()
    assert conversation.types()[-3:] == [
        "response.output_text.delta",
        "response.retracted",
        "input_audio_buffer.cleared",
    ]


class ShortOfMemory(ScriptedModel):
    """Takes prompts of a few characters only."""

    room = 80

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        length = sum(len(message.text) for message in messages)
        if length > self.room:
            raise PromptTooLong(length, self.room)
        async for event in super().generate(messages, options, dialogue=dialogue):
            yield event


async def test_a_message_that_does_not_fit_is_refused_and_forgotten() -> None:
    async with conversing(ShortOfMemory([["Yes."]]), NO_PROMPT) as conversation:
        for text in ("x" * 200, "and now?"):
            conversation.session.submit_text(text)
            await conversation.session.settled()
        assert [event.status for event in done(conversation)] == ["failed", "completed"]


@pytest.mark.parametrize("spoken", [False, True])
async def test_where_the_conversation_leaves_no_room_for_a_question_it_is_cut(spoken: bool) -> None:
    model = ShortOfMemory([["x" * 60], ["Yes."]])
    async with conversing(model, NO_PROMPT) as conversation:
        conversation.session.submit_text("first")
        await conversation.session.settled()
        if spoken:
            model.room = 60
            await conversation.hear(loud(0.5), quiet(1.0))
        else:
            conversation.session.submit_text("y" * 20)
            await conversation.session.settled()
        assert [event.status for event in done(conversation)] == ["completed", "completed"]
        assert "first" not in texts(model.requests[-1])
        assert conversation.of("error") == []


async def test_the_window_is_cut_after_answers_that_were_stopped_too() -> None:
    options = SessionOptions(conversation=ConversationOptions(max_tokens=200))
    gate = asyncio.Semaphore(0)
    async with conversing(ScriptedModel([["word " * 20, "more"]], gate=gate), options) as conversation:
        for number in range(1, 9):
            conversation.session.submit_text(f"question {number}")
            gate.release()
            await conversation.until("response.output_text.delta", number)
            conversation.session.cancel()
            await conversation.until("response.done", number)
        windows = [event for event in conversation.events if isinstance(event, ConversationWindow)]
        assert max(window.tokens for window in windows) < 250


async def test_half_characters_are_replaced() -> None:
    model = ScriptedModel([["Yes."]])
    async with conversing(model) as conversation:
        conversation.session.submit_text("smile \ud83d and \ud83d\ude00")
        await conversation.session.settled()
        assert model.requests[0][-1].text == "smile \ufffd and 😀"


async def test_the_window_is_cut_after_an_answer_and_prefilled_again() -> None:
    options = SessionOptions(conversation=ConversationOptions(system_prompt="Be brief.", max_tokens=5, summarise=False))
    model = ScriptedModel([["word " * 100]])
    async with conversing(model, options) as conversation:
        for text in ("first", "second", "third"):
            conversation.session.submit_text(text)
            await conversation.session.settled()
        assert len(model.prefilled) > 1
        assert "first" not in texts(model.requests[2])
        assert model.requests[2][0].text == "Be brief."


@given(st.lists(st.tuples(st.booleans(), st.floats(0.1, 1.5)), min_size=1, max_size=6), st.integers(1, 5000))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_chunking_changes_nothing(pieces: list[tuple[bool, float]], chunk_samples: int) -> None:
    audio = [loud(seconds) if is_loud else quiet(seconds) for is_loud, seconds in pieces] + [quiet(1.0)]
    said = []
    for size in (512, chunk_samples):
        async with conversing(ScriptedModel([["Yes."]])) as conversation:
            await conversation.hear(*audio, chunk_samples=max(size, 64))
            said.append([event.audio_s for event in added(conversation, "user")])
    assert said[0] == said[1]
