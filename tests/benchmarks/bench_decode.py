"""Tokens per second of our decode loop against transformers' own `generate`, the same model in the same run.

The model has a known one's shape and random weights, or is any causal language model's folder. Rounds of the
ways are interleaved, and the median round counts. `--quantization` adds our loop with 4-bit or 8-bit weights for a few
rows (`models/engine/weight_only.py`), on a CPU; where a folder is given, 50 questions are answered with and without
them too, and the texts compared. Run: `python -m tests.benchmarks.bench_decode --json`.
"""

import argparse
import asyncio
import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from models.cascade.language import CODES_FILE
from models.engine.engine import MAX_BATCH, Engine
from models.engine.prompt import TokenSpan
from models.engine.weight_only import Bits, quantize_linears, use_codes
from models.types import GenerationOptions, TextDelta

PROMPT_TOKENS = 128
TEXT_TOKENS = 32  # of each answer that is compared
SUBJECTS = ("the moon", "bread", "a volcano", "chess", "the ocean")
QUESTIONS = (  # of each subject
    "What is {}?",
    "Tell me something surprising about {}.",
    "How would you explain {} to a child?",
    "Why do people like {}?",
    "What color is {}?",
    "Write a very short poem about {}.",
    "Who first wrote about {}?",
    "What is the opposite of {}?",
    "How old is {}?",
    "Can {} be dangerous?",
)
SHAPES: dict[str, dict[str, Any]] = {  # from their config.json
    "smollm2-135m": {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
    "qwen2.5-1.5b": {
        "vocab_size": 151_936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32_768,
    },
    "llama-3.1-8b": {
        "vocab_size": 128_256,
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131_072,
    },
}


class Ids:
    """Makes tokens into text without cost; what is measured is the loop."""

    def decode(self, token_ids: list[int], **_: Any) -> str:
        """One letter a token."""
        return "x" * len(token_ids)


def load(folder: Path | None, shape: str, device: str, dtype: torch.dtype) -> Any:
    """The model to run, which never ends an answer by itself."""
    if folder is not None:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device)
    else:
        torch.manual_seed(0)
        with torch.device(device):
            model = LlamaForCausalLM(LlamaConfig(**SHAPES[shape], dtype=dtype)).to(dtype)
    model.generation_config.eos_token_id = None
    return model.eval()


def bandwidth_bound(model: Any) -> float:
    """Tokens per second if a token cost no more than reading every weight once, at the speed of summing them."""
    weights = torch.cat([weight.flatten()[: 2**26] for weight in model.parameters()])[: 2**28]
    times_s = []
    for _ in range(5):
        began_s = time.perf_counter()
        float(weights.sum())  # waits for the device
        times_s.append(time.perf_counter() - began_s)
    n_bytes = sum(weight.nbytes for weight in model.parameters())
    return weights.nbytes / min(times_s) / n_bytes


def prompt(model: Any, seed: int) -> list[int]:
    """Random tokens."""
    ids: list[int] = np.random.default_rng(seed).integers(1, model.config.vocab_size, PROMPT_TOKENS).tolist()
    return ids


def time_generate(model: Any, seed: int, n_new: int) -> float:
    """Tokens per second of transformers' `generate`, prefill excluded."""
    ids = torch.tensor([prompt(model, seed)], device=model.device)

    def run(n_tokens: int) -> float:
        began_s = time.perf_counter()
        with torch.inference_mode():
            model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=n_tokens, do_sample=False)
        return time.perf_counter() - began_s

    return (n_new - 1) / (run(n_new) - run(1))


async def time_ours(engine: Engine, model: Any, seeds: range, n_new: int) -> float:
    """Tokens per second of all dialogues together, from the last one's first token to the first one's last."""

    async def answer(seed: int) -> list[float]:
        dialogue = f"dialogue {seed}"
        times_s: list[float] = []
        options = GenerationOptions(max_new_tokens=n_new)
        async for _ in engine.generate([TokenSpan(tuple(prompt(model, seed)))], options, dialogue=dialogue):
            times_s.append(time.perf_counter())
        await engine.forget(dialogue=dialogue)
        return times_s[:-1]  # the last event is the stats

    answers = await asyncio.gather(*map(answer, seeds))
    begin_s, end_s = max(times_s[0] for times_s in answers), min(times_s[-1] for times_s in answers)
    return sum(begin_s < time_s <= end_s for times_s in answers for time_s in times_s) / (end_s - begin_s)


async def measure(models: dict[str, Any], rounds: int, n_new: int, concurrent: int) -> dict[str, float]:
    """Medians over interleaved rounds, after one that is not counted.

    Args:
        models: by the name of their weights; the first is also run by `generate`.
        rounds: that count.
        n_new: tokens of each answer.
        concurrent: dialogues at once.
    """
    engines = {
        name: Engine(model, Ids(), context_tokens=8192, stop_token_ids=frozenset(), max_batch=concurrent)
        for name, model in models.items()
    }
    model = next(iter(models.values()))
    found: dict[str, list[float]] = {"generate_1": []}
    for number in tqdm(range(rounds + 1), unit="round"):
        found["generate_1"].append(await asyncio.to_thread(time_generate, model, number, n_new))
        for name, engine in engines.items():
            for n in (1, concurrent):
                speed = await time_ours(engine, model, range(n), n_new)
                found.setdefault(f"ours{name}_{n}", []).append(speed)
    for engine in engines.values():
        await engine.close()
    found["bandwidth_bound_1"] = [bandwidth_bound(model)] * 2
    return {name: round(float(np.median(values[1:])), 2) for name, values in found.items()}


def rounded(model: Any, folder: Path | None, bits: Bits) -> Any:
    """The same model with fewer bits for a few rows; the weights for many are shared."""
    other = copy.deepcopy(model, {id(weight): weight for weight in model.parameters()})
    if folder is not None and (folder / CODES_FILE).is_file():
        use_codes(other, folder / CODES_FILE)
    else:
        quantize_linears(other, bits)
    return other


async def answers(model: Any, tokenizer: Any) -> list[list[int]]:
    """The tokens of greedy answers to all questions."""
    stop_ids = frozenset({tokenizer.eos_token_id})
    engine = Engine(model, tokenizer, context_tokens=8192, stop_token_ids=stop_ids)

    async def answer(question: str) -> list[int]:
        chat = [
            {"role": "system", "content": "You are a friendly voice assistant. Answer in one or two short sentences."},
            {"role": "user", "content": question},
        ]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
        events = engine.generate(
            [TokenSpan(tuple(ids))], GenerationOptions(max_new_tokens=TEXT_TOKENS), dialogue=question
        )
        text = "".join([event.text async for event in events if isinstance(event, TextDelta)])
        await engine.forget(dialogue=question)
        tokens: list[int] = tokenizer(text)["input_ids"]
        return tokens

    questions = [question.format(subject) for subject in SUBJECTS for question in QUESTIONS]
    found = []
    for at in tqdm(range(0, len(questions), MAX_BATCH), unit="batch"):
        found += await asyncio.gather(*map(answer, questions[at : at + MAX_BATCH]))
    await engine.close()
    return found


async def compare_texts(model: Any, other: Any, tokenizer: Any) -> dict[str, float]:
    """How alike two models answer."""
    pairs = list(zip(await answers(model, tokenizer), await answers(other, tokenizer), strict=True))
    prefixes = []
    for ours, theirs in pairs:
        same = [a == b for a, b in zip(ours, theirs, strict=False)]
        prefixes.append(same.index(False) if False in same else len(same))
    return {
        "texts": len(pairs),
        "texts_same": sum(ours == theirs for ours, theirs in pairs),
        "common_prefix_tokens": round(float(np.mean(prefixes)), 2),
        "answer_tokens": round(float(np.mean([len(ours) for ours, _ in pairs])), 2),
    }


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_decode", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="smollm2-135m", help="with random weights (%(default)s)")
    parser.add_argument("--folder", type=Path, help="of a causal language model to take instead")
    parser.add_argument("--quantization", default="none", choices=("none", "8bit", "4bit"), help="(%(default)s)")
    parser.add_argument("--concurrent", type=int, default=8, help="dialogues at once (%(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="(%(default)s)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--tokens", type=int, default=64, help="of each answer (%(default)s)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    model = load(options.folder, options.shape, options.device, getattr(torch, options.dtype))
    models = {"": model}
    if options.quantization != "none":
        models[f"_{options.quantization}"] = rounded(model, options.folder, 4 if options.quantization == "4bit" else 8)
    result = asyncio.run(measure(models, options.rounds, options.tokens, options.concurrent))
    table = Table(title=f"Tokens per second, {options.dtype} on {options.device}")
    for column in ("way", "tokens/s", "against generate"):
        table.add_column(column)
    for name, value in result.items():
        table.add_row(name, f"{value:.1f}", f"{value / result['generate_1']:.2f}")
    Console().print(table)
    if options.folder is not None and len(models) > 1:
        texts = asyncio.run(compare_texts(*models.values(), AutoTokenizer.from_pretrained(options.folder)))
        Console().print(*(f"{name}: {value}" for name, value in texts.items()), sep=", ")
        result |= texts
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
