"""Whether a turn is complete, by its words and its sound together: a logistic regression on few named features.

`tests/benchmarks/train_completeness.py` fits the weights below. It knows English; where the words may be of another
language the sound alone is judged. An explicit "hold on" asks to wait, whatever the rest is like, and "go ahead" gives
the floor. Read `end_of_turn.py` for what the sound tells, `endpointing.py` for what becomes of the probability.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from types import MappingProxyType

from models.types import Transcript
from realtime.turns.english import AUXILIARIES, COMMANDS, QUESTION_WORDS, word_set

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "sound": 1.0,  # log-odds of the end-of-turn scorer
        "no_words": -1.2,  # there is a voice, and it says none: a hum, a breath
        "filler": -3.0,  # "um", "well", "you know" last
        "open_word": -2.7,  # a conjunction, a preposition, an article last
        "open_number": -3.3,  # digits last, and there are more to come
        "whole_number": 1.7,  # as many digits as a telephone or a card has
        "open_spelling": -2.9,  # letters last, or an address without its end
        "whole_address": 2.6,  # "dot com" last
        "open_list": -0.7,  # items without an "and" before the last
        "greeting": 1.1,  # nothing but "hello"
        "question": 1.8,  # a question word or an auxiliary first, and the ears heard no full stop
        "request": 1.5,  # a verb first, "I would like", "please"
        "statement": -1.5,  # neither of these, nor an answer: more may follow, and nobody waits for a word of ours
        "short_answer": 3.1,  # "yes", "thank you", "stop"
        "answers_us": 2.0,  # a few words after a question of ours
        "comma": -1.8,  # the ears heard the voice stay up
        "question_mark": 0.7,  # the ears heard it rise
        "one_word": 1.0,
    }
)
BIAS = -0.5
LEAST_DOUBT = 0.05  # the sound is not taken to be surer
GIVEN = 0.98  # the least probability where the speaker says "go ahead"

_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+")
_CLAUSE = re.compile(r"[,.;:!?…]+")
_SENTENCE = re.compile(r"[.?!…]+")

FILLERS = word_set("uh um uhm erm er hmm mm hm ah eh oh so well like okay anyway basically actually")
FILLER_PHRASES = ("you know", "i mean", "let's see", "i guess", "kind of", "sort of", "how do i say")
OPEN_WORDS = word_set(
    "and or but because since if when while that which who whose where although though unless until than as plus nor"
    " of to for from with without in on at by about into onto over under between through during against toward towards"
    " the a an my your his her its our their this these some any every each another no"
    " i we he she they is are was were am be been will would can could shall should may might must do does did have has"
    " had not very really too more most i'm i'd i'll i've we're they're it's he's she's there's let's don't"
)
NUMBER_CUE = word_set(
    "number phone telephone call reach code card account pin zip postal order reference dial extension digits serial"
    " flight booking confirmation licence license plate passport iban born birthday cell mobile"
)
WHOLE_NUMBERS = frozenset((7, 10, 11, 12, 16))  # digits of telephone numbers and cards
LEAST_GROUP = 3  # fewer digits without a cue are a number by themselves
NUMBER_WORDS = word_set(
    "zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand double triple"
)
SPELLING_CUE = word_set("email mail e-mail spell spelled spelt spelling address website surname")
SPELLED_SIGNS = word_set("at dot underscore dash hyphen slash")
DOMAINS = word_set("com org net edu gov de uk fr io co info eu")
GREETINGS = word_set("hello hi hey good morning afternoon evening there everyone computer assistant")
ASKING_WORDS = QUESTION_WORDS | AUXILIARIES
SHORT_ANSWERS = word_set(
    "yes no yeah yep yup nope nah sure right correct exactly absolutely definitely certainly thanks thank you very much"
    " please stop cancel never mind good great fine perfect cool nice alright maybe later not now goodbye bye none"
    " neither both either agreed continue next repeat quiet enough of course got it i do don't know that's okay ok"
)
REQUEST_PHRASES = ("i'd like", "i would like", "i want", "i wanna", "i need", "i'll have", "i'll take", "i will have")
POLITE_WORDS = word_set("please hey hi hello okay ok computer assistant so well um uh and now then just yes no")
LIST_ITEM_WORDS = 3  # an item is not longer
ANSWER_WORDS = 5  # an answer to a question is often not longer
LEAST_QUESTION_WORDS = 3
CALL_WORDS = 2  # "hey computer"

_OPENERS = r"(?:(?:oh|no|okay|ok|so|well|um|uh|please|yeah|yes|sorry|and|but|now|right|alright) )*"
_SHORT_TIME = r"(?:a|one|just a|just one) (?:moment|second|sec|minute|bit)"
_WAITS = re.compile(
    rf"{_OPENERS}(?:(?:wait|(?:\w+ )?(?:hold|hang) on|hold it|bear with me|give me|{_SHORT_TIME}|just wait"
    r"|let me (?:think|see|check|look|find)(?: (?:about|for) (?:it|that|this))?|i need to think|i'm thinking)"
    rf"(?: {_SHORT_TIME}| a minute| please| for me| on| there| to think| here)*)"
)
_TRAILING = word_set("please um uh uhm erm er okay ok then now thanks")  # behind a comma
_LENGTH = re.compile(rf"{_OPENERS}{_SHORT_TIME}(?: please)?")  # "one minute" may also be how long something takes
_LENGTH_CUE = re.compile(r"\b(?:how long|how many|how much|timer|alarm|minutes?|seconds?|duration)\b")
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


def judge(sound: float | None, transcript: Transcript | None, asked: str) -> Judgement:
    """Joins what sound and words tell.

    Args:
        sound: probability that the turn sounds complete; None where no scorer listened.
        transcript: of the turn so far; None where no ears listened, or none that know its language.
        asked: what the assistant said last.
    """
    if transcript is None or transcript.is_foreign:
        return Judgement(0.5 if sound is None else sound)
    log_odds = BIAS + sum(WEIGHTS[name] * value for name, value in features(sound, transcript.text, asked).items())
    probability = 1 / (1 + math.exp(-max(-30.0, min(30.0, log_odds))))
    before, clause = _last_clause(transcript.text)
    if _WAITS.fullmatch(clause) and not _is_length(clause, before, asked):
        return Judgement(probability, asks_to_wait=True)
    return Judgement(max(probability, GIVEN) if _GIVES.fullmatch(clause) else probability)


def words_of(text: str) -> list[str]:
    """The words and numbers of a text, in lower case."""
    return _TOKEN.findall(text.lower().replace("’", "'"))


def features(sound: float | None, text: str, asked: str) -> dict[str, float]:
    """What is judged by, under the names of `WEIGHTS`; arguments as `judge` has them."""
    words = words_of(text)
    n_digits = _digits_at_end(words)
    is_year = bool(words) and words[-1].isdecimal() and n_digits == len(words[-1]) == len("1984")
    cues = (*words, *words_of(_last_sentence(asked)))  # what a long answer of ours begins with asks for nothing
    is_group = any(word in NUMBER_CUE for word in cues) or n_digits >= LEAST_GROUP
    is_short = bool(words) and all(word in SHORT_ANSWERS for word in words)
    is_filler = _ends_with_filler(words)
    is_open = is_filler or (bool(words) and words[-1] in OPEN_WORDS and not is_short)
    is_question, is_request = _is_question(text), _is_request(text)
    answers_us = asked.rstrip().endswith("?") and 0 < len(words) <= ANSWER_WORDS and not is_open
    is_greeting = bool(words) and all(word in GREETINGS for word in words)
    has_kind = is_question or is_request or is_short or answers_us or is_greeting
    stripped = text.rstrip()
    return {
        "sound": 0.0 if sound is None else _log_odds(sound),
        "no_words": not words,
        "filler": is_filler,
        "open_word": is_open and not is_filler,
        "open_number": bool(n_digits) and is_group and not is_year and n_digits not in WHOLE_NUMBERS,
        "whole_number": n_digits in WHOLE_NUMBERS,
        "open_spelling": _is_open_spelling(words),
        "whole_address": len(words) > 1 and words[-1] in DOMAINS and not is_open,
        "open_list": _is_open_list(text),
        "greeting": is_greeting,
        "question": is_question and not is_open,
        "request": is_request and not (is_question or is_open),
        "statement": bool(words) and not has_kind,
        "short_answer": is_short,
        "answers_us": answers_us,
        "comma": stripped.endswith((",", "-", "–", "…", "...")),
        "question_mark": stripped.endswith("?"),
        "one_word": len(words) == 1,
    }


def _log_odds(probability: float) -> float:
    doubted = min(1 - LEAST_DOUBT, max(LEAST_DOUBT, probability))
    return math.log(doubted / (1 - doubted))


def _clauses(text: str) -> list[list[str]]:
    return [words for clause in _CLAUSE.split(text) if (words := words_of(clause))]


def _last_clause(text: str) -> tuple[str, str]:
    """What was said before the last clause, and that clause; "please" and "um" alone are none, and follow theirs."""
    clauses = [" ".join(words) for words in _clauses(text)]
    last = len(clauses) - 1
    while last > 0 and clauses[last] in _TRAILING:
        last -= 1
    return " ".join(clauses[:last]), clauses[last] if clauses else ""


def _is_length(clause: str, before: str, asked: str) -> bool:
    """Whether a clause like "one minute" says how long: in a request for a timer, or where we asked for it."""
    return bool(_LENGTH.fullmatch(clause) and (_LENGTH_CUE.search(before) or _LENGTH_CUE.search(asked.lower())))


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


def _last_sentence(text: str) -> str:
    return _SENTENCE.split(text.rstrip(" .?!"))[-1]


def _meant(text: str) -> list[str]:
    """The words of the last sentence from where it comes to the point, behind "okay, computer"."""
    clauses = _clauses(_last_sentence(text))
    if len(clauses) > 1 and len(clauses[0]) <= CALL_WORDS:
        clauses = clauses[1:]
    return list(dropwhile(POLITE_WORDS.__contains__, (word for clause in clauses for word in clause)))


def _is_question(text: str) -> bool:
    meant, end = _meant(text), text.rstrip()[-1:]
    if len(meant) < LEAST_QUESTION_WORDS or end == ".":
        return False
    return meant[0] in ASKING_WORDS or (end == "?" and any(word in ASKING_WORDS for word in meant))


def _is_request(text: str) -> bool:
    meant = _meant(text)
    is_wish = " ".join(meant).startswith(REQUEST_PHRASES)
    return bool(meant) and (meant[0] in COMMANDS or is_wish or "please" in words_of(text))
