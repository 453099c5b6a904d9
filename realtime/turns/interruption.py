"""Whether a sound over an answer takes the turn: a cough and an "mm-hm" do not, "stop" does.

The rule is deliberately small. Length decides where it can: nobody asks anything in a quarter of a second, and no
"uh-huh" lasts a second. In between, what was said decides, where the model can tell; where it cannot, whoever speaks
takes the turn, because an answer that will not stop is worse than one that stops too often. A hum has no spelling: ears
write it as letters, or as words that they doubt themselves ("A memo."), and that is what it is known by.
It knows English backchannels; words of other languages are unknown, and so take the turn, as numbers do.
Read `floor.py` for who asks.
"""

import enum
import re
from itertools import groupby
from typing import Protocol

from models.types import Samples
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.observations import SoundJudged

_WORDS = (
    "ah aha ahha alright cool exactly good great hm hmm huh m mhm mhmm mm mmhm mmhmm mmm oh ok okay really right sure"
    " true uh uhhuh uhuh um wow yeah yep yes yup"
)
BACKCHANNELS = frozenset(_WORDS.split())  # the commonest of Switchboard (Jurafsky et al., 1997), as recognisers spell
BACKCHANNEL_PHRASES = frozenset(("i see", "oh i see", "that's right", "of course", "got it", "i know"))
MAX_BACKCHANNEL_WORDS = 3  # "yeah, right, okay"
HUM_LETTERS = frozenset("hmn")  # "Mm-hm." comes out as "M. H. M."
# Of 21 hums of a synthetic voice (Piper's joe) Moonshine base writes 18 as nothing, as letters, or with a word below
# this (8 without this rule); of 48 interruptions four: "Louder." twice, a "Wait." and a "Hey." that it does not find.
MIN_PROBABILITY = 0.5
_WORD = re.compile(r"[\w']+")  # in any script, and numbers: "4" says something
SURE_WITHOUT_WORDS, SURE_WITH_DOUBTFUL_WORDS, SURE_AGAINST_WORDS = 0.8, 0.1, 0.95
STOPPING_WORDS = frozenset(("cancel", "enough", "hey", "hold", "no", "pause", "quiet", "stop", "wait", "what", "why"))


class BackchannelScorer(Protocol):
    """Hears whether a sound over an answer leaves the turn with the assistant."""

    def score(self, samples: Samples) -> float:
        """Probability in [0, 1] that it is an "mm-hm", a "yeah" or a noise, and nothing that wants the turn.

        Thread-safe; blocks for about 100 ms, so it is called off the event loop.

        Args:
            samples: the sound with its pre-roll and the beginning of the silence after it, float32 `(n_samples,)` at
                16 kHz.
        """
        ...


class Verdict(enum.Enum):
    """What a sound over an answer is."""

    TURN = "it takes the turn"
    NO_TURN = "the answer goes on"
    ASK = "what was said decides"


def judge_by_length(speech_samples: int, options: EndpointingOptions, *, ended: bool, can_ask: bool) -> Verdict | None:
    """Judges what has been heard so far.

    Args:
        speech_samples: from the onset to the last voiced sample.
        options: the two lengths.
        ended: whether a pause followed.
        can_ask: whether the model can tell what was said.

    Returns:
        None while it is too early to tell.
    """
    if speech_samples < options.min_interruption_samples:
        return Verdict.NO_TURN if ended else None
    if not can_ask or speech_samples > options.max_backchannel_samples:
        return Verdict.TURN
    return Verdict.ASK if ended else None


def leaves_turn(judged: SoundJudged) -> bool:
    """Whether a sound leaves the turn with the assistant, by its words and by how it sounds.

    Words decide where they are clear. Where they are doubtful, or there are none, how it sounds decides; so it does
    where nobody writes words down, and then it must be surer. Who has neither leaves the turn to whoever speaks.
    """
    probability = judged.backchannel_probability
    if judged.text is None:
        return probability is not None and probability >= SURE_WITHOUT_WORDS
    words = _words_of(judged.text)
    if any(word in STOPPING_WORDS or word.isdecimal() for word in words):
        return False
    if probability is None or (set("".join(words)) - HUM_LETTERS and is_backchannel(judged.text)):
        return is_backchannel(judged.text, judged.least_probability)
    is_in_doubt = is_backchannel(judged.text, judged.least_probability)
    return probability >= (SURE_WITH_DOUBTFUL_WORDS if is_in_doubt else SURE_AGAINST_WORDS)


def is_backchannel(transcript: str, least_probability: float = 1.0) -> bool:
    """Whether these words, or none at all, leave the turn with the assistant.

    Args:
        transcript: of a sound shorter than the longest backchannel.
        least_probability: of its words; those that stop an answer do so however doubtful they are.
    """
    words = _words_of(transcript)
    if " ".join(words) in BACKCHANNEL_PHRASES or set("".join(words)) <= HUM_LETTERS:
        return True
    if least_probability < MIN_PROBABILITY and not any(word in STOPPING_WORDS or word.isdecimal() for word in words):
        return True
    return len(words) <= MAX_BACKCHANNEL_WORDS and all(word in BACKCHANNELS for word in words)


def _words_of(transcript: str) -> list[str]:
    """In small letters, one after another the same counted once: "yeah, yeah, yeah, yeah" says it once."""
    said = _WORD.findall(transcript.lower().replace("-", "").replace("’", "'"))
    return [word for word, _ in groupby(said)]
