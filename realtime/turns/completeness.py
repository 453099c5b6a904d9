"""Whether a turn is complete, by its words and its sound together: a logistic regression on few named features.

Its weights, and how often English texts end after which words, are in this folder; `tests/benchmarks/
train_completeness.py` fitted them. It knows English; of a turn without English words the sound alone is judged.
An explicit "hold on" asks to wait, whatever the rest is like, and "go ahead" gives the floor.
Read `end_of_turn.py` for what the sound tells, `endpointing.py` for what becomes of the probability.
"""

import functools
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from models.types import Transcript

WEIGHTS = Path(__file__).with_name("completeness.safetensors")
FEATURES = (
    "sound",  # log-odds of the end-of-turn scorer
    "endings",  # log-odds that a text ends after such words
    "no_words",  # there is a voice, and it says none: a hum, a breath
    "filler",  # "um", "well", "you know" last
    "open_word",  # a conjunction, a preposition, an article last
    "open_number",  # digits last, and there are more to come
    "whole_number",  # as many digits as a telephone or a card has
    "open_spelling",  # letters last, or an address without its end
    "whole_address",  # "dot com" last
    "open_list",  # items without an "and" before the last
    "greeting",  # nothing but "hello"
    "question",  # a question word or an auxiliary first, and no open word last
    "short_answer",  # "yes", "thank you", "stop"
    "answers_us",  # a few words after a question of ours
    "comma",  # the ears heard the voice stay up
    "question_mark",  # the ears heard it rise
    "one_word",
    "length",  # logarithm of the number of words
)
N_ENDINGS = 2**15  # places in the table; texts of 30,000 lines share a place now and then
LEAST_DOUBT = 1e-4  # neither sound nor words are surer
GIVEN = 0.98  # the least probability where the speaker says "go ahead"

_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+")
_CLAUSE = re.compile(r"[,.;:!?…]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FILLERS = _words("uh um uhm erm er hmm mm hm ah eh oh so well like okay anyway basically actually")
FILLER_PHRASES = ("you know", "i mean", "let's see", "i guess", "kind of", "sort of", "how do i say")
OPEN_WORDS = _words(
    "and or but because since if when while that which who whose where although though unless until than as plus nor"
    " of to for from with without in on at by about into onto over under between through during against toward towards"
    " the a an my your his her its our their this these some any every each another no"
    " i we he she they is are was were am be been will would can could shall should may might must do does did have has"
    " had not very really too more most i'm i'd i'll i've we're they're it's he's she's there's let's don't"
)
NUMBER_CUE = _words(
    "number phone telephone call reach code card account pin zip postal order reference dial extension digits serial"
    " flight booking confirmation licence license plate passport iban born birthday cell mobile"
)
WHOLE_NUMBERS = frozenset((7, 10, 11, 12, 16))  # digits of telephone numbers and cards
LEAST_GROUP = 3  # fewer digits without a cue are a number by themselves
NUMBER_WORDS = _words(
    "zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand double triple"
)
SPELLING_CUE = _words("email mail e-mail spell spelled spelt spelling address website surname")
SPELLED_SIGNS = _words("at dot underscore dash hyphen slash")
DOMAINS = _words("com org net edu gov de uk fr io co info eu")
GREETINGS = _words("hello hi hey good morning afternoon evening there everyone computer assistant")
QUESTION_WORDS = _words(
    "what who whom whose which when where why how is are was were am do does did can could will would shall should may"
    " might must have has had isn't aren't don't doesn't didn't can't couldn't won't wouldn't what's who's where's"
    " how's"
)
SHORT_ANSWERS = _words(
    "yes no yeah yep yup nope nah sure right correct exactly absolutely definitely certainly thanks thank you very much"
    " please stop cancel never mind good great fine perfect cool nice alright maybe later not now goodbye bye none"
    " neither both either agreed continue next repeat quiet enough of course got it i do don't know that's okay ok"
)
LIST_ITEM_WORDS = 3  # an item is not longer
ANSWER_WORDS = 5  # an answer to a question is often not longer

_OPENERS = r"(?:(?:oh|no|okay|ok|so|well|um|uh|please|yeah|yes|sorry|and|but|now|right|alright) )*"
_SHORT_TIME = r"(?:a|one|just a|just one) (?:moment|second|sec|minute|bit)"
_WAITS = re.compile(
    rf"{_OPENERS}(?:(?:wait|hold on|hang on|hold it|bear with me|give me|{_SHORT_TIME}|just wait"
    r"|let me (?:think|see|check|look|find)(?: (?:about|for) (?:it|that|this))?|i need to think|i'm thinking)"
    rf"(?: {_SHORT_TIME}| a minute| please| for me| on| there| to think| here)*)"
)
_GIVES = re.compile(
    rf"{_OPENERS}(?:go ahead|go on|that's (?:it|all)|that is all|over to you|your turn|i'm done|you can answer(?: now)?"
    r"|please answer|what do you think)(?: please| then| now)*"
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is made of a pause.

    Attributes:
        probability: that the turn is complete.
        asks_to_wait: the speaker said "hold on", or the like, last.
    """

    probability: float
    asks_to_wait: bool = False


class Completeness:
    """Judges pauses; shared by all sessions.

    Args:
        weights: safetensors with `endings` int8 `(N_ENDINGS,)`, `scale` and `endings_bias` (1,), `weight`
            `(n_features,)` and `bias` (1,).
    """

    def __init__(self, weights: Path = WEIGHTS) -> None:
        tensors = load_file(weights)
        self._endings = Endings(tensors["endings"] * tensors["scale"], float(tensors["endings_bias"][0]))
        self._weight, self._bias = tensors["weight"], float(tensors["bias"][0])

    def judge(self, sound: float | None, transcript: Transcript | None, asked: str) -> Judgement:
        """Joins what sound and words tell.

        Args:
            sound: probability that the turn sounds complete; None where no scorer listened.
            transcript: of the turn so far; None where no ears listened, or none that know its language.
            asked: what the assistant said last.
        """
        if transcript is None or transcript.is_foreign:
            return Judgement(0.5 if sound is None else sound)
        found = features(sound, transcript.text, asked, self._endings)
        log_odds = float(found @ self._weight) + self._bias
        probability = 1 / (1 + math.exp(-max(-30.0, min(30.0, log_odds))))
        clause = _last_clause(transcript.text)
        if _WAITS.fullmatch(clause):
            return Judgement(probability, asks_to_wait=True)
        return Judgement(max(probability, GIVEN) if _GIVES.fullmatch(clause) else probability)


@functools.cache
def load_completeness() -> Completeness:
    """Gives the one with the weights of this folder, which are read once."""
    return Completeness()


class Endings:
    """How often texts end after which words.

    Args:
        table: log-odds `(N_ENDINGS,)` of what the last words are, by their hashes.
        bias: log-odds of any text.
    """

    def __init__(self, table: NDArray[np.float32], bias: float) -> None:
        self._table = table
        self._bias = bias

    def log_odds(self, words: Sequence[str]) -> float:
        """Of an end after these words, in lower case."""
        return self._bias + float(self._table[places(words)].sum()) if words else 0.0


def places(words: Sequence[str]) -> list[int]:
    """Where in the table is what is looked at of words: the last one, two and three, and the first with the last."""
    said = ["#" if word.isdecimal() else word for word in words]
    padded = ["^", "^", *said]
    looked_at = (
        padded[-1:],
        padded[-2:],
        padded[-3:],
        ["first", said[0], str(min(len(said), 8))],
        ["ends", said[0], said[-1]],
    )
    return [zlib.crc32(" ".join(part).encode()) % N_ENDINGS for part in looked_at]


def words_of(text: str) -> list[str]:
    """The words and numbers of a text, in lower case."""
    return _TOKEN.findall(text.lower().replace("’", "'"))


def features(sound: float | None, text: str, asked: str, endings: Endings) -> NDArray[np.float32]:
    """What is judged by, float32 `(n_features,)` as `FEATURES` names it; arguments as `Completeness.judge` has them."""
    words = words_of(text)
    n_digits = _digits_at_end(words)
    is_short = bool(words) and all(word in SHORT_ANSWERS for word in words)
    is_filler = _ends_with_filler(words)
    is_open = bool(words) and words[-1] in OPEN_WORDS and not is_short
    has_number_cue = any(word in NUMBER_CUE for word in words)
    is_open_number = bool(n_digits) and n_digits not in WHOLE_NUMBERS and (has_number_cue or n_digits >= LEAST_GROUP)
    stripped = text.rstrip()
    found = {
        "sound": 0.0 if sound is None else _log_odds(sound),
        "endings": max(-6.0, min(6.0, endings.log_odds(words))),
        "no_words": not words,
        "filler": is_filler,
        "open_word": is_open,
        "open_number": is_open_number,
        "whole_number": n_digits in WHOLE_NUMBERS,
        "open_spelling": _is_open_spelling(words),
        "whole_address": len(words) > 1 and words[-1] in DOMAINS and not is_open,
        "open_list": _is_open_list(text),
        "greeting": bool(words) and all(word in GREETINGS for word in words),
        "question": len(words) >= LIST_ITEM_WORDS and _is_question(text) and not (is_open or is_filler),
        "short_answer": is_short,
        "answers_us": _is_asked(asked) and 0 < len(words) <= ANSWER_WORDS and not (is_open or is_filler),
        "comma": stripped.endswith((",", "-", "–", "…", "...")),
        "question_mark": stripped.endswith("?"),
        "one_word": len(words) == 1,
        "length": math.log1p(len(words)),
    }
    return np.array([found[name] for name in FEATURES], np.float32)


def _log_odds(probability: float) -> float:
    doubted = min(1 - LEAST_DOUBT, max(LEAST_DOUBT, probability))
    return math.log(doubted / (1 - doubted))


def _clauses(text: str) -> list[list[str]]:
    return [words for clause in _CLAUSE.split(text) if (words := words_of(clause))]


def _last_clause(text: str) -> str:
    clauses = _clauses(text)
    return " ".join(clauses[-1]) if clauses else ""


def _ends_with_filler(words: Sequence[str]) -> bool:
    if not words:
        return False
    said = " ".join(words)
    alone = len(words) == 1 and words[0] in ("okay", "ok", "oh")  # these are answers, too
    return (words[-1] in FILLERS and not alone) or any(said.endswith(phrase) for phrase in FILLER_PHRASES)


def _digits_at_end(words: Sequence[str]) -> int:
    """How many digits were said last, one after the other."""
    n_digits = 0
    for word in reversed(words):
        if word.isdecimal():
            n_digits += len(word)
        elif word in NUMBER_WORDS:
            n_digits += 1
        else:
            break
    return n_digits


def _is_open_spelling(words: Sequence[str]) -> bool:
    if not words or words[-1] in DOMAINS:
        return False
    n_letters = sum(1 for word in words[-2:] if len(word) == 1 and not word.isdecimal())
    has_cue = any(word in SPELLING_CUE for word in words) or (len(words) > 1 and words[0] == "e" and words[1] == "mail")
    has_sign = any(word in SPELLED_SIGNS for word in words[-3:])
    return n_letters == min(2, len(words)) or (has_cue and (n_letters > 0 or has_sign))


def _is_open_list(text: str) -> bool:
    """Whether short items follow each other, and no "and" came yet."""
    clauses = _clauses(text)
    if len(clauses) < 2 or len(clauses[-1]) > LIST_ITEM_WORDS:  # one item is no list
        return False
    last = clauses[-1]
    is_polite = all(word in SHORT_ANSWERS or word in GREETINGS or word in FILLERS for word in last)
    return last[0] not in ("and", "or") and not is_polite and not text.rstrip().endswith("?")


def _is_question(text: str) -> bool:
    clauses = _clauses(text)
    return any(clause[0] in QUESTION_WORDS for clause in clauses[-2:])


def _is_asked(asked: str) -> bool:
    return asked.rstrip().endswith("?")
