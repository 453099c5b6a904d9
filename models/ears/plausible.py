"""Whether words can have been said: how many fit in a time, and whether they go round in circles.

It knows the text alone, and how long somebody spoke. Read `guard.py` for who asks.
"""

import math
import re

from models.types import AudioClip

MIN_TOKENS = 32
TOKENS_PER_S = 12  # twice what fast speech takes (4 words of 1.5 tokens); who writes more goes round in circles
MIN_CHARACTERS = 4
CHARACTERS_PER_S = 30  # of detected speech; of 35 readings and commands, in noise too, the fastest has 28
MAX_TIMES = 12  # in a row: laughter and the zeros of a billion are fewer; a decoder's loops end only at its limit
LONGEST_REPEATED_CHARACTERS = 80  # loops of whole sentences are rare and longer

_LOOP = re.compile(rf"(\w.{{0,{LONGEST_REPEATED_CHARACTERS - 1}}}?)(?:\W*\1){{{MAX_TIMES},}}", re.IGNORECASE)
_ONE_PHRASE_REPEATED = re.compile(r"\W*(\w.*?)(?:\W+\1)+\W*", re.IGNORECASE | re.DOTALL)


def max_tokens(duration_s: float) -> int:
    """How long the transcript of so many seconds may become."""
    return MIN_TOKENS + math.ceil(TOKENS_PER_S * duration_s)


def is_plausible(text: str, clip: AudioClip) -> bool:
    """Whether this can have been said in the clip: it is not too long for the speech in it, and has no loop."""
    speech_s = clip.duration_s if clip.speech_s is None else clip.speech_s
    return len(text) <= MIN_CHARACTERS + CHARACTERS_PER_S * speech_s and not _LOOP.search(text)


def repeats_itself(text: str) -> bool:
    """Whether it is one phrase, said twice or more: people do that, and recognisers do it with a phrase said once."""
    return _ONE_PHRASE_REPEATED.fullmatch(text) is not None


def without_loops(text: str) -> str:
    """The text with everything that it repeats more than twelve times in a row said once."""
    return _LOOP.sub(r"\1", text).strip()
