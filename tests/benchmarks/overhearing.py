"""Plays sounds over an answer to the real detector and the real floor, and tells what became of the answer.

No model answers: the floor is told that one does. Its judgements come from whoever is to be measured, at once.
Read `bench_interruptions.py` and `train_interruption.py` for who plays what.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from models.types import Samples
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.turns.actions import InterruptResponse, JudgeSound, OpenTurn, Turn
from realtime.turns.floor import Floor
from realtime.turns.observations import SoundJudged, TextSubmitted
from realtime.turns.options import FloorOptions

Judge = Callable[[int, Samples], SoundJudged]  # takes the number of a sound and its audio (n_samples,)


class Outcome(enum.Enum):
    """What became of the answer."""

    NOT_PAUSED = "nothing was heard"
    GOES_ON = "it paused, and goes on"
    STOPPED = "it was stopped"


@dataclass(frozen=True, slots=True)
class Rules:
    """What judges sounds.

    Attributes:
        floor: what the floor decides by.
        vad: how speech is found.
    """

    floor: FloorOptions
    vad: VadOptions


def overhear(samples: Samples, rules: Rules, judge: Judge) -> Outcome:
    """Plays audio (n_samples,) at 16 kHz over an answer that does not end.

    Args:
        samples: what the microphone hears while the answer is given.
        rules: of detector and floor.
        judge: of the sounds that the floor has judged.
    """
    floor, detector = Floor(rules.floor), SpeechDetector(rules.vad)
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
