"""An answer's life, with the model's work and the client beside it."""

import asyncio
from collections.abc import Iterator

import pytest

from models.errors import GenerationFailed, PromptTooLong
from models.scripted import ScriptedModel
from models.types import GenerationOptions, GenerationStats, Message, TextDelta
from realtime.answer import Answer, Surroundings
from realtime.answer_times import AnswerTimes
from realtime.events import ResponseDelta, ResponseDone, ResponseTiming, SessionEvent
from realtime.load import AnswerLoad
from realtime.model_work import ModelWork

PROMPT = (Message("user", ("first",)), Message("assistant", ("One.",)), Message("user", ("second",)))
STATS = GenerationStats(
    prompt_tokens=9,
    cached_tokens=3,
    completion_tokens=2,
    ttft_s=0.1,
    total_s=0.2,
    finish_reason="stop",
    prefill_s=0.05,
)


class Stage:
    """What an answer needs around it, and what it did there."""

    def __init__(self, *shorter: tuple[Message, ...]) -> None:
        self.events: list[SessionEvent] = []
        self.model = ScriptedModel([["never"]], gate=asyncio.Semaphore(0))
        self._shorter = iter(shorter)
        work = ModelWork(self.model, "test", GenerationOptions(), AnswerLoad().share(lambda _: None), lambda item: None)
        self._surroundings = Surroundings(
            work=work,
            read_aloud=lambda _: None,
            send=self.events.append,
            shorten=lambda: next(self._shorter, None),
        )
        self._work = work

    def answer(self, *, provisional: bool) -> Answer:
        return Answer(
            "resp",
            PROMPT,
            self._surroundings,
            provisional=provisional,
            times=AnswerTimes(last_voiced_s=10.0, noticed_s=10.2),
        )

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    async def prompts(self) -> list[tuple[Message, ...]]:
        """What the model was asked, once its tasks have run."""
        for _ in range(5):
            await asyncio.sleep(0)
        return self.model.requests

    async def close(self) -> None:
        await self._work.close()


@pytest.fixture
async def stage() -> Iterator[Stage]:
    stage = Stage(PROMPT[2:])
    yield stage
    await stage.close()


async def test_provisional_text_is_committed_and_measured(stage: Stage) -> None:
    answer = stage.answer(provisional=True)
    assert not answer.take(TextDelta("Two"), 10.5)
    assert not answer.commit(10.7)
    assert not answer.take(TextDelta("."), 11.0)
    assert answer.take(STATS, 11.1)
    done = answer.finish(11.2)
    assert (done.text, done.status, done.response_latency_s, done.cached_tokens) == ("Two.", "completed", 0.5, 3)
    assert done.stop_reason == "stop"
    assert done.timing == ResponseTiming(
        pause_noticed_s=0.2,
        prefill_s=0.45,
        first_provisional_s=0.5,
        committed_s=0.7,
        first_token_s=0.5,
        done_s=1.2,
    )
    assert [event.provisional for event in stage.events if isinstance(event, ResponseDelta)] == [True, False]
    assert stage.names() == ["ResponseCreated", "ResponseDelta", "ResponseCommitted", "ResponseDelta"]


async def test_an_answer_goes_on_from_what_was_delivered(stage: Stage) -> None:
    answer = stage.answer(provisional=False)
    answer.take(TextDelta("Two "), 10.5)
    await stage.prompts()
    answer.pause()
    answer.resume()
    before, after = await stage.prompts()
    assert before == PROMPT
    assert after[:-1] == PROMPT
    assert after[-1].text == answer.delivered == "Two "
    assert answer.interrupt(11.2).status == "cancelled"


async def test_a_prompt_that_is_too_long_is_tried_again_shorter_once_its_turn_counts(stage: Stage) -> None:
    answer = stage.answer(provisional=True)
    await stage.prompts()
    assert not answer.take(PromptTooLong(20, 10), 10.5), "the turn may go on"
    assert len(await stage.prompts()) == 1
    assert not answer.commit(10.7)
    assert (await stage.prompts())[1] == answer.prompt == PROMPT[2:]
    assert answer.error is None
    assert answer.take(PromptTooLong(15, 10), 10.6), "shorter than this it cannot be"
    assert answer.finish(11.2).status == "failed"


async def test_a_failure_ends_a_provisional_answer_at_once(stage: Stage) -> None:
    answer = stage.answer(provisional=True)
    assert answer.take(GenerationFailed("out of memory; ask for less"), 10.5)
    assert not answer.commit(10.7), "that it is finished is known"
    done: ResponseDone = answer.finish(11.2)
    assert (done.status, done.text) == ("failed", "")
