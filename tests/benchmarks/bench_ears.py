"""What ears write down, and what that costs: ours and Whisper tiny.en, on the same clips in the same run.

Words wrong by set and band (clean; telephone: 8 kHz, mu-law; white noise 10 dB below the speech), single words exactly
right, words and loops where nobody speaks, seconds of CPU by length of the clip, and how often speech of other
languages, and how often English, is told to be foreign. All ears are guarded, as in a conversation.
DIR holds folders with a `manifest.jsonl` each: a line per clip, with `path`, `seconds` and `transcript`. Run:
`python -m tests.benchmarks.bench_ears --data DIR --tiny FOLDER --json`.
"""

import argparse
import asyncio
import audioop
import itertools
import json
import random
import re
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from app import default_cache_dir
from models.base import Transcriber
from models.ears.loading import load_ears, load_whisper
from models.types import SAMPLE_RATE_HZ, AudioClip, Samples, Transcript
from realtime.hearing.files import read_audio_file
from tests.benchmarks.manifests import read_manifest

READINGS = {"LibriSpeech": "libri_mini_train5", "LJ Speech": "ljspeech_part"}
PROMPTS, DIGITS = "asterisk_prompts_en", "fsdd_300"
COMMANDS = "picovoice_coffee_commands"  # without transcripts: for false alarms
SOUNDS = ("esc10_part", "speechcommands_bg_noise", "asterisk_moh_music")
BANDS = ("clean", "phone", "noise")
PHONE_HZ = 8000
NOISE_DB = 10.0  # below the speech
SOUND_S = 3.0  # of each sound, from a place chosen by chance
LONGEST_S = 20.0
LENGTHS_S = (1.0, 3.0, 6.0, 10.0)
LONG_ENOUGH_S = 1.5  # English that is told to be foreign is counted among longer clips
LOOP = re.compile(r"\b(\w+(?: \w+){0,7})(?: \1){3,}\b")  # four times in a row

ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SPOKEN = {"mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint", "ok": "okay"}


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One clip: of which set and band, its audio, and its words; None: they are not known."""

    set: str
    band: str
    samples: Samples
    transcript: str | None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Result:
    """What one pair of ears wrote of a clip, and how many seconds of CPU that took."""

    sample: Sample
    transcript: Transcript
    cpu_s: float


def spell_number(number: int) -> str:
    """A number as people say it; from 1100 to 1999 as a year."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return f"{TENS[number // 10]} {ONES[number % 10] if number % 10 else ''}".strip()
    if 1100 <= number < 2000 and number % 100:
        return f"{spell_number(number // 100)} {spell_number(number % 100)}"
    for size, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = f" {spell_number(number % size)}" if number % size else ""
            return f"{spell_number(number // size)} {name}{rest}"
    raise AssertionError("every number is below 20 or above one of the sizes")


def normalize(text: str) -> list[str]:
    """The words alone, lower case, numbers and some abbreviations written out."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower().replace("’", "'"))
    text = re.sub(r"\d{1,9}", lambda match: f" {spell_number(int(match.group()))} ", text)
    words = re.sub(r"[^a-z' ]", " ", text).replace("'", "").split()
    return [SPOKEN.get(word, word) for word in words]


def n_wrong(reference: Sequence[str], written: Sequence[str]) -> int:
    """Words to change, add or take away (Levenshtein)."""
    row = list(range(len(written) + 1))
    for i, expected in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, word in enumerate(written, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != expected))
    return row[-1]


def to_band(samples: Samples, band: str, rng: np.random.Generator) -> Samples:
    """The same clip (n_samples,) as it sounds in a band."""
    if band == "clean":
        return samples
    if band == "noise":
        level = np.sqrt(np.mean(np.square(samples)) * 10 ** (-NOISE_DB / 10))
        return np.asarray(samples + rng.normal(0, level, len(samples)), np.float32)
    narrow = soxr.resample(samples, SAMPLE_RATE_HZ, PHONE_HZ).clip(-1, 1)
    coded = audioop.lin2ulaw((narrow * 32767).astype("<i2").tobytes(), 2)
    heard = np.frombuffer(audioop.ulaw2lin(coded, 2), "<i2").astype(np.float32) / 32768
    return np.asarray(soxr.resample(heard, PHONE_HZ, SAMPLE_RATE_HZ), np.float32)


def choose(folder: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """Some rows of a manifest, by chance, and the same ones each time."""
    rows = read_manifest(folder)
    rows = [{**row, "path": str(folder / row["path"])} for row in rows if not row.get("silence")]
    return random.Random(f"{seed} {folder.name}").sample(rows, min(count, len(rows)))


def load_speech(data: Path, count: int, seed: int) -> Iterator[Sample]:
    """English in all bands; prompts of one word are a set of their own, of which as many are taken."""
    rng = np.random.default_rng(seed)
    prompts = [row for row in choose(data / PROMPTS, 10**6, seed) if row["transcript"]]
    single = [row for row in prompts if len(normalize(row["transcript"])) == 1]
    several = [row for row in prompts if len(normalize(row["transcript"])) > 1]
    sets = {name: choose(data / folder, 2 * count, seed) for name, folder in READINGS.items()}
    sets |= {"prompts": several, "one word": single, "digits": choose(data / DIGITS, count, seed)}
    sets["commands"] = choose(data / COMMANDS, count, seed)
    for name, rows in sets.items():
        for row in [row for row in rows if row["seconds"] < LONGEST_S][:count]:
            samples = read_audio_file(row["path"]).samples
            for band in BANDS:
                yield Sample(name, band, to_band(samples, band, rng), row["transcript"])


def load_sounds(data: Path, seed: int) -> Iterator[Sample]:
    """Stretches of sounds, noises and music, and made silence and noise, in which nobody says a word."""
    rng = np.random.default_rng(seed)
    for folder in SOUNDS:
        rows = choose(data / folder, 40, seed)
        for row in rows:
            samples = read_audio_file(row["path"]).samples
            for _ in range(1 if len(rows) > 10 else 6):
                start = int(rng.integers(0, max(1, len(samples) - SOUND_S * SAMPLE_RATE_HZ)))
                yield Sample(folder, "clean", samples[start:][: round(SOUND_S * SAMPLE_RATE_HZ)], "")
    for level_db in range(-90, -19, 7):
        for seconds in (0.5, 1.0, 3.0):
            noise = rng.normal(0, 10 ** (level_db / 20), round(seconds * SAMPLE_RATE_HZ))
            yield Sample("made noise", "clean", noise.astype(np.float32), "")


def load_foreign(folder: Path, count: int, seed: int) -> Iterator[Sample]:
    """Speech of other languages: each folder in `folder` is one; files may be G.722, as Asterisk's are."""
    for language in sorted(path for path in folder.iterdir() if path.is_dir()):
        paths = sorted(path for path in language.rglob("*") if path.suffix in {".g722", ".wav", ".ogg", ".flac"})
        random.Random(seed).shuffle(paths)
        found = 0
        for path in paths:
            samples = _read_g722(path) if path.suffix == ".g722" else read_audio_file(str(path)).samples
            if LONG_ENOUGH_S * SAMPLE_RATE_HZ <= len(samples) <= LONGEST_S * SAMPLE_RATE_HZ and samples.std() > 0.003:
                found += 1
                yield Sample(language.name, "foreign", samples, None)
            if found == count:
                break


def _read_g722(path: Path) -> Samples:
    with av.open(str(path), format="g722") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(frames).astype(np.float32) / 32768


async def write_down(ears: Transcriber, samples: Sequence[Sample], name: str) -> list[Result]:
    """Writes all of them down, one after the other."""
    results = []
    for index, sample in enumerate(tqdm(samples, desc=name, leave=False)):
        began_s = time.process_time()
        transcript = await ears.transcribe(AudioClip(sample.samples), dialogue=str(index))
        results.append(Result(sample, transcript, time.process_time() - began_s))
        await ears.forget(dialogue=str(index))
    return results


def summarize(results: Sequence[Result]) -> dict[str, float]:
    """The figures of one pair of ears, by name."""
    wrong: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    cpu_s: defaultdict[str, list[float]] = defaultdict(list)
    told: defaultdict[str, list[bool]] = defaultdict(list)
    n_words = n_loops = 0
    for result in results:
        sample, written = result.sample, normalize(result.transcript.text)
        n_loops += bool(LOOP.search(" ".join(written)))
        if sample.band == "foreign":
            told[f"foreign told, {sample.set}"].append(result.transcript.is_foreign)
            continue
        if sample.transcript == "":
            n_words += bool(written)
            continue
        if sample.duration_s > LONG_ENOUGH_S:
            told[f"English told to be foreign, {sample.band}"].append(result.transcript.is_foreign)
        if sample.band == "clean":
            cpu_s[_length(sample.duration_s)].append(result.cpu_s)
        if sample.transcript:
            reference = normalize(sample.transcript)
            wrong[f"{sample.set}, {sample.band}"].append((n_wrong(reference, written), len(reference)))
    figures = {f"WER %, {key}": 100 * sum(w for w, _ in v) / sum(n for _, n in v) for key, v in wrong.items()}
    single = [key for key in wrong if key.startswith("one word")]
    figures |= {f"exact of {len(wrong[key])}, {key}": float(sum(not w for w, _ in wrong[key])) for key in single}
    figures |= {f"CPU s, {key}": float(np.mean(cpu_s[key])) for key in sorted(cpu_s)}
    figures |= {f"% {key}": 100 * float(np.mean(flags)) for key, flags in told.items()}
    return figures | {"clips with words where nobody speaks": n_words, "clips with loops": n_loops}


def _length(duration_s: float) -> str:
    for low, high in itertools.pairwise(LENGTHS_S):
        if low <= duration_s < high:
            return f"{low:g} to {high:g} s"
    return "others"


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_ears", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of sets")
    parser.add_argument("--tiny", type=Path, help="folder of Whisper tiny.en; none: no comparison")
    parser.add_argument("--ears", nargs="+", default=["moonshine"], help="names or folders of Whispers (%(default)s)")
    parser.add_argument("--foreign", type=Path, help="folder with a folder of recordings for each of some languages")
    parser.add_argument("--count", type=int, default=60, help="clips of each set (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of clips (%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=None, help="folder of weights")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)
    samples = [*load_speech(options.data, options.count, options.seed), *load_sounds(options.data, options.seed)]
    if options.foreign:
        samples += load_foreign(options.foreign, options.count, options.seed)
    cache_dir = options.cache_dir or default_cache_dir()
    subjects = {name: load_ears(name, cache_dir) for name in options.ears}
    if options.tiny:
        subjects["tiny.en"] = load_whisper(options.tiny)
    figures = {name: summarize(asyncio.run(write_down(ears, samples, name))) for name, ears in subjects.items() if ears}
    table = Table(title=f"{len(samples)} clips, {sum(sample.duration_s for sample in samples) / 60:.0f} minutes")
    for column in ("", *figures):
        table.add_column(column, justify="left" if not column else "right")
    for key in next(iter(figures.values())):
        table.add_row(key, *(f"{figure[key]:.2f}" for figure in figures.values()))
    Console().print(table)
    if options.json:
        print(json.dumps({"count": options.count, "seed": options.seed, **figures}))


if __name__ == "__main__":
    main()
