"""Several replicas: dialogues stay, move away from one that dies, and leave one alone that keeps failing."""

import asyncio
import time
from contextlib import suppress

import pytest

from models.errors import GenerationFailed
from models.remote.breaker import Breaker
from models.remote.model import RemoteModel
from models.types import GenerationOptions
from tests.models.remote.asking import QUESTION, answer, remote
from tests.models.remote.engine_server import (
    ScriptedEngine,
    event,
    free_url,
    raw,
    refuse,
    say,
    serving_engine,
    talk_on,
)


async def test_a_dialogue_stays_and_others_are_spread() -> None:
    one, two = ScriptedEngine(), ScriptedEngine()
    with serving_engine(one) as first, serving_engine(two) as second:
        model = remote(first, second)
        for dialogue in ("a", "b", "c", "d", "e", "f"):
            before = len(one.requests), len(two.requests)
            for name in (dialogue, dialogue, f"{dialogue}/summary"):
                await answer(model, dialogue=name)
                await model.forget(dialogue=f"{dialogue}/summary")
            added = len(one.requests) - before[0], len(two.requests) - before[1]
            assert added in ((3, 0), (0, 3)), "a summary has the beginning of what it sums up"
        assert one.requests
        assert two.requests
        await model.close()


async def test_a_new_dialogue_goes_where_less_is_asked() -> None:
    engines = [ScriptedEngine(talk_on(event("word "), 0.01)) for _ in range(2)]
    with serving_engine(engines[0]) as first, serving_engine(engines[1]) as second:
        model = remote(first, second)
        streams = [model.generate(QUESTION, GenerationOptions(), dialogue=name) for name in "abcd"]
        for stream in streams:
            await anext(stream)
        assert [state.in_flight for state in model.engine_state()] == [2, 2]
        for stream in streams:
            await stream.aclose()
        await model.close()


async def test_when_a_replica_dies_the_next_turn_works_at_once() -> None:
    engines = [ScriptedEngine(), ScriptedEngine()]
    with serving_engine(engines[1]) as staying:
        with serving_engine(engines[0]) as dying:
            model = remote(dying, staying, backoff_s=5.0)
            names = [f"dialogue_{number}" for number in range(20)]
            for name in names:
                await answer(model, dialogue=name)
            assert engines[0].requests, "some are at home there"
        began_s = time.perf_counter()
        for name in names:
            assert (await answer(model, dialogue=name))[0] == "Hello there."
        assert time.perf_counter() - began_s < 4, "nobody waits for a backoff"
        state = {state.url: state for state in model.engine_state()}
        assert (state[dying].is_answering, state[dying].failures) == (False, 3)
        assert (state[staying].is_answering, state[staying].retries) == (True, 3)
        await model.close()


async def test_what_breaks_in_mid_answer_is_told_and_the_next_turn_goes_elsewhere() -> None:
    with (
        serving_engine(ScriptedEngine(raw(event("Half"), "data: {"))) as first,
        serving_engine(ScriptedEngine()) as second,
    ):
        model = remote(first, second)
        broken = [name for name in map(str, range(8)) if not await _is_answered(model, name)]
        assert broken, "some are at home where answers break"
        assert [(await answer(model, dialogue=name))[0] for name in broken] == ["Hello there."] * len(broken)
        await model.close()


async def _is_answered(model: RemoteModel, dialogue: str) -> bool:
    try:
        await answer(model, dialogue=dialogue)
    except GenerationFailed as error:
        assert "has broken off the answer; ask again" in str(error)
        return False
    return True


@pytest.mark.parametrize("first", [refuse(503, "starting"), refuse(429, "busy", {"Retry-After": "0.05"}), raw("")])
async def test_what_fails_before_its_first_text_is_asked_again(first: object) -> None:
    engine = ScriptedEngine(first, first, say("There."))  # type: ignore[arg-type]
    with serving_engine(engine) as url:
        model = remote(url)
        assert (await answer(model))[0] == "There."
        (state,) = model.engine_state()
        assert (state.requests, state.failures, state.retries, state.is_answering) == (3, 2, 2, True)
        await model.close()


async def test_it_is_asked_again_only_so_often_and_never_for_what_is_refused() -> None:
    engine = ScriptedEngine(refuse(503, "starting"))
    with serving_engine(engine) as url:
        model = remote(url, retries=1)
        with pytest.raises(GenerationFailed, match="has failed") as caught:
            await answer(model)
        assert "HTTP 503: starting" in caught.value.detail
        assert len(engine.requests) == 2
        engine.plans = [refuse(404, "gone")]
        with pytest.raises(GenerationFailed, match="does not have the model"):
            await answer(model)
        assert len(engine.requests) == 3
        await model.close()


async def test_one_that_keeps_failing_is_left_alone_and_then_tried() -> None:
    engine = ScriptedEngine(refuse(500, "boom"))
    with serving_engine(engine) as url:
        model = remote(url, retries=0, rest_s=0.3)
        for _ in range(3):
            with pytest.raises(GenerationFailed, match="has failed"):
                await answer(model)
        with pytest.raises(GenerationFailed, match=r"failed 3 times in a row; ask again in 1 s$") as caught:
            await answer(model)
        assert "boom" in caught.value.detail
        assert len(engine.requests) == 3, "it was not asked"
        assert not model.engine_state()[0].is_answering
        engine.plans = [say("Well again.")]
        async with asyncio.timeout(5):
            await _until_well(model)
        assert len(engine.requests) == 4
        assert model.engine_state()[0].is_answering
        await model.close()


async def _until_well(model: RemoteModel) -> None:
    """Asks again and again, as an impatient person does."""
    while True:
        with suppress(GenerationFailed):
            await answer(model)
            return
        await asyncio.sleep(0.02)


async def test_where_all_replicas_are_gone_the_sentence_counts_them() -> None:
    model = remote(free_url(), free_url(), failures_to_rest=1)
    with pytest.raises(GenerationFailed, match="cannot be reached"):
        await answer(model)
    with pytest.raises(GenerationFailed, match="all 2 replicas of the engine failed 1 times in a row"):
        await answer(model)
    await model.close()


def test_a_breaker_lets_one_trial_through_at_a_time() -> None:
    now_s = 0.0
    breaker = Breaker(2, 10.0, lambda: now_s)
    breaker.fail()
    assert breaker.state == "closed"
    breaker.fail()
    assert (breaker.state, breaker.may_ask, breaker.resting_s) == ("open", False, 10.0)
    now_s = 10.0
    assert (breaker.state, breaker.may_ask) == ("half-open", True)
    assert breaker.begin()
    assert not breaker.may_ask
    breaker.leave(is_trial=True)  # given up, neither well nor ill
    assert breaker.may_ask
    assert breaker.begin()
    breaker.fail()
    breaker.leave(is_trial=True)
    assert (breaker.state, breaker.resting_s) == ("open", 10.0)
    now_s = 20.0
    breaker.begin()
    breaker.succeed()
    assert (breaker.state, breaker.failures_in_row) == ("closed", 0)
