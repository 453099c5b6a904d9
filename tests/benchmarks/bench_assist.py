"""How long after the other's question the first words of a suggestion come: ours, and who waits for 2 s of silence.

Voices of Kokoro ask questions, each in turn, at the speed of speech. Ours is a whole call session. The baseline is what
assistants for calls do: it waits until there have been 2 s of silence, writes the question down with the same ears, and
then asks the same model with the same prompt. Its silence is counted, not waited for; the rest is measured.
Run: `python -m tests.benchmarks.bench_assist --json`, `... --model pocket-tiny`.
"""

import argparse
import asyncio
import json
import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from app import default_cache_dir
from models.base import AudioLanguageModel, Transcriber
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, Message, Samples, TextDelta
from models.voices.loading import load_voice
from realtime.calls import CALL_PROMPT
from realtime.session import SessionOptions
from realtime.turns.end_of_turn import EndOfTurn
from realtime.turns.smart_turn import SmartTurn, find_smart_turn
from tests.benchmarks.bench_calls import load
from tests.judged_calls import first_words, listen_to
from tests.two_party import QUESTIONS, VOICES, Line, SpokenTurn, TwoPartyCall, make_call, with_voice, written_questions

SILENCE_S = 2.0  # that the baseline waits for
BETWEEN_S = 6.0  # from one question to the next: a suggestion has begun, and has ended or is not waited for


def ours_s(call: TwoPartyCall, firsts: list[int]) -> list[float]:
    """From the end of each question to the first words that follow; a question without any is left out."""
    found = []
    for turn, end in zip(call.turns, [*(turn.start_sample for turn in call.turns[1:]), len(call.me)], strict=True):
        own = [sample for sample in firsts if turn.start_sample < sample < end]
        found += [(own[-1] - turn.end_sample) / SAMPLE_RATE_HZ] if own else []
    return found


async def waiting_s(call: TwoPartyCall, turn: SpokenTurn, model: AudioLanguageModel, ears: Transcriber) -> float:
    """The same for the baseline, of one question."""
    samples: Samples = call.them[turn.start_sample : turn.end_sample + round(SILENCE_S * SAMPLE_RATE_HZ)]
    began_s = time.perf_counter()
    transcript = await ears.transcribe(AudioClip(samples), dialogue="baseline")
    messages = (
        Message("system", (CALL_PROMPT,)),
        Message("user", (transcript.text,), speaker="them"),
    )
    answer = model.generate(messages, GenerationOptions(max_new_tokens=8), dialogue="baseline")
    async for event in answer:
        if isinstance(event, TextDelta):
            break
    first_s = time.perf_counter()
    await answer.aclose()
    return SILENCE_S + first_s - began_s


def figures(seconds: list[float]) -> dict[str, Any]:
    """p50 and p95, and of how many."""
    found = {name: round(float(np.percentile(seconds, share)), 3) for name, share in (("p50", 50), ("p95", 95))}
    return {"first_suggestion_s": found, "questions": len(seconds)}


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both, with one model."""
    model, speak = load(options.model), with_voice(load_voice(default_cache_dir()))
    ears = model.transcriber
    assert ears is not None, "all that are loaded here have ears"
    call = await make_call(written_questions(options.questions, BETWEEN_S), speak, VOICES[0], Line())
    await waiting_s(call, call.turns[0], model, ears)  # the first takes longer
    scorer = EndOfTurn(SmartTurn(find_smart_turn(default_cache_dir())))
    heard = await listen_to(call, model, SessionOptions(), scorer, realtime=True)
    waited = [await waiting_s(call, turn, model, ears) for turn in call.turns]
    await model.close()
    ours = ours_s(call, first_words(heard))
    assert ours, "no question had a suggestion"
    result = {"model": options.model, "asked": len(call.turns), "ours": figures(ours), "wait_2s": figures(waited)}
    own, other = (result[name]["first_suggestion_s"]["p50"] for name in ("ours", "wait_2s"))
    return {**result, "ratio_p50": round(own / other, 3)}


def main() -> None:
    """Prints a table, and with --json a last line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_assist", description=__doc__)
    parser.add_argument("--model", default="pocket", help="(%(default)s)")
    parser.add_argument("--questions", type=int, default=len(QUESTIONS), help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="print a last line of JSON")
    options = parser.parse_args()
    result = asyncio.run(measure(options))
    table = Table("", "questions", "first words p50 (s)", "p95 (s)")
    for name in ("ours", "wait_2s"):
        row = result[name]
        seconds = row["first_suggestion_s"]
        table.add_row(name, f"{row['questions']} of {result['asked']}", str(seconds["p50"]), str(seconds["p95"]))
    Console().print(table)
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
