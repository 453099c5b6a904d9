"""With `when-asked`, what is said to others is kept, shown as such, and not answered."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest

from commands.errors import UsageError
from commands.loading import load_scorers, session_options
from commands.parser import build_parser
from models.scripted import ScriptedModel
from models.types import Samples
from realtime.events import MessageAdded, SessionMetricsReported, SessionUpdated
from realtime.recordings.recorder import SessionRecorder, to_json
from realtime.recordings.replay import read_recording, replay
from tests.session.conversing import OPTIONS, conversing, loud, loudness_detector, quiet

WHEN_ASKED = replace(OPTIONS, address="when-asked")
TO_OTHERS, TO_US = "Well, she told us that they were late.", "What is the capital of France?"


class Complete:
    """Takes every turn for complete."""

    def score(self, samples: Samples) -> float:
        return 0.95


def model_that_hears(*sounds: str, languages: tuple[str, ...] = ("en",)) -> ScriptedModel:
    model = ScriptedModel([["Paris", "."]], sounds=sounds, languages=languages)
    model.has_ears = True
    return model


async def test_what_is_said_to_others_is_kept_and_the_next_question_is_answered_with_it() -> None:
    model = model_that_hears(TO_OTHERS)
    async with conversing(model, WHEN_ASKED, scorer=Complete()) as conversation:
        await conversation.hear(loud(1.0), quiet(2.5))
        (added,) = (event for event in conversation.events if isinstance(event, MessageAdded))
        assert not added.is_addressed
        assert "response.committed" not in conversation.types() and "response.done" not in conversation.types()
        assert conversation.types()[-1] != "response.output_text.delta"
        assert conversation.session.metrics.unanswered_turns == 1
        conversation.session.submit_text(TO_US)
        await conversation.until("response.done")
        assert [message.id for message in model.requests[-1] if message.clips] == [added.item_id]


async def test_a_yes_to_a_question_of_ours_is_answered() -> None:
    model = ScriptedModel([["Shall I go on?"], ["So."], ["So."]], sounds=[TO_US, "Yes."], languages=("en",))
    model.has_ears = True
    async with conversing(model, WHEN_ASKED, scorer=Complete()) as conversation:
        conversation.session.change_settings(captions=False)  # only pauses are written down
        await conversation.hear(loud(1.0), quiet(2.5), loud(1.0), quiet(2.5))
        assert len(conversation.of("response.done")) == 2
        assert conversation.session.metrics.unanswered_turns == 0


async def test_who_asks_for_the_answer_gets_it() -> None:
    model = model_that_hears(TO_OTHERS)
    async with conversing(model, WHEN_ASKED, scorer=Complete()) as conversation:
        await conversation.hear(loud(1.0), quiet(2.5))
        conversation.session.request_answer()
        await conversation.until("response.done")
        (added,) = (event for event in conversation.events if isinstance(event, MessageAdded) and event.role == "user")
        assert model.requests[-1][-1].id == added.item_id


async def test_a_question_is_answered_and_a_client_may_choose() -> None:
    async with conversing(model_that_hears(TO_US), WHEN_ASKED, scorer=Complete()) as conversation:
        await conversation.hear(loud(1.0), quiet(2.5))
        await conversation.until("response.done")
    async with conversing(model_that_hears(TO_OTHERS), WHEN_ASKED, scorer=Complete()) as conversation:
        conversation.session.change_settings(address="always")
        await conversation.hear(loud(1.0), quiet(2.5))
        await conversation.until("response.done")
        (updated,) = (event for event in conversation.events if isinstance(event, SessionUpdated))
        assert updated.address == "always"


async def test_it_replays_to_the_byte(tmp_path: Path) -> None:
    recorder = SessionRecorder(tmp_path / "one")
    model = model_that_hears(TO_OTHERS)
    async with conversing(model, WHEN_ASKED, scorer=Complete(), taps=[recorder]) as conversation:
        await conversation.hear(loud(1.0), quiet(2.5))
    recording = read_recording(tmp_path / "one")
    assert recording.options.address == recording.floor.address == "when-asked"
    events = [event for event in conversation.events if not isinstance(event, SessionMetricsReported)]
    assert list(recording.sent) == [json.dumps(to_json(event)) for event in events]
    again = await replay(recording, detectors={"user": loudness_detector(WHEN_ASKED.vad)})
    assert again.difference is None


def options_of(*arguments: str) -> argparse.Namespace:
    return build_parser({}).parse_args(["--address", "when-asked", *arguments])


@pytest.mark.parametrize(
    ("has_ears", "languages", "arguments"),
    [(False, ("en",), ()), (True, ("de", "en"), ()), (True, ("en",), ("--endpointing", "silence"))],
)
def test_without_english_ears_or_scores_it_cannot_be_judged(
    has_ears: bool, languages: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    model = model_that_hears(TO_US, languages=languages)
    model.has_ears = has_ears
    with pytest.raises(UsageError, match="needs --ears moonshine and --endpointing semantic"):
        session_options(options_of(*arguments), model)
    assert session_options(options_of(), model_that_hears(TO_US)).address == "when-asked"


def test_nor_without_the_weights_of_the_scorer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs --ears moonshine and --endpointing semantic"):
        load_scorers(options_of("--cache-dir", str(tmp_path)))
