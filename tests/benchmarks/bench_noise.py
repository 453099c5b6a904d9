"""What noise suppression does to the detector and to the ears: none, DeepFilterNet3 (ours) and RNNoise, streaming.

Readers and commands, each between stretches where they are silent, alone and in noise: recorded background noise, and
babble of six voices, so many dB below the voice. For each: words wrong; turns in which the detector finds no silence
before, or within half a second behind; onsets where nobody speaks near; CPU per second of audio. The commands have no
transcript: what ears write of the clean clip is taken for it. DIR holds folders with a `manifest.jsonl` each.
Run: `python -m tests.benchmarks.bench_noise --data DIR --rnnoise librnnoise.so --out rows.jsonl --json`; what is in the
file already is not measured again.
"""

import argparse
import asyncio
import ctypes
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import soxr
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from app import default_cache_dir
from models.base import Transcriber
from models.ears.loading import load_ears
from models.types import SAMPLE_RATE_HZ, AudioClip, Samples
from realtime.hearing.files import read_audio_file
from realtime.hearing.noise import NoiseSuppressor
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.turns.observations import SpeechStarted, SpeechStopped
from tests.benchmarks.bench_ears import choose, n_wrong, normalize

READERS, COMMANDS, NOISES = "libri_mini_train5", "picovoice_coffee_commands", "speechcommands_bg_noise"
SNRS_DB = (20, 10, 5, 0)
LEAD_S, TAIL_S = 4.0, 3.0  # of the noise alone, before and behind what is said
EARLY_S = 0.3  # an onset may be so much before the clean clip's
LATE_S = 0.5  # the voice has stopped where silence is found within this time
EARS_BEFORE_S, EARS_BEHIND_S = 0.3, 0.2  # what ears are given with the words, as in a session
N_VOICES = 6  # of the babble
RNNOISE_FRAME, RNNOISE_RATE_HZ, RNNOISE_DELAY = 480, 48_000, 959  # the delay was measured


class Suppressor(Protocol):
    """Takes noise out of one stream."""

    def push(self, samples: Samples) -> Samples:
        """Takes the next samples, gives those that are ready."""
        ...


class RNNoise:
    """RNNoise's library, of the wheel `pyrnnoise` 0.4.5; for whole clips."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.rnnoise_create.restype = ctypes.c_void_p
        self._library.rnnoise_process_frame.restype = ctypes.c_float
        self._state = ctypes.c_void_p(self._library.rnnoise_create(None))

    def push(self, samples: Samples) -> Samples:
        """As `NoiseSuppressor.push`."""
        raised = soxr.resample(samples, SAMPLE_RATE_HZ, RNNOISE_RATE_HZ) * 32768
        frames = raised[: len(raised) // RNNOISE_FRAME * RNNOISE_FRAME].astype(np.float32).reshape(-1, RNNOISE_FRAME)
        for frame in frames:
            at = ctypes.c_void_p(frame.ctypes.data)
            self._library.rnnoise_process_frame(self._state, at, at)
        left = frames.reshape(-1)[RNNOISE_DELAY:] / 32768
        return np.asarray(soxr.resample(left, RNNOISE_RATE_HZ, SAMPLE_RATE_HZ), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """What one person says, float32 `(n_samples,)`, where in it, and the words."""

    name: str
    samples: Samples
    start_sample: int
    end_sample: int
    words: list[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One clip in one noise, through one suppressor.

    Attributes:
        clip: its name.
        noise: its kind; "none".
        snr_db: of the voice over it.
        system: what took the noise out.
        n_wrong: words.
        n_words: that were said.
        is_lost: nothing began where the voice does: no onset, or speech had been found before.
        is_endless: no silence was found in time.
        n_onsets: within what is said.
        n_false: onsets elsewhere.
        noise_s: how much of the audio is elsewhere.
        cpu_s: of one second of audio.
    """

    clip: str
    noise: str
    snr_db: int
    system: str
    n_wrong: int
    n_words: int
    is_lost: bool
    is_endless: bool
    n_onsets: int
    n_false: int
    noise_s: float
    cpu_s: float


def find_speech(samples: Samples) -> tuple[list[int], list[int]]:
    """Where our detector finds speech to begin and to stop; silence follows the samples."""
    onsets, offsets = [], []
    for frame in SpeechDetector(VadOptions()).push(np.concatenate((samples, np.zeros(SAMPLE_RATE_HZ, np.float32)))):
        match frame.event:
            case SpeechStarted(onset_sample):
                onsets.append(onset_sample)
            case SpeechStopped(offset_sample):
                offsets.append(offset_sample)
    return onsets, offsets


async def read_clips(data: Path, count: int, ears: Transcriber) -> list[Clip]:
    """One clip of each of some readers, and commands, by turns."""
    readings = {row["speaker"]: row for row in choose(data / READERS, 400, 3) if 3 < row["seconds"] < 9}
    commands = [row for row in choose(data / COMMANDS, 80, 3) if 2 < row["seconds"] < 8]
    rows = [row for pair in zip(list(readings.values())[:count], commands[:count], strict=False) for row in pair]
    clips = []
    for row in rows:
        samples = read_audio_file(row["path"]).samples
        onsets, offsets = find_speech(samples)
        if onsets and offsets:
            said = row["transcript"] or await write_down(ears, samples, row["path"])
            clips.append(Clip(Path(row["path"]).stem, samples, onsets[0], offsets[-1], normalize(said)))
    return clips


async def write_down(ears: Transcriber, samples: Samples, dialogue: str) -> str:
    """What ears write of a clip that they do not remember."""
    written = await ears.transcribe(AudioClip(samples), dialogue=dialogue)
    await ears.forget(dialogue=dialogue)
    return written.text


def make_babble(data: Path, n_samples: int, rng: np.random.Generator) -> Samples:
    """Several readers at once, equally loud."""
    rows = choose(data / "ljspeech_part", 60, 9) + choose(data / READERS, 120, 77)
    babble = np.zeros(n_samples, np.float32)
    for _ in range(N_VOICES):
        voice = np.zeros(0, np.float32)
        while len(voice) < n_samples:
            said = read_audio_file(rows[int(rng.integers(len(rows)))]["path"]).samples
            voice = np.concatenate((voice, said / np.sqrt(np.mean(said**2))))
        babble += voice[-n_samples:]
    return babble


def in_noises(clip: Clip, number: int, data: Path) -> Iterator[tuple[str, int, Samples]]:
    """The clip in all noises: kind, dB and audio, as 16-bit samples are."""
    rng = np.random.default_rng(number)
    quiet = np.pad(clip.samples, (round(LEAD_S * SAMPLE_RATE_HZ), round(TAIL_S * SAMPLE_RATE_HZ)))
    rows = choose(data / NOISES, 10, 1)
    recorded = read_audio_file(rows[number % len(rows)]["path"]).samples
    start = int(rng.integers(len(recorded) - len(quiet)))
    noises = {"background": recorded[start : start + len(quiet)], "babble": make_babble(data, len(quiet), rng)}
    voice_rms = np.sqrt(np.mean(clip.samples[clip.start_sample : clip.end_sample] ** 2))
    yield "none", 99, quiet
    for kind, noise in noises.items():
        for snr_db in SNRS_DB:
            level = voice_rms / np.sqrt(np.mean(noise**2)) * 10 ** (-snr_db / 20)
            mixed = np.clip(np.round((quiet + level * noise) * 32768), -32768, 32767) / 32768
            yield kind, snr_db, mixed.astype(np.float32)


async def measure(
    clip: Clip, noise: str, snr_db: int, samples: Samples, system: str, suppressor: Suppressor | None, ears: Transcriber
) -> Row:
    """Measures one clip in one noise through one suppressor."""
    n_samples, began_s = len(samples), time.process_time()
    if suppressor is not None:
        samples = suppressor.push(np.pad(samples, (0, SAMPLE_RATE_HZ // 5)))[:n_samples]
    cpu_s = time.process_time() - began_s
    onsets, offsets = find_speech(samples)
    lead = round(LEAD_S * SAMPLE_RATE_HZ)
    start, end = lead + clip.start_sample, lead + clip.end_sample
    inside = [onset for onset in onsets if start - EARLY_S * SAMPLE_RATE_HZ <= onset <= end]
    stops = [offset for offset in offsets if start < offset <= end + LATE_S * SAMPLE_RATE_HZ]
    last_onset = max((onset for onset in onsets if onset <= end), default=0)
    heard = samples[max(0, start - round(EARS_BEFORE_S * SAMPLE_RATE_HZ)) :]
    heard = heard[: end - start + round((EARS_BEFORE_S + EARS_BEHIND_S) * SAMPLE_RATE_HZ)]
    words = normalize(await write_down(ears, heard, f"{clip.name} {noise} {snr_db} {system}"))
    return Row(
        clip=clip.name,
        noise=noise,
        snr_db=snr_db,
        system=system,
        n_wrong=n_wrong(clip.words, words),
        n_words=len(clip.words),
        is_lost=not inside,
        is_endless=not any(stop > last_onset for stop in stops),
        n_onsets=len(inside),
        n_false=len(onsets) - len(inside),
        noise_s=(n_samples - (end - start)) / SAMPLE_RATE_HZ,
        cpu_s=cpu_s / (n_samples / SAMPLE_RATE_HZ),
    )


def read_rows(path: Path) -> list[Row]:
    """What was measured before."""
    return [Row(**json.loads(line)) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


async def measure_all(
    data: Path, count: int, ears: Transcriber, systems: dict[str, Callable[[], Suppressor | None]], out: Path
) -> list[Row]:
    """Measures what is not in the file yet, and gives all that is in it."""
    rows = read_rows(out)
    known = {(row.clip, row.noise, row.snr_db, row.system) for row in rows}
    with out.open("a", buffering=1) as file:
        for number, clip in enumerate(tqdm(await read_clips(data, count, ears), unit="clip")):
            for noise, snr_db, samples in in_noises(clip, number, data):
                for system, make in systems.items():
                    if (clip.name, noise, snr_db, system) in known:
                        continue
                    rows.append(await measure(clip, noise, snr_db, samples, system, make(), ears))
                    file.write(json.dumps(asdict(rows[-1])) + "\n")
    return rows


def summarize(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """The figures of each noise and system."""
    groups: defaultdict[tuple[str, int, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.noise, row.snr_db, row.system].append(row)
    return {
        f"{noise} {snr_db} dB, {system}": {
            "clips": len(group),
            "WER %": 100 * sum(row.n_wrong for row in group) / sum(row.n_words for row in group),
            "lost %": 100 * sum(row.is_lost for row in group) / len(group),
            "endless %": 100 * sum(row.is_endless for row in group) / len(group),
            "onsets a clip": sum(row.n_onsets for row in group) / len(group),
            "false a minute": 60 * sum(row.n_false for row in group) / sum(row.noise_s for row in group),
            "CPU %": 100 * sum(row.cpu_s for row in group) / len(group),
        }
        for (noise, snr_db, system), group in groups.items()
    }


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_noise", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of sets")
    parser.add_argument("--rnnoise", type=Path, help="RNNoise's library; none: it is not compared")
    parser.add_argument("--out", type=Path, required=True, help="file of what was measured")
    parser.add_argument("--count", type=int, default=20, help="readers, and as many commands (%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="folder of weights")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    ears = load_ears("moonshine", options.cache_dir)
    assert ears is not None
    systems: dict[str, Callable[[], Suppressor | None]] = {"none": lambda: None, "DeepFilterNet3": NoiseSuppressor}
    if options.rnnoise:
        systems["RNNoise"] = lambda: RNNoise(options.rnnoise)
    figures = summarize(asyncio.run(measure_all(options.data, options.count, ears, systems, options.out)))
    columns = list(next(iter(figures.values())))
    table = Table(title="noise suppression")
    for column in ("", *columns):
        table.add_column(column, justify="right" if column else "left")
    for name, figure in figures.items():
        table.add_row(name, *(f"{figure[column]:.1f}" for column in columns))
    Console().print(table)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
