"""Measures how something was said: how fast, with which pauses and hesitations, how high and how lively the voice is.

It is evidence for who judges what a speaker means, above all for models that are given words alone.
"""

import itertools
import re
from dataclasses import dataclass

import librosa
import numpy as np

from models.types import SAMPLE_RATE_HZ, AudioClip, Samples, Transcript

PAUSE_S = 0.3  # between words, from which it is a pause
MAX_PITCH_S = 60.0  # of sound in which pitch is measured
LOWEST_HZ, HIGHEST_HZ = 65.0, 500.0  # of voices that speak
_HESITATION = re.compile(
    r"\b(?:u+h+|u+m+|e+r+m*|hm+|well|i mean|you know|sort of|kind of|maybe|not sure|i guess|i think)\b", re.I
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceMeasures:
    """What was measured; None where it could not be.

    Attributes:
        words_per_minute: while somebody speaks; people speak 120 to 180.
        longest_pause_s: between two words.
        n_pauses: of at least 0.3 s.
        hesitations: "um", "well", "I mean" and the like, as they were said.
        pitch_hz: the middle of the voice.
        pitch_range: between its 10th and 90th percentile, in semitones; a flat voice has 2 to 4, a lively one 8.
    """

    words_per_minute: float | None
    longest_pause_s: float | None
    n_pauses: int
    hesitations: tuple[str, ...]
    pitch_hz: float | None
    pitch_range: float | None

    def sentences(self) -> tuple[str, ...]:
        """What a person and a model are told of it."""
        told = []
        if self.words_per_minute is not None:
            told.append(f"{self.words_per_minute:.0f} words a minute (120 to 180 are usual)")
        if self.longest_pause_s is not None:
            told.append(f"{self.n_pauses} pauses, the longest of {self.longest_pause_s:.1f} s")
        told.append(f"hesitations: {', '.join(self.hesitations) or 'none'}")
        if self.pitch_hz is not None and self.pitch_range is not None:
            told.append(
                f"pitch about {self.pitch_hz:.0f} Hz, over {self.pitch_range:.0f} semitones (2 to 4 are flat, 8 lively)"
            )
        return tuple(told)


def measure_voice(clip: AudioClip, transcript: Transcript | None) -> VoiceMeasures:
    """Measures one clip; `transcript` is what ears wrote down of it, None if there are none."""
    words = () if transcript is None else transcript.words
    pauses = [after.start_s - before.end_s for before, after in itertools.pairwise(words)]
    pitch_hz, pitch_range = _measure_pitch(clip.samples)
    spoken_s = clip.speech_s or clip.duration_s
    return VoiceMeasures(
        words_per_minute=60 * len(words) / spoken_s if len(words) > 2 and spoken_s else None,
        longest_pause_s=max(pauses, default=None) if pauses else None,
        n_pauses=sum(pause >= PAUSE_S for pause in pauses),
        hesitations=() if transcript is None else tuple(_HESITATION.findall(transcript.text)),
        pitch_hz=pitch_hz,
        pitch_range=pitch_range,
    )


def _measure_pitch(samples: Samples) -> tuple[float | None, float | None]:
    samples = samples[: round(MAX_PITCH_S * SAMPLE_RATE_HZ)]
    if len(samples) < SAMPLE_RATE_HZ // 2:
        return None, None
    pitches_hz, is_voiced, _ = librosa.pyin(
        samples, fmin=LOWEST_HZ, fmax=HIGHEST_HZ, sr=SAMPLE_RATE_HZ, frame_length=1024, hop_length=512
    )
    voiced_hz = pitches_hz[is_voiced & np.isfinite(pitches_hz)]
    if len(voiced_hz) < 10:
        return None, None
    low_hz, middle_hz, high_hz = np.percentile(voiced_hz, (10, 50, 90))
    return float(middle_hz), float(12 * np.log2(high_hz / low_hz))
