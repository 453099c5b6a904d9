"""Answers are read aloud while they are written, stop when somebody speaks, and count as far as they were heard."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import GenerationFailed
from models.scripted import ScriptedModel, ScriptedVoice
from models.types import VOICE_RATE_HZ
from realtime.events import ErrorReported, MessageAdded, ResponseDone, SessionCreated, SessionUpdated
from realtime.recordings.recorder import SessionRecorder
from realtime.recordings.replay import read_recording, replay
from realtime.session import SessionOptions
from realtime.speaking import SpeakingOptions
from realtime.turns.observations import DEFAULT_SPEAKER
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, loudness_detector, quiet

SPOKEN = replace(OPTIONS, speaking=SpeakingOptions(spoken=True))
ANSWER = ["One ", "two ", "three. ", "Four ", "five ", "six ", "seven."]  # 1.4 s of tones
AUDIO_EVENTS = ("output_audio_buffer.started", "output_audio_buffer.cleared", "output_audio_buffer.stopped")


def model(*answers: Sequence[str], sounds: Sequence[str] = ()) -> ScriptedModel:
    return ScriptedModel(answers or [ANSWER, ["Yes."]], sounds=sounds)


def done(conversation: Conversation, number: int = 0) -> ResponseDone:
    event = conversation.of("response.done")[number]
    assert isinstance(event, ResponseDone)
    return event


def answers_kept(conversation: Conversation) -> list[tuple[str, bool]]:
    added = [event for event in conversation.of("conversation.item.created") if isinstance(event, MessageAdded)]
    return [(event.text, event.interrupted) for event in added if event.role == "assistant"]


def seconds_played(conversation: Conversation) -> float:
    return sum(map(len, conversation.played)) / VOICE_RATE_HZ


async def test_an_answer_is_read_aloud_to_its_end() -> None:
    voice = ScriptedVoice()
    async with conversing(model(), SPOKEN, voice=voice) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0))
        assert not conversation.of("response.done"), "it is still being heard"
        await conversation.hear(quiet(1.5))
        assert done(conversation).text == "".join(ANSWER)
        assert answers_kept(conversation) == [("".join(ANSWER), False)]
    assert [text for text, _ in voice.asked] == ["One two three.", " Four five six seven."]
    assert abs(seconds_played(conversation) - 7 * 0.2) < 0.01
    types = conversation.types()
    assert [name for name in types if name in AUDIO_EVENTS] == [AUDIO_EVENTS[0], AUDIO_EVENTS[2]]
    assert types.index("output_audio_buffer.stopped") < types.index("response.done")
    timing = done(conversation).timing
    assert timing is not None and timing.first_audio_s is not None and timing.first_token_s is not None
    assert timing.first_audio_s >= timing.first_token_s


async def test_nothing_is_played_before_the_turn_has_ended_but_the_first_phrase_is_read() -> None:
    voice = ScriptedVoice()
    async with conversing(model(), SPOKEN, voice=voice) as conversation:
        await conversation.hear(loud(0.5), quiet(0.3))
        assert [text for text, _ in voice.asked] == ["One two three."]
        await conversation.hear(loud(0.3))
        assert len(conversation.of("response.retracted")) == 1
        assert seconds_played(conversation) == 0


async def test_who_speaks_over_the_sound_stops_it_at_once_and_what_was_heard_is_kept() -> None:
    async with conversing(model(), SPOKEN, voice=ScriptedVoice()) as conversation:
        await conversation.hear(loud(0.5), quiet(1.1))  # the answer begins to be heard after 0.6 s of silence
        await conversation.hear(loud(0.1))
        before_s = seconds_played(conversation)
        await conversation.hear(loud(0.5))
        assert seconds_played(conversation) == before_s
        assert done(conversation).status == "cancelled"
        text, interrupted = answers_kept(conversation)[0]
        assert (text, interrupted) == ("One two", True)
        assert "output_audio_buffer.cleared" in conversation.types()
        await conversation.hear(quiet(1.5))
        assert done(conversation, 1).text == "Yes."


async def test_speech_after_the_last_word_was_written_still_interrupts_the_sound() -> None:
    async with conversing(model(), SPOKEN, voice=ScriptedVoice(word_s=1.0)) as conversation:
        await conversation.hear(loud(0.5), quiet(2.9))
        await conversation.hear(loud(0.5))
        assert answers_kept(conversation) == [("One two", True)]


async def test_after_an_mm_hm_the_sound_goes_on_where_it_stopped() -> None:
    spoken = model(sounds=["mm-hm"])
    async with conversing(spoken, SPOKEN, voice=ScriptedVoice()) as conversation:
        await conversation.hear(loud(0.5), quiet(1.1), loud(0.4), quiet(3.0))
        assert answers_kept(conversation) == [("".join(ANSWER), False)]
        assert len(spoken.requests) == 1, "what was written already is not written again"
    types = [name for name in conversation.types() if name in AUDIO_EVENTS]
    assert types == [AUDIO_EVENTS[0], AUDIO_EVENTS[1], AUDIO_EVENTS[0], AUDIO_EVENTS[2]]
    assert 1.4 < seconds_played(conversation) < 1.4 + 0.2 + 0.4, "a word and what was sent ahead are sent again"


@pytest.mark.parametrize("pause_s", [1.1, 1.12, 1.14])
async def test_sound_that_was_played_just_before_a_pause_does_not_begin_again_in_it(pause_s: float) -> None:
    spoken = model(sounds=["mm-hm"])
    async with conversing(spoken, SPOKEN, voice=ScriptedVoice()) as conversation:
        await conversation.hear(loud(0.5), quiet(pause_s), loud(0.4), quiet(3.0))
    types = [name for name in conversation.types() if name in (*AUDIO_EVENTS, "response.resumed")]
    assert types == [AUDIO_EVENTS[0], AUDIO_EVENTS[1], "response.resumed", AUDIO_EVENTS[0], AUDIO_EVENTS[2]]


async def test_an_answer_that_pauses_while_it_is_written_goes_on_with_all_that_was_written() -> None:
    gate = asyncio.Semaphore(4)
    spoken = ScriptedModel([ANSWER, ANSWER[4:]], sounds=["mm-hm"], gate=gate)
    async with conversing(spoken, SPOKEN, voice=ScriptedVoice()) as conversation:
        await conversation.hear(loud(0.5), quiet(1.1), loud(0.2), quiet(0.6), wait=False)
        await conversation.until("response.resumed")
        for _ in ANSWER:
            gate.release()
        await conversation.hear(quiet(3.0))
        assert spoken.requests[1][-1].text == "One two three. Four "
        assert answers_kept(conversation) == [("".join(ANSWER), False)]


async def test_a_typed_message_ends_the_sound() -> None:
    async with conversing(model(), SPOKEN, voice=ScriptedVoice()) as conversation:
        await conversation.hear(loud(0.5), quiet(1.2))
        conversation.session.submit_text("wait")
        await conversation.hear(quiet(1.0))
        assert answers_kept(conversation) == [("One two", True), ("Yes.", False)]


async def test_the_sound_is_switched_on_and_off_by_the_user() -> None:
    voice = ScriptedVoice()
    async with conversing(model(ANSWER), voice=voice) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0))
        assert (voice.asked, done(conversation).status) == ([], "completed")
        conversation.session.change_settings(spoken=True, voice="other")
        await conversation.hear(loud(0.5), quiet(1.1))
        assert voice.asked[0] == ("One two three.", "other")
        assert len(conversation.of("response.done")) == 1
        conversation.session.change_settings(spoken=False)
        await conversation.hear(quiet(0.1))
        assert done(conversation, 1).text == "".join(ANSWER), "the rest has been read by the eye"
        assert done(conversation, 1).status == "completed"
    updates = [event for event in conversation.of("session.updated") if isinstance(event, SessionUpdated)]
    assert [(event.spoken, event.voice) for event in updates] == [(True, "other"), (False, "other")]


async def test_there_is_no_sound_without_a_voice_and_no_voice_of_another_name() -> None:
    async with conversing(model(), SPOKEN) as conversation:
        conversation.session.change_settings(spoken=True)
        await conversation.hear(loud(0.5), quiet(1.0))
        assert done(conversation).status == "completed"
    async with conversing(model(), voice=ScriptedVoice()) as other:
        other.session.change_settings(voice="nobody")
        await other.session.settled()
    messages = [
        event.message
        for talk in (conversation, other)
        for event in talk.of("error")
        if isinstance(event, ErrorReported)
    ]
    assert "start the server with --voice" in messages[0]
    assert "there is no voice 'nobody' here; there are: tone, other" in messages[1]
    created = other.of("session.created")[0]
    assert isinstance(created, SessionCreated)
    assert [voice.name for voice in created.voices] == ["tone", "other"]


async def test_a_voice_that_fails_leaves_the_answer_to_be_read() -> None:
    voice = ScriptedVoice(failures=[None, GenerationFailed("out of memory")])
    async with conversing(model(ANSWER), SPOKEN, voice=voice) as conversation:
        await conversation.hear(loud(0.5), quiet(1.5))
        assert done(conversation).text == "".join(ANSWER)
        error = conversation.of("error")[0]
        assert isinstance(error, ErrorReported)
        assert error.message == "the rest of the answer is not read aloud: out of memory"
        await conversation.hear(loud(0.5), quiet(2.5))
        assert done(conversation, 1).status == "completed"
    assert len(voice.asked) == 4, "the next answer is read again"


async def test_an_answer_without_words_is_over_at_once() -> None:
    async with conversing(model(["😀"]), SPOKEN, voice=ScriptedVoice()) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0))
        assert (done(conversation).text, done(conversation).status) == ("😀", "completed")


async def test_of_a_long_answer_only_some_seconds_are_read_ahead() -> None:
    voice = ScriptedVoice(word_s=1.0)
    sentences = [f"This is number {number}. " for number in range(20)]
    async with conversing(model(sentences), SPOKEN, voice=voice) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0))
        assert len(voice.asked) <= 4
        conversation.session.cancel()


async def test_a_session_that_ends_stops_the_sound() -> None:
    gate = asyncio.Semaphore(0)
    async with conversing(model(), SPOKEN, voice=ScriptedVoice(gate=gate)) as conversation:
        await conversation.hear(loud(0.5), quiet(0.7), wait=False)
        await conversation.session_caught_up()
    assert not len(conversation.session.playout.take(99.0))


async def test_everything_about_sound_replays_to_the_byte(tmp_path: Path) -> None:
    voice = ScriptedVoice(failures=[None, None, None, GenerationFailed("out of memory")])
    recorder = SessionRecorder(tmp_path / "one")
    async with conversing(model(ANSWER, sounds=["wait"]), SPOKEN, voice=voice, taps=[recorder]) as conversation:
        await conversation.hear(loud(0.5), quiet(1.1), loud(0.2), quiet(1.0), loud(0.5), quiet(2.5))
        conversation.session.change_settings(spoken=False, voice="other")
        await conversation.hear(loud(0.5), quiet(1.0))
    types = set(conversation.types())
    assert {"error", "response.resumed", "output_audio_buffer.cleared", "session.updated"} <= types
    played = await replay(read_recording(tmp_path / "one"), detectors={DEFAULT_SPEAKER: loudness_detector(OPTIONS.vad)})
    assert played.difference is None
    assert isinstance(played.recording.options, SessionOptions)
    assert [voice.name for voice in played.recording.voices] == ["tone", "other"]
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nothing is read any more"
