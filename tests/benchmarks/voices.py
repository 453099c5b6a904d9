"""Who says the questions of a benchmark aloud: voices of Kokoro, flite and espeak-ng, and sounds that say nothing.

Kokoro's sound like people; flite's and espeak-ng's like machines, and are harder to understand. A question is said by
one voice, the lines of a recording by one voice after the other. Read `bench_answers.py` for who listens.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr

from models.errors import ModelUnavailable
from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, Samples
from models.voices.loading import load_voice
from models.voices.names import VOICE_NAMES
from realtime.hearing.files import read_audio_file

COMMANDS = {  # the command that says a text, into a file
    "slt": ("flite", "-voice", "slt", "-o", "{file}", "-t", "{text}"),
    "rms": ("flite", "-voice", "rms", "-o", "{file}", "-t", "{text}"),
    "awb": ("flite", "-voice", "awb", "-o", "{file}", "-t", "{text}"),
    "kal16": ("flite", "-voice", "kal16", "-o", "{file}", "-t", "{text}"),
    "us": ("espeak-ng", "-v", "en-us", "-s", "150", "-w", "{file}", "{text}"),
    "rp": ("espeak-ng", "-v", "en-gb-x-rp", "-s", "150", "-w", "{file}", "{text}"),
    "scotland": ("espeak-ng", "-v", "en-gb-scotland", "-s", "150", "-w", "{file}", "{text}"),
}
VOICES = (*COMMANDS, "af_heart", "am_michael", "bf_emma")
QUIET_S = 0.3  # before and behind what is said
SOUND_S = 5.0
NOTE_S = 0.25
NOTES_HZ = (440.0, 494.0, 523.0, 587.0, 659.0, 523.0, 440.0, 392.0)
PARTIALS = (1.0, 0.4, 0.2)  # loudness of a note's first partials


class MissingVoices(Exception):
    """A program that speaks is not installed; the message says what to do."""


class Speakers:
    """Some voices, which say each text once.

    Args:
        names: of `VOICES`.
        cache_dir: folder of Kokoro's weights.

    Raises:
        MissingVoices: a program or weights are missing; the message says what to do.
    """

    def __init__(self, names: Sequence[str], cache_dir: Path) -> None:
        programs = {COMMANDS[name][0] for name in names if name in COMMANDS}
        missing = sorted(program for program in programs if shutil.which(program) is None)
        if missing:
            raise MissingVoices(f"{' and '.join(missing)} must be installed: apt-get install {' '.join(missing)}")
        self.names = tuple(names)
        try:
            self._kokoro = load_voice(cache_dir) if set(names) & set(VOICE_NAMES) else None
        except ModelUnavailable as error:
            raise MissingVoices(str(error)) from error

    async def speak(self, text: str, voice: str) -> Samples:
        """Says an English text.

        Returns:
            Float32 `(n_samples,)` at 16 kHz, with a little quiet before and behind.
        """
        if voice in COMMANDS:
            said = run_command(COMMANDS[voice], text)
        else:
            assert self._kokoro is not None, "loaded for all that were named"
            speech = await self._kokoro.speak(text, voice=voice)
            said = np.asarray(soxr.resample(speech.samples, VOICE_RATE_HZ, SAMPLE_RATE_HZ), np.float32)
        quiet = np.zeros(round(QUIET_S * SAMPLE_RATE_HZ), np.float32)
        return np.concatenate((quiet, said, quiet))

    async def speak_in_turns(self, lines: Sequence[str], first_voice: str) -> Samples:
        """Says lines one after the other, each in the next voice; as `speak` does."""
        first = self.names.index(first_voice)
        voices = (self.names[(first + number) % len(self.names)] for number in range(len(lines)))
        return np.concatenate([await self.speak(line, voice) for line, voice in zip(lines, voices, strict=True)])


def run_command(command: Sequence[str], text: str) -> Samples:
    """Lets a command of `COMMANDS`, or another such, say a text: float32 `(n_samples,)` at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "said.wav"
        subprocess.run([part.format(file=file, text=text) for part in command], check=True, capture_output=True)
        return read_audio_file(str(file)).samples


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
