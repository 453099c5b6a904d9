"""Calls of two people through whole sessions: whose turns they are, and to which of them something is suggested.

The calls are those of `tests/two_party.py`, with echoes and by telephone. The baseline is the same detector on each
channel by itself: what it takes for speech of a party that did not speak. With `--model scripted` the calls are played
on the sample clock; with another model at the speed of speech, because it takes its time.
Run: `python -m tests.benchmarks.bench_calls --json`, `... --model pocket --calls 1`.
"""

import argparse
import asyncio
import json
import statistics
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from app import default_cache_dir
from models.base import AudioLanguageModel
from models.ears.beside import ModelWithEars
from models.ears.loading import load_ears
from models.loading import LoadOptions
from models.registry import load_model
from models.scripted import ScriptedModel
from models.voices.loading import load_voice
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.session import SessionOptions
from realtime.turns.end_of_turn import EndOfTurn
from realtime.turns.observations import SpeechStarted, SpeechStopped
from realtime.turns.smart_turn import SmartTurn, find_smart_turn
from tests.judged_calls import Verdict, judge, listen_to, shared_samples
from tests.two_party import VOICES, Line, Speak, TwoPartyCall, make_call, with_voice, write_call

LINES = {
    "no echo": Line(),
    "-20 dB": Line(echo_db=-20),
    "-10 dB": Line(echo_db=-10),
    "-10 dB, 300 ms": Line(echo_db=-10, delay_s=0.3),
    "both ways, telephone": Line(echo_db=-10, back_db=-20, by_telephone=True),
}


def load(name: str) -> AudioLanguageModel:
    """Loads a model with ears for the words; "scripted" suggests the same to everything."""
    if name != "scripted":
        return load_model(name, LoadOptions(cache_dir=default_cache_dir()))
    ears = load_ears("moonshine", default_cache_dir())
    assert ears is not None
    return ModelWithEars(ScriptedModel([["You ", "can ", "say ", "this."]]), ears)


def strange_without_comparing(call: TwoPartyCall) -> int:
    """Stretches of speech that a detector finds on the channel of a party that does not speak."""
    strange = 0
    for party, channel in (("me", call.me), ("them", call.them)):
        onset = 0
        for frame in SpeechDetector(VadOptions()).push(channel):
            match frame.event:
                case SpeechStarted(onset_sample):
                    onset = onset_sample
                case SpeechStopped(offset_sample):
                    stretch = (party, onset, offset_sample)
                    strange += shared_samples(stretch, call.turns) < 0.3 * (offset_sample - onset)
    return strange


async def measure(
    line: Line, model: AudioLanguageModel, speak: Speak, options: argparse.Namespace
) -> tuple[Verdict, int]:
    """Plays all calls over one line."""
    scorer = EndOfTurn(SmartTurn(find_smart_turn(default_cache_dir())))
    verdict, strange = Verdict(), 0
    for seed in tqdm(range(options.calls), leave=False):
        written = write_call(seed, n_questions=options.questions, n_tellings=options.tellings)
        call = await make_call(written, speak, VOICES[seed % len(VOICES)], line, seed=seed)
        realtime = options.model != "scripted"
        heard = await listen_to(call, model, SessionOptions(), scorer, realtime=realtime)
        verdict += judge(call, heard)
        strange += strange_without_comparing(call)
    return verdict, strange


def row_of(verdict: Verdict, strange_of_baseline: int) -> dict[str, Any]:
    """The figures of one line."""
    delays_s = sorted(verdict.delays_s)
    return {
        **{name: value for name, value in asdict(verdict).items() if name != "delays_s"},
        "right": round(verdict.right_turns / (verdict.turns + verdict.strange), 4),
        "strange_of_baseline": strange_of_baseline,
        "delay_p50_s": round(statistics.median(delays_s), 3) if delays_s else None,
        "delay_max_s": round(delays_s[-1], 3) if delays_s else None,
    }


def main() -> None:
    """Prints a table, and with --json a last line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_calls", description=__doc__)
    parser.add_argument("--model", default="scripted", help="(%(default)s)")
    parser.add_argument("--calls", type=int, default=3, help="over each line (%(default)s)")
    parser.add_argument("--questions", type=int, default=6, help="in each call, with answers (%(default)s)")
    parser.add_argument("--tellings", type=int, default=10, help="turns of each call that ask nothing (%(default)s)")
    parser.add_argument("--line", choices=list(LINES), help="one alone")
    parser.add_argument("--json", action="store_true", help="print a last line of JSON")
    options = parser.parse_args()
    rows = asyncio.run(_measure_all(options))
    table = Table("line", "turns", "right", "strange", "... of each alone", "helped", "needless", "delay p50, max (s)")
    for name, row in rows.items():
        table.add_row(
            name,
            str(row["turns"]),
            f"{row['right']:.1%}",
            str(row["strange"]),
            str(row["strange_of_baseline"]),
            f"{row['helped']} of {row['questions']}",
            f"{row['needless']} in {row['tellings']}",
            f"{row['delay_p50_s']}, {row['delay_max_s']}",
        )
    Console().print(table)
    if options.json:
        print(json.dumps({"model": options.model, "lines": rows}))


async def _measure_all(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    model, speak = load(options.model), with_voice(load_voice(default_cache_dir()))
    lines = LINES if options.line is None else {options.line: LINES[options.line]}
    rows = {name: row_of(*await measure(line, model, speak, options)) for name, line in lines.items()}
    await model.close()
    return rows


if __name__ == "__main__":
    main()
