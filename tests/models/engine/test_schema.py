"""Answers held to JSON schemas: every one is valid, and nobody else's answer changes."""

import asyncio
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from models.engine.engine import Engine
from models.engine.schema import MAX_COMPILED, MAX_DIGITS, Schemas
from models.errors import InvalidPrompt
from models.types import GenerationOptions, GenerationStats
from tests.models.engine.probing import (
    VOCABULARY,
    Ids,
    Probe,
    answer,
    llama,
    reference,
    running,
    saying,
    some_ids,
    text_prompt,
)
from tests.models.engine.random_schemas import random_schemas

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
COLOURS = {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "minItems": 4, "maxItems": 9}
WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"temperature": 1.0},
    {"temperature": 0.8, "top_p": 0.9, "repetition_penalty": 1.2},
    {"repetition_penalty": 1.5},
    {"temperature": 1.5, "top_k": 5},
)


def options(schema: Any, n: int = 1500, **settings: Any) -> GenerationOptions:
    return GenerationOptions(max_new_tokens=n, json_schema=schema, **settings)


def serving(model: Any, tokenizer: Any, **settings: Any) -> Any:
    return running(
        model, tokenizer, **{"stop_token_ids": frozenset({tokenizer.eos_token_id}), "context_tokens": 3000} | settings
    )


async def free_text(engine: Engine, seed: int, dialogue: str) -> str:
    text, _ = await answer(engine, text_prompt(some_ids(30, seed)), GenerationOptions(max_new_tokens=40), dialogue)
    return text


def check(text: str, schema: Any) -> None:
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(json.loads(text))


@pytest.mark.parametrize(("n", "static"), [(200, False), (50, True)])
async def test_answers_to_random_schemas_are_valid(tokenizer: Any, n: int, static: bool) -> None:
    assert len(tokenizer) < VOCABULARY  # the model has tokens that are no text at all
    places = asyncio.Semaphore(8)
    async with serving(llama(), tokenizer, static=static) as engine:

        async def check_answer(number: int, schema: Any) -> None:
            async with places:
                asked = options(schema, **WAYS[number % len(WAYS)], seed=number)
                text, stats = await answer(engine, text_prompt(some_ids(5, number)), asked, str(number))
                await engine.forget(dialogue=str(number))
                assert stats.finish_reason == "stop", text
                check(text, schema)
                assert "\n" not in text

        await asyncio.gather(*(check_answer(number, schema) for number, schema in enumerate(random_schemas(n))))


async def test_dialogues_of_one_batch_keep_their_own_schema(tokenizer: Any) -> None:
    probe = Probe(llama())
    asked = {"person": options(PERSON), "colours": options(COLOURS), "text": GenerationOptions(max_new_tokens=40)}
    async with serving(probe, tokenizer) as engine:
        prompts = {name: text_prompt(some_ids(20, seed)) for seed, name in enumerate(asked)}
        alone = {name: (await answer(engine, prompts[name], asked[name], f"{name} alone"))[0] for name in asked}
        probe.calls.clear()
        together = await asyncio.gather(*(answer(engine, prompts[name], asked[name], name) for name in asked))
        assert max(rows for rows, _ in probe.calls) == 3
        free, stats = await answer(engine, prompts["text"], GenerationOptions(max_new_tokens=40), "later")
    assert dict(zip(asked, (text for text, _ in together), strict=True)) == alone
    check(alone["person"], PERSON)
    check(alone["colours"], COLOURS)
    assert (free, stats.completion_tokens) == (alone["text"], together[2][1].completion_tokens)


async def test_a_closed_answer_leaves_the_dialogue_and_its_neighbour_as_they_are(tokenizer: Any) -> None:
    prompt, long = text_prompt(some_ids(30)), {"type": "string", "minLength": 900}
    async with serving(llama(), tokenizer) as engine:
        expected = await free_text(engine, 0, "fresh")
        neighbour = asyncio.create_task(answer(engine, text_prompt(some_ids(9)), options(COLOURS), "neighbour"))
        events = engine.generate(prompt, options(long), dialogue="a")
        await anext(events)
        await events.aclose()
        text, _ = await neighbour
        check(text, COLOURS)
        assert await free_text(engine, 0, "a") == expected
        waiting = asyncio.create_task(answer(engine, prompt, options(long), "a"))
        await asyncio.sleep(0)
        waiting.cancel()  # perhaps while its schema is compiled
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await free_text(engine, 0, "a") == expected


async def test_a_prefix_cache_is_shared_with_answers_that_have_no_schema(tokenizer: Any) -> None:
    prompt = text_prompt(some_ids(30))
    async with serving(llama(), tokenizer) as engine:
        free = await free_text(engine, 0, "free")
        held, _ = await answer(engine, prompt, options(PERSON), "held")
        after_free, stats = await answer(engine, prompt, options(PERSON), "free")
        assert (after_free, stats.cached_tokens) == (held, 29)
        assert await free_text(engine, 0, "held") == free


async def test_an_answer_can_end_only_where_its_json_is_whole(tokenizer: Any) -> None:
    end = tokenizer.eos_token_id
    numbers = [tokenizer.encode(character)[0] for character in "42"]
    prompt = text_prompt(some_ids(10))
    async with serving(saying(llama(), 10, [end]), tokenizer) as engine:  # it wants to end at once
        text, stats = await answer(engine, prompt, options(PERSON), "a")
        check(text, PERSON)
        assert stats.finish_reason == "stop"
    async with serving(saying(llama(), 10, [*numbers, end]), tokenizer) as engine:
        text, stats = await answer(engine, prompt, options({"type": "integer"}), "a")
        assert (text, stats.finish_reason, stats.completion_tokens) == ("42", "stop", 2)


async def test_an_answer_that_can_only_end_takes_no_further_step(tokenizer: Any) -> None:
    probe = Probe(llama())
    async with serving(probe, tokenizer) as engine:
        _, stats = await answer(engine, text_prompt(some_ids(10)), options(COLOURS), "a")
        assert len(probe.calls) == stats.completion_tokens  # the first token is the prompt's
        n = stats.completion_tokens
        assert (await answer(engine, text_prompt(some_ids(10)), options(COLOURS, n), "a"))[1].finish_reason == "stop"
        cut, stats = await answer(engine, text_prompt(some_ids(10)), options(COLOURS, n - 1), "a")
    assert stats.finish_reason == "length"
    with pytest.raises(ValueError, match=r"JSON|delimiter|control"):
        json.loads(cut)


async def test_a_stop_string_ends_an_answer_before_its_json(tokenizer: Any) -> None:
    async with serving(llama(), tokenizer) as engine:
        text, stats = await answer(engine, text_prompt(some_ids(10)), options(PERSON, stop=('"age"',)), "a")
    assert stats.finish_reason == "stop"
    assert text.startswith('{"name": "')
    assert text.endswith(", ")


@pytest.mark.parametrize(
    ("schema", "script", "expected"),
    [
        ({"type": "integer"}, "7", "7" * MAX_DIGITS),
        ({"type": "array", "items": {"type": "number"}, "maxItems": 1}, "[0.3", "[0." + "3" * MAX_DIGITS),
        ({"type": "string", "pattern": "^3{40}$"}, '"3', '"' + "3" * 40),
        ({"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 1}, '["\\"1', '["\\"11111111"]'),
    ],
    ids=["integer", "fraction", "string", "escape"],
)
async def test_a_number_ends_though_the_model_goes_on(tokenizer: Any, schema: Any, script: str, expected: str) -> None:
    tokens = [tokenizer.encode(character)[0] for character in script]  # and the last one again and again
    async with serving(saying(llama(), 10, tokens), tokenizer) as engine:
        text, stats = await answer(engine, text_prompt(some_ids(10)), options(schema), "a")
    assert text.startswith(expected)
    assert stats.finish_reason == "stop"
    check(text, schema)


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({"type": "strin"}, "Invalid type: strin"),
        ({"type": "object", "properties": 3}, "properties must be an object"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "array", "uniqueItems": True, "x-guidance": {"lenient": True}}, "uniqueItems"),
        ({"type": "string", "pattern": "[a-"}, "unclosed character class"),
        ({"type": "integer", "minimum": 3, "maximum": 1}, "minimum (3) is greater than maximum (1)"),
        ({"$ref": "http://somewhere.example/schema"}, "not present"),
        ({"$ref": "#"}, "no answer can be held"),
        (json.loads('{"items":' * 500 + "{}" + "}" * 500), "recursion limit"),
        (
            {"type": "object", "properties": {f"p{number}": {"type": "integer"} for number in range(1500)}},
            "too complex",
        ),
    ],
)
async def test_a_schema_that_nothing_can_be_held_to_is_refused(tokenizer: Any, schema: Any, complaint: str) -> None:
    async with serving(llama(), tokenizer) as engine:
        neighbour = asyncio.create_task(free_text(engine, 0, "neighbour"))
        with pytest.raises(InvalidPrompt) as caught:
            await answer(engine, text_prompt(some_ids(10)), options(schema), "a")
        assert complaint in str(caught.value)
        assert "\n" not in str(caught.value)
        assert await neighbour == await free_text(engine, 0, "a")


async def test_a_tokenizer_that_does_not_say_what_its_tokens_are_is_refused() -> None:
    model = llama()
    async with running(model) as engine:
        with pytest.raises(InvalidPrompt, match="tokenizer"):
            await answer(engine, text_prompt(some_ids(5)), options(PERSON), "a")
        text, stats = await answer(engine, text_prompt(some_ids(5)), GenerationOptions(max_new_tokens=3), "a")
    assert text == Ids().decode(reference(model, some_ids(5), 3))
    assert isinstance(stats, GenerationStats)


def test_grammars_are_kept_for_the_schemas_asked_for_last(tokenizer: Any) -> None:
    schemas = Schemas(tokenizer, frozenset({tokenizer.eos_token_id}))
    for number in range(MAX_COMPILED + 5):
        schemas.begin({"const": number})
        schemas.begin({"const": number})
    assert len(schemas) == MAX_COMPILED
