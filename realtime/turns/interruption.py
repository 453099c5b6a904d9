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

from realtime.turns.endpointing import EndpointingOptions

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
STOPPING_WORDS = frozenset(("cancel", "enough", "hey", "hold", "no", "pause", "quiet", "stop", "wait", "what", "why"))


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


def is_backchannel(transcript: str, least_probability: float = 1.0) -> bool:
    """Whether these words, or none at all, leave the turn with the assistant.

    Args:
        transcript: of a sound shorter than the longest backchannel.
        least_probability: of its words; those that stop an answer do so however doubtful they are.
    """
    said = _WORD.findall(transcript.lower().replace("-", "").replace("’", "'"))
    words = [word for word, _ in groupby(said)]  # "yeah, yeah, yeah, yeah" says it once
    if " ".join(words) in BACKCHANNEL_PHRASES or set("".join(words)) <= HUM_LETTERS:
        return True
    if least_probability < MIN_PROBABILITY and not any(word in STOPPING_WORDS or word.isdecimal() for word in words):
        return True
    return len(words) <= MAX_BACKCHANNEL_WORDS and all(word in BACKCHANNELS for word in words)
