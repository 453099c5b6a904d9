"""Time to first token, turn by turn, of our engine with its prefix cache and of a full recompute, in the same run.

The checkpoint has a family's real classes and random weights. What grows with the history is attention, and its share
of the work falls with the width of a model; so the default size, about 150M parameters, has the width of the smallest
published language model (Llama 3.2 1B) and what is cut is depth. `--size narrow` is as deep as small models are, 75M to
125M parameters, and there attention weighs more than in any published checkpoint. `--size full` has 8B.
The recompute is the same engine with its cache forgotten before every turn: it encodes every clip and prefills every
position again. In a session the tokens of an answer are in the cache once they are generated; random weights do not
generate text, so here a fixed answer is prefilled, for ours alone, and not timed. The mark that ends it is.
Run: `python -m tests.benchmarks.bench_prefix --family qwen2_audio --turns 12 --json`; `--long-turn 120` measures the
wait after a long turn whose whole windows were prefilled while the speaker was still talking.
"""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from models.base import AudioLanguageModel
from models.loading import LoadOptions
from models.registry import load_model
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, GenerationStats, Message
from tests.models.tiny import TINY_FAMILIES
from tests.models.tiny.family import FULL, MEDIUM, NARROW

TURN_S = 6.0
SHORT_TURN_S = 25.0
ANSWER = "The answer of the assistant to what was said is one short sentence, as is usual in a spoken dialogue."
SIZES = {"medium": MEDIUM, "narrow": NARROW, "full": FULL}
OPTIONS = GenerationOptions(max_new_tokens=2)


def noise(seconds: float, seed: int) -> AudioClip:
    """A clip of noise; random weights hear nothing else in speech."""
    samples = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE_HZ))
    return AudioClip(samples.astype(np.float32))


async def time_to_first_token(model: AudioLanguageModel, messages: Sequence[Message], dialogue: str) -> float:
    """Seconds from the call to the first delta, or to the end where the first token has no text."""
    async for event in model.generate(messages, OPTIONS, dialogue=dialogue):
        if isinstance(event, GenerationStats):
            return event.total_s if event.ttft_s is None else event.ttft_s
    raise AssertionError("generate ends with its stats")


async def measure_turns(model: AudioLanguageModel, turns: int, rounds: int) -> dict[str, list[float]]:
    """Medians over rounds of a whole conversation; in each turn the recompute follows ours."""
    found = np.zeros((2, rounds + 1, turns))
    progress = tqdm(total=(rounds + 1) * turns, unit="turn")
    for round_number in range(rounds + 1):  # the first warms up
        history: list[Message] = []
        for turn in range(turns):
            history.append(Message("user", (noise(TURN_S, seed=turn),)))
            found[0, round_number, turn] = await time_to_first_token(model, history, "ours")
            found[1, round_number, turn] = await time_to_first_token(model, history, "recompute")
            await model.forget(dialogue="recompute")
            history.append(Message("assistant", (ANSWER,)))
            await model.prefill(history, dialogue="ours")  # as if it had been generated
            progress.update()
        await model.forget(dialogue="ours")
    progress.close()
    ours, recompute = np.median(found[:, 1:], axis=1).round(4).tolist()
    return {"ours_ttft_s": ours, "recompute_ttft_s": recompute}


async def measure_long_turn(model: AudioLanguageModel, long_s: float, rounds: int) -> dict[str, float]:
    """Time to first token after a short turn, and after a long one that was prefilled window by window."""
    window_s = model.info.audio_window_s
    if window_s is None:
        raise SystemExit(f"{model.info.name} hears a clip as one: there are no windows to prefill")
    short, long = Message("user", (noise(SHORT_TURN_S, 1),)), noise(long_s, 2)
    found: list[tuple[float, float]] = []
    for _ in tqdm(range(rounds + 1), unit="round"):
        short_s = await time_to_first_token(model, [short], "short")
        for n_windows in range(1, int((long_s - 0.01) // window_s) + 1):
            so_far = AudioClip(long.samples[: round(n_windows * window_s * SAMPLE_RATE_HZ)])
            await model.prefill([Message("user", (so_far,))], dialogue="long")
        found.append((short_s, await time_to_first_token(model, [Message("user", (long,))], "long")))
        await model.forget(dialogue="short")
        await model.forget(dialogue="long")
    short_s, long_ttft_s = np.median(found[1:], axis=0).round(4).tolist()
    return {"short_turn_ttft_s": short_s, "long_turn_ttft_s": long_ttft_s, "ratio": round(long_ttft_s / short_s, 3)}


def show_turns(family: str, result: dict[str, list[float]]) -> None:
    """Prints a line a turn."""
    table = Table(title=f"Seconds to first token, {family}, {TURN_S:g} s of audio a turn")
    for column in ("turn", "ours", "recompute", "times faster"):
        table.add_column(column)
    for turn, (ours, recompute) in enumerate(zip(*result.values(), strict=True), 1):
        table.add_row(str(turn), f"{ours:.3f}", f"{recompute:.3f}", f"{recompute / ours:.1f}")
    Console().print(table)


async def run(options: argparse.Namespace, folder: Path) -> dict[str, list[float]] | dict[str, float]:
    """Measures one checkpoint."""
    model = load_model(
        str(folder), replace(LoadOptions(cache_dir=folder, ears="none"), device=options.device, dtype=options.dtype)
    )
    try:
        if options.long_turn:
            return await measure_long_turn(model, options.long_turn, options.rounds)
        result = await measure_turns(model, options.turns, options.rounds)
        show_turns(options.family, result)
        return result
    finally:
        await model.close()


def main() -> None:
    """Runs the benchmark."""
    families = {tiny.name: tiny for tiny in TINY_FAMILIES}
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_prefix", description=__doc__)
    parser.add_argument("--family", choices=families, default="ultravox", help="(%(default)s)")
    parser.add_argument("--turns", type=int, default=12, help="(%(default)s)")
    parser.add_argument("--long-turn", type=float, metavar="S", help="measure the wait after a turn of this length")
    parser.add_argument("--rounds", type=int, default=3, help="conversations that count (%(default)s)")
    parser.add_argument("--size", choices=SIZES, default="medium", help="(%(default)s)")
    parser.add_argument("--device", default="auto", help="(%(default)s)")
    parser.add_argument("--dtype", default="auto", help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        families[options.family].save(Path(folder), SIZES[options.size])
        result = asyncio.run(run(options, Path(folder)))
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
