"""Reads a text aloud into a file, for `python app.py ask --speak`."""

import argparse
import wave
from pathlib import Path

import numpy as np

from commands.errors import UsageError
from commands.loading import load_voice
from models.base import Voice
from models.types import VOICE_RATE_HZ, Samples
from models.voices.sentences import PhraseCutter


def load_reader(options: argparse.Namespace) -> tuple[Voice, str] | None:
    """Gives what `--speak` needs, before anybody waits for an answer: the voice, and the name of the one to read in.

    Raises:
        ModelError: the voice cannot be had.
        UsageError: the file cannot be written.
    """
    if options.speak is None:
        return None
    _check_file(options.speak)
    voice = load_voice(options, "af_heart" if options.voice == "none" else options.voice)
    assert voice is not None
    return voice, voice.voices[0].name if options.voice == "none" else options.voice


async def read_aloud(text: str, voice: Voice, name: str) -> Samples:
    """The sound of a text, float32 `(n_samples,)` at `VOICE_RATE_HZ`."""
    cutter = PhraseCutter()
    phrases = [*cutter.push(text), *cutter.finish()]
    sounds = [(await voice.speak(phrase.text, voice=name)).samples for phrase in phrases]
    return np.concatenate([np.zeros(0, np.float32), *sounds])


def write_wav(path: Path, samples: Samples) -> None:
    """Writes (n_samples,) at `VOICE_RATE_HZ`, 16-bit mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(VOICE_RATE_HZ)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def _check_file(path: Path) -> None:
    try:
        path.touch()
    except OSError as error:
        raise UsageError(f"--speak {path}: {error.strerror}; choose a file that can be written") from error
