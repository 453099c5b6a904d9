"""Whether a sound over an answer takes the turn: a cough and an "mm-hm" do not, "stop" does.

The rule is deliberately small. Length decides where it can: nobody asks anything in a quarter of a second, and no
"uh-huh" lasts a second. In between, what was said decides, where the model can tell; where it cannot, whoever speaks
takes the turn, because an answer that will not stop is worse than one that stops too often. English only: elsewhere
the words are unknown, and so take the turn. Read `floor.py` for who asks.
"""

import enum
import re

from realtime.turns.endpointing import EndpointingOptions

_WORDS = (
    "ah aha alright cool good great hm hmm huh m mhm mhmm mm mmhm mmhmm mmm oh ok okay really right sure true uh uhhuh"
    " uhuh um wow yeah yep yes yup"
)
BACKCHANNELS = frozenset(_WORDS.split())  # the commonest of Switchboard (Jurafsky et al., 1997), as recognisers spell
BACKCHANNEL_PHRASES = frozenset(("i see", "oh i see", "that's right", "of course", "got it", "i know"))
MAX_BACKCHANNEL_WORDS = 3  # "yeah, right, okay"


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


def is_backchannel(transcript: str) -> bool:
    """Whether these words, or none at all, leave the turn with the assistant."""
    words = re.sub(r"[^a-z' ]", "", transcript.lower().replace("-", "").replace("’", "'")).split()
    if " ".join(words) in BACKCHANNEL_PHRASES:
        return True
    return len(words) <= MAX_BACKCHANNEL_WORDS and all(word in BACKCHANNELS for word in words)
