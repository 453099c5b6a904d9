"""A model on an engine: what is asked, what comes back, and that giving up ends the engine's work."""

import asyncio
import base64
import io
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import pytest
import pytest_asyncio

from models.errors import InvalidPrompt
from models.remote.model import EngineFacts, RemoteModel
from models.remote.writing import ClipCache
from models.types import GenerationOptions, Message, TextDelta
from tests.models.remote.asking import FACTS, QUESTION, answer, clip, remote
from tests.models.remote.engine_server import ScriptedEngine, clips_in, event, raw, refuse, say, serving_engine, talk_on
from tests.models.scripted_ears import ScriptedEars

OTHER = EngineFacts(model="tiny", context_tokens=4096, takes_audio=True, is_vllm=False)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[ScriptedEngine, str]]:
    engine = ScriptedEngine()
    with serving_engine(engine) as url:
        yield engine, url


@pytest.fixture
def url(served: tuple[ScriptedEngine, str]) -> str:
    return served[1]


@pytest.fixture
def engine(served: tuple[ScriptedEngine, str]) -> ScriptedEngine:
    served[0].reset()
    return served[0]


@pytest_asyncio.fixture
async def model(url: str) -> AsyncIterator[RemoteModel]:
    made = remote(url)
    yield made
    await made.close()


async def test_an_answer_streams_with_what_it_cost(engine: ScriptedEngine, model: RemoteModel) -> None:
    engine.plans = [say("It is", " Paris", ".", cached_tokens=7, finish_reason="length")]
    text, stats = await answer(model, max_new_tokens=3, temperature=0.5, top_p=0.9, top_k=5, seed=3, stop=("END",))
    assert text == "It is Paris."
    assert (stats.prompt_tokens, stats.cached_tokens, stats.completion_tokens) == (10, 7, 3)
    assert stats.finish_reason == "length"
    assert stats.ttft_s is not None and 0 < stats.ttft_s <= stats.total_s
    (body,) = engine.requests
    assert body["messages"] == [{"role": "user", "content": "What is the capital of France?"}]
    assert (body["model"], body["max_tokens"], body["stream_options"]) == ("tiny", 3, {"include_usage": True})
    assert (body["temperature"], body["top_p"], body["top_k"], body["seed"], body["stop"]) == (0.5, 0.9, 5, 3, ["END"])
    assert body["repetition_penalty"] == 1.0, "else vLLM takes the checkpoint's"


async def test_an_engine_that_is_no_vllm_is_told_nothing_it_may_not_know(engine: ScriptedEngine, url: str) -> None:
    model = remote(url, facts=OTHER)
    await answer(model)
    await answer(model, top_k=3, repetition_penalty=1.1)
    await model.close()
    plain, asked = engine.requests
    assert not plain.keys() & {"top_k", "repetition_penalty", "chat_template_kwargs", "add_generation_prompt"}
    assert (asked["top_k"], asked["repetition_penalty"]) == (3, 1.1)


async def test_a_schema_is_asked_for_as_openai_has_it(engine: ScriptedEngine, model: RemoteModel) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    await answer(model)
    await answer(model, json_schema=schema)
    plain, asked = engine.requests
    assert "response_format" not in plain
    assert asked["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


async def test_a_clip_is_sent_as_a_wav_file(engine: ScriptedEngine, model: RemoteModel) -> None:
    sound = clip(0.2)
    await answer(model, [Message("system", ("Be short.",)), Message("user", (sound, "What is it?"))])
    (sent,) = clips_in(engine.requests[0])
    assert sent["format"] == "wav"
    with wave.open(io.BytesIO(base64.b64decode(sent["data"]))) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (16_000, 1, 2)
        samples = np.frombuffer(reader.readframes(reader.getnframes()), "<i2") / 32768
    assert np.abs(samples - sound.samples).max() <= 0.5 / 32768 + 1e-9
    assert engine.requests[0]["messages"][1]["content"][1] == {"type": "text", "text": "What is it?"}


async def test_a_clip_that_would_be_cut_is_given_in_pieces(engine: ScriptedEngine, url: str) -> None:
    model, sound = remote(url, facts=replace(FACTS, window_s=30.0)), clip(70)
    await answer(model, [Message("user", (sound, "What is it?"))])
    await model.close()
    lengths_s = [len(base64.b64decode(sent["data"])) // 32_000 for sent in clips_in(engine.requests[0])]
    assert lengths_s == [30, 30, 10]


def test_clips_are_encoded_once_and_no_more_is_kept_than_fits() -> None:
    cache, sounds = ClipCache(max_bytes=10_000), [clip(0.1) for _ in range(5)]
    first = cache.encode(sounds[0])
    assert cache.encode(sounds[0]) is first
    for sound in sounds:
        cache.encode(sound)
        assert cache.n_bytes <= 10_000
    assert cache.encode(sounds[0]) == first
    assert cache.encode(sounds[0]) is not first, "it had been left out"


async def test_neighbours_of_one_role_become_one_message(engine: ScriptedEngine, model: RemoteModel) -> None:
    await answer(model, [Message("user", ("One.",)), Message("user", ("Two.",)), Message("assistant", ())])
    assert engine.requests[0]["messages"] == [{"role": "user", "content": "One.\nTwo."}]


@pytest.mark.parametrize("messages", [[], [Message("user", ())]])
async def test_an_empty_conversation_is_refused(model: RemoteModel, messages: list[Message]) -> None:
    with pytest.raises(InvalidPrompt, match="say or write something first"):
        await answer(model, messages)


async def test_an_answer_goes_on_where_the_engine_can(engine: ScriptedEngine, model: RemoteModel) -> None:
    await answer(model, [*QUESTION, Message("assistant", ("The capital",))])
    (body,) = engine.requests
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert body["messages"][-1] == {"role": "assistant", "content": "The capital"}


async def test_an_engine_that_cannot_go_on_is_asked_to_in_words(engine: ScriptedEngine, model: RemoteModel) -> None:
    engine.plans = [refuse(400, "Unrecognized request argument supplied: continue_final_message"), say(" is Paris.")]
    messages = [*QUESTION, Message("assistant", ("The capital",))]
    assert (await answer(model, messages))[0] == " is Paris."
    await answer(model, messages)
    assert len(engine.requests) == 3, "it is known from then on"
    for body in engine.requests[1:]:
        assert "continue_final_message" not in body
        assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]


async def test_where_few_clips_are_taken_older_ones_become_words(engine: ScriptedEngine, url: str) -> None:
    engine.max_clips = 1  # from here on
    old, new = clip(), clip()
    ears = ScriptedEars(lambda _: "what was said first")
    model = remote(url, ears=ears)
    messages = [Message("user", (old,)), Message("assistant", ("Yes.",)), Message("user", (new,))]
    assert (await answer(model, messages))[0] == "Hello there."
    await answer(model, messages)
    await model.close()
    assert len(engine.requests) == 3, "it is known from then on"
    assert engine.requests[1]["messages"][0]["content"] == "what was said first"
    assert len(clips_in(engine.requests[2])) == 1


@pytest.mark.parametrize("end", ["close", "cancel", "cancel before the first text"])
async def test_giving_up_closes_the_stream_at_once(engine: ScriptedEngine, model: RemoteModel, end: str) -> None:
    engine.plans = [talk_on(": still here\n\n" if "before" in end else event("word "), 0.01)]

    async def listen() -> None:
        async with aclosing(model.generate(QUESTION, GenerationOptions(), dialogue="a")) as events:
            async for _ in events:
                if end == "close":
                    return

    task = asyncio.create_task(listen())
    assert await asyncio.to_thread(engine.came.wait, 5)
    if end != "close":
        task.cancel()
    await asyncio.wait([task])
    assert await asyncio.to_thread(engine.went.wait, 5)
    (state,) = model.engine_state()
    assert (state.in_flight, state.requests, state.failures, state.is_answering) == (0, 1, 0, True)


async def test_a_server_that_knows_no_end_is_stopped(engine: ScriptedEngine, model: RemoteModel) -> None:
    engine.plans = [talk_on(event("word "), 0.0)]
    text, stats = await answer(model, max_new_tokens=5)
    assert 5 <= len(text.split()) < 20
    assert stats.finish_reason == "length"


async def test_without_a_count_of_tokens_the_pieces_are_counted(engine: ScriptedEngine, model: RemoteModel) -> None:
    engine.plans = [say("a", "b", has_usage=False)]
    _, stats = await answer(model)
    assert (stats.prompt_tokens, stats.completion_tokens) == (0, 2)


async def test_thoughts_are_not_part_of_the_answer(engine: ScriptedEngine, model: RemoteModel) -> None:
    thought = event().replace('"delta": {}', '"delta": {"reasoning_content": "Hmm"}')
    engine.plans = [raw(thought, event("Yes."), event(finish_reason="stop"), "data: [DONE]\n\n")]
    assert (await answer(model))[0] == "Yes."


async def test_the_key_goes_to_the_engine_and_nothing_about_this_machine(
    engine: ScriptedEngine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-somebody")
    for key in ("a-key", None):
        model = remote(url, key=key)
        await answer(model)
        await model.close()
    with_key, without = engine.headers
    assert with_key["authorization"] == "Bearer a-key"
    assert "authorization" not in without
    assert not [name for name in without if name.startswith(("x-stainless", "openai-"))]


async def test_prefill_asks_for_one_token_where_that_is_kept(engine: ScriptedEngine, url: str) -> None:
    system = Message("system", ("Be short.",))
    for facts, n_asked in ((OTHER, 0), (FACTS, 1)):
        model = remote(url, facts=facts)
        await model.prefill([system], dialogue="a")  # which templates refuse
        await model.prefill([system, *QUESTION], dialogue="a")
        assert len(engine.requests) == n_asked
        await model.close()
    assert engine.requests[0]["max_tokens"] == 1
    model = remote(url, facts=OTHER)
    engine.plans = [say("Yes.", cached_tokens=5)]
    await answer(model)
    await model.prefill(QUESTION, dialogue="a")
    assert len(engine.requests) == 3, "it has shown that it keeps prompts"
    engine.plans = [refuse(500, "out of order")]
    await model.prefill(QUESTION, dialogue="a")  # the answer will say so
    await model.close()


async def test_deltas_come_one_by_one(engine: ScriptedEngine, model: RemoteModel) -> None:
    events = [item async for item in model.generate(QUESTION, GenerationOptions(), dialogue="a")]
    assert events[:3] == [TextDelta("Hello"), TextDelta(" there"), TextDelta(".")]
