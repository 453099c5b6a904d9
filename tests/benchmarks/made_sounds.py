"""Hums, laughs, coughs and throats made from numbers, because no voice that we may train with makes them.

Read `interjections.py` for who else says something over an answer.
"""

import numpy as np

from models.types import SAMPLE_RATE_HZ, Samples

_NASAL = ((250.0, 60.0, 1.0), (1100.0, 150.0, 0.08), (2200.0, 250.0, 0.04))  # formants: Hz, width, gain
_VOWELS = (
    ((620.0, 90.0, 1.0), (1200.0, 120.0, 0.5), (2500.0, 200.0, 0.15)),  # "uh"
    ((730.0, 100.0, 1.0), (1100.0, 120.0, 0.6), (2450.0, 200.0, 0.12)),  # "ah"
    ((530.0, 90.0, 1.0), (1500.0, 150.0, 0.35), (2500.0, 200.0, 0.15)),  # "eh"
)
_Formants = tuple[tuple[float, float, float], ...]


def make_hum(rng: np.random.Generator) -> Samples:
    """A hum, one or two of them with a breath or a stop between: "mm", "hmm", "mm-hm", "uh-huh"."""
    pitch_hz = rng.uniform(85, 260)
    stretch = rng.uniform(0.8, 1.25)
    formants = _scaled(_NASAL if rng.random() < 0.7 else _VOWELS[rng.integers(2)], stretch)
    parts = []
    if rng.random() < 0.3:
        parts.append(_breath(rng.uniform(0.03, 0.12), formants, rng) * rng.uniform(0.05, 0.3))
    if rng.random() < 0.65:
        first = pitch_hz * rng.uniform(0.85, 1.1)
        parts.append(_voiced(rng.uniform(0.09, 0.3), first, first * rng.uniform(0.85, 1.1), formants, rng))
        if rng.random() < 0.7:
            parts.append(_breath(rng.uniform(0.03, 0.14), formants, rng) * rng.uniform(0.03, 0.3))
        else:
            parts.append(np.zeros(round(rng.uniform(0.02, 0.08) * SAMPLE_RATE_HZ)))
    last = pitch_hz * rng.uniform(0.9, 1.35)
    parts.append(_voiced(rng.uniform(0.15, 0.5), last, last * rng.uniform(0.65, 1.3), formants, rng))
    return _finish(np.concatenate(parts))


def make_laugh(rng: np.random.Generator) -> Samples:
    """ "Ha ha ha": breaths and vowels in turn, each a little lower and softer."""
    pitch_hz, formants = rng.uniform(110, 380), _scaled(_VOWELS[rng.integers(3)], rng.uniform(0.85, 1.2))
    rate_s, parts = rng.uniform(0.15, 0.26), []
    for number in range(int(rng.integers(1, 6))):
        loudness = 0.85**number
        parts.append(loudness * rng.uniform(0.1, 0.5) * _breath(rate_s * rng.uniform(0.3, 0.5), formants, rng))
        start_hz = pitch_hz * 0.94**number * rng.uniform(0.93, 1.07)
        parts.append(loudness * _voiced(rate_s * rng.uniform(0.4, 0.6), start_hz, start_hz * 0.9, formants, rng))
    return _finish(np.concatenate(parts))


def make_cough(rng: np.random.Generator) -> Samples:
    """A burst of noise that dies away, once to three times, with or without a voice behind it."""
    parts = []
    for _ in range(int(rng.integers(1, 4))):
        formants = _scaled(_VOWELS[rng.integers(3)], rng.uniform(0.8, 1.6))
        noise = _breath(rng.uniform(0.12, 0.35), formants, rng)
        time_s = np.arange(len(noise)) / SAMPLE_RATE_HZ
        parts.append(noise * np.exp(-time_s * rng.uniform(6, 25)))
        if rng.random() < 0.5:
            pitch_hz = rng.uniform(90, 350)
            parts.append(0.3 * _voiced(rng.uniform(0.05, 0.2), pitch_hz, pitch_hz * 0.8, formants, rng))
        parts.append(np.zeros(round(rng.uniform(0.03, 0.2) * SAMPLE_RATE_HZ)))
    return _finish(np.concatenate(parts))


def make_throat_clearing(rng: np.random.Generator) -> Samples:
    """A rough, low, irregular voice through a closed or half open mouth."""
    formants = _scaled(_NASAL if rng.random() < 0.5 else _VOWELS[0], rng.uniform(0.8, 1.3))
    parts = []
    for _ in range(int(rng.integers(1, 3))):
        pitch_hz = rng.uniform(40, 110)
        voice = _voiced(rng.uniform(0.15, 0.45), pitch_hz, pitch_hz * rng.uniform(0.7, 1.2), formants, rng, jitter=0.15)
        noise = _breath(len(voice) / SAMPLE_RATE_HZ, formants, rng)[: len(voice)]
        parts += [voice[: len(noise)] + rng.uniform(0.2, 1.0) * noise, np.zeros(round(rng.uniform(0.02, 0.15) * 16000))]
    return _finish(np.concatenate(parts))


SOUNDS = {
    "hum": make_hum,
    "laugh": make_laugh,
    "cough": make_cough,
    "throat": make_throat_clearing,
}


def _scaled(formants: _Formants, stretch: float) -> _Formants:
    return tuple((hz * stretch, width * stretch, gain) for hz, width, gain in formants)


def _response(hz: np.ndarray, formants: _Formants) -> np.ndarray:
    """How loud each frequency comes through the mouth."""
    parts = [gain / np.sqrt(1 + ((hz - at) / width) ** 2) for at, width, gain in formants]
    response: np.ndarray = np.sum(parts, axis=0) + 0.005
    return response


def _voiced(
    seconds: float,
    start_hz: float,
    end_hz: float,
    formants: _Formants,
    rng: np.random.Generator,
    jitter: float = 0.01,
) -> np.ndarray:
    """A voice that glides from one pitch to another and swells and fades: harmonics, as loud as the mouth lets them."""
    n = max(64, round(seconds * SAMPLE_RATE_HZ))
    wander = np.interp(np.arange(n), np.arange(0, n + 160, 160), rng.normal(0, jitter, len(np.arange(0, n + 160, 160))))
    pitch_hz = np.linspace(start_hz, end_hz, n) * (1 + wander)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    sound, tilt = np.zeros(n), rng.uniform(0.7, 1.5)
    for harmonic in range(1, int(7000 / max(start_hz, end_hz)) + 1):
        sound += np.sin(harmonic * phase) * _response(harmonic * pitch_hz, formants) / harmonic**tilt
    swell = np.minimum(1, np.minimum(np.arange(n), np.arange(n)[::-1]) / (rng.uniform(0.02, 0.06) * SAMPLE_RATE_HZ))
    return sound / max(1e-9, float(np.abs(sound).max())) * swell


def _breath(seconds: float, formants: _Formants, rng: np.random.Generator) -> np.ndarray:
    """Noise through the mouth."""
    n = max(64, round(seconds * SAMPLE_RATE_HZ))
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
    noise = np.fft.irfft(np.fft.rfft(rng.normal(0, 1, n)) * (_response(hz, formants) + 0.05), n)
    return np.asarray(noise / max(1e-9, float(np.abs(noise).max())))


def _finish(sound: np.ndarray) -> Samples:
    return np.asarray(sound / max(1e-9, float(np.abs(sound).max())) * 0.5, np.float32)
