"""Tokens per second of our decode loop against transformers' own `generate`, the same model in the same run.

The model has a known one's shape and random weights, or is any causal language model's folder. Rounds of the
three ways are interleaved, and the median round counts. Run: `python -m tests.benchmarks.bench_decode --json`.
"""

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from models.engine.engine import Engine
from models.engine.prompt import TokenSpan
from models.types import GenerationOptions

PROMPT_TOKENS = 128
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


async def measure(model: Any, rounds: int, n_new: int, concurrent: int) -> dict[str, float]:
    """Medians over interleaved rounds, after one that is not counted."""
    engine = Engine(model, Ids(), context_tokens=8192, stop_token_ids=frozenset(), max_batch=concurrent)
    found: dict[str, list[float]] = {"generate_1": [], "ours_1": [], f"ours_{concurrent}": []}
    for number in tqdm(range(rounds + 1), unit="round"):
        found["generate_1"].append(await asyncio.to_thread(time_generate, model, number, n_new))
        found["ours_1"].append(await time_ours(engine, model, range(1), n_new))
        found[f"ours_{concurrent}"].append(await time_ours(engine, model, range(concurrent), n_new))
    await engine.close()
    found["bandwidth_bound_1"] = [bandwidth_bound(model)] * 2
    return {name: round(float(np.median(values[1:])), 2) for name, values in found.items()}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_decode", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="smollm2-135m", help="with random weights (%(default)s)")
    parser.add_argument("--model", type=Path, help="folder of a causal language model to take instead")
    parser.add_argument("--concurrent", type=int, default=8, help="dialogues at once (%(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="(%(default)s)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--tokens", type=int, default=64, help="of each answer (%(default)s)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    model = load(options.model, options.shape, options.device, getattr(torch, options.dtype))
    result = asyncio.run(measure(model, options.rounds, options.tokens, options.concurrent))
    table = Table(title=f"Tokens per second, {options.dtype} on {options.device}")
    for column in ("way", "tokens/s", "against generate"):
        table.add_column(column)
    for name, value in result.items():
        table.add_row(name, f"{value:.1f}", f"{value / result['generate_1']:.2f}")
    Console().print(table)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
