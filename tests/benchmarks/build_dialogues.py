"""Builds the dialogue set for `bench_endpointing` from recordings of one speaker each.

Every row of `manifest.jsonl` is one turn: its audio and every silence of at least 100 ms, the last of which is the end
of the turn. Two kinds of turns: commands as they were spoken, with their natural inner pauses, and sentences that were
read, whose utterances (what is said between two pauses) are joined again with pauses of 0.2 to 1.2 s. So a hold is
inside a sentence and a turn ends where one does: after a finished one nothing tells whether another follows.
Where sentences end is the transcript's punctuation; where it has none, that of Whisper tiny.en, which hears up to 30 s
of the reading at once, what follows included. `words.json` in the folder keeps what it wrote, for the next build: the
same seed and the same words make the same set, but on another CPU Whisper hears a few pauses otherwise.

Each utterance keeps the quiet around its speech, so that no last consonant is lost, and pauses are filled up with the
room of the recording itself; then some turns get noise or the band of a telephone. A third of LibriSpeech's readers
and all other recordings are the part `test`; the other readers are the part `train`. It needs the embedded weights
(`python app.py fetch`). Run: `python -m tests.benchmarks.build_dialogues --data DIR --out DIR`.
"""

import argparse
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from faster_whisper import WhisperModel
from tqdm import tqdm

from app import default_cache_dir
from models.types import SAMPLE_RATE_HZ, Samples
from models.weights.fetching import find_weights
from models.weights.packages import WHISPER_BASE
from realtime.hearing.files import read_audio_file
from realtime.hearing.vad import SILERO_FRAME_SAMPLES, SileroScorer
from tests.benchmarks.manifests import read_manifest

MIN_SILENCE_S = 0.1  # eot-bench annotates silences from here on
TAIL_S = 4.0  # after the turn: longer than any time-out
LEAD_S = 0.3
JOIN_S = (0.2, 1.2)
MIN_PAUSE_S = 0.2  # a shorter silence does not divide utterances
MAX_UTTERANCES = 8  # in a turn
QUIET_S = 0.05  # length of the windows among which the room is looked for
RISE_S = 0.02  # cross-fade between a recording and its room
QUIET_AROUND_S = 0.2  # kept of a recording before and after its speech, at most
WINDOW_S, GAP_S = 29.5, 0.3  # of a reading that Whisper hears at once, and between the recordings in it
MAX_MISMATCH_S = 0.35  # between a pause and the nearest end of a word; more: it is not known what was said before it
MAX_OVERLAP_S = 0.15  # of the next word with what comes before the pause
ABBREVIATIONS = re.compile(r"\b(Mr|Mrs|Dr|St|No|Co|Esq|Messrs)\.$")
CONDITIONS = {"clean": 0.4, "noise 20 dB": 0.2, "noise 10 dB": 0.2, "telephone": 0.2}
TEST_READERS = 3  # every so manyth

Word = tuple[str, float, float]  # as it is written, its beginning and end in seconds


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of a reading.

    Attributes:
        path: the file.
        speaker: who speaks.
        text: what is said.
        samples: float32 `(n_samples,)`.
        spans: the utterances in it, in samples.
    """

    path: Path
    speaker: str
    text: str
    samples: Samples
    spans: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a reader says between two pauses.

    Attributes:
        samples: it, and half of the pauses around it.
        speaker: who.
        ends_sentence: whether a sentence ends with it; None: not known.
    """

    samples: Samples
    speaker: str
    ends_sentence: bool | None


# ---- readings ----


def chapters(data: Path, name: str) -> list[list[Path]]:
    """The files of a data set of read books: each list follows one reading without a gap."""
    found: list[list[Path]] = []
    for path in sorted(data / name / row["path"] for row in read_manifest(data / name)):
        if found and found[-1][-1].stem == preceding(path.stem):
            found[-1].append(path)
        else:
            found.append([path])
    return found


def preceding(stem: str) -> str:
    """The name of the file before this one in the same reading."""
    head, number = stem.rsplit("-", 1)
    return f"{head}-{int(number) - 1:0{len(number)}}"


def load(path: Path, row: dict[str, Any]) -> Recording:
    """Reads a file and finds its utterances."""
    samples = read_audio_file(path).samples
    return Recording(path, row["speaker"], row["transcript"], samples, utterance_spans(voiced_frames(samples)))


def utterances(recording: Recording, ends: Iterable[bool | None]) -> Iterator[Utterance]:
    """Cuts a recording in the middle of its pauses."""
    spans = recording.spans
    cuts = [0, *((end + begin) // 2 for (_, end), (begin, _) in pairwise(spans)), len(recording.samples)]
    for (begin, end), ends_sentence in zip(pairwise(cuts), ends, strict=True):
        yield Utterance(recording.samples[begin:end], recording.speaker, ends_sentence)


# ---- where sentences end ----


def is_stop(text: str) -> bool | None:
    """Whether a text ends a sentence by its punctuation; None where that may be meant or not."""
    text = text.rstrip("\"')] ")
    if text.endswith((";", ":", "...")):
        return None
    return text.endswith((".", "?", "!")) and not ABBREVIATIONS.search(text)


def ends_by_transcript(recording: Recording) -> list[bool | None]:
    """For each utterance of a recording with a punctuated transcript: whether a sentence ends with it."""
    has_inner = any(is_stop(word) is not False for word in recording.text.split()[:-1])
    inner = [None if has_inner else False] * (len(recording.spans) - 1)
    return [*inner, is_stop(recording.text)]


def ends_by_words(recording: Recording, words: Sequence[Word], starts_s: float, is_last: bool) -> list[bool | None]:
    """The same from words with times.

    Args:
        recording: what was heard.
        words: of the whole window it is in.
        starts_s: where it begins there.
        is_last: it is the last of the window: nothing after it was heard.
    """
    begins, ends = np.array([word[1] for word in words]), np.array([word[2] for word in words])
    found: list[bool | None] = []
    for _, end in recording.spans:
        pause_s = end / SAMPLE_RATE_HZ + starts_s
        nearest = int(np.abs(ends - pause_s).argmin()) if words else -1
        known = bool(words) and abs(ends[nearest] - pause_s) <= MAX_MISMATCH_S
        if known and nearest + 1 < len(words):
            known = begins[nearest + 1] >= pause_s - MAX_OVERLAP_S
        found.append(is_stop(words[nearest][0]) if known else None)
    return [*found[:-1], None] if is_last else found


class Listener:
    """Whisper tiny.en, writing down readings with the times of words; what it wrote is kept in a file."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept
        self._words: dict[str, list[Word]] = json.loads(kept.read_text("utf-8")) if kept.is_file() else {}
        folder = find_weights(WHISPER_BASE, default_cache_dir())
        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def words(self, window: Sequence[Recording]) -> list[Word]:
        """Of consecutive recordings with 0.3 s between them."""
        name = window[0].path.stem
        if name not in self._words:
            gap = np.zeros(round(GAP_S * SAMPLE_RATE_HZ), np.float32)
            audio = np.concatenate([part for recording in window for part in (recording.samples, gap)])
            segments, _ = self._model.transcribe(
                audio, beam_size=1, word_timestamps=True, language="en", condition_on_previous_text=False
            )
            self._words[name] = [
                (word.word, round(float(word.start), 3), round(float(word.end), 3))
                for segment in segments
                for word in segment.words or ()
            ]
            self._kept.write_text(json.dumps(self._words), "utf-8")
        return self._words[name]

    def utterances(self, recordings: Iterable[Recording]) -> Iterator[Utterance]:
        """All utterances of a reading."""
        for window in windows(recordings):
            words, starts_s = self.words(window), 0.0
            for recording in window:
                ends = ends_by_words(recording, words, starts_s, is_last=recording is window[-1])
                yield from utterances(recording, ends)
                starts_s += len(recording.samples) / SAMPLE_RATE_HZ + GAP_S


def windows(recordings: Iterable[Recording]) -> Iterator[list[Recording]]:
    """As many recordings at a time as fit in one window, one at least."""
    window: list[Recording] = []
    seconds = 0.0
    for recording in recordings:
        seconds += len(recording.samples) / SAMPLE_RATE_HZ
        if window and seconds > WINDOW_S:
            yield window
            window, seconds = [], len(recording.samples) / SAMPLE_RATE_HZ
        window.append(recording)
        seconds += GAP_S
    if window:
        yield window


def sentences(spoken: Iterable[Utterance]) -> Iterator[list[Utterance]]:
    """The sentences in a reading of which it is known that they are whole."""
    sentence: list[Utterance] | None = None  # None: it is not known where it began
    for utterance in spoken:
        if sentence is not None:
            sentence.append(utterance)
        if utterance.ends_sentence:
            if sentence and len(sentence) <= MAX_UTTERANCES:
                yield sentence
            sentence = []
        elif utterance.ends_sentence is None:
            sentence = None


# ---- audio ----


def voiced_frames(samples: Samples) -> np.ndarray:
    """Which 32 ms of a clean recording are speech: bool `(n_frames,)`, scores of Silero at least 0.5."""
    scorer = SileroScorer()
    n_frames = len(samples) // SILERO_FRAME_SAMPLES
    frames = samples[: n_frames * SILERO_FRAME_SAMPLES].reshape(-1, SILERO_FRAME_SAMPLES)
    return np.array([scorer.score(frame) >= 0.5 for frame in frames], bool)


def utterance_spans(voiced: np.ndarray) -> list[tuple[int, int]]:
    """The stretches of speech between silences of at least 0.2 s, in samples."""
    where = np.flatnonzero(voiced)
    if not len(where):
        return []
    first, last = int(where[0]) * SILERO_FRAME_SAMPLES, (int(where[-1]) + 1) * SILERO_FRAME_SAMPLES
    pauses = [(a, b) for a, b in silences(voiced) if b - a >= MIN_PAUSE_S * SAMPLE_RATE_HZ]
    return list(zip([first, *(b for _, b in pauses)], [*(a for a, _ in pauses), last], strict=True))


def silences(voiced: np.ndarray) -> list[tuple[int, int]]:
    """The inner silences of at least 100 ms between voiced frames, in samples."""
    found, last = [], -1
    for index in np.flatnonzero(voiced):
        if last >= 0 and (index - last - 1) * SILERO_FRAME_SAMPLES >= MIN_SILENCE_S * SAMPLE_RATE_HZ:
            found.append(((last + 1) * SILERO_FRAME_SAMPLES, int(index) * SILERO_FRAME_SAMPLES))
        last = int(index)
    return found


def room(samples: Samples, n_samples: int, rng: np.random.Generator) -> Samples:
    """Noise with the spectrum and level of the quietest tenth of a recording."""
    size = round(QUIET_S * SAMPLE_RATE_HZ)
    windows = samples[: len(samples) // size * size].reshape(-1, size)
    quiet = windows[np.argsort(np.square(windows).mean(axis=1))[: max(2, len(windows) // 10)]]
    magnitude = np.sqrt(np.square(np.abs(np.fft.rfft(quiet * np.hanning(size), axis=1))).mean(axis=0))
    shape = np.fft.irfft(magnitude)
    noise = np.convolve(rng.normal(size=n_samples + size), shape, mode="valid")[:n_samples]
    level = np.sqrt(np.square(quiet).mean())
    return (noise / (np.sqrt(np.square(noise).mean()) + 1e-12) * level).astype(np.float32)


def fade_together(first: Samples, second: Samples) -> Samples:
    """Joins two recordings with a cross-fade of 20 ms, so that the seam does not click."""
    n = min(round(RISE_S * SAMPLE_RATE_HZ), len(first), len(second))
    ramp = np.linspace(0, 1, n, dtype=np.float32)
    seam = first[len(first) - n :] * (1 - ramp) + second[:n] * ramp
    return np.concatenate((first[: len(first) - n], seam, second[n:]))


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn.

    Attributes:
        samples: float32 `(n_samples,)`.
        silences: in samples, the last of which is its end.
        starts: where what is kept of each recording begins in it.
        origins: where each recording would begin in it, had nothing been cut away.
    """

    samples: Samples
    silences: list[tuple[int, int]]
    starts: list[int]
    origins: list[int]


@dataclass(frozen=True, slots=True)
class Speech:
    """A recording cut close to its speech.

    Attributes:
        samples: float32 `(n_samples,)`.
        start: samples cut away before them.
        lead: samples before the first voiced frame.
        tail: samples after the last.
        silences: inside, in samples.
    """

    samples: Samples
    start: int
    lead: int
    tail: int
    silences: list[tuple[int, int]]


def close_cut(samples: Samples, before_s: float, after_s: float) -> Speech | None:
    """Cuts a recording to its speech and at most so much around it; None if it holds no speech."""
    voiced = voiced_frames(samples)
    where = np.flatnonzero(voiced)
    if not len(where):
        return None
    first, last = int(where[0]) * SILERO_FRAME_SAMPLES, (int(where[-1]) + 1) * SILERO_FRAME_SAMPLES
    lead = min(round(before_s * SAMPLE_RATE_HZ), first)
    tail = min(round(after_s * SAMPLE_RATE_HZ), len(samples) - last)
    inside = [(begin - first + lead, end - first + lead) for begin, end in silences(voiced)]
    return Speech(samples[first - lead : last + tail], first - lead, lead, tail, inside)


def joined(recordings: list[Samples], pauses_s: list[float], rng: np.random.Generator) -> Turn | None:
    """Joins the speech of recordings with pauses of given lengths, and adds room before and after."""
    around_s = [QUIET_AROUND_S, *(min(QUIET_AROUND_S, pause_s / 2) for pause_s in pauses_s), QUIET_AROUND_S]
    parts = [close_cut(*cut) for cut in zip(recordings, around_s, around_s[1:], strict=False)]
    audio = room(recordings[0], round(LEAD_S * SAMPLE_RATE_HZ), rng)
    fade = round(RISE_S * SAMPLE_RATE_HZ)
    found: list[tuple[int, int]] = []
    starts: list[int] = []
    origins: list[int] = []
    for part, follows, pause_s in zip(parts, [*parts[1:], None], [*pauses_s, TAIL_S], strict=True):
        if part is None:
            return None
        start = len(audio) - fade
        starts.append(start)
        origins.append(start - part.start)
        audio = fade_together(audio, part.samples)
        found += [(start + begin, start + end) for begin, end in part.silences]
        pause_start = len(audio) - part.tail
        quiet = part.tail + (follows.lead if follows else 0)
        missing = round(pause_s * SAMPLE_RATE_HZ) - quiet + 2 * fade
        audio = fade_together(audio, room(part.samples, missing, rng))
        found.append((pause_start, len(audio) - fade + (follows.lead if follows else fade)))
    return Turn(audio, found, starts, origins)


def telephone(samples: Samples) -> Samples:
    """8 kHz and 8-bit mu-law, as a telephone delivers it (ITU-T G.711), back at 16 kHz."""
    narrow = np.clip(soxr.resample(samples, SAMPLE_RATE_HZ, 8000), -1, 1)
    companded = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256) * 127) / 127
    expanded = np.sign(companded) * np.expm1(np.abs(companded) * np.log(256)) / 255
    wide = soxr.resample(expanded, 8000, SAMPLE_RATE_HZ).astype(np.float32)
    return np.pad(wide, (0, max(0, len(samples) - len(wide))))[: len(samples)]


def with_noise(samples: Samples, snr_db: float, noise: Samples, rng: np.random.Generator) -> Samples:
    """Adds a stretch of noise at a ratio to the loudest half of the 32 ms frames."""
    start = int(rng.integers(0, len(noise)))
    stretch = np.take(noise, np.arange(start, start + len(samples)), mode="wrap")
    frames = samples[: len(samples) // SILERO_FRAME_SAMPLES * SILERO_FRAME_SAMPLES].reshape(-1, SILERO_FRAME_SAMPLES)
    power = np.square(frames).mean(axis=1)
    speech = power[power >= np.median(power)].mean()
    scale = np.sqrt(speech / (np.square(stretch).mean() + 1e-12)) * 10 ** (-snr_db / 20)
    mixed = samples + np.float32(scale) * stretch
    return (mixed / max(1.0, float(np.abs(mixed).max()))).astype(np.float32)


# ---- the set ----


def reading_turns(
    readings: Iterable[Iterable[Utterance]], count: int | None, rng: np.random.Generator
) -> Iterator[tuple[str | None, Turn]]:
    """Sentences with pauses of 0.2 to 1.2 s between their utterances."""
    made = 0
    for sentence in (sentence for reading in readings for sentence in sentences(reading)):
        if made == count:
            return
        pauses_s = list(rng.uniform(*JOIN_S, size=len(sentence) - 1))
        turn = joined([utterance.samples for utterance in sentence], pauses_s, rng)
        if turn is not None:
            made += 1
            yield sentence[0].speaker, turn


def command_turns(data: Path, name: str, rng: np.random.Generator) -> Iterator[tuple[str | None, Turn]]:
    """Every command as it was spoken."""
    for row in read_manifest(data / name):
        turn = joined([read_audio_file(data / name / row["path"]).samples], [], rng)
        if turn is not None:
            yield row["speaker"], turn


def write_turn(out: Path, row: dict[str, Any], turn: Turn, noises: list[Samples], rng: np.random.Generator) -> str:
    """Applies a condition, writes the audio, gives the manifest's line."""
    condition = str(rng.choice(list(CONDITIONS), p=list(CONDITIONS.values())))
    samples = turn.samples
    if condition == "telephone":
        samples = telephone(samples)
    elif condition != "clean":
        noise = noises[int(rng.integers(len(noises)))]
        samples = with_noise(samples, float(condition.split()[1]), noise, rng)
    path = f"audio/{row['id']}.flac"
    soundfile.write(out / path, samples, SAMPLE_RATE_HZ)
    spans = [[round(begin / SAMPLE_RATE_HZ, 4), round(end / SAMPLE_RATE_HZ, 4)] for begin, end in turn.silences]
    seconds = round(len(samples) / SAMPLE_RATE_HZ, 3)
    return json.dumps({"path": path, **row, "seconds": seconds, "condition": condition, "silences": spans})


def books(data: Path, name: str, part: str | None, rng: np.random.Generator) -> Iterator[Iterator[Recording]]:
    """The readings of a data set in random order; of some readers where a part is named."""
    rows = {data / name / row["path"]: row for row in read_manifest(data / name)}
    readers = sorted({row["speaker"] for row in rows.values()})
    wanted = {"test": set(readers[::TEST_READERS]), "train": set(readers) - set(readers[::TEST_READERS])}
    found = chapters(data, name)
    for index in rng.permutation(len(found)):
        paths = found[int(index)]
        if part is None or rows[paths[0]]["speaker"] in wanted[part]:
            yield (recording for path in paths if (recording := load(path, rows[path])).spans)


def libri_turns(data: Path, out: Path, part: str, count: int | None, seed: int) -> Iterator[tuple[str | None, Turn]]:
    """Sentences of one part of LibriSpeech's readers."""
    rng, listener = np.random.default_rng((seed, 0)), Listener(out / "words.json")
    readings = (listener.utterances(book) for book in books(data, "libri_mini_train5", part, rng))
    return reading_turns(readings, count, rng)


def lj_turns(data: Path, count: int | None, seed: int) -> Iterator[tuple[str | None, Turn]]:
    """Sentences of LJ Speech."""
    rng = np.random.default_rng((seed, 1))
    readings = (
        (utterance for recording in book for utterance in utterances(recording, ends_by_transcript(recording)))
        for book in books(data, "ljspeech_part", None, rng)
    )
    return reading_turns(readings, count, rng)


def build(data: Path, out: Path, part: str, seed: int, count: int) -> None:
    """Writes one part of the set."""
    (out / "audio").mkdir(parents=True, exist_ok=True)
    noises = [read_audio_file(path).samples for path in sorted((data / "speechcommands_bg_noise" / "audio").iterdir())]
    turns = {"libri": libri_turns(data, out, part, count if part == "test" else None, seed)}
    if part == "test":
        turns["lj"] = lj_turns(data, count // 2, seed)
        turns["commands"] = command_turns(data, "picovoice_coffee_commands", np.random.default_rng((seed, 2)))
    rng = np.random.default_rng((seed, 3))
    lines = []
    for source, made in turns.items():
        for number, (speaker, turn) in enumerate(tqdm(made, desc=source, unit="turn")):
            row = {"id": f"{source}_{number:04}", "speaker": speaker, "source": source}
            lines.append(write_turn(out, row, turn, noises, rng))
    (out / "manifest.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    """Builds the set."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.build_dialogues", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets, each with a manifest.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--part", choices=("test", "train"), default="test", help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.add_argument(
        "--count", type=int, default=150, help="test turns from LibriSpeech, half as many from LJ Speech (%(default)s)"
    )
    options = parser.parse_args()
    build(options.data, options.out, options.part, options.seed, options.count)


if __name__ == "__main__":
    main()
