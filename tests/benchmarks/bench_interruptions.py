"""What stops an answer: backchannels and short noises that should not, interruptions, numbers and commands that should.

Three kinds of models: one with words of its own (the pocket's, whose ears are Moonshine), one with ears beside
(Whisper), and one without any; each with our scorer of sounds and, "before", without it. Every clip goes through the
real detector and the real floor, and is judged by the real ears and scorer.

Words are said by voices that the scorer was not trained with (`voices.py`, and all of ours); they are synthetic. Of DIR
are used, where they are there: digits of three speakers (`fsdd_300`), beginnings of sentences of eight readers
(`libri_mini_train5`) and of commands (`picovoice_coffee_commands`), animals, babies and sneezes (`esc10_part`, folds 4
and 5), and coughs, laughs and the like of another collection (`nonverbal`, with labels).
Run: `python -m tests.benchmarks.bench_interruptions --data DIR [--kinds none,own,beside] [--json]`.
"""

import argparse
import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from app import default_cache_dir
from models.base import Transcriber
from models.ears.loading import load_ears
from models.types import SAMPLE_RATE_HZ, AudioClip, Samples
from models.voices.names import VOICE_NAMES
from realtime.hearing.files import read_audio_file
from realtime.hearing.vad import VadOptions
from realtime.turns.backchannel import Backchannel
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.interruption import BackchannelScorer
from realtime.turns.observations import SoundJudged
from realtime.turns.options import FloorOptions
from realtime.turns.smart_turn import SmartTurn, find_smart_turn
from tests.benchmarks.interjections import COMMANDS, HUMS, NODS, NUMBERS, UNSEEN_COMMANDS, in_a_room
from tests.benchmarks.overhearing import Outcome, Rules, overhear
from tests.benchmarks.voices import COMMANDS as PROGRAMS
from tests.benchmarks.voices import MissingVoices, Speakers

TEST_VOICES = (*PROGRAMS, *VOICE_NAMES)
TEST_DIGIT_SPEAKERS = ("george", "jackson", "lucas")
N_TRAINING_READERS = 20  # of LibriSpeech, in the order of their names; the others are for tests
TEST_FOLDS = (4, 5)
NOISE_LABELS = ("sneezing", "dog", "crying_baby", "rooster", "clock_tick")
NOISE_S = 0.9  # what is cut out of a noise: the loudest part
BEGINNING_S = (0.4, 1.1)  # of a sentence: how much is said before it breaks off
EARS = {"own": "moonshine", "beside": "whisper", "none": "none"}
SHOULD_STOP = {"backchannels": False, "noises": False, "interruptions": True, "numbers": True, "commands": True}


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """What is heard over an answer: of which set, from whom, what, and its audio."""

    set: str
    source: str
    text: str
    samples: Samples


@dataclass(frozen=True, slots=True)
class Result:
    """What a clip did to the answer, and how long its judgements took, wall time."""

    clip: Clip
    outcome: Outcome
    judged: tuple[SoundJudged, ...]
    judgement_s: float

    @property
    def is_wrong(self) -> bool:
        """Whether the answer should have gone on, or stopped."""
        return SHOULD_STOP[self.clip.set] is not (self.outcome is Outcome.STOPPED)


# ---- clips ----


async def say_clips(speakers: Speakers, seed: int) -> list[Clip]:
    """Backchannels by every voice; commands and numbers, each by one."""
    said: list[tuple[str, str, str]] = []
    for number, voice in enumerate(speakers.names):
        rng = random.Random(f"{seed} {voice}")
        said += [("backchannels", voice, text) for text in (*rng.sample(HUMS, 4), *rng.sample(NODS, 6))]
        said += [("commands", voice, text) for text in (*COMMANDS, *UNSEEN_COMMANDS)[number :: len(speakers.names)]]
        said += [("numbers", voice, text) for text in NUMBERS[number :: len(speakers.names)]]
    return [
        Clip(set_, f"synthetic {voice}", text, await speakers.speak(text, voice))
        for set_, voice, text in tqdm(said, desc="speaking", unit="clip")
    ]


def read_clips(data: Path, seed: int) -> Iterator[Clip]:
    """What there is of real sounds."""
    rng = random.Random(seed)
    digits = [row for row in rows_of(data / "fsdd_300") if row["speaker"] in TEST_DIGIT_SPEAKERS]
    for row in rng.sample(digits, min(30, len(digits))):
        yield Clip("numbers", f"fsdd {row['speaker']}", row["transcript"], _read(row))
    yield from _beginnings(data, rng)
    for row in rows_of(data / "esc10_part"):
        if row["fold"] in TEST_FOLDS and row["label"] in NOISE_LABELS:
            yield Clip("noises", "esc10", row["label"], _loudest(_read(row)))
    noises = rows_of(data / "nonverbal")
    for row in rng.sample(noises, min(120, len(noises))):
        yield Clip("noises", "nonverbal", row["label"], _loudest(_read(row)))


def _beginnings(data: Path, rng: random.Random) -> Iterator[Clip]:
    rows = rows_of(data / "libri_mini_train5")
    readers = sorted({row["speaker"] for row in rows})[N_TRAINING_READERS:]
    mine = [row for row in rows if row["speaker"] in readers]
    commands = rows_of(data / "picovoice_coffee_commands")
    for row in (*rng.sample(mine, min(40, len(mine))), *rng.sample(commands, min(20, len(commands)))):
        source = "LibriSpeech" if row["transcript"] else "commands"
        yield Clip("interruptions", source, "", beginning(_read(row), rng.uniform(*BEGINNING_S)))


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Those of a manifest, with whole paths; none where there is no such folder."""
    manifest = folder / "manifest.jsonl"
    lines = manifest.read_text("utf-8").splitlines() if manifest.exists() else []
    return [{**row, "path": str(folder / row["path"])} for row in map(json.loads, lines)]


def _read(row: dict[str, Any]) -> Samples:
    return read_audio_file(row["path"]).samples


def beginning(samples: Samples, seconds: float) -> Samples:
    """The first words of a sentence (n_samples,), which then breaks off."""
    first = int(np.flatnonzero(np.abs(samples) > 0.05 * np.abs(samples).max())[0])
    return _faded(samples[max(0, first - SAMPLE_RATE_HZ // 20) : first + round(seconds * SAMPLE_RATE_HZ)])


def _loudest(samples: Samples) -> Samples:
    """The loudest part of a noise (n_samples,)."""
    length = round(NOISE_S * SAMPLE_RATE_HZ)
    energy = np.convolve(samples.astype(np.float64) ** 2, np.ones(min(length, len(samples))), "valid")
    start = int(energy.argmax())
    return _faded(samples[start : start + length])


def _faded(samples: Samples) -> Samples:
    length = min(SAMPLE_RATE_HZ // 20, len(samples) // 4)  # 50 ms
    return np.concatenate((samples[:-length], samples[-length:] * np.linspace(1, 0, length, dtype=np.float32)))


# ---- judging ----


def hear_clip(clip: Clip, samples: Samples, ears: Transcriber | None, scorer: BackchannelScorer | None) -> Result:
    """What becomes of an answer over which a clip is heard."""
    floor = FloorOptions(
        endpointing=EndpointingOptions(),
        pre_roll_s=VadOptions().pre_roll_s,
        transcribes_sounds=ears is not None,
        scores_sounds=scorer is not None,
    )
    judged: list[SoundJudged] = []
    judgement_s = 0.0

    def judge(number: int, sound: Samples) -> SoundJudged:
        nonlocal judgement_s
        began_s = time.perf_counter()
        judged.append(judge_sound(number, sound, ears, scorer))
        judgement_s = max(judgement_s, time.perf_counter() - began_s)
        return judged[-1]

    outcome = overhear(samples, Rules(floor, VadOptions()), judge)
    return Result(clip, outcome, tuple(judged), judgement_s)


def judge_sound(number: int, sound: Samples, ears: Transcriber | None, scorer: BackchannelScorer | None) -> SoundJudged:
    """As a session has a sound (n_samples,) judged."""
    probability = None if scorer is None else scorer.score(sound)
    if ears is None:
        return SoundJudged(number, None, backchannel_probability=probability)
    transcript = asyncio.run(ears.transcribe(AudioClip(sound), dialogue="bench"))
    if transcript.is_foreign:
        return SoundJudged(number, None)
    least = min((word.probability for word in transcript.words), default=1.0)
    return SoundJudged(number, transcript.text, least, probability)


def measure(
    clips: Sequence[Clip], kinds: Sequence[str], scorer: BackchannelScorer, cache_dir: Path, seed: int
) -> dict[str, list[Result]]:
    """All clips over all kinds of models, with the scorer and before it."""
    rng = np.random.default_rng(seed)
    heard = [in_a_room(clip.samples, rng) for clip in clips]
    results: dict[str, list[Result]] = {}
    for kind in kinds:
        ears = load_ears(EARS[kind], cache_dir)
        for name, used in ((f"{kind}, before", None), (kind, scorer)):
            pairs = zip(clips, heard, strict=True)
            results[name] = [
                hear_clip(clip, samples, ears, used)
                for clip, samples in tqdm(pairs, desc=name, total=len(clips), unit="clip")
            ]
    return results


# ---- figures ----


def figures_of(results: Sequence[Result]) -> dict[str, Any]:
    """Wrong ones and all, by set and within it by source."""
    figures: dict[str, Any] = {}
    for set_ in SHOULD_STOP:
        mine = [result for result in results if result.clip.set == set_]
        sources: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for result in mine:
            source = sources[result.clip.source.split()[0]]
            source[0] += result.is_wrong
            source[1] += 1
        figures[set_] = {"wrong": sum(result.is_wrong for result in mine), "of": len(mine), "sources": dict(sources)}
    waits_s = [result.judgement_s for result in results if result.judged]
    if waits_s:
        figures["judgement_p50_s"], figures["judgement_p95_s"] = np.percentile(waits_s, (50, 95)).round(3).tolist()
    return figures


def show(figures: dict[str, dict[str, Any]]) -> None:
    """Prints the table."""
    table = Table(title="answers stopped by what should not, and not stopped by what should")
    table.add_column("words")
    for set_, should in SHOULD_STOP.items():
        table.add_column(f"{set_} {'missed' if should else 'that stop it'}")
    table.add_column("judged in p50, p95")
    for name, row in figures.items():
        cells = [f"{row[set_]['wrong']} of {row[set_]['of']}" for set_ in SHOULD_STOP]
        waits = f"{row['judgement_p50_s']:.2f}, {row['judgement_p95_s']:.2f} s" if "judgement_p50_s" in row else "-"
        table.add_row(name, *cells, waits)
    Console(width=140).print(table)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_interruptions", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of folders with a manifest.jsonl each")
    parser.add_argument("--kinds", default="none,own,beside", help="of models (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is chosen, and of the room (%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="fetched weights (%(default)s)")
    parser.add_argument("--wrong", action="store_true", help="list what was judged wrongly")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    try:
        speakers = Speakers(TEST_VOICES, options.cache_dir)
    except MissingVoices as error:
        raise SystemExit(str(error)) from error
    clips = [*asyncio.run(say_clips(speakers, options.seed)), *read_clips(options.data, options.seed)]
    scorer = Backchannel(SmartTurn(find_smart_turn(options.cache_dir)))
    results = measure(clips, options.kinds.split(","), scorer, options.cache_dir, options.seed)
    figures = {name: figures_of(found) for name, found in results.items()}
    show(figures)
    if options.wrong:
        for name, found in results.items():
            for result in found:
                if result.is_wrong:
                    print(name, result.clip.set, result.clip.source, repr(result.clip.text), result.judged)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
