"""Tempo, key and sections of music that is made here, so that the truth is known."""

import itertools

import numpy as np
import pytest

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.review.music import PITCHES, find_key, measure_music

CHORDS = {
    "major": ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7)),
    "minor": ((0, 3, 7), (5, 8, 12), (7, 11, 14), (0, 3, 7)),
}
FIFTHS_APART = 7


def _note(semitones_above_c: float, n_samples: int) -> Samples:
    time_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    pitch_hz = 261.6 * 2 ** (semitones_above_c / 12)
    tone = sum(np.sin(2 * np.pi * pitch_hz * harmonic * time_s) / harmonic for harmonic in (1, 2, 3))
    return np.asarray(tone * np.exp(-1.5 * time_s), np.float32)


def song(tempo_bpm: float, tonic: int, mode: str, *, n_bars: int = 16, bright: bool = False) -> Samples:
    """Chords on every beat of four, with a click, float32 `(n_samples,)` at 16 kHz."""
    random = np.random.default_rng(tonic)
    n_beat = round(60 / tempo_bpm * SAMPLE_RATE_HZ)
    beats = []
    for bar, beat in itertools.product(range(n_bars), range(4)):
        chord = sum(_note(tonic + step + (12 if bright else 0), n_beat) for step in CHORDS[mode][bar % 4])
        click = np.zeros(n_beat, np.float32)
        click[:400] = random.standard_normal(400) * np.exp(-np.arange(400) / 80) * (0.6 if beat == 0 else 0.35)
        beats.append(0.05 * np.asarray(chord, np.float32) + 0.5 * click)
    return np.concatenate(beats).astype(np.float32)


@pytest.mark.parametrize(
    ("tempo_bpm", "tonic", "mode"),
    [(120, 0, "major"), (90, 9, "minor"), (76, 2, "major"), (132, 7, "major"), (100, 4, "minor"), (110, 10, "major")],
)
def test_tempo_and_key_are_those_that_were_played(tempo_bpm: float, tonic: int, mode: str) -> None:
    music = measure_music(song(tempo_bpm, tonic, mode))
    assert music.tempo_bpm == pytest.approx(tempo_bpm, rel=0.02)
    assert music.other_tempo_bpm in (pytest.approx(2 * tempo_bpm, rel=0.02), pytest.approx(tempo_bpm / 2, rel=0.02))
    assert music.key == f"{PITCHES[tonic]} {mode}"
    assert f"{tempo_bpm} beats a minute" in music.sentences()[0]


def test_a_part_that_comes_back_has_the_same_letter() -> None:
    first, second = song(100, 0, "major", n_bars=8), song(100, 6, "major", n_bars=8, bright=True)
    sections = measure_music(np.concatenate((first, second, first))).sections
    part_s = len(first) / SAMPLE_RATE_HZ
    assert [section.letter for section in sections] == ["A", "B", "A"]
    assert [section.start_s for section in sections] == pytest.approx([0, part_s, 2 * part_s], abs=2.5)
    assert sections[-1].end_s == pytest.approx(3 * part_s, abs=0.1)


def test_what_is_no_music_is_not_given_a_tempo_or_a_key() -> None:
    noise = np.random.default_rng(1).standard_normal(20 * SAMPLE_RATE_HZ).astype(np.float32) * 0.1
    music = measure_music(noise)
    assert music.key is None
    assert music.sections == () or music.tempo_bpm is not None
    for nothing in (
        np.zeros(20 * SAMPLE_RATE_HZ, np.float32),
        np.zeros(0, np.float32),
        song(100, 0, "major", n_bars=1),
    ):
        assert measure_music(nothing).sentences()[0] == "no steady beat was found"


def test_a_chord_of_all_pitches_has_no_key() -> None:
    assert find_key(np.ones(12)) == (None, 0.0)
