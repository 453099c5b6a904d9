"""Who says the questions of a benchmark aloud: voices of flite and espeak-ng, and sounds that say nothing.

A question is said by one voice, the lines of a recording by one voice after the other. What is said is made anew in a
folder of the caller's; it takes milliseconds. Read `bench_answers.py` for who listens.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.files import read_audio_file

VOICES = {  # the command that says a text, into a file
    "slt": ("flite", "-voice", "slt", "-o", "{file}", "-t", "{text}"),
    "rms": ("flite", "-voice", "rms", "-o", "{file}", "-t", "{text}"),
    "awb": ("flite", "-voice", "awb", "-o", "{file}", "-t", "{text}"),
    "kal16": ("flite", "-voice", "kal16", "-o", "{file}", "-t", "{text}"),
    "us": ("espeak-ng", "-v", "en-us", "-s", "150", "-w", "{file}", "{text}"),
    "rp": ("espeak-ng", "-v", "en-gb-x-rp", "-s", "150", "-w", "{file}", "{text}"),
    "scotland": ("espeak-ng", "-v", "en-gb-scotland", "-s", "150", "-w", "{file}", "{text}"),
}
QUIET_S = 0.3  # before and behind what is said
SOUND_S = 5.0
NOTE_S = 0.25
NOTES_HZ = (440.0, 494.0, 523.0, 587.0, 659.0, 523.0, 440.0, 392.0)
PARTIALS = (1.0, 0.4, 0.2)  # loudness of a note's first partials


class MissingVoices(Exception):
    """A program that speaks is not installed; the message says what to do."""


def check_voices() -> None:
    """Looks for the programs.

    Raises:
        MissingVoices: one is not installed.
    """
    missing = sorted({command[0] for command in VOICES.values() if shutil.which(command[0]) is None})
    if missing:
        raise MissingVoices(f"{' and '.join(missing)} must be installed: apt-get install {' '.join(missing)}")


def speak(text: str, voice: str, folder: Path) -> Samples:
    """Says a text.

    Args:
        text: English.
        voice: one of `VOICES`.
        folder: keeps what was said, so that it is said once.

    Returns:
        Float32 `(n_samples,)` at 16 kHz, with a little quiet before and behind.
    """
    file = folder / f"{voice}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.wav"
    if not file.exists():
        command = [part.format(file=file, text=text) for part in VOICES[voice]]
        subprocess.run(command, check=True, capture_output=True)
    quiet = np.zeros(round(QUIET_S * SAMPLE_RATE_HZ), np.float32)
    return np.concatenate((quiet, read_audio_file(str(file)).samples, quiet))


def speak_in_turns(lines: Sequence[str], first_voice: str, folder: Path) -> Samples:
    """Says lines one after the other, each in the next voice; as `speak` does."""
    names = list(VOICES)
    first = names.index(first_voice)
    spoken = [speak(line, names[(first + number) % len(names)], folder) for number, line in enumerate(lines)]
    return np.concatenate(spoken)


def make_sound(name: str) -> Samples:
    """Makes 5 s of "silence", white "noise" or a "melody" of tones: float32 `(n_samples,)` at 16 kHz."""
    n_samples = round(SOUND_S * SAMPLE_RATE_HZ)
    if name == "silence":
        return np.zeros(n_samples, np.float32)
    if name == "noise":
        return np.random.default_rng(0).normal(0, 0.05, n_samples).astype(np.float32)
    time_s = np.arange(round(NOTE_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    swell = np.sin(np.pi * time_s / NOTE_S)
    tones = [
        swell * sum(loudness * np.sin(2 * np.pi * n * note_hz * time_s) for n, loudness in enumerate(PARTIALS, 1))
        for note_hz in NOTES_HZ
    ]
    return np.resize(0.2 * np.concatenate(tones), n_samples).astype(np.float32)
