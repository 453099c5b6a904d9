"""What a client asks for: names of OpenAI's API mean what they mean there, and no two commands are lost or stuck."""

import asyncio
import itertools
from collections.abc import Callable

import numpy as np
import pytest

from models.scripted import ScriptedModel
from models.types import Samples
from realtime.doors.protocol import MAX_MESSAGE_CHARACTERS
from realtime.events import ErrorReported, MessageAdded, ResponseDone
from realtime.session import Session
from realtime.turns.options import MAX_TEXT_CHARACTERS
from tests.session.conversing import Conversation, conversing, loud, quiet

NOTHING = "there is nothing to answer since the last one; speak or type"


def turns(conversation: Conversation) -> list[MessageAdded]:
    return [event for event in conversation.events if isinstance(event, MessageAdded) and event.role == "user"]


def answers(conversation: Conversation) -> list[tuple[str, str]]:
    return [(event.status, event.text) for event in conversation.events if isinstance(event, ResponseDone)]


def errors(conversation: Conversation) -> list[str]:
    return [event.message for event in conversation.events if isinstance(event, ErrorReported)]


@pytest.mark.parametrize("before_commit", [[loud(1.0)], [loud(1.0), quiet(0.1)], [loud(1.0), quiet(0.3)]])
async def test_commit_ends_the_spoken_turn_and_has_it_answered(before_commit: list[Samples]) -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        await conversation.hear(*before_commit)
        conversation.session.end_turn()
        conversation.session.request_answer()  # as clients of OpenAI's manual mode do; it is on its way already
        await conversation.session.settled()
        assert answers(conversation) == [("completed", "Yes.")]
        assert turns(conversation)[0].audio_s == pytest.approx(1.05, abs=0.1)
        assert not errors(conversation)


async def test_without_detection_commit_takes_what_was_said_since_the_last_turn() -> None:
    model = ScriptedModel([["One."], ["Two."], ["Three."]])
    async with conversing(model) as conversation:
        conversation.session.change_settings(turn_detection=False)
        for said, expected_s in [([quiet(2), loud(1), quiet(2)], 3.3), ([loud(1)], 1.0), ([quiet(1), loud(1)], 1.3)]:
            await conversation.hear(*said)
            conversation.session.end_turn()
            conversation.session.request_answer()
            await conversation.session.settled()
            assert turns(conversation)[-1].audio_s == pytest.approx(expected_s, abs=0.1), "and 0.3 s before it"
        assert answers(conversation) == [("completed", "One."), ("completed", "Two."), ("completed", "Three.")]
        assert not errors(conversation)


async def test_without_detection_commit_takes_no_more_than_the_longest_turn() -> None:
    model = ScriptedModel([["Yes."]])
    async with conversing(model) as conversation:
        conversation.session.change_settings(turn_detection=False)
        await conversation.hear(loud(1), quiet(3), loud(2))
        conversation.session.end_turn()
        await conversation.session.settled()
        assert turns(conversation)[0].audio_s == pytest.approx(4.0, abs=0.1)
        samples = model.requests[0][-1].clips[0].samples
        assert np.abs(samples[-len(loud(2)) :]).min() == 0.5, "the newest of it"


@pytest.mark.parametrize("detection", [True, False])
async def test_nothing_said_is_nothing_to_commit(detection: bool) -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        conversation.session.change_settings(turn_detection=detection)
        await conversation.hear(quiet(1))
        conversation.session.request_answer()
        await conversation.session.settled()
        assert errors(conversation) == [NOTHING]
        conversation.session.end_turn()
        conversation.session.request_answer()
        await conversation.session.settled()
        assert errors(conversation) == [NOTHING, NOTHING], "the second of the pair means the same turn"
        assert not turns(conversation) and not answers(conversation)


async def test_commit_makes_a_sound_over_an_answer_a_turn() -> None:
    gate = asyncio.Semaphore(1)
    async with conversing(ScriptedModel([["Let ", "me ", "see."], ["Next."]], gate=gate)) as conversation:
        conversation.session.submit_text("count")
        await conversation.until("response.output_text.delta")
        await conversation.hear(loud(0.15), wait=False)
        await conversation.session_caught_up()
        conversation.session.end_turn()
        for _ in range(5):
            gate.release()
        await conversation.until("response.done", 2)
        assert answers(conversation) == [("cancelled", "Let "), ("completed", "Next.")]


@pytest.mark.parametrize("detection", [True, False])
async def test_clear_drops_what_was_said_before_it(detection: bool) -> None:
    model = ScriptedModel([["Yes."]])
    async with conversing(model) as conversation:
        conversation.session.change_settings(turn_detection=detection)
        await conversation.hear(loud(2.0))
        conversation.session.clear_speech()
        await conversation.hear(loud(1.0), quiet(0.3))
        conversation.session.end_turn()
        await conversation.session.settled()
        assert len(turns(conversation)) == 1
        assert turns(conversation)[0].audio_s == pytest.approx(1.15, abs=0.2)


async def test_clear_in_a_pause_leaves_nothing_to_answer() -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        await conversation.hear(loud(2.0), quiet(0.3))
        conversation.session.clear_speech()
        await conversation.hear(quiet(2.0))
        assert not turns(conversation) and not answers(conversation)
        await conversation.hear(loud(0.5), quiet(1.0))
        assert answers(conversation) == [("completed", "Yes.")], "the next turn is heard"


@pytest.mark.parametrize("when", ["before", "in", "in the pause of"])
async def test_what_is_typed_without_asking_is_part_of_the_spoken_turn(when: str) -> None:
    model = ScriptedModel([["Yes."]] * 2)
    async with conversing(model) as conversation:
        pieces = {"before": [], "in": [loud(0.5)], "in the pause of": [loud(1.0), quiet(0.3)]}[when]
        if pieces:
            await conversation.hear(*pieces)
        conversation.session.add_text("One.")
        conversation.session.add_text("Two.")
        await conversation.session.settled()
        if when != "in the pause of":
            assert not answers(conversation)
            await conversation.hear(loud(0.5))
        await conversation.hear(quiet(1.5))
        assert len(turns(conversation)) == len(answers(conversation)) == 1
        message = model.requests[-1][-1]
        assert message.clips and message.text.split() == ["One.", "Two."]
        assert turns(conversation)[0].text == message.text


async def test_what_is_typed_in_push_to_talk_is_part_of_that_turn() -> None:
    model = ScriptedModel([["Yes."]] * 2)
    async with conversing(model) as conversation:
        conversation.session.change_settings(turn_detection=False)
        for press, release in (
            (conversation.session.press_to_talk, conversation.session.release_to_talk),
            (lambda: None, conversation.session.end_turn),
        ):
            conversation.session.add_text("About this:")
            press()
            await conversation.hear(loud(0.5))
            release()
            await conversation.session.settled()
            message = model.requests[-1][-1]
            assert message.clips and message.text == "About this:"


async def test_what_is_typed_is_answered_when_asked_for_and_only_once() -> None:
    model = ScriptedModel([["Yes."], ["No."]])
    async with conversing(model) as conversation:
        conversation.session.add_text("One.")
        conversation.session.add_text("Two.")
        conversation.session.request_answer()
        await conversation.session.settled()
        assert model.requests[-1][-1].text == "One.\nTwo."
        conversation.session.request_answer()
        await conversation.session.settled()
        assert answers(conversation) == [("completed", "Yes.")]
        assert errors(conversation) == [NOTHING]


async def test_what_is_typed_for_one_answer_is_bounded_and_kept() -> None:
    model = ScriptedModel([["Yes."]])
    async with conversing(model) as conversation:
        for _ in range(10):
            conversation.session.add_text("x" * (MAX_TEXT_CHARACTERS // 5))
        conversation.session.request_answer()
        await conversation.session.settled()
        assert model.requests[-1][-1].text.count("x") == MAX_TEXT_CHARACTERS < MAX_MESSAGE_CHARACTERS
        assert len(errors(conversation)) == 5 and "characters may be typed" in errors(conversation)[0]


async def test_a_new_conversation_forgets_what_was_typed_for_the_old_one() -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        conversation.session.add_text("secret")
        conversation.session.clear()
        conversation.session.request_answer()
        await conversation.session.settled()
        assert errors(conversation) == [NOTHING]


COMMANDS: dict[str, Callable[[Session], None]] = {
    "type": lambda session: session.add_text("typed"),
    "ask": lambda session: session.request_answer(),
    "commit": lambda session: session.end_turn(),
    "clear speech": lambda session: session.clear_speech(),
    "press": lambda session: session.press_to_talk(),
    "release": lambda session: session.release_to_talk(),
    "cancel": lambda session: session.cancel(),
    "new": lambda session: session.clear(),
    "mute": lambda session: session.change_settings(muted=True),
    "protect": lambda session: session.change_settings(protect_answer=True),
    "keys only": lambda session: session.change_settings(turn_detection=False),
    "detect": lambda session: session.change_settings(turn_detection=True),
    "metrics": lambda session: session.request_metrics(),
}
SITUATIONS = {
    "silence": [quiet(0.5)],
    "speech": [loud(0.5)],
    "a pause": [loud(0.5), quiet(0.3)],
    "an answer": [loud(0.5), quiet(0.8)],
    "a sound over an answer": [loud(0.5), quiet(0.8), loud(0.15)],
    "a turn over an answer": [loud(0.5), quiet(0.8), loud(0.6)],
}


@pytest.mark.no_cover
@pytest.mark.parametrize("situation", SITUATIONS)
async def test_after_any_two_commands_the_next_question_is_answered(situation: str) -> None:
    for first, second in itertools.product(COMMANDS, repeat=2):
        gate = asyncio.Semaphore(1)
        async with conversing(ScriptedModel([["It ", "is ", "so."]], gate=gate)) as conversation:
            await conversation.hear(*SITUATIONS[situation], wait=False)
            await conversation.session_caught_up()
            for command in (first, second):
                COMMANDS[command](conversation.session)
                await conversation.session_caught_up()
            for _ in range(40):
                gate.release()
            conversation.session.release_to_talk()
            conversation.session.change_settings(muted=False, turn_detection=True)
            await conversation.hear(quiet(1.5))
            before = len(answers(conversation))
            await conversation.hear(loud(0.5), quiet(1.5))
            assert answers(conversation)[before:] == [("completed", "It is so.")], (situation, first, second)
