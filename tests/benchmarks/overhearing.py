"""Plays sounds over an answer to the real detector and the real floor, and tells what became of the answer.

No model answers: the floor is told that one does. Its judgements come from whoever is to be measured, at once. Before,
the sounds are put into a room.
Read `bench_interruptions.py` and `train_interruption.py` for who plays what.
"""

import enum
from collections.abc import Callable

import numpy as np
import soxr

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.turns.actions import InterruptResponse, JudgeSound, OpenTurn, Turn
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.floor import Floor
from realtime.turns.observations import SoundJudged, TextSubmitted
from realtime.turns.options import FloorOptions

Judge = Callable[[int, Samples], SoundJudged]  # takes the number of a sound and its audio (n_samples,)


class Outcome(enum.Enum):
    """What became of the answer."""

    NOT_PAUSED = "nothing was heard"
    GOES_ON = "it paused, and goes on"
    STOPPED = "it was stopped"


def rules_of(*, transcribes: bool, scores: bool) -> FloorOptions:
    """What a floor decides by whose sounds are judged by words, by how they sound, by both or by neither."""
    return FloorOptions(
        endpointing=EndpointingOptions(),
        pre_roll_s=VadOptions().pre_roll_s,
        transcribes_sounds=transcribes,
        scores_sounds=scores,
    )


def overhear(samples: Samples, rules: FloorOptions, judge: Judge) -> Outcome:
    """Plays audio (n_samples,) at 16 kHz over an answer that does not end.

    Args:
        samples: what the microphone hears while the answer is given.
        rules: of the floor.
        judge: of the sounds that the floor has judged.
    """
    floor, detector = Floor(rules), SpeechDetector(VadOptions())
    floor.observe(TextSubmitted("Tell me a story."))
    outcome, turn = Outcome.NOT_PAUSED, Turn(speaker="", start_sample=0)
    for frame in detector.push(samples):
        asked = list(floor.observe(frame))
        while asked:
            match asked.pop(0):
                case OpenTurn(opened):
                    outcome, turn = Outcome.GOES_ON, opened
                case InterruptResponse():
                    return Outcome.STOPPED
                case JudgeSound(end, number):
                    asked += floor.observe(judge(number, samples[turn.start_sample or 0 : end.end_sample]))
    return outcome


def vary(samples: Samples, rng: np.random.Generator) -> Samples:
    """The same (n_samples,) by another throat, in another room, through another microphone, at another level.

    Pitch and tempo change together by up to a sixth; half get a room, a third the telephone's band, and all a noise
    from 15 to 50 dB below.
    """
    rate_hz = SAMPLE_RATE_HZ * rng.uniform(0.86, 1.17)
    sound = soxr.resample(samples.astype(np.float64), rate_hz, SAMPLE_RATE_HZ)
    if rng.random() < 0.5:
        time_s = np.arange(round(rng.uniform(0.05, 0.25) * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        echo = rng.normal(0, 1, len(time_s)) * np.exp(-time_s * rng.uniform(15, 60))
        echo *= rng.uniform(0.1, 0.6) / np.sqrt(np.sum(echo**2))
        echo[0] = 1.0
        sound = np.convolve(sound, echo)
    if rng.random() < 0.33:
        sound = soxr.resample(soxr.resample(sound, SAMPLE_RATE_HZ, 8000), 8000, SAMPLE_RATE_HZ)
    return in_a_room(sound, rng, level_db=rng.uniform(-38, -15), quiet_db=rng.uniform(15, 50))


def in_a_room(
    samples: Samples, rng: np.random.Generator, *, level_db: float = -24.0, quiet_db: float = 40.0
) -> Samples:
    """The sound (n_samples,) with a second of the room before it and behind it.

    Args:
        samples: the sound.
        rng: makes the room's noise.
        level_db: root mean square of the sound where it is loud.
        quiet_db: the room's noise, below that.
    """
    loud = np.abs(samples) > 0.1 * np.max(np.abs(samples), initial=1e-9)
    sound = samples * 10 ** (level_db / 20) / np.sqrt(np.mean(samples[loud] ** 2) if loud.any() else 1.0)
    room = np.zeros(round(SAMPLE_RATE_HZ * 1.0))
    whole = np.concatenate((room, sound, room))
    whole += _coloured(len(whole), rng) * 10 ** ((level_db - quiet_db) / 20)
    return np.clip(whole, -1, 1).astype(np.float32)


def _coloured(n: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of level 1 that falls by some dB an octave, as rooms' noises do."""
    hz = np.fft.rfftfreq(n, 1 / SAMPLE_RATE_HZ)
    noise = np.fft.irfft(np.fft.rfft(rng.normal(0, 1, n)) / np.maximum(hz, 50) ** rng.uniform(0, 0.8), n)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))
