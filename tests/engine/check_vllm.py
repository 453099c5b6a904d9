"""Earpiece's model on a real vLLM, compared with our own engine on the same tiny checkpoints: `make test-engine`.

What it prints with `-s` goes into `tests/benchmarks/LOG.md`.
"""

import asyncio
import json
import os
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import yaml

from models.loading import LoadOptions
from models.registry import load_model
from models.remote.loading import load_remote
from models.remote.settings import EngineSettings, engine_urls
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, GenerationStats, Message, Samples, TextDelta
from tests.engine.vllm_server import VllmServer, running
from tests.models.families.test_families import same_text
from tests.models.tiny import AUDIO_FLAMINGO3, QWEN2_AUDIO
from tests.models.tiny.family import TINY, TinyFamily
from tests.session.conversing import OPTIONS, conversing
from tests.test_lock import ROOT

# vLLM's attention on a CPU wants heads of 32 numbers at least.
SIZES = replace(TINY, hidden_size=128, heads=2, key_heads=1, audio_hidden_size=128, audio_heads=2)
N_NEW = 16
# Random weights end an answer at any time; one that is held to a long list can be given up or killed in the middle.
NUMBERS = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 1000}
LONG = GenerationOptions(max_new_tokens=3000, temperature=1.0, seed=1, json_schema=NUMBERS)
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def python() -> Path:
    return Path(os.environ["VLLM_PYTHON"])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[TinyFamily], Path]:
    def save(tiny: TinyFamily) -> Path:
        folder = tmp_path_factory.getbasetemp() / tiny.name
        if not folder.is_dir():
            folder.mkdir()
            tiny.save(folder, SIZES)
            if tiny is AUDIO_FLAMINGO3:  # Qwen2-Audio's answers, which are killed in the middle, are to be long
                stop_at_the_end_of_a_turn(folder)
        return folder

    return save


def stop_at_the_end_of_a_turn(folder: Path) -> None:
    """As published checkpoints say it: vLLM knows it from there alone, our families know it by themselves."""
    tokens = json.loads((folder / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    ends = [token["id"] for token in tokens if token["content"] in ("<|im_end|>", "<|endoftext|>")]
    path = folder / "generation_config.json"
    config = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**config, "eos_token_id": ends}), "utf-8")


@pytest.fixture(scope="module")
def qwen(python: Path, checkpoint: Callable[[TinyFamily], Path]) -> Iterator[tuple[VllmServer, VllmServer]]:
    """Two replicas of Qwen2-Audio."""
    folder = checkpoint(QWEN2_AUDIO)
    servers = [VllmServer(python, folder, folder.parent / f"replica_{number}.log") for number in range(2)]
    with running(*servers):
        yield servers[0], servers[1]


@pytest_asyncio.fixture
async def remote(qwen: tuple[VllmServer, VllmServer]) -> AsyncIterator[Any]:
    """A model on one replica."""
    model = await engine_model(qwen[0])
    yield model
    await model.close()


async def engine_model(*servers: VllmServer) -> Any:
    settings = EngineSettings(urls=engine_urls(server.address for server in servers), rest_s=2.0)
    return await asyncio.to_thread(load_remote, settings, LoadOptions(cache_dir=Path(), ears="none"))


def ours(folder: Path) -> Any:
    return load_model(str(folder), LoadOptions(cache_dir=folder, ears="none", dtype="float32"))


def as_sent(samples: Samples) -> AudioClip:
    """A clip that 16 bits hold exactly, so that both hear the same."""
    return AudioClip((np.round(samples * 32768).clip(-32768, 32767) / 32768).astype(np.float32))


async def generate(model: Any, messages: list[Message], n_new: int = N_NEW) -> tuple[str, GenerationStats]:
    options = GenerationOptions(max_new_tokens=n_new)
    events = [event async for event in model.generate(messages, options, dialogue="talk")]
    return "".join(event.text for event in events if isinstance(event, TextDelta)), events[-1]


async def three_turns(theirs: Any, own: Any, questions: list[Message]) -> list[GenerationStats]:
    """A conversation in which each turn's greedy answers are compared; gives what vLLM's cost."""
    messages, costs = [Message("system", ("You are a helpful voice assistant. Answer in one short sentence.",))], []
    for question in questions:
        messages.append(question)
        text, stats = await generate(theirs, messages)
        expected, own_stats = await generate(own, messages)
        cost = f"{stats.prompt_tokens} tokens, {stats.cached_tokens} cached, {stats.ttft_s:.3f} s"
        print(f"{text!r}: {cost}; ours: {own_stats.cached_tokens} cached, {own_stats.ttft_s:.3f} s")
        assert same_text(text, expected)
        assert stats.prompt_tokens == own_stats.prompt_tokens
        costs.append(stats)
        messages.append(Message("assistant", (expected,)))
    return costs


async def test_qwen2_audio_says_what_our_engine_says_and_keeps_its_prefix(
    remote: Any,
    qwen: tuple[VllmServer, VllmServer],
    checkpoint: Callable[[TinyFamily], Path],
    speech: Callable[[str], Samples],
) -> None:
    hits_before = qwen[0].metric("vllm:prefix_cache_hits_total")
    own = ours(checkpoint(QWEN2_AUDIO))
    clips = [as_sent(speech(name)) for name in ("question_capital", "question_river", "question_sky")]
    costs = await three_turns(remote, own, [Message("user", (clip,)) for clip in clips])
    await own.close()
    for before, cost in pairwise(costs):
        assert cost.cached_tokens >= before.prompt_tokens - 64, "all but the last blocks of the turn before"
    assert qwen[0].metric("vllm:prefix_cache_hits_total") - hits_before >= sum(cost.cached_tokens for cost in costs[1:])


async def test_an_answer_is_gone_on_with(
    remote: Any, checkpoint: Callable[[TinyFamily], Path], speech: Callable[[str], Samples]
) -> None:
    own = ours(checkpoint(QWEN2_AUDIO))
    messages = [Message("user", (as_sent(speech("question_sky")),)), Message("assistant", ("the quick brown",))]
    text, stats = await generate(remote, messages)
    expected, own_stats = await generate(own, messages)
    await own.close()
    assert (stats.prompt_tokens, same_text(text, expected)) == (own_stats.prompt_tokens, True)


async def test_giving_up_stops_the_server(remote: Any, qwen: tuple[VllmServer, VllmServer]) -> None:
    for seed in range(10):  # random weights end some answers at once
        made_before = qwen[0].metric("vllm:generation_tokens_total")
        options = GenerationOptions(max_new_tokens=3000, temperature=1.0, seed=seed)
        async with aclosing(remote.generate([Message("user", ("Talk.",))], options, dialogue="long")) as events:
            await anext(events)
            is_running = qwen[0].metric("vllm:num_requests_running") == 1
        if is_running:
            break
    assert is_running, "no answer was still under way at its first text"
    began_s = time.monotonic()
    await asyncio.to_thread(qwen[0].wait_for, "vllm:num_requests_running", 0)
    made = qwen[0].metric("vllm:generation_tokens_total") - made_before
    print(f"running requests 0 after {time.monotonic() - began_s:.2f} s, {made:.0f} of 3000 tokens made")
    assert made < 1500


async def test_a_clip_of_more_than_30_s_is_heard_to_its_end(
    remote: Any, checkpoint: Callable[[TinyFamily], Path], speech: Callable[[str], Samples]
) -> None:
    long = as_sent(speech("meeting")[: 34 * SAMPLE_RATE_HZ])
    assert long.duration_s > 31
    own = ours(checkpoint(QWEN2_AUDIO))
    text, stats = await generate(remote, [Message("user", (long,))])
    expected, own_stats = await generate(own, [Message("user", (long,))])
    await own.close()
    assert (stats.prompt_tokens, same_text(text, expected)) == (own_stats.prompt_tokens, True)


async def test_an_answer_keeps_to_a_schema(remote: Any, speech: Callable[[str], Samples]) -> None:
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["calm", "angry"]}, "urgent": {"type": "boolean"}},
        "required": ["mood", "urgent"],
        "additionalProperties": False,
    }
    options = GenerationOptions(max_new_tokens=200, json_schema=schema)
    messages = [Message("user", (as_sent(speech("question_sky")),))]
    events = [event async for event in remote.generate(messages, options, dialogue="held")]
    answer = json.loads("".join(event.text for event in events if isinstance(event, TextDelta)))
    assert answer["mood"] in ("calm", "angry")
    assert isinstance(answer["urgent"], bool)


async def test_a_prefilled_prompt_is_cached(remote: Any, speech: Callable[[str], Samples]) -> None:
    messages = [Message("system", ("Listen well. " * 20,)), Message("user", (as_sent(speech("question_story")),))]
    await remote.prefill(messages, dialogue="ahead")
    _, stats = await generate(remote, messages, 1)
    assert stats.cached_tokens >= stats.prompt_tokens - 64


async def test_a_dead_replica_is_told_and_the_next_turn_goes_to_the_other(
    qwen: tuple[VllmServer, VllmServer],
) -> None:
    model = await engine_model(*qwen)
    try:
        dying = await kill_in_mid_answer(model, qwen)
        began_s = time.monotonic()
        text, _ = await generate(model, [Message("user", ("Again.",))])
        print(f"the next turn on the other replica: {time.monotonic() - began_s:.2f} s")
        assert text
        states = {state.url: state for state in model.engine_state()}
        assert states[f"{dying.address}/v1"].failures >= 1
    finally:
        await model.close()
        dying.start()
        dying.wait()


async def kill_in_mid_answer(model: Any, servers: tuple[VllmServer, ...]) -> VllmServer:
    """Kills the replica that answers, and gives it; the answer ends with a sentence."""
    with pytest.raises(Exception, match=r"has broken off the answer; ask again|cannot be reached"):
        async for event in model.generate([Message("user", ("Talk.",))], LONG, dialogue="talk"):
            if isinstance(event, TextDelta) and all(state.in_flight < 2 for state in model.engine_state()):
                busy = next(state for state in model.engine_state() if state.in_flight)
                dying = next(server for server in servers if busy.url.startswith(server.address))
                dying.kill()
    return dying


async def test_a_session_outlives_its_engine(qwen: tuple[VllmServer, VllmServer]) -> None:
    server, model = qwen[0], await engine_model(qwen[0])
    try:
        await outlive(model, server)
    finally:
        await model.close()


async def outlive(model: Any, server: VllmServer) -> None:
    """A session with an engine that dies, is gone, and comes back."""
    async with conversing(model, replace(OPTIONS, generation=LONG)) as conversation:
        conversation.session.submit_text("Talk.")
        await conversation.until("response.output_text.delta")
        server.kill()
        await conversation.session.settled()
        assert conversation.of("response.done")[-1].status == "failed"
        (error,) = conversation.of("error")
        assert "has broken off the answer; ask again" in error.message
        conversation.session.submit_text("Are you there?")
        await conversation.session.settled()
        assert "cannot be reached" in conversation.of("error")[1].message
        server.start()
        print(f"restarted in {await asyncio.to_thread(server.wait):.0f} s")
        conversation.session.change_settings(temperature=0.0, max_output_tokens=8)
        conversation.session.submit_text("And now?")
        await conversation.session.settled()
        last = conversation.of("response.done")[-1]
        assert (last.status, bool(last.text), len(conversation.of("error"))) == ("incomplete", True, 2), "8 tokens"


async def test_audio_flamingo_3_says_what_our_engine_says(
    python: Path, checkpoint: Callable[[TinyFamily], Path], speech: Callable[[str], Samples]
) -> None:
    """It takes one clip in a prompt there, so the voice comes first, and typed questions follow."""
    folder = checkpoint(AUDIO_FLAMINGO3)
    own = ours(folder)
    server = VllmServer(python, folder, folder.parent / "flamingo.log", ("--chat-template-content-format", "openai"))
    with running(server):
        model = await engine_model(server)
        questions = [
            Message("user", (as_sent(speech("question_capital")),)),
            Message("user", ("And the river?",)),
            Message("user", ("Say more.",)),
        ]
        costs = await three_turns(model, own, questions)
        assert costs[1].cached_tokens > 0
        assert costs[2].cached_tokens > 0
        await model.close()
    await own.close()


def test_vllm_knows_the_options_that_the_documents_give_it(python: Path) -> None:
    known = subprocess.run(
        [python, "-m", "vllm.entrypoints.openai.api_server", "--help=all"], check=True, capture_output=True, text=True
    ).stdout
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yml").read_text("utf-8"))
    given = " ".join(compose["services"]["vllm"]["command"])
    for document in ("README.md", "deploy/engines.md"):
        text = (ROOT / document).read_text("utf-8").replace("\\\n", " ")
        given += " " + " ".join(re.findall(r"^vllm serve .*", text, re.MULTILINE)).replace(" #", " ")
    options = set(re.findall(r"--[a-z][a-z-]+", given))
    assert len(options) > 5
    assert [option for option in sorted(options) if not re.search(rf"{option}\b", known)] == []
