"""Builds turns of the kinds that are hard to judge by their sound: numbers, spelling, lists, fillers, short answers.

Every row of `manifest.jsonl` is one turn, as `build_dialogues` writes them, with its `kind`, the whole `text`, what the
assistant had `asked` (or null), and in `said`, for each silence, the words before it. The sentences are in
`difficult_test.txt` and `difficult_train.txt`, and none but a bare number or spelling is in both; voices speak them
aloud. The voices of the part `test` are the shipped ones of Kokoro and some of flite's and espeak-ng's; those of the
part `train` are others, and more of Kokoro's where `--voices-dir` has their styles (`voices/` of npm's `kokoro-js`).

A hold stands where a line of these files has a bar. Kokoro says a sentence as a whole, and it is cut at the quietest
place where the word before the bar ends; so nothing falls at its end that would not fall in the sentence. The other
programs do not tell where words are; they say each part by itself, with a comma behind it. With `--data`, real digits
of `fsdd_300` are joined to groups. Run: `python -m tests.benchmarks.build_difficult --part test --out DIR`.
"""

import argparse
import asyncio
import tempfile
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from tqdm import tqdm

from app import default_cache_dir
from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, Samples, VoiceInfo
from models.voices.kokoro import KokoroVoice
from models.voices.names import VOICE_NAMES
from models.weights.fetching import find_weights
from models.weights.packages import KOKORO
from realtime.hearing.files import read_audio_file
from tests.benchmarks.build_dialogues import Turn, joined, write_turn
from tests.benchmarks.manifests import read_manifest
from tests.benchmarks.voices import COMMANDS, run_command

LINES = {part: Path(__file__).with_name(f"difficult_{part}.txt") for part in ("test", "train")}
COUNTS = {"test": 30, "train": 160}  # turns of each kind
KOKORO_SHARE = {"test": 0.5, "train": 0.2}  # of the turns: it is the slowest, and sounds most like people
HOLD_S, HOLD_SPREAD = 0.8, 0.45  # median of a hold, and how its logarithm spreads
DIGITS_HOLD_S = 0.6  # between groups of digits
HOLDS_S = (0.3, 2.0)
QUIET_S = 0.3  # around a part
ROOM_LEVEL = 3e-4  # -70 dB: no room is quieter, and no microphone
CUT_BEFORE_S, CUT_AFTER_S = 0.05, 0.12  # around the end of a word, where a quiet place is looked for
CUT_WINDOW_S = 0.01
CUT_FADE_S = 0.005
DIGIT_GAP_S = 0.06  # between two digits of a group
WORD_TOLERANCE_S = 0.08  # a word may be told to end so much after its last voiced frame
SPEEDS = (0.92, 1.0, 1.08)  # of programs, in the part train: other people

TEST_PROGRAMS = {name: COMMANDS[name] for name in ("slt", "rms", "us", "rp")}
TRAIN_PROGRAMS = {
    **{name: ("flite", "-voice", name, "-o", "{file}", "-t", "{text}") for name in ("awb", "kal16", "kal")},
    **{
        name: ("espeak-ng", "-v", name, "-s", "155", "-w", "{file}", "{text}")
        for name in ("en-gb-scotland", "en-gb+f2", "en-gb-x-gbclan+m3", "en-gb-x-gbcwmd+f4", "en-029+m7")
    },
}
FSDD = "fsdd_300"
FSDD_SPEAKERS = {"test": ("george", "nicolas"), "train": ("jackson", "lucas", "theo", "yweweler")}

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_GROUPS = {
    "phone": ((3, 3, 4), (3, 4), (3, 2, 2), (5, 3, 3), (4, 3, 3), (2, 2, 2, 2, 2)),
    "card": ((4, 4, 4, 4),),
    "order": ((3, 3), (2, 3), (4, 4), (2, 2, 2)),
    "code": ((2, 2), (3, 3), (2, 2, 2)),
}
_MONTHS = ("January", "February", "March", "May", "June", "July", "August", "September", "October", "November")
_DAYS = (
    "first",
    "second",
    "third",
    "sixth",
    "ninth",
    "twelfth",
    "fifteenth",
    "eighteenth",
    "twenty first",
    "thirtieth",
)
_YEARS = (
    "nineteen seventy five",
    "nineteen eighty four",
    "two thousand and three",
    "twenty twelve",
    "twenty twenty six",
)
_DATES = ("the {day} of {month}, | {year}", "{month} the {day}, | {year}", "the {day} | of {month}", "{month} | {day}")
_NAMES = {
    "test": ("Johnson", "Siobhan", "Garcia", "Nowak", "Elmwood", "Fischer", "Thea", "Okafor", "Lindqvist"),
    "train": ("Miller", "Katherine", "Bergman", "Rossi", "Yilmaz", "Dupont", "Sanders", "Owen", "Petrova", "Hughes"),
}
_DOMAINS = {
    "test": ("gmail dot com", "example dot org", "outlook dot com"),
    "train": ("yahoo dot com", "hotmail dot com", "mail dot net", "my company dot com", "icloud dot com"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """What is said in one turn.

    Attributes:
        kind: of the turn.
        parts: with a hold between two of them; together they are the text.
        asked: the assistant's last sentence, if it matters.
    """

    kind: str
    parts: tuple[str, ...]
    asked: str | None

    @property
    def text(self) -> str:
        """All that is said."""
        return " ".join(self.parts)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A line spoken aloud.

    Attributes:
        source: the program.
        speaker: its voice.
        parts: each part, float32 `(n_samples,)` at 16 kHz, with quiet around it.
        words: of each part, the words with where they end in it, in samples; nothing where that is not known.
    """

    source: str
    speaker: str
    parts: list[Samples]
    words: list[list[tuple[str, int]]]


# ---- lines ----


def read_lines(path: Path) -> dict[str, list[str]]:
    """The templates of each kind in a file."""
    kinds: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("# "):
            kinds[line[2:]] = []
        else:
            kinds[list(kinds)[-1]].append(line)
    return kinds


def make_line(kind: str, template: str, part: str, rng: np.random.Generator) -> Line:
    """Fills a template with numbers and names."""
    asked, mark, said = template.rpartition("> ")
    blanks: dict[str, Callable[[], str]] = {
        "phone": lambda: number("phone", rng),
        "card": lambda: number("card", rng),
        "order": lambda: number("order", rng),
        "code": lambda: number("code", rng),
        "digits": lambda: number(str(rng.choice(list(_GROUPS))), rng),
        "date": lambda: date(rng),
        "email": lambda: email(part, rng),
        "spelled": lambda: spelled(str(rng.choice(_NAMES[part])), rng),
        "named": lambda: named(part, rng),
    }
    for name, fill in blanks.items():
        if "{" + name + "}" in said:
            said = said.replace("{" + name + "}", fill())
    parts = tuple(piece.strip() for piece in said.split("|"))
    return Line(kind, parts, asked.strip() or None if mark else None)


def number(name: str, rng: np.random.Generator) -> str:
    """Groups of digits in words."""
    groups = _GROUPS[name][int(rng.integers(len(_GROUPS[name])))]
    return ", | ".join(" ".join(_DIGITS[int(digit)] for digit in rng.integers(0, 10, size)) for size in groups)


def date(rng: np.random.Generator) -> str:
    """A day, with or without its year."""
    template = str(rng.choice(_DATES))
    return template.format(day=rng.choice(_DAYS), month=rng.choice(_MONTHS), year=rng.choice(_YEARS))


def spelled(name: str, rng: np.random.Generator) -> str:
    """The letters of a name, one to four at a time."""
    letters, groups = " ".join(name.upper()).split(), []
    while letters:
        size = int(rng.integers(1, 5)) if len(letters) > 2 else len(letters)
        groups.append(" ".join(letters[:size]))
        letters = letters[size:]
    return ", | ".join(groups)


def named(part: str, rng: np.random.Generator) -> str:
    """A name, and how it is spelled."""
    name = str(rng.choice(_NAMES[part]))
    return f"{name}, | {spelled(name, rng)}"


def email(part: str, rng: np.random.Generator) -> str:
    """An address, spelled or in words."""
    name, other = rng.choice(_NAMES[part], 2, replace=False)
    domain = str(rng.choice(_DOMAINS[part]))
    user = (spelled(str(name), rng), f"{name} | dot {other}", f"{name}, | {spelled(str(name), rng)}")
    return f"{user[int(rng.integers(len(user)))]}, | at {domain}"


# ---- voices ----


class Kokoro:
    """Says lines as whole sentences, and cuts them.

    Args:
        folder: of its weights.
        names: of its voices.
        styles: folder of their styles.
    """

    def __init__(self, folder: Path, names: Sequence[str], styles: Path) -> None:
        with tempfile.TemporaryDirectory() as together:
            for file in (*folder.iterdir(), *(styles / f"{name}.bin" for name in names)):
                link = Path(together) / file.name
                link.unlink(missing_ok=True)
                link.symlink_to(file.resolve())
            self._voice = KokoroVoice(Path(together), tuple(VoiceInfo(name, "en", name) for name in names))
        self.names = tuple(names)

    async def speak(self, line: Line, name: str) -> Spoken:
        """Says a line in one voice."""
        speech = await self._voice.speak(line.text, voice=name)
        samples = np.asarray(soxr.resample(speech.samples, VOICE_RATE_HZ, SAMPLE_RATE_HZ), np.float32)
        ends = [(word.end, round(word.end_sample * SAMPLE_RATE_HZ / VOICE_RATE_HZ)) for word in speech.words]
        text_cuts, cuts = [0], [0]
        for piece in line.parts[:-1]:
            text_cuts.append(text_cuts[-1] + len(piece) + 1)
            word_end = max((sample for end, sample in ends if end < text_cuts[-1]), default=0)
            cuts.append(quietest(samples, word_end))
        text_cuts.append(len(line.text) + 1)
        cuts.append(len(samples))
        words = [
            [
                (line.text[first:end].strip(), sample - cut + round(QUIET_S * SAMPLE_RATE_HZ))
                for end, sample in ends
                if first < end < last
            ]
            for (first, last), cut in zip(pairwise(text_cuts), cuts, strict=False)
        ]
        return Spoken("kokoro", name, [samples[begin:end] for begin, end in pairwise(cuts)], words)


def quietest(samples: Samples, around: int) -> int:
    """The quietest place near the end of a word."""
    size = round(CUT_WINDOW_S * SAMPLE_RATE_HZ)
    begin = max(0, around - round(CUT_BEFORE_S * SAMPLE_RATE_HZ))
    end = min(len(samples) - size, around + round(CUT_AFTER_S * SAMPLE_RATE_HZ))
    starts = range(begin, max(begin + 1, end), size // 4)
    return min(starts, key=lambda start: float(np.square(samples[start : start + size]).sum())) + size // 2


def speak_by_program(line: Line, name: str, command: Sequence[str], speed: float) -> Spoken:
    """Says each part of a line by itself."""
    texts = [*(piece.rstrip(",") + "," for piece in line.parts[:-1]), line.parts[-1]]
    parts = [run_command(command, text) for text in texts]
    if speed != 1.0:
        parts = [np.asarray(soxr.resample(part, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ), np.float32) for part in parts]
    speaker = name if speed == 1.0 else f"{name} at {speed}"
    return Spoken(command[0], speaker, parts, [[] for _ in parts])


class Digits:
    """Real digits of a few speakers, which are put together to groups."""

    def __init__(self, data: Path, part: str) -> None:
        self.speakers = FSDD_SPEAKERS[part]
        self._spoken: dict[tuple[str, str], list[Samples]] = {}
        for row in read_manifest(data / FSDD):
            samples = read_audio_file(data / FSDD / row["path"]).samples  # cut close to its speech, as it is
            self._spoken.setdefault((row["speaker"], row["transcript"]), []).append(samples)

    def speak(self, line: Line, speaker: str, rng: np.random.Generator) -> Spoken:
        """Says groups of digits."""
        gap = np.zeros(round(DIGIT_GAP_S * SAMPLE_RATE_HZ), np.float32)
        parts = []
        for group in line.parts:
            takes = [self._spoken[speaker, word] for word in group.strip(",. ").split()]
            chosen = [take[int(rng.integers(len(take)))] for take in takes]
            parts.append(np.concatenate([piece for digit in chosen for piece in (digit, gap)][:-1]))
        return Spoken("fsdd", speaker, parts, [[] for _ in parts])


def in_a_room(part: Samples, rng: np.random.Generator) -> Samples:
    """A part with faint noise and quiet around it, and without clicks where it was cut."""
    quiet, fade = round(QUIET_S * SAMPLE_RATE_HZ), round(CUT_FADE_S * SAMPLE_RATE_HZ)
    ramp = np.ones(len(part), np.float32)
    ramp[:fade] = np.linspace(0, 1, fade)[: len(part)]
    ramp[len(part) - fade :] *= np.linspace(1, 0, fade)[: len(part)]
    padded = np.pad(part * ramp, quiet)
    return padded + rng.normal(0, ROOM_LEVEL, len(padded)).astype(np.float32)


# ---- turns ----


def holds_s(line: Line, rng: np.random.Generator) -> list[float]:
    """How long each hold of a line is."""
    median_s = DIGITS_HOLD_S if line.kind in ("number", "digits") else HOLD_S
    drawn = np.exp(rng.normal(np.log(median_s), HOLD_SPREAD, len(line.parts) - 1))
    return [float(hold_s) for hold_s in np.clip(drawn, *HOLDS_S)]


def said_before(line: Line, spoken: Spoken, turn: Turn) -> list[str | None]:
    """The words before each silence; None where it is not known, between words of a part."""
    found: list[str | None] = []
    for number_of, (begin, _) in enumerate(turn.silences):
        index = bisect_right(turn.starts, begin) - 1
        follows = turn.silences[number_of + 1][0] if number_of + 1 < len(turn.silences) else None
        ends_part = follows is None or bisect_right(turn.starts, follows) - 1 > index
        before = line.parts[:index]
        if ends_part:
            found.append(" ".join((*before, line.parts[index])))
        elif spoken.words[index]:
            latest = begin - turn.origins[index] + round(WORD_TOLERANCE_S * SAMPLE_RATE_HZ)
            heard = [text for text, end in spoken.words[index] if end <= latest]
            found.append(" ".join((*before, *heard[-1:])))
        else:
            found.append(None)
    return found


class Cast:
    """All who speak in one part of the set.

    Args:
        part: test or train.
        cache_dir: folder of weights.
        voices_dir: styles of Kokoro's other voices; without it, the part train has programs' voices alone.
        data: folder of data sets; without it, nobody says real digits.
    """

    def __init__(self, part: str, cache_dir: Path, voices_dir: Path | None, data: Path | None) -> None:
        self._part = part
        self._programs = TEST_PROGRAMS if part == "test" else TRAIN_PROGRAMS
        self._digits = Digits(data, part) if data else None
        folder = find_weights(KOKORO, cache_dir)
        self._kokoro: Kokoro | None = None
        if part == "test":
            self._kokoro = Kokoro(folder, VOICE_NAMES, folder)
        elif voices_dir:
            english = [path.stem for path in sorted(voices_dir.glob("[ab][fm]_*.bin"))]
            self._kokoro = Kokoro(folder, [name for name in english if name not in VOICE_NAMES], voices_dir)

    def says(self, kind: str) -> bool:
        """Whether there is somebody for a kind."""
        return kind != "digits" or self._digits is not None

    async def speak(self, line: Line, rng: np.random.Generator) -> Spoken:
        """Lets somebody say a line."""
        if line.kind == "digits":
            assert self._digits is not None, "asked before"
            return self._digits.speak(line, str(rng.choice(self._digits.speakers)), rng)
        if self._kokoro is not None and rng.random() < KOKORO_SHARE[self._part]:
            return await self._kokoro.speak(line, str(rng.choice(self._kokoro.names)))
        name = str(rng.choice(list(self._programs)))
        speed = 1.0 if self._part == "test" else float(rng.choice(SPEEDS))
        return speak_by_program(line, name, self._programs[name], speed)


def lines_of(part: str, cast: Cast, seed: int) -> Iterator[Line]:
    """All lines of a part; each template comes again, otherwise filled, until there are enough."""
    for number_of, (kind, templates) in enumerate(read_lines(LINES[part]).items()):
        rng = np.random.default_rng((seed, number_of))
        if not cast.says(kind):
            continue
        order = np.concatenate([rng.permutation(len(templates)) for _ in range(COUNTS[part] // len(templates) + 1)])
        for index in order[: COUNTS[part]]:
            yield make_line(kind, templates[int(index)], part, rng)


async def speak_turns(
    lines: Sequence[Line], cast: Cast, rng: np.random.Generator
) -> AsyncIterator[tuple[dict[str, Any], Turn]]:
    """Turns and what the manifest says of them; a line is left out if no speech is detected in a part of it."""
    for line in lines:
        spoken = await cast.speak(line, rng)
        turn = joined([in_a_room(piece, rng) for piece in spoken.parts], holds_s(line, rng), rng)
        if turn is not None:
            row = {"speaker": spoken.speaker, "source": spoken.source, "kind": line.kind, "text": line.text}
            yield {**row, "asked": line.asked, "said": said_before(line, spoken, turn)}, turn


async def build(part: str, out: Path, cast: Cast, noises: list[Samples], seed: int) -> None:
    """Writes one part of the set, in an order by chance."""
    (out / "audio").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng((seed, 100))
    lines = list(lines_of(part, cast, seed))
    shuffled = [lines[int(index)] for index in rng.permutation(len(lines))]
    with (
        (out / "manifest.jsonl").open("w", encoding="utf-8", buffering=1) as manifest,
        tqdm(total=len(lines), desc=part, unit="turn") as progress,
    ):
        async for row, turn in speak_turns(shuffled, cast, rng):
            turn_id = f"{row['kind'].replace(' ', '-')}_{progress.n:04}"
            manifest.write(write_turn(out, {"id": turn_id, **row}, turn, noises, rng) + "\n")
            progress.update()


def main() -> None:
    """Builds the set."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.build_difficult", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--part", choices=tuple(LINES), default="test", help="(%(default)s)")
    parser.add_argument("--data", type=Path, help="folder of data sets: real digits and noises are taken from there")
    parser.add_argument("--voices-dir", type=Path, help="styles of more of Kokoro's voices, for the part train")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="fetched weights (%(default)s)")
    options = parser.parse_args()
    cast = Cast(options.part, options.cache_dir, options.voices_dir, options.data)
    asyncio.run(build(options.part, options.out, cast, noises_of(options.data, options.seed), options.seed))


def noises_of(data: Path | None, seed: int) -> list[Samples]:
    """Recorded noises; without them, a minute of white noise."""
    if data is None:
        noise = np.random.default_rng((seed, 101)).normal(0, 0.05, 60 * SAMPLE_RATE_HZ)
        return [noise.astype(np.float32)]
    return [read_audio_file(path).samples for path in sorted((data / "speechcommands_bg_noise" / "audio").iterdir())]


if __name__ == "__main__":
    main()
