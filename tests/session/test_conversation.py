"""The rolling buffer: what is kept, what becomes text, what is dropped."""

import numpy as np
import pytest

from models.types import SAMPLE_RATE_HZ, AudioClip, Message, Transcript
from realtime.conversation import Conversation, ConversationOptions


def spoken(seconds: float) -> Message:
    return Message("user", (AudioClip(np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)),))


def fill(conversation: Conversation, n_exchanges: int, seconds: float = 10) -> list[Message]:
    messages = []
    for number in range(n_exchanges):
        messages += [spoken(seconds), Message("assistant", (f"answer {number}",))]
    for message in messages:
        conversation.add(message)
    return messages


def test_within_its_budgets_nothing_changes() -> None:
    conversation = Conversation(ConversationOptions(system_prompt="be kind"))
    messages = fill(conversation, 3)
    assert not conversation.cut()
    assert conversation.messages[0].text == "be kind"
    assert list(conversation.messages[1:]) == messages


def test_audio_over_its_budget_becomes_text_oldest_first_down_to_the_share_that_is_kept() -> None:
    conversation = Conversation(ConversationOptions(max_audio_s=45, keep=0.5, max_tokens=100_000))
    messages = fill(conversation, 5)
    for number, message in enumerate(messages[::2]):
        conversation.note_transcript(message.id, Transcript(f"question {number}"))
    assert conversation.cut()
    window = conversation.messages[1:]
    assert [message.id for message in window] == [message.id for message in messages]
    assert [message.text for message in window[::2]] == ["question 0", "question 1", "question 2", "", ""]
    assert sum(message.audio_s for message in window) == 20
    assert not conversation.cut()


def test_audio_without_transcript_is_dropped_with_its_answer() -> None:
    conversation = Conversation(ConversationOptions(max_audio_s=45, keep=0.5, max_tokens=100_000))
    messages = fill(conversation, 5)
    assert conversation.cut()
    assert list(conversation.messages[1:]) == messages[6:]


def test_the_newest_message_and_the_system_prompt_always_stay() -> None:
    conversation = Conversation(ConversationOptions(system_prompt="x" * 4000, max_tokens=100))
    conversation.add(spoken(1))
    conversation.add(newest := spoken(400))
    assert conversation.cut()
    assert [message.role for message in conversation.messages] == ["system", "user"]
    assert conversation.messages[-1] is newest


def test_the_models_own_count_corrects_the_estimate() -> None:
    conversation = Conversation(ConversationOptions(max_tokens=1000))
    fill(conversation, 3)
    assert not conversation.cut()
    conversation.note_tokens(conversation.messages, 2000)
    assert conversation.cut()


@pytest.mark.parametrize("before", [True, False])
def test_typed_text_beside_audio_survives_demotion_in_its_place(before: bool) -> None:
    conversation = Conversation(ConversationOptions(system_prompt="", max_audio_s=15, max_tokens=100_000))
    clips, typed = spoken(10).parts, ("and in French?",)
    first = Message("user", (*typed, *clips) if before else (*clips, *typed))
    conversation.add(first)
    conversation.note_transcript(first.id, Transcript("how are you"))
    fill(conversation, 1, seconds=6)
    assert conversation.cut()
    said = "and in French?\nhow are you" if before else "how are you\nand in French?"
    assert conversation.messages[0].text == said
    assert not conversation.messages[0].clips


def test_what_leaves_the_window_waits_for_a_summary_that_stands_beside_the_system_prompt() -> None:
    conversation = Conversation(ConversationOptions(system_prompt="be kind", max_audio_s=45, max_tokens=100_000))
    messages = fill(conversation, 5)
    assert conversation.to_summarise() == ()
    assert conversation.cut()
    prompt = conversation.to_summarise()
    assert list(prompt[:-1]) == messages[:6]
    assert "Summarise" in prompt[-1].text
    conversation.summarised("They spoke of rivers.")
    assert conversation.to_summarise() == ()
    system = conversation.messages[0]
    assert system.role == "system"
    assert system.parts[0] == "be kind"
    assert "They spoke of rivers." in system.parts[1]
    assert list(conversation.messages[1:]) == messages[6:]


def test_the_next_summary_takes_up_the_one_before() -> None:
    conversation = Conversation(ConversationOptions(max_audio_s=45, max_tokens=100_000))
    fill(conversation, 5)
    conversation.cut()
    conversation.summarised("They spoke of rivers.")
    fill(conversation, 5)
    conversation.cut()
    assert "They spoke of rivers." in conversation.to_summarise()[0].text
    conversation.clear()
    assert conversation.to_summarise() == ()
    assert "rivers" not in conversation.messages[0].text


def test_what_no_summary_could_take_in_is_forgotten() -> None:
    conversation = Conversation(ConversationOptions(max_audio_s=40, keep=0.5, max_tokens=100_000))
    for _ in range(6):
        fill(conversation, 2)
        conversation.cut()
    waiting = conversation.to_summarise()[:-1]
    assert 0 < sum(message.audio_s for message in waiting) <= 40


def test_a_failed_summary_and_no_wish_for_one_forget() -> None:
    for options in (ConversationOptions(max_audio_s=45), ConversationOptions(max_audio_s=45, summarise=False)):
        conversation = Conversation(options)
        fill(conversation, 5)
        before = conversation.messages[0].text
        conversation.cut()
        conversation.summarised("")
        assert conversation.to_summarise() == ()
        assert conversation.messages[0].text == before


def test_the_view_names_each_messages_tier_and_adds_up() -> None:
    conversation = Conversation(ConversationOptions(max_audio_s=45, keep=0.5, max_tokens=10_000))
    messages = fill(conversation, 5)
    for message in messages[4:8:2]:
        conversation.note_transcript(message.id, Transcript("what was said"))
    conversation.cut()
    conversation.summarised("They spoke of rivers.")
    window = conversation.window()
    tiers = [message.tier for message in window.messages]
    assert tiers[:3] == ["text", "summary", "audio"] or tiers[:3] == ["text", "summary", "text"]
    assert {"audio", "text", "summary"} == set(tiers)
    assert window.audio_s == sum(message.audio_s for message in window.messages) <= window.max_audio_s == 45
    assert window.tokens == sum(message.tokens for message in window.messages) <= window.max_tokens
    assert [shown.item_id for shown in window.messages[2:]] == [message.id for message in conversation.messages[1:]]
    assert len({shown.item_id for shown in window.messages}) == len(window.messages)


def test_clear_leaves_the_system_prompt() -> None:
    conversation = Conversation(ConversationOptions(system_prompt="be kind"))
    fill(conversation, 2)
    conversation.clear()
    assert [message.text for message in conversation.messages] == ["be kind"]


@pytest.mark.parametrize("options", [{"keep": 1.0}, {"keep": 0.0}, {"max_tokens": 0}, {"max_audio_s": 0}])
def test_impossible_budgets_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ConversationOptions(**options)  # type: ignore[arg-type]
