"""Measures tempo, key and sections of music, because language models guess them.

librosa finds beats, chroma and timbre; the key is the one whose profile fits the chroma best (Krumhansl and Kessler,
1982, in Krumhansl, "Cognitive Foundations of Musical Pitch", 1990). What is found is given with how clear it is. A
tempo may as well be counted twice as fast, or half: both are named.
"""

import itertools
from dataclasses import dataclass, replace
from typing import Any

import librosa
import numpy as np
from numpy.typing import NDArray

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.notes.writing import clock

MIN_S = 5.0  # of sound; less has no tempo and no sections
MAX_S = 300.0  # that are looked at: a song
HOP_SAMPLES = 256  # 16 ms: beats are placed as exactly
MIN_BEATS = 8
SLOW_BPM, FAST_BPM = 70.0, 140.0  # between which people tap most songs
STEADY = 0.15  # of a beat's length that beats may stray, for the tempo to count
CLEAR_KEY = 0.05  # by which the best key's fit exceeds the next one's
MIN_FIT = 0.7  # of a key's profile; noise reaches 0.6
SECTION_S = 18.0  # about, of which as many are looked for as fit
MAX_SECTIONS = 10
MIN_SECTION_S = 8.0  # what is shorter belongs to the one before it
SAME_SECTION = 0.93  # likeness of two sections that get one letter

PITCHES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a piece; parts of one letter sound alike."""

    start_s: float
    end_s: float
    letter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Music:
    """What was measured.

    Attributes:
        tempo_bpm: beats a minute as most people would tap; None: there is no steady beat.
        other_tempo_bpm: the same counted twice as fast, or half.
        key: such as "E flat major"; None: no key is clear.
        key_fit: how well its profile fits, from -1 to 1.
        sections: in order; none where the piece is too short.
    """

    tempo_bpm: float | None
    other_tempo_bpm: float | None
    key: str | None
    key_fit: float
    sections: tuple[Section, ...]

    def sentences(self) -> tuple[str, ...]:
        """What a person and a model are told of it."""
        tempo = "no steady beat was found"
        if self.tempo_bpm is not None:
            tempo = f"tempo: {self.tempo_bpm:.0f} beats a minute (or {self.other_tempo_bpm:.0f}, counted otherwise)"
        key = "no key is clear" if self.key is None else f"key: {self.key} (fit {self.key_fit:.2f} of 1)"
        listed = ", ".join(f"{each.letter} {clock(each.start_s)}–{clock(each.end_s)}" for each in self.sections)
        return (tempo, key, *((f"sections: {listed}",) if listed else ()))


def measure_music(samples: Samples) -> Music:
    """Measures mono float32 `(n_samples,)` at 16 kHz; its first five minutes."""
    samples = samples[: round(MAX_S * SAMPLE_RATE_HZ)]
    if len(samples) < MIN_S * SAMPLE_RATE_HZ or not np.abs(samples).max() > 0:
        return Music(tempo_bpm=None, other_tempo_bpm=None, key=None, key_fit=0.0, sections=())
    chroma = librosa.feature.chroma_cqt(y=samples, sr=SAMPLE_RATE_HZ, hop_length=HOP_SAMPLES)
    tempo_bpm, beats = _measure_tempo(samples)
    key, key_fit = find_key(chroma.mean(axis=1))
    return Music(
        tempo_bpm=tempo_bpm,
        other_tempo_bpm=None if tempo_bpm is None else tempo_bpm * (2 if tempo_bpm < 100 else 0.5),
        key=key,
        key_fit=key_fit,
        sections=_find_sections(samples, chroma, beats),
    )


def _measure_tempo(samples: Samples) -> tuple[float | None, NDArray[np.int64]]:
    """The tempo, None where beats are not steady, and the frames of the beats."""
    _, beats = librosa.beat.beat_track(y=samples, sr=SAMPLE_RATE_HZ, hop_length=HOP_SAMPLES, trim=False)
    if len(beats) < MIN_BEATS:
        return None, beats
    steps_s = np.diff(librosa.frames_to_time(beats, sr=SAMPLE_RATE_HZ, hop_length=HOP_SAMPLES))
    step_s = float(np.median(steps_s))
    if np.median(np.abs(steps_s - step_s)) > STEADY * step_s:
        return None, beats
    steady = steps_s[np.abs(steps_s - step_s) < STEADY * step_s]
    tempo_bpm = 60 / float(steady.mean())  # the mean is finer than the grid of frames
    while tempo_bpm < SLOW_BPM:
        tempo_bpm *= 2
    while tempo_bpm > FAST_BPM:
        tempo_bpm /= 2
    return tempo_bpm, beats


def find_key(chroma: NDArray[np.floating[Any]]) -> tuple[str | None, float]:
    """The key whose profile fits the strengths of the twelve pitches, `(12,)` from C on, and how well it does."""
    if not chroma.std() > 0:
        return None, 0.0
    fits = {
        f"{pitch} {mode}": float(np.corrcoef(np.roll(profile, shift), chroma)[0, 1])
        for mode, profile in (("major", MAJOR), ("minor", MINOR))
        for shift, pitch in enumerate(PITCHES)
    }
    best, second = sorted(fits, key=fits.__getitem__, reverse=True)[:2]
    is_clear = fits[best] >= MIN_FIT and fits[best] - fits[second] >= CLEAR_KEY
    return (best if is_clear else None), fits[best]


def _find_sections(
    samples: Samples, chroma: NDArray[np.floating[Any]], beats: NDArray[np.int64]
) -> tuple[Section, ...]:
    """Where harmony and timbre change, and which parts are alike."""
    length_s = len(samples) / SAMPLE_RATE_HZ
    n_sections = min(MAX_SECTIONS, round(length_s / SECTION_S))
    if n_sections < 2 or len(beats) <= 2 * n_sections:
        return ()
    timbre = librosa.feature.mfcc(y=samples, sr=SAMPLE_RATE_HZ, hop_length=HOP_SAMPLES, n_mfcc=13)[1:]
    n_frames = min(chroma.shape[1], timbre.shape[1])
    scaled = (timbre - timbre.mean(axis=1, keepdims=True)) / (timbre.std(axis=1, keepdims=True) + 1e-6)
    features = np.vstack((chroma[:, :n_frames], 0.3 * scaled[:, :n_frames]))
    by_beat = librosa.util.sync(features, beats.tolist(), aggregate=np.median)
    starts = librosa.segment.agglomerative(by_beat, n_sections)
    edges = [0, *beats[starts[1:] - 1], n_frames]
    means = [features[:, start:end].mean(axis=1) for start, end in itertools.pairwise(edges)]
    letters = _letters_of(means)
    times_s = [min(length_s, float(edge) * HOP_SAMPLES / SAMPLE_RATE_HZ) for edge in edges]
    times_s[-1] = length_s
    joined: list[Section] = []
    for (start_s, end_s), letter in zip(itertools.pairwise(times_s), letters, strict=True):
        if joined and (joined[-1].letter == letter or end_s - start_s < MIN_SECTION_S):
            joined[-1] = Section(start_s=joined[-1].start_s, end_s=end_s, letter=letter)
        else:
            joined.append(Section(start_s=start_s, end_s=end_s, letter=letter))
    names = {letter: chr(ord("A") + n) for n, letter in enumerate(dict.fromkeys(each.letter for each in joined))}
    return tuple(replace(each, letter=names[each.letter]) for each in joined) if len(joined) > 1 else ()


def _letters_of(means: list[NDArray[np.floating[Any]]]) -> list[str]:
    """Gives each part the letter of the first one that it is like, or the next."""
    known: list[NDArray[np.floating[Any]]] = []
    letters = []
    for mean in means:
        likeness = [
            float(np.dot(mean, other) / (np.linalg.norm(mean) * np.linalg.norm(other) + 1e-9)) for other in known
        ]
        best = int(np.argmax(likeness)) if likeness else -1
        if best < 0 or likeness[best] < SAME_SECTION:
            known.append(mean)
            best = len(known) - 1
        letters.append(chr(ord("A") + best))
    return letters
