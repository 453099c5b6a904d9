"""What a client sets for its answers, and what cannot be."""

from dataclasses import replace

import pytest

from models.scripted import ScriptedModel
from models.types import GenerationOptions, Message
from realtime.conversation import SYSTEM_PROMPT
from realtime.doors.event_text import to_wire
from realtime.events import ErrorReported, ResponseDone, SessionUpdated
from realtime.session import SessionOptions
from tests.session.conversing import OPTIONS, Conversation, conversing, loud, quiet


class Noting(ScriptedModel):
    """Notes how it was to sample."""

    def __init__(self) -> None:
        super().__init__([["Yes", "."]], sounds=["Hello."])
        self.has_ears = True
        self.options: list[GenerationOptions] = []

    def generate(self, messages: list[Message], options: GenerationOptions, *, dialogue: str):  # type: ignore[no-untyped-def, override]
        self.options.append(options)
        return super().generate(messages, options, dialogue=dialogue)


async def change(conversation: Conversation, **changes: object) -> SessionUpdated | ErrorReported:
    """Changes settings, and gives what is said of it."""
    before = len(conversation.events)
    conversation.session.change_settings(**changes)  # type: ignore[arg-type]
    await conversation.session.settled()
    await conversation.session_caught_up()
    said = [event for event in conversation.events[before:] if isinstance(event, SessionUpdated | ErrorReported)]
    return said[-1]


async def test_all_settings_are_echoed_and_change_the_next_answer() -> None:
    model = Noting()
    async with conversing(model) as conversation:
        updated = await change(conversation, instructions="Be a pirate.", temperature=0.7, max_output_tokens=1)
        assert isinstance(updated, SessionUpdated)
        assert to_wire(updated) == {
            "type": "session.updated",
            "muted": False,
            "protect_answer": False,
            "turn_detection": True,
            "patience": "normal",
            "address": "always",
            "instructions": "Be a pirate.",
            "temperature": 0.7,
            "max_output_tokens": 1,
            "captions": True,
            "model": "scripted",
            "spoken": False,
            "voice": "",
        }
        conversation.session.submit_text("hello")
        done = await conversation.until("response.done")
        assert isinstance(done, ResponseDone)
        assert (done.status, done.stop_reason, done.text) == ("incomplete", "length", "Yes")
        assert (model.options[-1].temperature, model.options[-1].max_new_tokens) == (0.7, 1)
        assert model.requests[-1][0].text == "Be a pirate."
        assert model.prefilled[-1][0].text == "Be a pirate.", "before it is needed"
        await change(conversation, instructions="", max_output_tokens=256)
        conversation.session.submit_text("hello")
        done = await conversation.until("response.done", 2)
        assert isinstance(done, ResponseDone) and done.stop_reason == "stop"
        assert model.requests[-1][0].text == SYSTEM_PROMPT


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "gpt"}, "there is scripted"),
        ({"address": "when-asked"}, "judged by ears at pauses"),
        ({"temperature": 2.5}, "from 0"),
        ({"temperature": -0.1}, "from 0"),
        ({"temperature": float("nan")}, "from 0"),
        ({"max_output_tokens": 0}, "from 1 to 256"),
        ({"max_output_tokens": 257}, "from 1 to 256"),
        ({"instructions": "x" * 1251}, "at most 1250"),
    ],
)
async def test_a_setting_that_cannot_be_is_explained_and_changes_nothing(
    changes: dict[str, object], reason: str
) -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        refused = await change(conversation, muted=True, **changes)
        assert isinstance(refused, ErrorReported) and reason in refused.message
        updated = await change(conversation, model="scripted")
        assert isinstance(updated, SessionUpdated) and not updated.muted


@pytest.mark.parametrize(("patience", "waited_s"), [("low", 0.4), ("normal", 0.6), ("high", 1.2)])
async def test_patience_stretches_the_wait_at_a_pause(patience: str, waited_s: float) -> None:
    async with conversing(ScriptedModel([["Yes."]])) as conversation:
        await change(conversation, patience=patience)
        await conversation.hear(loud(0.5), quiet(2.5))
        assert conversation.session.metrics.mean_wait_s == pytest.approx(waited_s, abs=0.04)


async def test_without_captions_no_ears_are_asked() -> None:
    model = Noting()
    async with conversing(model) as conversation:
        await change(conversation, captions=False)
        await conversation.hear(loud(1.5), quiet(1.5))
        await conversation.session_caught_up()
        assert model.asked == [] and not conversation.of("conversation.item.input_audio_transcription.completed")
        await change(conversation, captions=True)
        await conversation.hear(loud(1.5), quiet(1.5))
        await conversation.until("conversation.item.input_audio_transcription.completed")


async def test_times_are_counted_from_the_last_voice() -> None:
    async with conversing(ScriptedModel([["Yes", "."]])) as conversation:
        await conversation.hear(loud(0.5), quiet(1.5))
        done = await conversation.until("response.done")
        assert isinstance(done, ResponseDone)
        timing = done.timing
        assert timing.first_token_s == timing.first_provisional_s == done.response_latency_s
        assert timing.pause_noticed_s is not None and timing.committed_s is not None and timing.done_s is not None
        assert timing.first_audio_s is None
        conversation.session.submit_text("typed")
        typed = await conversation.until("response.done", 2)
        assert isinstance(typed, ResponseDone) and set(to_wire(typed)["timing"].values()) == {None}


async def test_a_window_too_small_for_any_instructions_still_has_a_limit() -> None:
    options: SessionOptions = replace(OPTIONS, conversation=replace(OPTIONS.conversation, max_tokens=12))
    async with conversing(ScriptedModel([["Yes."]]), options) as conversation:
        refused = await change(conversation, instructions="x" * 11)
        assert isinstance(refused, ErrorReported) and "at most 10" in refused.message
