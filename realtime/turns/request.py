"""Whether words ask for something that is to be answered: a judgement by what the words are, for the help in a call.

Who asks says it as a question or a request ("tell me about", "could you send", "I'd like to know"), in the last
sentence or before a short remark. Ears set question marks by the melody of the voice; where they miss one, the order of
the words says it. Questions that want no answer ("you know what I mean?", "right?") are left out, and so is who tells
of a question ("he asked me when").
It knows English alone, and is asked of nothing else. Read `call_floor.py` for what becomes of the judgement.
"""

import re

from realtime.turns.english import AUXILIARIES, QUESTION_WORDS, word_set

MAX_REMARK_WORDS = 8  # of what may follow a question: "What does it cost? Just roughly."

_OPENING = word_set(
    "actually ah alright and anyway but er first fine good great hello hey hi hm look maybe no now oh ok okay please"
    " right so sorry sure thanks then uh um well yeah yes"
)
_SUBJECTS = word_set(
    "anybody anyone anything he i it my our she somebody someone something that the their there these they this those"
    " we you your"
)
_MEANS_NOTHING = re.compile(  # as a whole sentence
    r"(?:you )?(?:know|see)(?: what(?: i mean)?)?|right|really|is that (?:so|right)|isn't it|huh|eh|what|pardon|sorry"
    r"|who knows|why not|so what|guess what|are you there|can you (?:hear|see) me|isn't that \w+|how are you(?: doing)?"
    r"|what's up|what can i say|what do i know|would you believe it|shall we"
)
_TAG = re.compile(r"(?:right|okay|ok|you know|you see|see|huh|eh|yeah|no|really)\?$")
_REQUEST = re.compile(
    r"\b(?:(?:can|could|will|would) you|do you (?:know|think|mind)|would you mind|if you could"
    r"|(?:walk|talk|take) (?:me|us) through|(?:tell|give|show|send|explain|remind) (?:me|us|it to)"
    r"|(?:like|love|want|need|curious|interested) to (?:know|hear|understand|ask|learn|see)"
    r"|i(?:'d| would) (?:like|love|need) (?:you|your|a|an|some)|i need (?:you|your)|(?:am|was|i'm|just) wondering"
    r"|i wonder (?:if|whether|what|how|when|why|who)|what about|how about|any (?:chance|idea|thoughts)"
    r"|your (?:thoughts|opinion|view|views) on)\b"
)
_COMMANDS = word_set(
    "clarify compare confirm convince describe elaborate explain give help imagine introduce name outline remind repeat"
    " send share show spell summarise summarize suppose talk tell walk"
)
_IS_MY_OWN = re.compile(r"\b(?:let me|i'll|i will|we'll|we will|i can|i could|i'm going to|going to|i want to)\b")
_IS_TOLD = re.compile(
    r"(?:he|she|they|somebody|someone|i|we|people|everybody|everyone|customers)"
    r" \w*(?:asked|told|said|wanted|wants|had)\b"
)
_SENTENCE_END = re.compile(r"(?<=[.?!…])\s+")
_WORD = re.compile(r"[\w']+")


def asks_something(text: str) -> bool:
    """Whether the end of a turn asks for an answer.

    Args:
        text: of the turn, as ears write it, with capitals and punctuation.
    """
    plain = text.lower().replace("’", "'")
    sentences = [sentence for sentence in _SENTENCE_END.split(plain.strip()) if _WORD.search(sentence)]
    last, before = sentences[-1:], sentences[-2:-1]
    if last and len(_WORD.findall(last[0])) > MAX_REMARK_WORDS:
        before = []
    return any(_asks(sentence) for sentence in (*last, *before))


def _asks(sentence: str) -> bool:
    words = _WORD.findall(sentence)
    while words and words[0] in _OPENING:
        words = words[1:]
    core = " ".join(words)
    if not words or _MEANS_NOTHING.fullmatch(core) or _IS_TOLD.match(core):
        return False
    if sentence.endswith("?"):
        return _is_inverted(words) or not _TAG.search(sentence)
    if _IS_MY_OWN.search(core):
        return False
    return bool(_REQUEST.search(core)) or words[0] in _COMMANDS or (_is_inverted(words) and len(words) > 2)


def _is_inverted(words: list[str]) -> bool:
    """Whether the order of the words is that of a question: "where do you", "is there", "have they"."""
    first, second, third = (*words, "", "", "")[:3]
    if first in AUXILIARIES:
        return second in _SUBJECTS
    return first in QUESTION_WORDS - {"when"} and (
        second in AUXILIARIES or (second not in _SUBJECTS and third in AUXILIARIES)
    )
