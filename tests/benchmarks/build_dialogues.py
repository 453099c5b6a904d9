"""Builds the dialogue set for `bench_endpointing` from recordings of one speaker each; the same seed, the same set.

Every row of `manifest.jsonl` is one turn: its audio and every silence of at least 100 ms, the last of which is the end
of the turn. Two kinds of turns: spoken commands with their natural inner pauses, and utterances of one reader, which
follow each other in the book, joined with pauses of 0.2 to 1.2 s to a turn that ends where a sentence does. Where the
transcript has no punctuation, the embedded language model tells whether a sentence ends, from the words on both sides.
Each recording keeps the quiet around its speech, so that no last consonant is lost, and pauses are filled up with the
room of the recording itself; then some turns get noise or the band of a telephone. It needs the embedded weights
(`python app.py fetch`). Run: `python -m tests.benchmarks.build_dialogues --data DIR --out DIR`.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from app import default_cache_dir
from models.pocket_weights import find_weights
from models.types import SAMPLE_RATE_HZ, Samples
from realtime.audio import read_audio_file
from realtime.vad import SILERO_FRAME_SAMPLES, SileroScorer

MIN_SILENCE_S = 0.1  # eot-bench annotates silences from here on
TAIL_S = 4.0  # after the turn: longer than any time-out
LEAD_S = 0.3
JOIN_S = (0.2, 1.2)
MIN_PHRASE_S = 1.5  # of the utterance in which a joined turn begins
QUIET_S = 0.05  # length of the windows among which the room is looked for
RISE_S = 0.02  # cross-fade between a recording and its room
QUIET_AROUND_S = 0.2  # kept of a recording before and after its speech, at most
PHRASE_SILENCE_S = 0.25
WORDS_BEFORE, WORDS_AFTER = 16, 8  # that the language model reads on each side of a boundary
CONDITIONS = {"clean": 0.4, "noise 20 dB": 0.2, "noise 10 dB": 0.2, "telephone": 0.2}


@dataclass(frozen=True, slots=True)
class Utterance:
    """A recording of one speaker.

    Attributes:
        path: the file.
        speaker: who speaks.
        text: what is said.
        follows: the next utterance of the same reading, and its text.
    """

    path: Path
    speaker: str
    text: str
    follows: tuple[Path, str] | None


# ---- where sentences end ----


class SentenceEnds:
    """Tells, from the words before and after, whether a sentence ends between two unpunctuated pieces of text."""

    def __init__(self) -> None:
        folder = find_weights(default_cache_dir()) / "language"
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()

    def __call__(self, before: str, after: str) -> bool:
        """Whether the text is likelier with a full stop at the boundary than with a comma or nothing."""
        first = "The " + " ".join(before.lower().split()[-WORDS_BEFORE:])
        following = " ".join(after.lower().split()[:WORDS_AFTER])
        scores = self._log_probabilities(first, [f". {following.capitalize()}", f", {following}", f" {following}"])
        return int(scores.argmax()) == 0

    @torch.inference_mode()
    def _log_probabilities(self, first: str, continuations: list[str]) -> torch.Tensor:
        n_first = len(self._tokenizer(first).input_ids)
        rows = [torch.tensor(self._tokenizer(first + text).input_ids) for text in continuations]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)
        logits = self._model(ids.clamp(min=0)).logits[:, n_first - 1 : -1].float().log_softmax(-1)
        targets = ids[:, n_first:]
        chosen = logits.gather(2, targets.clamp(min=0)[..., None])[..., 0]
        return (chosen * (targets >= 0)).sum(1)


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """The rows of a data set's manifest."""
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]


def readings(data: Path, name: str) -> list[Utterance]:
    """The utterances of read books, in the order of the book."""
    rows = {data / name / row["path"]: row for row in read_manifest(data / name)}
    found = []
    for path, row in sorted(rows.items()):
        head, number = path.stem.rsplit("-", 1)
        after = path.with_name(f"{head}-{int(number) + 1:0{len(number)}}{path.suffix}")
        follows = (after, rows[after]["transcript"]) if after in rows else None
        found.append(Utterance(path, row["speaker"], row["transcript"], follows))
    return found


def ends_by_punctuation(before: str, _: str) -> bool:
    """Whether a punctuated text ends a sentence."""
    return before.rstrip("\"' ")[-1:] in (".", "?", "!")


# ---- audio ----


def voiced_frames(samples: Samples) -> np.ndarray:
    """Which 32 ms of a clean recording are speech: bool `(n_frames,)`, scores of Silero at least 0.5."""
    scorer = SileroScorer()
    n_frames = len(samples) // SILERO_FRAME_SAMPLES
    frames = samples[: n_frames * SILERO_FRAME_SAMPLES].reshape(-1, SILERO_FRAME_SAMPLES)
    return np.array([scorer.score(frame) >= 0.5 for frame in frames], bool)


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
    """One turn: float32 `(n_samples,)` and its silences in samples, the last of which is its end."""

    samples: Samples
    silences: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Speech:
    """A recording cut close to its speech.

    Attributes:
        samples: float32 `(n_samples,)`.
        lead: samples before the first voiced frame.
        tail: samples after the last.
        silences: inside, in samples.
    """

    samples: Samples
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
    return Speech(samples[first - lead : last + tail], lead, tail, inside)


def joined(recordings: list[Samples], pauses_s: list[float], rng: np.random.Generator) -> Turn | None:
    """Joins the speech of recordings with pauses of given lengths, and adds room before and after."""
    around_s = [QUIET_AROUND_S, *(min(QUIET_AROUND_S, pause_s / 2) for pause_s in pauses_s), QUIET_AROUND_S]
    parts = [close_cut(*cut) for cut in zip(recordings, around_s, around_s[1:], strict=False)]
    audio = room(recordings[0], round(LEAD_S * SAMPLE_RATE_HZ), rng)
    fade = round(RISE_S * SAMPLE_RATE_HZ)
    found: list[tuple[int, int]] = []
    for part, follows, pause_s in zip(parts, [*parts[1:], None], [*pauses_s, TAIL_S], strict=True):
        if part is None:
            return None
        start = len(audio) - fade
        audio = fade_together(audio, part.samples)
        found += [(start + begin, start + end) for begin, end in part.silences]
        pause_start = len(audio) - part.tail
        quiet = part.tail + (follows.lead if follows else 0)
        missing = round(pause_s * SAMPLE_RATE_HZ) - quiet + 2 * fade
        audio = fade_together(audio, room(part.samples, missing, rng))
        found.append((pause_start, len(audio) - fade + (follows.lead if follows else fade)))
    return Turn(audio, found)


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
    utterances: list[Utterance], ends_sentence: Callable[[str, str], bool], count: int, rng: np.random.Generator
) -> Iterator[tuple[str | None, Turn]]:
    """Turns of one to three utterances that follow each other, begun at a phrase, ended at a sentence's end."""
    by_path = {utterance.path: utterance for utterance in utterances}
    made = 0
    for index in rng.permutation(len(utterances)):
        if made == count:
            return
        chain = chain_from(utterances[int(index)], by_path, ends_sentence, at_least=int(rng.integers(1, 4)))
        if not chain:
            continue
        recordings = [read_audio_file(utterance.path) for utterance in chain]
        if len(chain) > 1:
            recordings[0] = last_phrases(recordings[0])
        turn = joined(recordings, list(rng.uniform(*JOIN_S, size=len(chain) - 1)), rng)
        if turn is not None:
            made += 1
            yield chain[0].speaker, turn


def chain_from(
    first: Utterance, by_path: dict[Path, Utterance], ends_sentence: Callable[[str, str], bool], *, at_least: int
) -> list[Utterance]:
    """Follows a reading for at least so many utterances, and to a sentence's end; nothing if that is beyond three."""
    chain = [first]
    while len(chain) <= 3:
        follows = chain[-1].follows
        if follows is None or (len(chain) >= at_least and ends_sentence(chain[-1].text, follows[1])):
            return chain
        chain.append(by_path[follows[0]])
    return []


def last_phrases(samples: Samples) -> Samples:
    """An utterance from its last natural pause on that leaves 1.5 s or more."""
    starts = [
        end
        for begin, end in silences(voiced_frames(samples))
        if end - begin >= PHRASE_SILENCE_S * SAMPLE_RATE_HZ and len(samples) - end >= MIN_PHRASE_S * SAMPLE_RATE_HZ
    ]
    return samples[max(0, starts[-1] - SILERO_FRAME_SAMPLES) :] if starts else samples


def command_turns(data: Path, name: str, rng: np.random.Generator) -> Iterator[tuple[str | None, Turn]]:
    """Every command as it was spoken."""
    for row in read_manifest(data / name):
        turn = joined([read_audio_file(data / name / row["path"])], [], rng)
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


def build(data: Path, out: Path, seed: int, count: int) -> None:
    """Writes the whole set."""
    (out / "audio").mkdir(parents=True, exist_ok=True)
    noises = [read_audio_file(path) for path in sorted((data / "speechcommands_bg_noise" / "audio").iterdir())]
    libri = readings(data, "libri_mini_train5")
    ends_by_model = SentenceEnds()
    turns = {
        "libri": reading_turns(libri, ends_by_model, count, np.random.default_rng((seed, 0))),
        "lj": reading_turns(
            readings(data, "ljspeech_part"), ends_by_punctuation, count // 2, np.random.default_rng((seed, 1))
        ),
        "commands": command_turns(data, "picovoice_coffee_commands", np.random.default_rng((seed, 2))),
    }
    rng = np.random.default_rng((seed, 3))
    lines = []
    for source, made in turns.items():
        for number, (speaker, turn) in enumerate(tqdm(made, desc=source)):
            row = {"id": f"{source}_{number:04}", "speaker": speaker, "source": source}
            lines.append(write_turn(out, row, turn, noises, rng))
    (out / "manifest.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    """Builds the set."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.build_dialogues", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets, each with a manifest.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.add_argument(
        "--count", type=int, default=150, help="turns from LibriSpeech, half as many from LJ Speech (%(default)s)"
    )
    options = parser.parse_args()
    build(options.data, options.out, options.seed, options.count)


if __name__ == "__main__":
    main()
