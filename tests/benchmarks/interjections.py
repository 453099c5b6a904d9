"""Builds clips of what is heard over an answer, for training, for choosing thresholds ("dev") and for tests.

No voice, reader or speaker is in two of the three. Words are said by voices of Kokoro (ours for "dev"; the others, from
the folder `voices` of npm's `kokoro-js`), of flite and of espeak-ng: they are synthetic, and so are the hums, laughs
and coughs of `made_sounds.py`, for training. Real are digits (`fsdd_300`), broken-off beginnings of sentences
(`libri_mini_train5`) and of commands (`picovoice_coffee_commands`, whose speakers are not known: some may be in two),
sounds of ESC-10 (`esc10_part`), and coughs, laughs and the like (`nonverbal`, with labels and speakers; not for
training). What DATA does not have is left out.
Clips that are there already are kept. Read `train_interruption.py` and `bench_interruptions.py` for what they are for.
Run: `python -m tests.benchmarks.interjections --data DATA --kokoro FOLDER --out DIR`.
"""

import argparse
import asyncio
import json
import random
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from app import default_cache_dir
from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, Samples, VoiceInfo
from models.voices.kokoro import KokoroVoice
from models.voices.names import VOICE_NAMES
from models.weights.fetching import find_weights
from models.weights.packages import KOKORO
from realtime.hearing.files import read_audio_file
from tests.benchmarks.made_sounds import SOUNDS
from tests.benchmarks.voices import COMMANDS as PROGRAMS
from tests.benchmarks.voices import run_command

HUMS = ("Mm-hm.", "Mhm.", "Hmm.", "Mm.", "Uh-huh.", "Mm-hmm!", "Uh-huh!", "Aha.", "Hm.")
NODS = (
    *("Yeah.", "Yeah!", "Right.", "Okay.", "Okay!", "Oh.", "Ah.", "Sure.", "I see.", "Yes.", "Yep.", "Got it.", "Wow."),
    *("Of course.", "Really?", "Great.", "Cool.", "Oh, okay.", "Yeah, yeah.", "Alright.", "True.", "Exactly.", "Good."),
    *("Oh, I see.", "Uh.", "Um.", "That's right.", "Yeah, okay.", "Oh, right.", "I know.", "Oh, wow.", "Okay, okay."),
)
# Short, as they are said over an answer. The second half is never trained with.
COMMANDS = (
    *("Stop!", "Wait.", "No.", "What?", "Why?", "Hold on.", "Pause.", "Quiet!", "Hey!", "Enough.", "Cancel.", "Next."),
    *("Louder.", "Slower.", "Faster.", "Again.", "Repeat.", "Go back.", "Skip it.", "Shut up!", "Who?", "Where?"),
    *("When?", "How?", "Help!", "Not that.", "No, no.", "Start over.", "One second.", "But why?"),
)
UNSEEN_COMMANDS = (
    *("Mute.", "Undo.", "Delete that.", "Open it.", "Speak up.", "Restart.", "Forget it.", "Leave it.", "Not now."),
    *("Change it.", "Read it.", "Translate.", "Call me.", "Look!", "Come on!", "Slow down.", "Be quiet.", "Say again."),
    *("Turn it off.", "And then?", "Which one?", "Show me.", "Not yet."),
    *("Send it.", "Save it.", "Play it.", "Buy two."),
    *("Explain.", "Shorter.", "In French."),
)
NUMBERS = (
    *("Zero.", "One.", "Two.", "Three.", "Four.", "Five.", "Six.", "Seven.", "Eight.", "Nine.", "Ten.", "Eleven."),
    *("Twelve.", "Thirteen.", "Fourteen.", "Fifteen.", "Sixteen.", "Seventeen.", "Eighteen.", "Nineteen.", "Twenty."),
    *("Thirty.", "Forty.", "Fifty.", "Sixty.", "Seventy.", "Eighty.", "Ninety.", "Twenty-one.", "A hundred."),
)
OTHER_WORDS = (
    *("Hello?", "Sorry?", "Actually...", "Excuse me.", "Listen.", "Monday.", "Coffee.", "Paris.", "John.", "Red."),
    *("The blue one.", "Goodbye.", "Thank you.", "Please.", "Tomorrow."),
    *("Music.", "Turn left.", "Never mind.", "Maybe."),
    *("I think...", "But...", "And...", "So...", "Can you...", "Is it...", "Tell me...", "What about...", "The..."),
    *("Water.", "Berlin.", "At home.", "Not me.", "Today.", "My name.", "Lights.", "Volume.", "Wrong.", "Weather."),
)

VARIANTS = (
    *("m1", "m2", "m3", "m4", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2", "klatt3", "klatt4"),
    *("Alex", "Andy", "Annie", "Gene", "Lee", "Michael", "Mike", "adam", "anika", "aunty", "belinda", "benjamin"),
    *("boris", "david", "ed", "grandma", "grandpa", "john", "linda", "max", "michel", "paul", "quincy", "rob"),
    *("robert", "steph", "travis", "victor", "zac", "Denis", "Diogo", "Hugo", "Mario", "Jacky"),
)  # of espeak-ng, for training
ACCENTS = ("en-029", "en-us-nyc", "en-gb", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
PHONEMES = ("m-h'm", "mh'm", "h'm:", "m:", "m'm", "Vh'V", "@h'@", "Vh'V~", "h'Vm", "h'@m:", "m_h'm", "A:h'A:")  # hums
N_MADE = {"hum": 120, "laugh": 80, "cough": 120, "throat": 80}
N_DIGITS = 30  # for tests
BEGINNING_S = (0.25, 1.15)  # of a sentence: how much is said before it breaks off
NOISE_S = 0.9  # what is cut out of a noise: the loudest part


@dataclass(frozen=True, slots=True)
class Split:
    """Who is heard in training, "dev" or tests.

    Attributes:
        kokoro: voices of Kokoro.
        digits: speakers of digits.
        readers: which of LibriSpeech's, in the order of their names.
        beginnings: how many beginnings of their sentences are taken.
        programs: voices of flite and espeak-ng.
        variants: of espeak-ng.
        noises: labels of ESC-10.
        half: of the recorded commands, and of the speakers who cough and laugh; neither is for training.
    """

    kokoro: tuple[str, ...]
    digits: tuple[str, ...]
    readers: slice
    beginnings: int
    programs: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    noises: tuple[str, ...] = ()
    half: int | None = None


SPLITS = {
    "train": Split(
        kokoro=(
            *("am_echo", "bm_george", "bm_daniel", "af_river", "af_alloy", "bm_fable", "am_eric", "af_jessica"),
            *("af_kore", "am_adam", "af_nova"),
        ),
        variants=VARIANTS,
        digits=("george", "jackson"),
        readers=slice(0, 12),
        beginnings=216,
        noises=("chainsaw", "crackling_fire", "helicopter", "rain", "sea_waves"),
    ),
    "dev": Split(
        kokoro=VOICE_NAMES,
        programs=("rms", "kal16", "us", "rp"),
        digits=("lucas",),
        readers=slice(20, 28),
        beginnings=60,
        noises=("sneezing", "dog", "crying_baby", "rooster", "clock_tick"),
        half=0,
    ),
    "test": Split(
        kokoro=(
            *("af_aoede", "af_nicole", "af_sarah", "af_sky", "am_liam", "am_onyx", "am_santa", "bf_alice"),
            *("bf_isabella", "bf_lily", "bm_lewis"),
        ),
        programs=("slt", "awb", "scotland"),
        digits=("theo", "nicolas", "yweweler"),
        readers=slice(12, 20),
        beginnings=40,
        half=1,
    ),
}
LEAVE_TURN = ("backchannels", "noises")
TAKE_TURN = ("interruptions", "numbers", "commands")


@dataclass(frozen=True, slots=True)
class Interjection:
    """What is heard over an answer.

    Attributes:
        set: one of `LEAVE_TURN` or `TAKE_TURN`.
        source: from where, and from whom.
        text: what is said, or the label of a noise; no words are known of most readings.
        make: makes or reads its audio, (n_samples,) at 16 kHz.
    """

    set: str
    source: str
    text: str
    make: Callable[[], Samples]


# ---- words ----


def words_of(name: str, voices: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Who says what: sets, voices, texts. In training each voice says some of all; else each command is said once."""
    for number, voice in enumerate(voices):
        rng = random.Random(voice if name == "train" else f"0 {voice}")
        if name == "train":
            texts = {"backchannels": (*rng.sample(HUMS, 5), *rng.sample(NODS, 6)), "commands": rng.sample(COMMANDS, 5)}
            texts |= {"numbers": rng.sample(NUMBERS, 4), "interruptions": rng.sample(OTHER_WORDS, 4)}
        else:
            texts = {"backchannels": (*rng.sample(HUMS, 4), *rng.sample(NODS, 6))}
            texts["commands"] = (*COMMANDS, *UNSEEN_COMMANDS)[number :: len(voices)]
            texts["numbers"] = NUMBERS[number :: len(voices)]
        yield from ((set_, voice, text) for set_, said in texts.items() for text in said)


def said(name: str, kokoro: KokoroVoice) -> Iterator[Interjection]:
    """Words by Kokoro's voices, by programs, and for training by variants of espeak-ng, which also hum."""
    split = SPLITS[name]
    for set_, voice, text in words_of(name, (*split.kokoro, *split.programs, *split.variants)):
        if voice in split.kokoro:
            yield Interjection(set_, f"kokoro {voice}", text, partial(say, kokoro, text, voice))
        elif voice in split.programs:
            command = PROGRAMS[voice]
            yield Interjection(set_, f"{command[0]} {voice}", text, partial(run_command, command, text))
        else:
            yield Interjection(set_, f"variant {voice}", text, partial(run_command, command_of(voice, text), text))
    for voice in split.variants:
        for phonemes in (f"[[{hum}]]" for hum in random.Random(voice).sample(PHONEMES, 3)):
            command = command_of(voice, phonemes)
            yield Interjection("backchannels", f"variant {voice}", phonemes, partial(run_command, command, phonemes))


def say(kokoro: KokoroVoice, text: str, voice: str) -> Samples:
    """Lets a voice of Kokoro say a text: (n_samples,) at 16 kHz."""
    speech = asyncio.run(kokoro.speak(text, voice=voice))
    return np.asarray(soxr.resample(speech.samples, VOICE_RATE_HZ, SAMPLE_RATE_HZ), np.float32)


def command_of(variant: str, text: str) -> tuple[str, ...]:
    """The command by which a variant of espeak-ng says a text, with an accent, speed and pitch by chance."""
    rng = random.Random(f"{variant} {text}")
    voice = f"{ACCENTS[VARIANTS.index(variant) % len(ACCENTS)]}+{variant}"
    pace = ("-s", str(rng.randint(120, 200)), "-p", str(rng.randint(20, 80)))
    return ("espeak-ng", "-v", voice, *pace, "-w", "{file}", "{text}")


def load_voices(folder: Path, cache_dir: Path, names: Sequence[str]) -> KokoroVoice:
    """Loads Kokoro with the voices in a folder, `NAME.bin`, instead of ours."""
    with tempfile.TemporaryDirectory() as joined:
        for path in (*find_weights(KOKORO, cache_dir).iterdir(), *folder.glob("*.bin")):
            place = Path(joined) / path.name
            if not place.exists():
                place.symlink_to(path.resolve())
        return KokoroVoice(Path(joined), tuple(VoiceInfo(name, "en", name) for name in names))


# ---- what is not said by voices of programs ----


def made() -> Iterator[Interjection]:
    """Sounds that are made from numbers."""
    for name, count in N_MADE.items():
        for number in range(count):
            rng = np.random.default_rng((7, number))
            yield Interjection("noises", "made", f"{name} {number}", partial(SOUNDS[name], rng))


def recorded(name: str, data: Path) -> Iterator[Interjection]:
    """Digits, beginnings, commands and noises of a split."""
    split, rng = SPLITS[name], random.Random(name)
    digits = [row for row in rows_of(data / "fsdd_300") if row["speaker"] in split.digits]
    for row in rng.sample(digits, min(N_DIGITS, len(digits))) if name == "test" else digits:
        yield Interjection("numbers", f"fsdd {row['speaker']}", row["transcript"], partial(read, row))
    readings = rows_of(data / "libri_mini_train5")
    readers = sorted({row["speaker"] for row in readings})[split.readers]
    mine = [row for row in readings if row["speaker"] in readers]
    commands = half_of(rows_of(data / "picovoice_coffee_commands"), split.half)
    chosen = (*rng.sample(mine, min(split.beginnings, len(mine))), *rng.sample(commands, min(20, len(commands))))
    for row in chosen:
        source = f"reader {row['speaker']}" if row["transcript"] else "commands"
        yield Interjection("interruptions", source, "", partial(beginning, row, rng.uniform(*BEGINNING_S)))
    nonverbal = rows_of(data / "nonverbal")
    speakers = half_of(sorted({row["speaker"] for row in nonverbal}), split.half)
    noises = [row for row in nonverbal if row["speaker"] in speakers]
    for row in noises:
        yield Interjection("noises", f"nonverbal {row['speaker']}", row["label"], partial(loudest, row))
    for row in rows_of(data / "esc10_part"):
        if row["label"] in split.noises:
            yield Interjection("noises", "esc10", row["label"], partial(loudest, row))


def half_of(things: Sequence[Any], half: int | None) -> Sequence[Any]:
    """The first or the second of every two things; none for None."""
    return [] if half is None else things[half::2]


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Those of a manifest, with whole paths; none where there is no such folder."""
    manifest = folder / "manifest.jsonl"
    lines = manifest.read_text("utf-8").splitlines() if manifest.exists() else []
    return [{**row, "path": str(folder / row["path"])} for row in map(json.loads, lines)]


def read(row: dict[str, Any]) -> Samples:
    """The audio of a row (n_samples,)."""
    return read_audio_file(row["path"]).samples


def beginning(row: dict[str, Any], seconds: float) -> Samples:
    """The first words of a sentence (n_samples,), which then breaks off."""
    samples = read(row)
    first = int(np.flatnonzero(np.abs(samples) > 0.05 * np.abs(samples).max())[0])
    return _faded(samples[max(0, first - SAMPLE_RATE_HZ // 20) : first + round(seconds * SAMPLE_RATE_HZ)])


def loudest(row: dict[str, Any]) -> Samples:
    """The loudest part of a noise (n_samples,)."""
    samples, length = read(row), round(NOISE_S * SAMPLE_RATE_HZ)
    energy = np.convolve(samples.astype(np.float64) ** 2, np.ones(min(length, len(samples))), "valid")
    start = int(energy.argmax())
    return _faded(samples[start : start + length])


def _faded(samples: Samples) -> Samples:
    length = min(SAMPLE_RATE_HZ // 20, len(samples) // 4)  # 50 ms
    return np.concatenate((samples[:-length], samples[-length:] * np.linspace(1, 0, length, dtype=np.float32)))


# ---- clips ----


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """What is heard over an answer, as it was written: see `Interjection`."""

    set: str
    source: str
    text: str
    samples: Samples


def write_clips(interjections: Iterable[Interjection], folder: Path) -> None:
    """Writes clips that are not there yet, and the manifest of all."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, one in enumerate(tqdm(list(interjections), desc=folder.name, unit="clip")):
        path = folder / (re.sub(r"[^a-zA-Z0-9]+", "-", f"{number:05d} {one.source} {one.text}") + ".flac")
        if not path.exists():
            soundfile.write(path, one.make(), SAMPLE_RATE_HZ)
        rows.append(json.dumps({"path": path.name, "set": one.set, "source": one.source, "text": one.text}))
    (folder / "manifest.jsonl").write_text("\n".join(rows) + "\n", "utf-8")


def read_clips(folder: Path) -> list[Clip]:
    """What `write_clips` wrote."""
    return [Clip(row["set"], row["source"], row["text"], read(row)) for row in rows_of(folder)]


def main() -> None:
    """Writes the clips."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.interjections", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of folders with a manifest.jsonl each")
    parser.add_argument("--kokoro", type=Path, required=True, help="folder of voices, NAME.bin")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, one folder in it for each split")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="fetched weights (%(default)s)")
    options = parser.parse_args()
    names = [voice for split in SPLITS.values() for voice in split.kokoro]
    kokoro = load_voices(options.kokoro, options.cache_dir, names)
    for name in SPLITS:
        everything = [*said(name, kokoro), *recorded(name, options.data), *(made() if name == "train" else ())]
        write_clips(everything, options.out / name)


if __name__ == "__main__":
    main()
