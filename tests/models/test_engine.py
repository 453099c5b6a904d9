"""The decode loop against transformers itself: same tokens, less work, nothing shared between dialogues but time."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from models.engine import AudioSpan, Engine, TokenSpan
from models.errors import GenerationFailed, InvalidPrompt, ModelUnavailable, PromptTooLong
from models.kv_cache import STATIC_TOKENS
from models.sampling import MAX_WINDOW_TOKENS, Detokenizer, Sampler, StopStrings, choose_tokens
from models.types import GenerationOptions, GenerationStats, TextDelta

VOCABULARY = 400
HIDDEN = 64
CONTEXT_TOKENS = 1024
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.3,  # wide enough that greedy answers wander instead of repeating one token
    "bos_token_id": None,
    "eos_token_id": None,
}


def llama(**changes: Any) -> Any:
    torch.manual_seed(1)
    return LlamaForCausalLM(LlamaConfig(**{**SIZES, **changes})).eval()


def qwen2() -> Any:
    torch.manual_seed(2)
    return Qwen2ForCausalLM(Qwen2Config(**SIZES)).eval()


def mistral() -> Any:
    torch.manual_seed(3)
    return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=16)).eval()


@pytest.fixture(scope="module", params=[llama, qwen2], ids=["llama", "qwen2"])
def model(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<end>"]
    )
    bpe.train_from_iterator(["the quick brown fox jumps over the lazy dog, and stops there"] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<end>")


class Ids:
    """A tokenizer whose text shows the tokens."""

    def decode(self, token_ids: list[int], **_: Any) -> str:
        return "".join(f"{token} " for token in token_ids)


class Probe:
    """A model that notes each call, and may fail or change the logits on request."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.config = model.config
        self.calls: list[tuple[int, int]] = []  # rows, new positions
        self.logits = torch.zeros(0)
        self.before: Callable[[dict[str, Any]], None] = lambda inputs: None
        self.after: Callable[[torch.Tensor, torch.Tensor], None] = lambda positions, logits: None

    def get_input_embeddings(self) -> Any:
        return self.model.get_input_embeddings()

    def __call__(self, **inputs: Any) -> Any:
        positions = inputs["position_ids"]
        tensor = inputs.get("input_ids", inputs.get("inputs_embeds"))
        self.calls.append((tensor.shape[0], tensor.shape[1]))
        self.before(inputs)
        output = self.model(**inputs)
        self.after(positions[:, -1], output.logits[:, -1])
        self.logits = output.logits[:, -1].clone()
        return output


def saying(model: Any, prompt_tokens: int, answer: Sequence[int]) -> Probe:
    """A model that answers a prompt of this length with these tokens."""

    def force(positions: torch.Tensor, logits: torch.Tensor) -> None:
        for row, position in enumerate(positions.tolist()):
            logits[row, answer[min(position - prompt_tokens + 1, len(answer) - 1)]] = 1e6

    probe = Probe(model)
    probe.after = force
    return probe


@asynccontextmanager
async def running(model: Any, tokenizer: Any = None, **settings: Any) -> AsyncIterator[Engine]:
    settings = {"context_tokens": CONTEXT_TOKENS, "stop_token_ids": frozenset(), "prefill_chunk_tokens": 32} | settings
    engine = Engine(model, tokenizer or Ids(), **settings)
    try:
        yield engine
    finally:
        await engine.close()


async def answer(engine: Engine, prompt: Any, options: GenerationOptions, dialogue: str) -> tuple[str, GenerationStats]:
    events = [event async for event in engine.generate(prompt, options, dialogue=dialogue)]
    assert all(isinstance(event, TextDelta) and event.text for event in events[:-1])
    assert isinstance(events[-1], GenerationStats)
    return "".join(event.text for event in events[:-1] if isinstance(event, TextDelta)), events[-1]


async def tokens_of(engine: Engine, ids: Sequence[int], n: int, dialogue: str, **options: Any) -> list[int]:
    text, _ = await answer(engine, text_prompt(ids), GenerationOptions(max_new_tokens=n, **options), dialogue)
    return [int(token) for token in text.split()]


def text_prompt(ids: Sequence[int]) -> list[TokenSpan]:
    return [TokenSpan(tuple(ids))]


def some_ids(n: int, seed: int = 0) -> list[int]:
    return random.Random(seed).choices(range(1, VOCABULARY), k=n)


def reference(model: Any, ids: Sequence[int], n: int, **settings: Any) -> list[int]:
    """transformers' own answer."""
    inputs = torch.tensor([ids])
    output = model.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        max_new_tokens=n,
        do_sample=False,
        pad_token_id=0,
        **settings,
    )
    return output[0, len(ids) :].tolist()


def full_logits(model: Any, ids: Sequence[int]) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[:, -1]


class Encoder:
    """Embeds clips by their key, and counts."""

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def rows(self, key: str, n_tokens: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(sum(key.encode()))
        return torch.randn(n_tokens, HIDDEN, generator=generator)

    def span(self, key: str, n_tokens: int, n_rows: int | None = None) -> AudioSpan:
        def embed() -> torch.Tensor:
            self.embedded.append(key)
            return self.rows(key, n_tokens if n_rows is None else n_rows)

        return AudioSpan(key, n_tokens, embed)


# Equal to transformers.


async def test_greedy_tokens_are_those_of_transformers(model: Any) -> None:
    ids = some_ids(75)  # three chunks of prefill
    async with running(model) as engine:
        assert await tokens_of(engine, ids, 40, "a") == reference(model, ids, 40)
        penalised = await tokens_of(engine, ids, 40, "a", repetition_penalty=1.3)
        assert penalised == reference(model, ids, 40, repetition_penalty=1.3)


async def test_stop_token_ends_the_answer_and_is_not_part_of_it(model: Any) -> None:
    ids = some_ids(20)
    expected = reference(model, ids, 20)
    stop = expected[7]
    at = expected.index(stop)
    async with running(model, stop_token_ids=frozenset({stop})) as engine:
        text, stats = await answer(engine, text_prompt(ids), GenerationOptions(max_new_tokens=20), "a")
    assert text.split() == [str(token) for token in expected[:at]]
    assert (stats.finish_reason, stats.completion_tokens) == ("stop", at)


async def test_sliding_windows_stay_exact_and_can_be_cut() -> None:
    model = mistral()
    ids = some_ids(60)
    async with running(model) as engine:
        assert await tokens_of(engine, ids, 20, "a") == reference(model, ids, 20)
        retracted = [*ids[:40], 5, 6, 7]
        first, second = await asyncio.gather(
            tokens_of(engine, retracted, 20, "a"), tokens_of(engine, some_ids(30, 9), 20, "b")
        )
    assert first == reference(model, retracted, 20)
    assert second == reference(model, some_ids(30, 9), 20)


async def test_models_with_other_state_are_refused() -> None:
    model = llama()
    model.config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(ModelUnavailable, match="linear_attention"):
        Engine(model, Ids(), context_tokens=10, stop_token_ids=frozenset())


# The prefix cache.


@pytest.mark.parametrize("static", [False, True])
async def test_three_turns_with_barge_in_retraction_and_eviction_equal_a_full_recompute(
    model: Any, static: bool
) -> None:
    probe = Probe(model)
    options = GenerationOptions(max_new_tokens=12)
    async with running(probe, static=static) as engine:

        async def turn(ids: list[int]) -> tuple[list[int], int]:
            text, stats = await answer(engine, text_prompt(ids), options, "a")
            tokens = [int(token) for token in text.split()]
            assert tokens == reference(model, ids, 12)
            fed = [*ids, *tokens[:-1]]
            assert torch.allclose(probe.logits, full_logits(model, fed), atol=1e-4)
            return tokens, stats.cached_tokens

        first = some_ids(50)
        tokens, cached = await turn(first)
        assert cached == 0

        # The answer joins the cache, but for its last token, which was never run.
        second = [*first, *tokens, *some_ids(9, 1)]
        heard: list[int] = []
        async with aclosing(
            engine.generate(text_prompt(second), GenerationOptions(max_new_tokens=500), dialogue="a")
        ) as events:
            async for event in events:
                assert isinstance(event, TextDelta)
                heard.append(int(event.text))
                if len(heard) == 4:
                    break  # barge-in

        third = [*second, *heard[:3], *some_ids(5, 2)]
        tokens, cached = await turn(third)
        assert cached >= len(second) + 3

        retracted = [*second, *some_ids(11, 3)]
        tokens, cached = await turn(retracted)
        assert cached == len(second)

        system, kept = retracted[:10], retracted[40:]
        _, cached = await turn([*system, *kept])
        assert cached == 10


async def test_prefill_leaves_one_position_to_generate(model: Any) -> None:
    ids = some_ids(70)
    probe = Probe(model)
    async with running(probe) as engine:
        await engine.prefill(text_prompt(ids), dialogue="a")
        n_calls = len(probe.calls)
        await engine.prefill(text_prompt(ids[:60]), dialogue="a")  # known: costs nothing and cuts nothing
        assert len(probe.calls) == n_calls
        text, stats = await answer(engine, text_prompt(ids), GenerationOptions(max_new_tokens=8), "a")
    assert [int(token) for token in text.split()] == reference(model, ids, 8)
    assert (stats.prompt_tokens, stats.cached_tokens) == (70, 69)
    assert probe.calls[n_calls] == (1, 1)


async def test_forgotten_dialogue_starts_from_nothing(model: Any) -> None:
    ids = some_ids(30)
    async with running(model) as engine:
        await engine.prefill(text_prompt(ids), dialogue="a")
        await engine.forget(dialogue="a")
        await engine.forget(dialogue="never heard of")
        _, stats = await answer(engine, text_prompt(ids), GenerationOptions(max_new_tokens=2), "a")
    assert stats.cached_tokens == 0


async def test_least_recently_used_idle_dialogue_is_evicted(model: Any) -> None:
    one = 2 * 2 * 2 * 16 * 128 * 4  # layers, keys and values, heads, head size, capacity for 100 tokens, float32
    options = GenerationOptions(max_new_tokens=1)
    async with running(model, cache_budget_bytes=2 * one) as engine:
        for dialogue in ("a", "b"):
            await engine.prefill(text_prompt(some_ids(100)), dialogue=dialogue)
        _, stats = await answer(engine, text_prompt(some_ids(100)), options, "a")
        assert stats.cached_tokens == 99
        await engine.prefill(text_prompt(some_ids(100)), dialogue="c")  # evicts b, which waited longest
        cached = {}
        for dialogue in ("a", "c", "b"):
            _, stats = await answer(engine, text_prompt(some_ids(100)), options, dialogue)
            cached[dialogue] = stats.cached_tokens
    assert cached == {"a": 99, "c": 99, "b": 0}


# Audio.


async def test_audio_is_spliced_in_and_embedded_once(model: Any) -> None:
    encoder = Encoder()
    head, middle, tail = some_ids(12, 1), some_ids(5, 2), some_ids(6, 3)
    first = [TokenSpan(tuple(head)), encoder.span("x", 45), TokenSpan(tuple(middle))]
    second = [*first, encoder.span("y", 20), TokenSpan(tuple(tail))]
    cut = [TokenSpan(tuple(head[:4])), encoder.span("y", 20), TokenSpan(tuple(tail))]
    probe = Probe(model)

    def embeds(*parts: list[int] | torch.Tensor) -> torch.Tensor:
        table = model.get_input_embeddings()
        return torch.cat([part if isinstance(part, torch.Tensor) else table(torch.tensor(part)) for part in parts])

    options = GenerationOptions(max_new_tokens=1)
    async with running(probe) as engine:
        await engine.prefill(first, dialogue="a")
        _, stats = await answer(engine, second, options, "a")
        assert stats.cached_tokens == 12 + 45 + 5
        rows = embeds(head, encoder.rows("x", 45), middle, encoder.rows("y", 20), tail)
        with torch.inference_mode():
            assert torch.allclose(probe.logits, model(inputs_embeds=rows[None]).logits[:, -1], atol=1e-4)
        _, stats = await answer(engine, cut, options, "a")
        assert stats.cached_tokens == 4
        rows = embeds(head[:4], encoder.rows("y", 20), tail)
        with torch.inference_mode():
            assert torch.allclose(probe.logits, model(inputs_embeds=rows[None]).logits[:, -1], atol=1e-4)
        assert encoder.embedded == ["x", "y"]  # also when the cut moved y to another place
        await answer(engine, first, options, "a")
        assert encoder.embedded == ["x", "y", "x"]  # x had left the dialogue


async def test_wrong_number_of_embeddings_is_an_invalid_prompt(model: Any) -> None:
    encoder = Encoder()
    ids = some_ids(10)
    async with running(model) as engine:
        with pytest.raises(InvalidPrompt, match=r"(?s)25.*24"):
            await engine.prefill([TokenSpan(tuple(ids)), encoder.span("x", 25, n_rows=24)], dialogue="a")
        assert await tokens_of(engine, ids, 5, "a") == reference(model, ids, 5)


async def test_one_clip_of_two_lengths_is_an_invalid_prompt(model: Any) -> None:
    encoder = Encoder()
    async with running(model) as engine:
        with pytest.raises(InvalidPrompt, match="5 and as 6"):
            await engine.prefill([encoder.span("x", 5), encoder.span("x", 6)], dialogue="a")


# Several dialogues.


@pytest.mark.parametrize(("max_batch", "static"), [(1, False), (2, False), (8, False), (8, True)])
async def test_concurrent_dialogues_get_the_tokens_they_would_get_alone(
    model: Any, max_batch: int, static: bool
) -> None:
    prompts = [some_ids(n, seed=n) for n in (3, 90, 33, 64, 65)]
    lengths = [60, 20, 100, 45, 80]
    probe = Probe(model)
    async with running(probe, max_batch=max_batch, static=static) as engine:
        together = await asyncio.gather(
            *(
                tokens_of(engine, ids, n, str(index), repetition_penalty=1.2)
                for index, (ids, n) in enumerate(zip(prompts, lengths, strict=True))
            )
        )
        for index, (ids, tokens) in enumerate(zip(prompts, together, strict=True)):
            assert tokens == reference(model, ids, lengths[index], repetition_penalty=1.2)
            # What was decoded in the batch is the dialogue's again.
            _, stats = await answer(
                engine, text_prompt([*ids, *tokens, 1]), GenerationOptions(max_new_tokens=1), str(index)
            )
            assert stats.cached_tokens == len(ids) + len(tokens) - 1
            assert torch.allclose(probe.logits, full_logits(model, [*ids, *tokens, 1]), atol=1e-4)
    rows = {rows for rows, _ in probe.calls}
    assert rows <= {1, 2, 4, 8} if static else max(rows) == min(max_batch, 5)  # static steps have few shapes
    assert len(rows) > 1 or max_batch == 1


async def test_a_static_batch_grows_where_it_has_to(model: Any) -> None:
    ids, n_new = some_ids(STATIC_TOKENS - 20), 40
    found = []
    for static in (True, False):
        async with running(model, static=static, context_tokens=2 * STATIC_TOKENS, prefill_chunk_tokens=512) as engine:
            found.append(await tokens_of(engine, ids, n_new, "a"))
    assert found[0] == found[1]


async def test_a_long_prompt_does_not_stop_a_running_answer(model: Any) -> None:
    probe = Probe(model)
    async with running(probe) as engine:
        events = engine.generate(text_prompt(some_ids(5)), GenerationOptions(max_new_tokens=900), dialogue="a")
        async with aclosing(events):
            await anext(events)
            await engine.prefill(text_prompt(some_ids(320)), dialogue="b")
            calls = list(probe.calls)
    chunks = [index for index, (_, n_new) in enumerate(calls) if n_new == 32]
    assert len(chunks) == 10
    assert all(after - before == 2 for before, after in itertools.pairwise(chunks))  # a token in between


async def test_long_prompts_together_stall_an_answer_for_one_chunk_a_token(model: Any) -> None:
    probe = Probe(model)
    async with running(probe) as engine:
        events = engine.generate(text_prompt(some_ids(5)), GenerationOptions(max_new_tokens=900), dialogue="a")
        async with aclosing(events):
            await anext(events)
            await asyncio.gather(*(engine.prefill(text_prompt(some_ids(160)), dialogue=name) for name in "bcd"))
            calls = list(probe.calls)
    chunks = [index for index, (_, n_new) in enumerate(calls) if n_new == 32]
    assert len(chunks) == 15
    assert all(after - before == 2 for before, after in itertools.pairwise(chunks))  # a token in between


async def test_requests_of_one_dialogue_run_in_order(model: Any) -> None:
    ids = some_ids(40)
    async with running(model) as engine:
        prefill = asyncio.create_task(engine.prefill(text_prompt(ids), dialogue="a"))
        generate = asyncio.create_task(answer(engine, text_prompt([*ids, 3]), GenerationOptions(max_new_tokens=3), "a"))
        await prefill
        _, stats = await generate
    assert stats.cached_tokens == 40


# Cancellation.


async def test_closing_the_generator_stops_within_one_step(model: Any) -> None:
    probe = Probe(model)
    async with running(probe) as engine:
        events = engine.generate(text_prompt(some_ids(5)), GenerationOptions(max_new_tokens=1000), dialogue="a")
        await anext(events)
        await events.aclose()
        n_calls = len(probe.calls)
        await engine.prefill(text_prompt(some_ids(5)), dialogue="a")  # behind it in the queue
        assert len(probe.calls) <= n_calls + 1


async def test_cancelled_task_frees_the_dialogue(model: Any) -> None:
    ids = some_ids(100)
    probe = Probe(model)
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    probe.before = lambda inputs: loop.call_soon_threadsafe(started.set) and None
    async with running(probe) as engine:
        task = asyncio.create_task(tokens_of(engine, ids, 900, "a"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await tokens_of(engine, ids, 5, "a") == reference(model, ids, 5)


@pytest.mark.parametrize("how", ["forget", "close"])
async def test_forgotten_or_closed_answers_end_as_cancelled(model: Any, how: str) -> None:
    async with running(model) as engine:
        events = engine.generate(text_prompt(some_ids(5)), GenerationOptions(max_new_tokens=1000), dialogue="a")
        await anext(events)
        waiting = asyncio.create_task(answer(engine, text_prompt(some_ids(9)), GenerationOptions(), "a"))
        await engine.forget(dialogue="nobody")  # lets the waiting request arrive
        await (engine.forget(dialogue="a") if how == "forget" else engine.close())
        *_, last = [event async for event in events]
        assert isinstance(last, GenerationStats)
        assert last.finish_reason == "cancelled"
        assert (await waiting)[1].finish_reason == "cancelled"


async def test_closed_engine_refuses_and_closes_twice(model: Any) -> None:
    async with running(model) as engine:
        await engine.close()
        await engine.forget(dialogue="a")
        with pytest.raises(GenerationFailed, match="closed"):
            await engine.prefill(text_prompt([1]), dialogue="a")


# Limits and failures.


async def test_prompts_that_do_not_fit_never_reach_the_model(model: Any) -> None:
    probe = Probe(model)
    async with running(probe, context_tokens=50) as engine:
        with pytest.raises(PromptTooLong) as caught:
            await engine.prefill(text_prompt(some_ids(50)), dialogue="a")
        assert (caught.value.prompt_tokens, caught.value.context_tokens) == (50, 50)
        with pytest.raises(InvalidPrompt, match="empty"):
            await tokens_of(engine, [], 5, "a")
        assert not probe.calls
        text, stats = await answer(engine, text_prompt(some_ids(46)), GenerationOptions(max_new_tokens=9), "a")
    assert len(text.split()) == stats.completion_tokens == 4
    assert stats.finish_reason == "length"


async def test_a_failure_is_one_dialogues_own(model: Any) -> None:
    ids, others = some_ids(30, 1), some_ids(30, 2)
    mine, theirs = reference(model, ids, 40), reference(model, others, 40)
    poison = next(token for token in mine[5:] if token not in theirs)
    probe = Probe(model)

    def fail(inputs: dict[str, Any]) -> None:
        if inputs["input_ids"].shape[1] == 1 and (inputs["input_ids"] == poison).any():
            raise torch.OutOfMemoryError("no room")

    probe.before = fail
    async with running(probe) as engine:
        failed, unharmed = await asyncio.gather(
            tokens_of(engine, ids, 40, "a"), tokens_of(engine, others, 40, "b"), return_exceptions=True
        )
        assert isinstance(failed, GenerationFailed)
        assert "out of memory" in str(failed)
        assert unharmed == theirs
        probe.before = lambda inputs: None
        _, stats = await answer(engine, text_prompt(ids), GenerationOptions(max_new_tokens=1), "a")
        assert stats.cached_tokens == 0


async def test_a_batch_that_fails_goes_on_one_by_one(model: Any) -> None:
    prompts = [some_ids(30, 1), some_ids(50, 2)]
    probe = Probe(model)

    def fail(inputs: dict[str, Any]) -> None:
        if inputs["position_ids"].shape[0] > 1 and inputs["position_ids"].max() > 70:
            raise torch.OutOfMemoryError("no room for two")

    probe.before = fail
    async with running(probe) as engine:
        together = await asyncio.gather(*(tokens_of(engine, ids, 60, str(n)) for n, ids in enumerate(prompts)))
    assert together == [reference(model, ids, 60) for ids in prompts]


async def test_a_failing_encoder_fails_its_request(model: Any) -> None:
    def embed() -> torch.Tensor:
        raise RuntimeError("the encoder broke")

    async with running(model) as engine:
        with pytest.raises(GenerationFailed, match="the encoder broke"):
            await engine.prefill([AudioSpan("x", 4, embed)], dialogue="a")


# Text.


async def test_characters_of_several_tokens_arrive_whole(tokenizer: Any) -> None:
    text = "fox 👩🏽‍🚀 jumps 世界 über the 🐕!"
    ids = some_ids(9)
    script = [*tokenizer.encode(text), tokenizer.eos_token_id]
    async with running(
        saying(llama(), 9, script), tokenizer, stop_token_ids=frozenset({tokenizer.eos_token_id})
    ) as engine:
        deltas = [event async for event in engine.generate(text_prompt(ids), GenerationOptions(), dialogue="a")]
    pieces = [event.text for event in deltas if isinstance(event, TextDelta)]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert len(pieces) > 10


async def test_an_answer_cut_inside_a_character_ends_before_it(tokenizer: Any) -> None:
    script = tokenizer.encode("dog 🐕")
    async with running(saying(llama(), 9, script), tokenizer) as engine:
        options = GenerationOptions(max_new_tokens=len(script) - 1)
        text, stats = await answer(engine, text_prompt(some_ids(9)), options, "a")
    assert text == "dog "
    assert (stats.finish_reason, stats.completion_tokens) == ("length", len(script) - 1)


@pytest.mark.parametrize(
    ("stops", "expected", "reason"),
    [
        (("there",), "the quick fox stops ", "stop"),
        (("x sto",), "the quick fo", "stop"),  # over several tokens
        (("never", "fox", "quick fox"), "the ", "stop"),  # the earliest wins
        (("there!!",), "the quick fox stops there", "length"),  # held back, then delivered at the end
    ],
)
async def test_stop_strings(tokenizer: Any, stops: tuple[str, ...], expected: str, reason: str) -> None:
    script = tokenizer.encode("the quick fox stops there")
    async with running(saying(llama(), 9, script), tokenizer) as engine:
        options = GenerationOptions(max_new_tokens=len(script), stop=stops)
        text, stats = await answer(engine, text_prompt(some_ids(9)), options, "a")
    assert text == expected
    assert stats.finish_reason == reason


def test_detokenizer_settles_broken_bytes_and_ignores_special_tokens(tokenizer: Any) -> None:
    detokenizer = Detokenizer(tokenizer)
    first_byte = tokenizer.encode("🐕")[0]
    dog = tokenizer.encode("dog")
    end = tokenizer.eos_token_id
    assert detokenizer.push(first_byte) == ""
    assert "".join(detokenizer.push(token) for token in dog) == "\ufffddog"
    assert "".join(detokenizer.push(end) for _ in range(100)) == ""
    broken = "".join(detokenizer.push(first_byte) for _ in range(200))
    assert broken.count("\ufffd") > 200 - MAX_WINDOW_TOKENS, "no more is held back than one window"
    rest = "".join(detokenizer.push(token) for token in tokenizer.encode("🐕 over"))
    assert rest.endswith("🐕 over")
    assert (broken + rest).count("\ufffd") == 200, "and nothing is lost"


@pytest.mark.parametrize("text", ["🫨xy", "ꦏx", "é", "🐕🐕"])
def test_detokenizer_waits_for_characters_that_come_byte_by_byte(text: str) -> None:
    vocabulary = {"<unk>": 0, "x": 1, "y": 2, **{f"<0x{byte:02X}>": 3 + byte for byte in range(256)}}
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    bpe.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, unk_token="<unk>")
    detokenizer = Detokenizer(tokenizer)
    ids = [
        token
        for letter in text
        for token in ([vocabulary[letter]] if letter in vocabulary else [3 + byte for byte in letter.encode()])
    ]
    assert "".join(detokenizer.push(token) for token in ids) == text


def test_stop_strings_hold_back_as_little_as_possible() -> None:
    stops = StopStrings(("aab",))
    assert stops.push("xa") == ("x", False)
    assert stops.push("a") == ("", False)
    assert stops.push("a") == ("a", False)
    assert stops.push("c") == ("aac", False)
    assert stops.push("a") == ("", False)
    assert stops.flush() == "a"
    assert stops.push("aab and more") == ("", True)


# Numbers that overflow.


def test_logits_that_are_no_numbers_are_a_failure() -> None:
    logits = torch.zeros(2, 8)
    logits[1, 3] = torch.nan
    samplers = [Sampler(GenerationOptions(), (), 4) for _ in range(2)]
    with pytest.raises(GenerationFailed, match="overflow"):
        choose_tokens(logits, samplers)


@pytest.mark.parametrize("static", [False, True])
async def test_an_answer_that_overflows_fails_alone(static: bool) -> None:
    model = llama()
    with torch.no_grad():
        model.get_input_embeddings().weight[7] = torch.nan
    kept, broken = some_ids(30, 1), [7, 7, 7]
    kept = [token for token in kept if token != 7]
    async with running(model, static=static) as engine:
        answering = asyncio.create_task(tokens_of(engine, kept, 60, "kept"))
        with pytest.raises(GenerationFailed, match="overflow"):
            await tokens_of(engine, broken, 60, "broken")
        assert len(await answering) == 60
        clip = AudioSpan("clip", 2, lambda: torch.full((2, HIDDEN), torch.nan))
        with pytest.raises(GenerationFailed, match="overflow on clip"):
            async for _ in engine.generate([TokenSpan((1, 2)), clip], GenerationOptions(), dialogue="clip"):
                pass


async def test_many_requests_that_wait_end_with_their_dialogue(model: Any) -> None:
    async with running(model) as engine:
        waiting = [asyncio.create_task(tokens_of(engine, some_ids(5), 500, "one")) for _ in range(600)]
        await asyncio.sleep(0)  # each has asked by then
        await asyncio.wait_for(engine.forget(dialogue="one"), 30)
        await asyncio.wait_for(asyncio.gather(*waiting), 30)


# Sampling.


async def test_a_seed_makes_sampling_reproducible(model: Any) -> None:
    ids = some_ids(10)
    settings = {"temperature": 0.9, "top_p": 0.95, "top_k": 50}
    async with running(model) as engine:
        first = await tokens_of(engine, ids, 30, "a", seed=7, **settings)
        assert await tokens_of(engine, ids, 30, "a", seed=7, **settings) == first
        assert await tokens_of(engine, ids, 30, "a", seed=8, **settings) != first
        assert await tokens_of(engine, ids, 30, "a", **settings) != await tokens_of(engine, ids, 30, "a", **settings)
        assert await tokens_of(engine, ids, 30, "a", temperature=2.0, top_k=1) == reference(model, ids, 30)


def test_top_p_and_top_k_keep_what_transformers_keeps() -> None:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    torch.manual_seed(0)
    logits = torch.randn(1, 40) * 2
    for options in (
        GenerationOptions(temperature=0.7, top_p=0.6, seed=1),
        GenerationOptions(temperature=1.5, top_k=5, seed=1),
        GenerationOptions(temperature=1.3, top_k=20, top_p=0.5, seed=1),
    ):
        scores = TemperatureLogitsWarper(options.temperature)(torch.zeros(1, 0), logits)
        if options.top_k:
            scores = TopKLogitsWarper(options.top_k)(torch.zeros(1, 0), scores)
        scores = TopPLogitsWarper(options.top_p)(torch.zeros(1, 0), scores)
        allowed = set(torch.nonzero(scores[0] > -torch.inf)[:, 0].tolist())
        sampler = Sampler(options, [], 2000)
        assert {choose_tokens(logits, [sampler])[0] for _ in range(2000)} == allowed


async def test_stats_measure_from_the_call(model: Any) -> None:
    async with running(model) as engine:
        text, stats = await answer(engine, text_prompt(some_ids(10)), GenerationOptions(max_new_tokens=6), "a")
    assert len(text.split()) == stats.completion_tokens == 6
    assert stats.ttft_s is not None
    assert 0 < stats.ttft_s <= stats.total_s
    assert (stats.prompt_tokens, stats.finish_reason) == (10, "length")
