"""Answers of an embedded model held to random JSON schemas: how many are valid, and what the schema costs a token.

All are answered in full batches. Some are timed: alone, and in batches of four. The same prompt is then answered
without a schema, for as many tokens, in the same run. Prompts are prefilled and schemas compiled before the clock
starts; compiling is timed by itself. On a machine that others use, the processor's time says more than the clock's,
with OMP_NUM_THREADS=1. Run: `python -m tests.benchmarks.bench_schema --json`.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jsonschema import Draft202012Validator
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from models.cascade.language import load_language
from models.cascade.pocket import POCKETS, write
from models.engine.engine import MAX_BATCH, Engine
from models.engine.prompt import Prompt
from models.engine.schema import Schemas
from models.loading import load_engine
from models.types import GenerationOptions, GenerationStats, Message, TextDelta
from models.weights.fetching import find_weights
from tests.models.engine.random_schemas import Schema, random_schemas

CONTEXT_TOKENS = 8192
MAX_NEW_TOKENS = 400  # the answers to most schemas are ten times shorter
CONCURRENT = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """One schema, and the prompt that asks for what it describes."""

    schema: Schema
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Times:
    """Of one group of answers under way together.

    Attributes:
        n_tokens: of all of them.
        held: until the last one's end, held to their schemas.
        free: the same for as many tokens of each, without.
    """

    n_tokens: int
    held: "Spent"
    free: "Spent"


@dataclass(frozen=True, slots=True)
class Spent:
    """What a group took.

    Attributes:
        wall_s: on the clock.
        cpu_s: of the processor, all threads together.
    """

    wall_s: float
    cpu_s: float


class Bench:
    """Answers with and without schemas, by two engines on one model: the second never ends an answer by itself.

    Args:
        folder: of the language model.
        repetition_penalty: of its answers.
    """

    def __init__(self, folder: Path, repetition_penalty: float) -> None:
        model, tokenizer = load_language(folder)
        self.tokenizer = tokenizer
        ends = ("<|im_end|>", "<|endoftext|>")
        self._held = load_engine(model, tokenizer, model.generation_config, *ends, context_tokens=CONTEXT_TOKENS)
        self._free = Engine(model, tokenizer, context_tokens=CONTEXT_TOKENS, stop_token_ids=frozenset())
        self._options = GenerationOptions(max_new_tokens=MAX_NEW_TOKENS, repetition_penalty=repetition_penalty)

    async def time_group(self, group: Sequence[Asked]) -> Times:
        """Answers a group with and without its schemas."""
        held = [replace(self._options, json_schema=asked.schema) for asked in group]
        answers, _ = await self._run(self._held, group, held)  # not counted: what runs first finds cold caches
        lengths = [max(1, stats.completion_tokens) for _, stats in answers]
        free = [replace(self._options, max_new_tokens=length) for length in lengths]
        _, free_spent = await self._run(self._free, group, free)
        _, held_spent = await self._run(self._held, group, held)
        return Times(sum(lengths), held_spent, free_spent)

    async def count_valid(self, asked: Sequence[Asked]) -> int:
        """Answers all of them, and counts what is valid."""
        n_valid = 0
        for at in tqdm(range(0, len(asked), MAX_BATCH), unit="batch"):
            group = asked[at : at + MAX_BATCH]
            answers, _ = await self._run(
                self._held, group, [replace(self._options, json_schema=one.schema) for one in group]
            )
            n_valid += sum(is_valid(*found, one.schema) for found, one in zip(answers, group, strict=True))
        return n_valid

    async def _run(
        self, engine: Engine, group: Sequence[Asked], options: Sequence[GenerationOptions]
    ) -> tuple[list[tuple[str, GenerationStats]], Spent]:
        names = [f"dialogue {index}" for index in range(len(group))]
        for name, asked, wanted in zip(names, group, options, strict=True):
            await answer(engine, asked.prompt, replace(wanted, max_new_tokens=1), name)
        began_s, cpu_began_s = time.perf_counter(), time.process_time()
        answers = await asyncio.gather(
            *(
                answer(engine, asked.prompt, wanted, name)
                for name, asked, wanted in zip(names, group, options, strict=True)
            )
        )
        spent = Spent(time.perf_counter() - began_s, time.process_time() - cpu_began_s)
        for name in names:
            await engine.forget(dialogue=name)
        return answers, spent

    async def close(self) -> None:
        """Ends both engines."""
        await self._held.close()
        await self._free.close()


async def answer(
    engine: Engine, prompt: Prompt, options: GenerationOptions, dialogue: str
) -> tuple[str, GenerationStats]:
    """The whole answer, and what it cost."""
    *deltas, stats = [event async for event in engine.generate(prompt, options, dialogue=dialogue)]
    assert isinstance(stats, GenerationStats)
    return "".join(event.text for event in deltas if isinstance(event, TextDelta)), stats


def is_valid(text: str, stats: GenerationStats, schema: Schema) -> bool:
    """Whether an answer is what its schema describes; says on the console where it is not."""
    problem = ""
    try:
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(json.loads(text))
    except Exception as error:
        problem = str(error).splitlines()[0]
    if problem or stats.finish_reason != "stop":
        print(f"not valid ({stats.finish_reason}, {problem}): {text[:200]} for {json.dumps(schema)[:300]}")
        return False
    return True


def time_compiling(tokenizer: Any, schemas: Sequence[Schema]) -> dict[str, float]:
    """What the first schema of a process costs, and each new one."""
    compiler, times_s = Schemas(tokenizer, frozenset({tokenizer.eos_token_id})), []
    for schema in [{"type": "null"}, *schemas]:
        began_s = time.perf_counter()
        compiler.begin(schema)
        times_s.append(time.perf_counter() - began_s)
    p50_s, p95_s = np.percentile(times_s[1:], [50, 95])
    return {
        "first_s": round(times_s[0], 2),
        "compile_ms_p50": round(1000 * float(p50_s), 1),
        "compile_ms_p95": round(1000 * float(p95_s), 1),
    }


def summary(times: Sequence[Times], n_together: int) -> dict[str, float]:
    """What a token takes with and without a schema."""
    n_tokens = sum(group.n_tokens for group in times)
    found: dict[str, float] = {}
    for clock in ("wall", "cpu"):
        held, free = ([getattr(getattr(group, kind), f"{clock}_s") for group in times] for kind in ("held", "free"))
        ratios = [with_s / without_s for with_s, without_s in zip(held, free, strict=True)]
        found |= {
            f"{clock}_ms_a_token_with_{n_together}": round(1000 * sum(held) / n_tokens, 2),
            f"{clock}_ms_a_token_without_{n_together}": round(1000 * sum(free) / n_tokens, 2),
            f"{clock}_ratio_{n_together}": round(sum(held) / sum(free), 3),
            f"{clock}_ratio_p50_{n_together}": round(float(np.median(ratios)), 3),
        }
    return found


async def measure(folder: Path, repetition_penalty: float, schemas: Sequence[Schema], n_timed: int) -> dict[str, float]:
    """All figures of one model; the first `n_timed` schemas are timed."""
    bench = Bench(folder, repetition_penalty)
    asked = []
    for schema in schemas:
        question = f"Make up an example of the JSON that this schema describes: {json.dumps(schema)}"
        asked.append(Asked(schema, write(bench.tokenizer, [Message("user", (question,))])))
    found = await asyncio.to_thread(time_compiling, bench.tokenizer, schemas)
    found["valid"] = await bench.count_valid(asked)
    print(found)
    for n_together in (1, CONCURRENT):
        groups = [asked[at : at + n_together] for at in range(0, n_timed, n_together)]
        times = [await bench.time_group(group) for group in tqdm(groups, unit="group")]
        found |= summary(times, n_together)
        print(found)
    await bench.close()
    return found


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_schema", description=__doc__)
    parser.add_argument("--model", choices=POCKETS, default="pocket-tiny", help="(%(default)s)")
    parser.add_argument("--schemas", type=int, default=200, help="(%(default)s)")
    parser.add_argument("--timed", type=int, default=40, help="of them, how many are timed (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the schemas (%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=Path.home() / ".cache" / "earpiece", help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    pocket = POCKETS[options.model]
    folder = find_weights(pocket.language, options.cache_dir)
    schemas = random_schemas(options.schemas, options.seed)
    result = asyncio.run(measure(folder, pocket.repetition_penalty, schemas, min(options.timed, len(schemas))))
    table = Table(title=f"{options.model}, {options.schemas} schemas")
    table.add_column("what")
    table.add_column("value")
    for name, value in result.items():
        table.add_row(name, str(value))
    Console().print(table)
    if options.json:
        print(json.dumps({"model": options.model, "schemas": options.schemas, **result}))


if __name__ == "__main__":
    main()
