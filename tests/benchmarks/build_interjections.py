"""Builds what the scorer of sounds over an answer is trained on: words by many voices, made sounds, pieces of readings.

Kokoro's voices that we do not ship (from the folder `voices` of npm's `kokoro-js`) and variants of espeak-ng say
backchannels, commands, numbers and other words; hums, laughs, coughs and throats are made from numbers; LibriSpeech's
readers break off in the middle, digits and prompts are taken as they are, and so are sounds of ESC-10 that nobody says.
No voice, reader or fold of `bench_interruptions.py` is among them. All of it but readings, digits, prompts and ESC-10
is synthetic.
Run: `python -m tests.benchmarks.build_interjections --data DATA --kokoro FOLDER --out DIR`; then `train_interruption`.
"""

import argparse
import asyncio
import json
import random
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from app import default_cache_dir
from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, Samples
from models.voices.kokoro import KokoroVoice
from models.voices.names import VOICE_NAMES
from models.weights.fetching import find_weights
from models.weights.packages import KOKORO
from realtime.hearing.files import read_audio_file
from tests.benchmarks.bench_interruptions import (
    N_TRAINING_READERS,
    TEST_DIGIT_SPEAKERS,
    TEST_FOLDS,
    beginning,
    rows_of,
)
from tests.benchmarks.interjections import COMMANDS, HUMS, NODS, NUMBERS, OTHER_WORDS, SOUNDS

VARIANTS = (
    *("m1", "m2", "m3", "m4", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2", "klatt3", "klatt4"),
    *("Alex", "Andy", "Annie", "Gene", "Lee", "Michael", "Mike", "adam", "anika", "aunty", "belinda", "benjamin"),
    *("boris", "david", "ed", "grandma", "grandpa", "john", "linda", "max", "michel", "paul", "quincy", "rob"),
    *("robert", "steph", "travis", "victor", "zac", "Denis", "Diogo", "Hugo", "Mario", "Jacky"),
)
ACCENTS = ("en-029", "en-us-nyc", "en-gb", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
PHONEMES = (
    "m-h'm",
    "mh'm",
    "h'm:",
    "m:",
    "m'm",
    "Vh'V",
    "@h'@",
    "Vh'V~",
    "h'Vm",
    "h'@m:",
    "m_h'm",
    "A:h'A:",
)  # of hums
N_MADE = {"hum": 320, "laugh": 200, "cough": 350, "throat": 250}
READINGS_EACH = 18  # pieces of each reader
SHORT_PROMPT_S = 1.4
SOUND_S = 2.5


@dataclass(frozen=True, slots=True, eq=False)
class Interjection:
    """What is heard over an answer: whether it leaves the turn, from whom, what, and its audio."""

    leaves_turn: bool
    source: str
    text: str
    samples: Samples


def words_of(rng: random.Random, share: float) -> list[tuple[bool, str]]:
    """What one voice says: backchannels and others, about as many."""
    leaves = [*rng.sample(HUMS, round(5 * share)), *rng.sample(NODS, round(6 * share))]
    takes = [(COMMANDS, 5), (NUMBERS, 4), (OTHER_WORDS, 4)]
    return [(True, text) for text in leaves] + [
        (False, text) for texts, count in takes for text in rng.sample(texts, round(count * share))
    ]


def said_by_kokoro(voices: Path, cache_dir: Path, n_voices: int) -> Iterator[Interjection]:
    """Words by the voices in a folder that are not ours: in the places of ours, six at a time."""
    names = sorted(path.stem for path in voices.glob("[ab][fm]_*.bin") if path.stem not in VOICE_NAMES)
    random.Random(0).shuffle(names)
    ours = find_weights(KOKORO, cache_dir)
    for first in range(0, min(n_voices, len(names)), len(VOICE_NAMES)):
        places = dict(zip(VOICE_NAMES, names[first : first + len(VOICE_NAMES)], strict=False))
        with tempfile.TemporaryDirectory() as folder:
            for path in ours.iterdir():
                other = places.get(path.stem)
                (Path(folder) / path.name).symlink_to(path if other is None else (voices / f"{other}.bin").resolve())
            kokoro = KokoroVoice(Path(folder))
            for place, name in places.items():
                for leaves, text in words_of(random.Random(name), 1):
                    speech = asyncio.run(kokoro.speak(text, voice=place))
                    samples = soxr.resample(speech.samples, VOICE_RATE_HZ, SAMPLE_RATE_HZ)
                    yield Interjection(leaves, f"kokoro {name}", text, samples)


def said_by_espeak() -> Iterator[Interjection]:
    """Words, and hums by phonemes, by variants of espeak-ng at several speeds and pitches."""
    for number, variant in enumerate(VARIANTS):
        rng = random.Random(variant)
        hums = [(True, f"[[{phonemes}]]") for phonemes in rng.sample(PHONEMES, 3)]
        for leaves, text in (*hums, *words_of(rng, 0.6)):
            voice = f"{ACCENTS[number % len(ACCENTS)]}+{variant}"
            pace = ["-s", str(rng.randint(120, 200)), "-p", str(rng.randint(20, 80))]
            with tempfile.NamedTemporaryFile(suffix=".wav") as file:
                subprocess.run(["espeak-ng", "-v", voice, *pace, "-w", file.name, text], check=True)
                yield Interjection(leaves, f"espeak {variant}", text, read_audio_file(file.name).samples)


def made() -> Iterator[Interjection]:
    """Sounds that are made from numbers."""
    rng = np.random.default_rng(7)
    for name, count in N_MADE.items():
        for _ in range(count):
            yield Interjection(True, "made", name, SOUNDS[name](rng))


def read(data: Path) -> Iterator[Interjection]:
    """Pieces of readings, digits, prompts, and sounds that nobody says."""
    rng = random.Random(5)
    readings = rows_of(data / "libri_mini_train5")
    for reader in sorted({row["speaker"] for row in readings})[:N_TRAINING_READERS]:
        mine = [row for row in readings if row["speaker"] == reader]
        for row in rng.sample(mine, min(READINGS_EACH, len(mine))):
            piece = beginning(read_audio_file(row["path"]).samples, rng.uniform(0.25, 1.15))
            yield Interjection(False, f"reader {reader}", "", piece)
    for row in rows_of(data / "fsdd_300"):
        if row["speaker"] not in TEST_DIGIT_SPEAKERS:
            samples = read_audio_file(row["path"]).samples
            yield Interjection(False, f"fsdd {row['speaker']}", row["transcript"], samples)
    for row in rows_of(data / "asterisk_prompts_en"):
        if row["seconds"] < SHORT_PROMPT_S and row["transcript"] not in (None, "oh"):
            yield Interjection(False, "asterisk", row["transcript"], read_audio_file(row["path"]).samples)
    for row in rows_of(data / "esc10_part"):
        if row["fold"] not in TEST_FOLDS:
            samples = read_audio_file(row["path"]).samples
            yield Interjection(True, f"esc10 {row['fold']}", row["label"], samples[: round(SOUND_S * SAMPLE_RATE_HZ)])


def main() -> None:
    """Writes the clips and their manifest."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.build_interjections", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of folders with a manifest.jsonl each")
    parser.add_argument("--kokoro", type=Path, required=True, help="folder of voices, NAME.bin")
    parser.add_argument("--voices", type=int, default=22, help="how many of them (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="fetched weights (%(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    parts = (
        said_by_kokoro(options.kokoro, options.cache_dir, options.voices),
        said_by_espeak(),
        made(),
        read(options.data),
    )
    with (options.out / "manifest.jsonl").open("w", encoding="utf-8") as manifest:
        for number, interjection in enumerate(tqdm((one for part in parts for one in part), unit="clip")):
            path = f"{number:05d}_{re.sub(r'[^a-zA-Z0-9]+', '-', interjection.source)}.flac"
            soundfile.write(options.out / path, interjection.samples, SAMPLE_RATE_HZ)
            row = {
                "path": path,
                "leaves_turn": interjection.leaves_turn,
                "source": interjection.source,
                "text": interjection.text,
            }
            manifest.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
