"""Whether words are meant for the assistant, or for somebody else in the room: a judgement by what the words are.

Who asks a machine asks in the form of a question, a command or a wish, of their own accord, and in whole sentences;
who talks to a person tells of others ("she told me"), of "us", hesitates, answers and calls names; who reads or
broadcasts does none of that. A small logistic model weighs such features, and a name at the beginning or the end
("Earpiece, ..."; "..., computer?") settles it. What words cannot show is whom a plain question is for ("Are you
coming?").
It knows English alone, and is asked of nothing else: other words are not known, and answered.

The weights were fitted by `tests/benchmarks/train_address.py`. Read `floor.py` for what becomes of the judgement.
"""

import math
import re
from collections.abc import Mapping, Sequence

from realtime.turns.completeness import ANSWER_WORDS
from realtime.turns.english import AUXILIARIES, COMMANDS, QUESTION_WORDS, word_set

MIN_PROBABILITY = 0.4  # below it words are for others
MIN_AFTER_ANSWER = 0.25  # ... and after an answer, where "and in winter?" is likely to be for the assistant
MAX_OF_ANOTHER = 0.02  # of words with which somebody else is called
_WEIGHTS: Mapping[str, float] = {
    "constant": 1.97,
    "asks first": 0.21,
    "asks last": 1.46,
    "asks yes or no first": -0.72,
    "asks yes or no last": 1.51,
    "commands first": 1.21,
    "commands last": 1.41,
    "question mark": 0.24,
    "request": 2.58,
    "question inside": 2.14,
    "one sentence": 1.45,
    "I": 0.88,
    "you": -0.15,
    "your": -0.64,
    "we": -1.79,
    "they": -1.37,
    "past": -1.20,
    "loose": -1.67,
    "here": -1.32,
    "fillers": -2.06,
    "filler first": -0.61,
    "long": -2.22,
    "very short": -0.59,
    "many sentences": -0.88,
    "doubled": -0.73,
}

_FILLERS = word_set(
    "ah alright and but eh er erm hello hey hi hm hmm huh mm no now oh ok okay please right so sorry then uh um well"
    " yeah yes"
)
_ME = word_set("i i'd i'll i'm i've me mine my myself")
_YOU = word_set("you you'd you'll you're you've")
_YOUR = word_set("your yours yourself")
_WE = word_set("our ours us we we'd we'll we're we've")
_THEY = word_set(
    "he he'd he'll he's her hers him himself his she she'd she'll she's their them they they'd they'll they're they've"
)
_PAST = word_set("came did gave got had knew made said saw seemed thought told took was wasn't went were weren't")
_LOOSE = word_set(
    "actually anyway basically because guess guys kind maybe mean probably really sort stuff thing things think"
)
_HERE = word_set("again already back come coming here home out over there tonight tomorrow yesterday yet")
_KIN = word_set(
    "boys dad daddy darling dear everybody everyone folks girls grandma grandpa guys honey kids love mom mum mummy"
    " sweetheart"
)
_NO_NAMES = (  # a comma may follow them at the beginning of what is for the assistant: "Thanks, can you ..."
    _FILLERS
    | COMMANDS
    | _LOOSE
    | _HERE
    | word_set(
        "absolutely afternoon also alternatively amazing awesome besides brilliant bye certainly cool correct"
        " definitely evening exactly excellent exciting fantastic fine finally first firstly good gosh great honestly"
        " however instead interesting last lastly later lovely meanwhile morning next nice nope obviously otherwise"
        " perfect question quick secondly second seriously since still super sure thank thanks therefore third today"
        " true wait wonderful wow yep"
    )
)
_REQUEST = re.compile(
    r"\b(?:(?:can|could|will|would) you|do you know|let me know|"
    r"(?:bring|get|give|help|make|play|read|remind|show|teach|tell) me|"
    r"i(?:'d| would) like|i (?:need|want|wanna)|(?:can|could|may|should|do|am|will) i|please|my)\b"
)
_NAME = r"(?:assistant|computer|ear ?piece)"  # ears do not know ours
_OPENING = r"(?:hello|hey|hi|now|oh|ok|okay|please|so|well)"
_CALLS_ASSISTANT = re.compile(
    rf"^(?:{_OPENING},? )*{_NAME}(?:[,.?!]|$| (?!and|has|had|in|is|of|science|that|was))|, {_NAME}[.?!]*$"
)
_CALLED_FIRST = re.compile(r"^(?:(?:hey|hi|hello|okay|oh|so|well),? )?([A-Z][a-z]+), (\S+)")
_CALLED_LAST = re.compile(r", ([A-Za-z]+)[.?!]$")
_SENTENCE_END = re.compile(r"(?<=[.?!]) +")
_WORD = re.compile(r"[\w']+")


def judge_address(text: str, weights: Mapping[str, float] | None = None, *, asked: str = "") -> float:
    """How probable it is that words are meant for the assistant.

    Args:
        text: of a turn, as ears write it; without words it is meant for nobody.
        weights: of the features; those that were fitted, if not given.
        asked: what the assistant said last. A few words may answer a question of ours, and soon after it they do.
    """
    if not _WORD.search(text):
        return 0.0
    if _CALLS_ASSISTANT.search(text.strip().lower()):
        return 1.0
    log_odds = sum((weights or _WEIGHTS)[name] * value for name, value in features(text).items())
    probability = 1 / (1 + math.exp(-log_odds))
    if _calls_somebody(text.strip()):
        return min(probability, MAX_OF_ANOTHER)
    is_answer = asked.rstrip().endswith("?") and len(_WORD.findall(text)) <= ANSWER_WORDS
    return max(probability, MIN_AFTER_ANSWER) if is_answer else probability


def is_addressed(probability: float | None, *, follows_answer: bool) -> bool:
    """Whether a turn is to be answered.

    Args:
        probability: that it is meant for the assistant; None: its words are not known, and it is answered.
        follows_answer: it began soon after an answer, or over one.
    """
    return probability is None or probability >= (MIN_AFTER_ANSWER if follows_answer else MIN_PROBABILITY)


def features(text: str) -> dict[str, float]:
    """What the words are, by name.

    Args:
        text: with capitals and punctuation, as ears write it.

    Returns:
        Shares of words and yes (1) or no (0); `long` is the logarithm of the number of words.
    """
    plain = text.lower().replace("’", "'")
    words = _WORD.findall(plain)
    sentences = [core for core in map(_core, _SENTENCE_END.split(plain)) if core]
    openings = [sentence[0] for sentence in sentences]
    first, last = openings[:1], openings[-1:]
    return {
        "constant": 1.0,
        "asks first": _any(first, QUESTION_WORDS),
        "asks last": _any(last, QUESTION_WORDS),
        "asks yes or no first": _any(first, AUXILIARIES),
        "asks yes or no last": _any(last, AUXILIARIES),
        "commands first": _any(first, COMMANDS),
        "commands last": _any(last, COMMANDS),
        "question mark": float(plain.rstrip().endswith("?")),
        "request": float(_REQUEST.search(plain) is not None),
        "question inside": _any(words if plain.rstrip().endswith("?") else (), QUESTION_WORDS),
        "one sentence": float(len(sentences) == 1),
        "I": _share(words, _ME),
        "you": _share(_WORD.findall(_REQUEST.sub(" ", plain)), _YOU),
        "your": _share(words, _YOUR),
        "we": _share(words, _WE),
        "they": _share(words, _THEY),
        "past": _share(words, _PAST),
        "loose": _share(words, _LOOSE),
        "here": _share(words, _HERE),
        "fillers": _share(words, _FILLERS),
        "filler first": _any(words[:1], _FILLERS),
        "long": math.log(max(1, len(words))),
        "very short": float(len(words) <= 2),
        "many sentences": float(len(sentences) > 2),
        "doubled": sum(map(str.__eq__, words, words[1:])) / max(1, len(words)),
    }


def _core(sentence: str) -> list[str]:
    """The words of a sentence, without those that only open it."""
    words = _WORD.findall(sentence)
    return words[next((at for at, word in enumerate(words) if word not in _FILLERS), len(words)) :]


def _any(words: Sequence[str], these: frozenset[str]) -> float:
    return float(any(word in these for word in words))


def _share(words: Sequence[str], these: frozenset[str]) -> float:
    return sum(word in these for word in words) / max(1, len(words))


def _calls_somebody(text: str) -> bool:
    """Whether somebody is called, the assistant aside: "Tom, could you ...", "..., mum?"."""
    if (first := _CALLED_FIRST.search(text)) is not None:
        name, next_word = first[1].lower(), first[2].lower().strip(".,?!")
        is_asked = next_word in AUXILIARIES | QUESTION_WORDS | _YOU | COMMANDS
        return name in _KIN or (is_asked and name not in _NO_NAMES)
    last = _CALLED_LAST.search(text)
    return last is not None and last[1].lower() in _KIN
