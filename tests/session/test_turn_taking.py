"""Who has the floor, beyond plain turns: scores, backchannels, protection, push-to-talk, mute, load, long turns."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from app import default_cache_dir
from models.errors import GenerationFailed
from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, GenerationOptions, Message, Samples, Transcript, Word
from realtime.conversation import ConversationOptions
from realtime.events import ConversationWindow, MessageAdded, ResponseDone, SessionMetricsReported, SessionUpdated
from realtime.load import AnswerLoad
from realtime.session import SessionOptions
from realtime.turns.end_of_turn import EndOfTurn
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.smart_turn import SmartTurn, find_smart_turn
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, quiet, texts

LONG_ANSWER = [f"{number} " for number in range(100)]


def answers(conversation: Conversation) -> list[tuple[str, str]]:
    return [(event.status, event.text) for event in conversation.events if isinstance(event, ResponseDone)]


def turns(conversation: Conversation) -> list[MessageAdded]:
    return [event for event in conversation.events if isinstance(event, MessageAdded) and event.role == "user"]


class Scorer:
    """Gives scripted scores, and remembers for how much audio."""

    def __init__(self, *scores: float | Exception) -> None:
        self._scores = list(scores)
        self.asked: list[Samples] = []

    def score(self, samples: Samples) -> float:
        self.asked.append(samples)
        score = self._scores[min(len(self.asked), len(self._scores)) - 1]
        if isinstance(score, Exception):
            raise score
        return score


# ---- End of turn ----


async def test_a_pause_is_scored_on_the_turn_so_far() -> None:
    scorer = Scorer(0.2, 0.9)
    async with conversing(ScriptedModel([["Yes."]]), scorer=scorer) as conversation:
        await conversation.hear(quiet(0.5), loud(1.0), quiet(0.4), loud(1.0), quiet(1.0))
        first, second = scorer.asked
        assert len(first) / SAMPLE_RATE_HZ == pytest.approx(0.3 + 1.0 + 0.06, abs=0.03)
        assert np.array_equal(second[: len(first)], first), "the turn begins where it began"
        assert len(answers(conversation)) == 1
        assert conversation.session.metrics.scorer_failures == 0


@pytest.mark.parametrize("failure", [RuntimeError("broken"), float("nan"), 1.5])
async def test_where_a_pause_cannot_be_scored_silence_decides(failure: float | Exception) -> None:
    async with conversing(ScriptedModel([["Yes."]]), scorer=Scorer(failure)) as conversation:
        await conversation.hear(loud(1.0), quiet(1.0))
        assert answers(conversation) == [("completed", "Yes.")]
        assert conversation.session.metrics.scorer_failures == 1


async def test_a_score_nobody_waits_for_any_more_is_dropped() -> None:
    options = replace(OPTIONS, endpointing=EndpointingOptions(score_at_s=0.1))
    async with conversing(ScriptedModel([["Yes."]]), options, scorer=Scorer(RuntimeError("late"))) as conversation:
        await conversation.hear(loud(0.5), quiet(0.2), loud(0.5))
        conversation.session.clear()
        await conversation.hear(quiet(1.0))
        assert conversation.session.metrics.scorer_failures == 0


def model_with_ears(*heard: str | Transcript | Exception) -> ScriptedModel:
    """Whatever answers, ears beside it write down what was said so far."""
    model = ScriptedModel([["Yes."]], sounds=heard, languages=("en",))
    model.has_ears = True
    return model


@pytest.mark.parametrize(
    ("heard", "answered_within_s"),
    [
        ("Thank you.", 0.4),
        ("What is the capital of France?", 0.5),
        (Transcript("", is_foreign=True), 0.7),
        (GenerationFailed("deaf"), 0.7),
        ("What is the capital of", None),
        ("My number is 555", None),
        ("Uh,", None),
    ],
)
async def test_words_make_the_wait_longer_or_shorter(
    heard: str | Transcript | Exception, answered_within_s: float | None
) -> None:
    async with conversing(model_with_ears(heard), scorer=Scorer(0.5)) as conversation:
        await conversation.hear(loud(1.0), quiet(answered_within_s or 1.0))
        assert bool(answers(conversation)) == (answered_within_s is not None)
        await conversation.hear(quiet(2.1))
        assert len(answers(conversation)) == 1, "nobody is waited for in vain"


async def test_words_of_ears_that_may_have_written_another_language_are_not_judged() -> None:
    model = ScriptedModel([["Ja."]], sounds=["Schalte das Licht an."], languages=("de", "en"))
    model.has_ears = True
    async with conversing(model, scorer=Scorer(0.9)) as conversation:
        await conversation.hear(loud(1.0), quiet(0.5))
        assert answers(conversation) == [("completed", "Ja.")]


async def test_who_says_hold_on_has_the_floor_until_more_is_said() -> None:
    model, scorer = model_with_ears("Hold on.", "Hold on. It is red."), Scorer(0.9)
    async with conversing(model, SessionOptions(), scorer=scorer) as conversation:
        conversation.session.change_settings(captions=False)  # only pauses are written down
        await conversation.hear(loud(1.0), quiet(8.0))
        assert not answers(conversation)
        await conversation.hear(loud(1.0), quiet(1.5))
        assert len(answers(conversation)) == 1
        assert len(turns(conversation)) == 1


async def test_who_says_hold_on_and_leaves_is_answered_in_the_end() -> None:
    async with conversing(model_with_ears("Hold on."), scorer=Scorer(0.9)) as conversation:
        await conversation.hear(loud(1.0), quiet(10.5))
        assert len(answers(conversation)) == 1


async def test_a_few_words_are_an_answer_where_the_assistant_has_asked() -> None:
    waits = []
    for answer in ("Where do you live?", "I see."):
        model = ScriptedModel([[answer]], sounds=["In Berlin."], languages=("en",))
        model.has_ears = True
        async with conversing(model, scorer=Scorer(0.5)) as conversation:
            await conversation.hear(loud(1.0), quiet(3.0), loud(1.0), quiet(3.0))
            waits.append(conversation.session.metrics.recent_waits_s[-1])
    assert waits[0] < waits[1]


async def test_waits_are_measured_on_the_sample_clock() -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        for _ in range(2):
            await conversation.hear(loud(0.5), quiet(2.0))
        metrics = conversation.session.metrics
        assert metrics.n_waits == 2
        assert metrics.mean_wait_s == pytest.approx(0.608)  # 0.6 s, in whole frames of 32 ms


async def test_a_speaker_who_goes_on_within_a_second_was_cut_in_on() -> None:
    async with conversing(ScriptedModel([LONG_ANSWER], gate=asyncio.Semaphore(1))) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0), loud(0.5), quiet(1.0), wait=False)
        await conversation.until("response.committed", 2)
        assert conversation.session.metrics.cut_ins == 1
        await conversation.hear(quiet(2.0), loud(0.5), quiet(2.0), wait=False)
        await conversation.until("response.committed", 3)
        assert conversation.session.metrics.cut_ins == 1, "a later interruption is none"


# ---- Sounds over an answer ----


@pytest.mark.parametrize(
    ("words", "goes_on"), [("Mm-hmm.", True), ("", True), ("Stop.", False), ("Wait, what?", False), ("No.", False)]
)
async def test_a_short_utterance_over_an_answer_is_judged_by_its_words(words: str, goes_on: bool) -> None:
    gate = asyncio.Semaphore(2)
    model = ScriptedModel([LONG_ANSWER, ["New answer."]], transcripts=["Count.", words], sounds=[words], gate=gate)
    async with conversing(model) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0), wait=False)
        await conversation.until("response.output_text.delta", 2)
        await conversation.hear(loud(0.5), quiet(0.25), wait=False)
        await conversation.until("response.resumed" if goes_on else "response.done")
        assert answers(conversation) == ([] if goes_on else [("cancelled", "0 1 ")])
        metrics = conversation.session.metrics
        assert (metrics.false_interruptions, metrics.interrupted) == ((1, 0) if goes_on else (0, 1))
        assert texts(model.requests[1])[-1 if goes_on else -2] == "0 1 ", "the model knows what it had said"
        assert [round(clip.duration_s, 1) for clip in model.asked] == [1.0], "0.3 s before the onset and 0.2 s after it"
        if not goes_on:
            await conversation.until("response.created", 2)
            assert turns(conversation) == turns(conversation)[:1], "not committed before the silence"


@pytest.mark.parametrize(
    ("score", "goes_on"), [(0.99, True), (0.01, False), (ValueError("deaf"), False), (float("nan"), False)]
)
async def test_without_ears_a_short_utterance_is_judged_by_how_it_sounds(
    score: float | Exception, goes_on: bool
) -> None:
    gate, scorer = asyncio.Semaphore(2), Scorer(score)
    model = ScriptedModel([LONG_ANSWER, ["New answer."]], gate=gate)
    async with conversing(model, sound_scorer=scorer) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0), wait=False)
        await conversation.until("response.output_text.delta", 2)
        await conversation.hear(loud(0.5), quiet(0.25), wait=False)
        await conversation.until("response.resumed" if goes_on else "response.done")
        assert answers(conversation) == ([] if goes_on else [("cancelled", "0 1 ")])
        assert [round(len(asked) / SAMPLE_RATE_HZ, 1) for asked in scorer.asked] == [1.0]


@pytest.mark.parametrize(
    ("sound", "score", "goes_on"),
    [
        (Transcript("A memo.", (Word("A", 0.3, 0.4, 0.9), Word("memo.", 0.4, 0.8, 0.4))), 0.99, True),
        (Transcript("Louder.", (Word("Louder.", 0.3, 0.8, 0.4),)), 0.001, False),
        (Transcript("Stop."), 0.99, False),
        (Transcript("", is_foreign=True), 0.99, False),
        (ValueError("deaf"), 0.99, True),
    ],
)
async def test_where_words_are_in_doubt_how_it_sounds_decides(
    sound: Transcript | Exception, score: float, goes_on: bool
) -> None:
    gate = asyncio.Semaphore(2)
    model = ScriptedModel([LONG_ANSWER, ["New answer."]], sounds=[sound], gate=gate)
    async with conversing(model, sound_scorer=Scorer(score)) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0), wait=False)
        await conversation.until("response.output_text.delta", 2)
        await conversation.hear(loud(0.5), quiet(0.25), wait=False)
        await conversation.until("response.resumed" if goes_on else "response.done")
        assert answers(conversation) == ([] if goes_on else [("cancelled", "0 1 ")])


async def test_an_answer_that_goes_on_stays_within_its_longest_length() -> None:
    gate = asyncio.Semaphore(3)
    options = replace(OPTIONS, generation=GenerationOptions(max_new_tokens=8))
    async with conversing(ScriptedModel([LONG_ANSWER], gate=gate), options) as conversation:
        conversation.session.submit_text("count")
        await conversation.until("response.output_text.delta", 3)
        await conversation.hear(loud(0.15), quiet(0.5), wait=False)
        await conversation.until("response.resumed")
        for _ in range(20):
            gate.release()
        await conversation.until("response.done")
        assert len(answers(conversation)[0][1].split()) == 8


async def test_a_long_utterance_over_an_answer_needs_no_judging() -> None:
    gate = asyncio.Semaphore(2)
    model = ScriptedModel([LONG_ANSWER], transcripts=["Count.", "Yeah."], gate=gate)
    async with conversing(model) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0), wait=False)
        await conversation.until("response.output_text.delta", 2)
        await conversation.hear(loud(1.0), wait=False)
        await conversation.until("response.done")
        assert answers(conversation) == [("cancelled", "0 1 ")]
        assert len(model.requests) == 1


async def test_speech_that_goes_on_while_it_is_judged_is_a_turn() -> None:
    gate = asyncio.Semaphore(2)
    model = ScriptedModel([LONG_ANSWER], transcripts=["Count."], gate=gate)  # the second utterance is never told
    async with conversing(model) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0), wait=False)
        await conversation.until("response.output_text.delta", 2)
        await conversation.hear(loud(0.5), quiet(0.25), loud(0.5), quiet(1.0), wait=False)
        await conversation.until("response.committed", 2)
        assert turns(conversation)[1].audio_s == pytest.approx(0.3 + 0.5 + 0.25 + 0.5 + 0.06, abs=0.07)


async def test_over_a_protected_answer_speech_becomes_the_next_turn() -> None:
    gate = asyncio.Semaphore(1)
    model = ScriptedModel([["A ", "long ", "answer."], ["Next."]], gate=gate)
    async with conversing(model) as conversation:
        conversation.session.change_settings(protect_answer=True)
        await conversation.hear(loud(0.5), quiet(1.0), wait=False)
        await conversation.until("response.committed")
        await conversation.hear(loud(1.0), quiet(1.0), wait=False)
        await conversation.session_caught_up()
        assert answers(conversation) == []
        for _ in range(3):
            gate.release()
        await conversation.until("response.done")
        await conversation.hear(quiet(0.1), wait=False)
        await conversation.until("response.committed", 2)
        await conversation.until("response.done", 2)
        assert answers(conversation) == [("completed", "A long answer."), ("completed", "Next.")]
        assert texts(model.requests[1])[2] == "A long answer."
        assert turns(conversation)[1].audio_s > 1.0
        settings = [event for event in conversation.events if isinstance(event, SessionUpdated)]
        assert [event.protect_answer for event in settings] == [True, False], "it ends with the answer"


async def test_silence_after_speech_over_a_protected_answer_is_not_kept() -> None:
    gate = asyncio.Semaphore(1)
    async with conversing(ScriptedModel([["One ", "two."], ["Yes."]], gate=gate)) as conversation:
        conversation.session.change_settings(protect_answer=True)
        conversation.session.submit_text("count")
        await conversation.until("response.output_text.delta")
        await conversation.hear(loud(1.0), quiet(20.0), wait=False)
        gate.release()
        gate.release()
        await conversation.until("response.done", 1)
        await conversation.hear(quiet(0.2), wait=False)
        await conversation.until("response.done", 2)
        assert turns(conversation)[1].audio_s < 2.0
        assert conversation.session.metrics.mean_wait_s < 1.0, "while the answer goes on nobody waits"


async def test_speech_under_way_when_a_protected_answer_ends_goes_on_as_a_turn() -> None:
    gate = asyncio.Semaphore(0)
    model = ScriptedModel([["Answer."], ["Next."]], gate=gate)
    async with conversing(model) as conversation:
        conversation.session.change_settings(protect_answer=True)
        await conversation.hear(loud(0.5), quiet(1.0), loud(0.5), wait=False)
        gate.release()
        await conversation.until("response.done")
        gate.release()
        await conversation.hear(loud(0.5), quiet(1.0))
        assert answers(conversation)[1] == ("completed", "Next.")
        assert turns(conversation)[1].audio_s == pytest.approx(0.3 + 1.0 + 0.06, abs=0.07)


async def test_a_cough_over_a_protected_answer_is_forgotten_and_the_stop_button_still_stops() -> None:
    async with conversing(ScriptedModel([LONG_ANSWER], gate=asyncio.Semaphore(1))) as conversation:
        conversation.session.change_settings(protect_answer=True)
        await conversation.hear(loud(0.5), quiet(1.0), loud(0.16), quiet(0.3), wait=False)
        await conversation.until("input_audio_buffer.cleared")
        assert conversation.of("input_audio_buffer.cleared")[0].reason == "no_turn"
        assert conversation.session.metrics.false_interruptions == 0, "it had not stopped"
        conversation.session.cancel()
        await conversation.until("response.done")
        assert answers(conversation)[0][0] == "cancelled"


# ---- Push-to-talk and mute ----


async def test_push_to_talk_takes_exactly_what_was_said_and_answers_at_once() -> None:
    model = ScriptedModel([["Yes."]])
    async with conversing(model) as conversation:
        conversation.session.change_settings(turn_detection=False)
        await conversation.hear(loud(0.5), quiet(1.0))
        assert turns(conversation) == []
        conversation.session.press_to_talk()
        await conversation.hear(np.full(16_000, 0.5, np.float32), quiet(1.5), np.full(100, 0.25, np.float32))
        assert turns(conversation) == [], "a silence ends nothing"
        conversation.session.release_to_talk()
        await conversation.session.settled()
        assert answers(conversation) == [("completed", "Yes.")]
        samples = model.requests[0][-1].clips[0].samples
        assert samples[0] == 0.5
        assert samples[-1] == 0.25
        assert len(samples) == 16_000 + len(quiet(1.5)) + 100


@pytest.mark.parametrize("sound", [np.zeros(0, np.float32), quiet(1.0)])
async def test_a_key_pressed_by_mistake_is_no_turn(sound: Samples) -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        await conversation.hear(quiet(0.5))
        conversation.session.press_to_talk()
        conversation.session.press_to_talk()
        await conversation.hear(sound)
        conversation.session.release_to_talk()
        conversation.session.release_to_talk()
        await conversation.session.settled()
        assert turns(conversation) == []
        assert [event.reason for event in conversation.of("input_audio_buffer.cleared")] == ["no_speech"]
        await conversation.hear(loud(0.5), quiet(1.0))
        assert len(turns(conversation)) == 1, "the detector listens again"


@pytest.mark.parametrize("silence_s", [0.03, 0.1, 0.16, 0.25])
async def test_a_key_pressed_shortly_after_a_word_loses_nothing(silence_s: float) -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        await conversation.hear(loud(1.0), quiet(silence_s))
        conversation.session.press_to_talk()
        await conversation.hear(loud(2.0), quiet(0.1))
        conversation.session.release_to_talk()
        await conversation.session.settled()
        (turn,) = turns(conversation)
        assert turn.audio_s == pytest.approx(3.1 + silence_s, abs=0.1)


async def test_typing_while_the_key_is_down_needs_no_voice() -> None:
    model = ScriptedModel([["Yes."]])
    async with conversing(model) as conversation:
        conversation.session.press_to_talk()
        conversation.session.submit_text("typed")
        conversation.session.release_to_talk()
        await conversation.session.settled()
        assert model.requests[0][-1].parts == ("typed",)


@pytest.mark.parametrize("protect", [False, True])
async def test_pressing_the_key_stops_an_answer(protect: bool) -> None:
    gate = asyncio.Semaphore(1)
    async with conversing(ScriptedModel([LONG_ANSWER, ["Next."]], gate=gate)) as conversation:
        conversation.session.change_settings(protect_answer=protect)
        conversation.session.submit_text("count")
        await conversation.until("response.output_text.delta")
        conversation.session.press_to_talk()
        await conversation.until("response.done")
        await conversation.hear(loud(0.5), wait=False)
        conversation.session.release_to_talk()
        gate.release()
        await conversation.until("response.done", 2)
        assert answers(conversation) == [("cancelled", "0 "), ("completed", "Next.")]


@pytest.mark.parametrize("pieces", [[loud(0.5)], [loud(0.5), quiet(0.3)]])
async def test_switching_detection_off_ends_the_turn_under_way(pieces: list[Samples]) -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        await conversation.hear(*pieces)
        conversation.session.change_settings(turn_detection=False)
        await conversation.session.settled()
        assert answers(conversation) == [("completed", "Yes.")]


async def test_switching_detection_off_during_a_sound_lets_the_answer_go_on() -> None:
    async with conversing(ScriptedModel([LONG_ANSWER], gate=asyncio.Semaphore(0))) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0), loud(0.16), wait=False)
        conversation.session.change_settings(turn_detection=False)
        await conversation.until("response.resumed")


async def test_while_muted_nothing_is_heard_and_the_clock_goes_on() -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        conversation.session.change_settings(muted=True)
        await conversation.hear(loud(0.5), quiet(1.0))
        assert turns(conversation) == []
        conversation.session.change_settings(muted=False)
        await conversation.hear(loud(0.5), quiet(1.0))
        (started,) = conversation.of("input_audio_buffer.speech_started")
        assert started.audio_start_ms == pytest.approx(1500 - 300, abs=70)


async def test_muting_in_the_middle_of_a_sentence_ends_the_turn() -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        await conversation.hear(loud(0.5))
        conversation.session.change_settings(muted=True)
        await conversation.hear(loud(1.0))
        assert turns(conversation)[0].audio_s < 1.0


# ---- Long turns ----


async def test_a_long_turn_is_answered_even_if_its_last_part_has_no_words() -> None:
    model = ScriptedModel([["What a story."]], transcripts=["A very long story.", ""])
    async with conversing(model) as conversation:
        await conversation.hear(loud(4.1), quiet(1.0))
        assert len(turns(conversation)) == 2
        assert answers(conversation) == [("completed", "What a story.")]


# ---- Load ----


async def test_under_load_the_answer_starts_at_the_end_of_the_turn() -> None:
    load = AnswerLoad(speculate_below=1)
    model = ScriptedModel([["Yes."]])
    async with conversing(model, load=load) as conversation:
        with load.share(lambda _: None).answering():
            await conversation.hear(loud(0.5), quiet(0.4), loud(0.5), quiet(1.0))
        assert len(model.requests) == 1
        (created,) = conversation.of("response.created")
        assert not created.provisional
        assert answers(conversation) == [("completed", "Yes.")]
        assert "response.retracted" not in conversation.types()
        assert conversation.session.metrics.speculations_skipped == 2
        done = next(event for event in conversation.events if isinstance(event, ResponseDone))
        assert done.response_latency_s is not None
        await conversation.hear(loud(0.5), quiet(1.0))
        assert conversation.session.metrics.provisional == 1
        assert load.running == 0


async def test_hearing_a_turn_ahead_makes_way_for_its_own_answer() -> None:
    class SlowToHear(ScriptedModel):
        async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
            await asyncio.Event().wait()

    async with conversing(SlowToHear([["Yes."]]), load=AnswerLoad(speculate_below=1)) as conversation:
        await conversation.hear(loud(0.5), quiet(0.3))
        assert conversation.session.metrics.provisional == 1


async def test_a_retracted_answer_no_longer_counts_as_load() -> None:
    load = AnswerLoad()
    async with conversing(ScriptedModel([LONG_ANSWER], gate=asyncio.Semaphore(0)), load=load) as conversation:
        await conversation.hear(loud(0.5), quiet(0.3), wait=False)
        await conversation.until("response.created")
        assert load.running == 1
        await conversation.hear(loud(0.5), wait=False)
        await conversation.until("response.retracted")
        await conversation.session_caught_up()
        assert load.running == 0


@pytest.mark.parametrize("name", ["hesitation", "name_tell"])
async def test_a_speaker_looking_for_words_is_waited_for(name: str, speech: Callable[[str], Samples]) -> None:
    model = ScriptedModel([["Yes."]])
    scorer = EndOfTurn(SmartTurn(find_smart_turn(default_cache_dir())))
    async with conversing(model, SessionOptions(), real_vad=True, scorer=scorer) as conversation:
        await conversation.hear(speech(name), quiet(1.5))
        assert len(conversation.of("response.retracted")) == 1
        assert len(turns(conversation)) == 1


# ---- Long turns and memory ----


async def test_the_finished_windows_of_a_long_turn_are_computed_while_it_goes_on() -> None:
    model = ScriptedModel([["Yes."]], audio_window_s=2.0)
    options = replace(OPTIONS, endpointing=EndpointingOptions(max_turn_s=60))
    async with conversing(model, options) as conversation:
        await conversation.hear(loud(7.0), quiet(1.0))
        windows = [messages[-1] for messages in model.prefilled if messages[-1].role == "user"]
        asked = model.requests[0][-1]
        assert windows.pop() is asked, "the tail was heard before it was known to be the end"
        assert [message.audio_s for message in windows] == [2.0, 4.0, 6.0]
        assert {message.id for message in windows} == {asked.id}
        longest = windows[-1].clips[0].samples
        assert np.array_equal(asked.clips[0].samples[: len(longest)], longest)


async def test_the_turn_is_heard_at_its_first_silent_frames() -> None:
    model = ScriptedModel([["Yes."]])
    async with conversing(model) as conversation:
        await conversation.hear(loud(1.0), quiet(0.1))
        assert not model.requests
        ahead = model.prefilled[-1][-1]
        assert ahead.audio_s == pytest.approx(1.06, abs=0.04)
        await conversation.hear(loud(0.5), quiet(1.0))  # that was no pause
        assert model.requests[0][-1] is model.prefilled[-1][-1]
        assert model.requests[0][-1].audio_s == pytest.approx(1.06 + 0.04 + 0.5 + 0.06, abs=0.08)


async def test_a_busy_process_does_not_hear_ahead() -> None:
    model = ScriptedModel([["Yes."]])
    async with conversing(model, load=AnswerLoad(0)) as conversation:
        await conversation.hear(loud(1.0), quiet(1.0))
        assert answers(conversation) == [("completed", "Yes.")]
        assert all(messages[-1].role == "system" for messages in model.prefilled)


SMALL_WINDOW = SessionOptions(  # a turn of half a second is heard for one: the second is one too many
    conversation=ConversationOptions(system_prompt="Be brief.", max_audio_s=1.3, keep=0.7),
    endpointing=OPTIONS.endpointing,
)
ONE_TURN = (loud(0.5), quiet(1.0))


def has_summary(window: ConversationWindow) -> bool:
    return any(shown.tier == "summary" for shown in window.messages)


async def test_what_leaves_the_window_is_summarised_when_nobody_waits() -> None:
    model = ScriptedModel([["One."], ["Two."], ["They ", "said ", "words."], ["Fine."]])
    async with conversing(model, SMALL_WINDOW) as conversation:
        await conversation.hear(*ONE_TURN, *ONE_TURN)
        await conversation.until_window(has_summary)
        first = turns(conversation)[0].item_id
        assert model.requests[2][0].id == first
        assert texts(model.requests[2])[1] == "One."
        assert "Summarise" in texts(model.requests[2])[-1]
        assert model.forgotten == [f"{conversation.session.id}/summary"]
        conversation.session.submit_text("third")
        await conversation.session.settled()
        assert "They said words." in texts(model.requests[3])[0]
        assert first not in [message.id for message in model.requests[3]]
        assert conversation.session.metrics.summaries == 1


async def test_a_summary_gives_way_to_the_user_and_is_made_later() -> None:
    gate = asyncio.Semaphore(2)
    model = ScriptedModel([["One."], ["Two."], ["never"], ["Fine."], ["They said words."]], gate=gate)
    async with conversing(model, SMALL_WINDOW) as conversation:
        for number in (1, 2):
            await conversation.hear(*ONE_TURN, wait=False)
            await conversation.until("response.done", number)
        await conversation.session_caught_up()
        assert len(model.requests) == 3, "the summary is under way"
        conversation.session.submit_text("third")
        await conversation.until("response.created", 3)
        gate.release()
        gate.release()
        await conversation.until("response.done", 3)
        assert answers(conversation)[2] == ("completed", "Fine.")
        await conversation.until_window(has_summary)
        assert model.cancelled == 1


async def test_a_failed_summary_forgets_as_if_there_were_none() -> None:
    model = ScriptedModel([["One."], ["Two."], [GenerationFailed("out of memory")], ["Fine."]])
    async with conversing(model, SMALL_WINDOW) as conversation:
        await conversation.hear(*ONE_TURN, *ONE_TURN)
        await conversation.session_caught_up()
        conversation.session.submit_text("third")
        await conversation.session.settled()
        assert texts(model.requests[3])[:2] == ["Be brief.", ""]
        assert conversation.session.metrics.summaries == 0
        assert conversation.of("error") == []


# ---- What the client is told ----


async def test_metrics_and_window_come_after_each_answer_and_metrics_on_request() -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        await conversation.hear(loud(0.5), quiet(1.0))
        (window,) = [event for event in conversation.events if isinstance(event, ConversationWindow)]
        assert [(shown.role, shown.tier) for shown in window.messages] == [
            ("system", "text"),
            ("user", "audio"),
            ("assistant", "text"),
        ]
        conversation.session.request_metrics()
        await conversation.until("session.metrics", 2)
        metrics = [event for event in conversation.events if isinstance(event, SessionMetricsReported)][-1]
        assert (metrics.turns, metrics.provisional, metrics.retracted, metrics.regret_rate) == (1, 1, 0, 0.0)
        assert metrics.recent_waits_s == (0.608,)
