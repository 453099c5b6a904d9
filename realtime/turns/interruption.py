"""Whether a sound over an answer takes the turn: a cough and an "mm-hm" do not, "stop" does.

The rule is deliberately small. Length decides where it can: nobody asks anything in an eighth of a second, and no
"uh-huh" lasts a second. In between, what was said decides, where ears tell; where they doubt, or there are none, how it
sounds; where nobody can tell, whoever speaks takes the turn, because an answer that will not stop is worse than one
that stops too often. A hum has no spelling: ears write it as letters, or as words that they doubt themselves ("A
memo."), but so they do with commands, and only the sound tells one from the other.
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
BACKCHANNEL_PHRASES = frozenset(("i see", "oh i see", "that's right", "all right", "of course", "got it", "i know"))
MAX_BACKCHANNEL_WORDS = 3  # "yeah, right, okay"
HUM_LETTERS = frozenset("hmn")  # "Mm-hm." comes out as "M. H. M."
# Of 21 hums of a synthetic voice (Piper's joe) Moonshine base writes 18 as nothing, as letters, or with a word below
# this (8 without this rule); of 48 interruptions four: "Louder." twice, a "Wait." and a "Hey." that it does not find.
MIN_PROBABILITY = 0.5
_WORD = re.compile(r"[\w']+")  # in any script, and numbers: "4" says something
# The least at which none of 80 numbers and 60 commands was missed of voices that the scorer had not heard ("dev" of
# `tests/benchmarks/interjections.py`): without words, and where ears doubt theirs or write none.
SURE_WITHOUT_WORDS = 0.93
SURE_WITH_DOUBTFUL_WORDS = 0.6
_COMMANDS = (
    "again back cancel enough faster help hey hold louder mute next no pause quiet repeat skip slower stop"
    " undo wait what when where who why"
)
_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million"
)
STOPPING_WORDS = frozenset(f"{_COMMANDS} {_NUMBERS}".split())  # they stop an answer however ears doubt them


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


def judge_by_length(
    speech_samples: int, options: EndpointingOptions, *, ended: bool, can_ask: bool, is_scored: bool = False
) -> Verdict | None:
    """Judges what has been heard so far.

    Args:
        speech_samples: from the onset to the last voiced sample.
        options: the two lengths.
        ended: whether a pause followed.
        can_ask: whether somebody can tell what it was.
        is_scored: whether that is, or includes, who hears how it sounds.

    Returns:
        None while it is too early to tell.
    """
    shortest, longest = options.doubtful_samples(is_scored=is_scored)
    if speech_samples < shortest:
        return Verdict.NO_TURN if ended else None
    if not can_ask or speech_samples > longest:
        return Verdict.TURN
    return Verdict.ASK if ended else None


def leaves_turn(judged: SoundJudged) -> bool:
    """Whether a sound leaves the turn with the assistant, by its words and by how it sounds.

    Words decide where they are clear: a "stop" or a number stops, a "right" does not. Where they are doubtful, letters
    of a hum, or none, how it sounds decides; so it does where nobody writes words down, and then it must be surer.
    Where nobody hears how it sounds, doubtful words are a hum; without either, whoever speaks takes the turn.
    """
    probability = judged.backchannel_probability
    if judged.text is None:
        return probability is not None and probability >= SURE_WITHOUT_WORDS
    if not is_backchannel(judged.text, judged.least_probability):
        return False
    is_clear = is_backchannel(judged.text) and not _may_be_hum(_words_of(judged.text))
    return is_clear or probability is None or probability >= SURE_WITH_DOUBTFUL_WORDS


def is_backchannel(transcript: str, least_probability: float = 1.0) -> bool:
    """Whether these words, or none at all, leave the turn with the assistant.

    Args:
        transcript: of a sound shorter than the longest backchannel.
        least_probability: of its words; those that stop an answer do so however doubtful they are.
    """
    words = _words_of(transcript)
    if " ".join(words) in BACKCHANNEL_PHRASES or _may_be_hum(words):
        return True
    if least_probability < MIN_PROBABILITY and not any(word in STOPPING_WORDS or word.isdecimal() for word in words):
        return True
    return len(words) <= MAX_BACKCHANNEL_WORDS and all(word in BACKCHANNELS for word in words)


def _may_be_hum(words: list[str]) -> bool:
    """Whether there is nothing but what ears write of a hum; nothing at all is that, too."""
    return set("".join(words)) <= HUM_LETTERS


def _words_of(transcript: str) -> list[str]:
    """In small letters, one after another the same counted once: "yeah, yeah, yeah, yeah" says it once."""
    said = _WORD.findall(transcript.lower().replace("-", "").replace("’", "'"))
    return [word for word, _ in groupby(said)]
