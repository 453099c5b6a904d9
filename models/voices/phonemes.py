"""From a sentence of English to phonemes: what is read of it, how each word sounds where it stands, and its marks.

Numbers, amounts and signs become words; Markdown's marks, emoji and everything else that is not read out are passed
over. A few words sound otherwise before a vowel, at the end, or as a verb; the words around them tell well enough.
Each piece says where in the text it ends, so that whoever plays the sound knows how far the text has been heard.
Read `lexicon.py` for single words, `numbers.py` for numbers, `kokoro.py` for who speaks it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from models.voices.lexicon import Lexicon
from models.voices.numbers import NUMBER, in_words
from models.voices.spelling import SECOND_STRESS, STRESS, VOWELS

MARKS = {  # others, quotation marks and brackets among them, change nothing that can be heard
    **{mark: mark for mark in ";:,.!?—…"},
    **{"–": "—", "。": ".", "，": ",", "\n": "."},
}
_SIGNS = {
    **{"&": "and", "+": "plus", "=": "equals", "%": "percent", "@": "at", "°": "degrees", "#": "number", "×": "times"},
    **{
        "÷": "divided by",
        "€": "euros",
        "$": "dollars",
        "£": "pounds",
        "<": "less than",
        ">": "greater than",
        "→": "to",
    },
}
_SHORT = {
    **{
        "mr": "mister",
        "mrs": "missus",
        "ms": "miz",
        "dr": "doctor",
        "prof": "professor",
        "st": "saint",
        "jr": "junior",
    },
    **{"vs": "versus", "etc": "et cetera", "approx": "approximately", "dept": "department", "no": "number"},
    **{"e.g": "for example", "i.e": "that is", "a.m": "A M", "p.m": "P M"},
}
_SHORT_ALWAYS = frozenset(_SHORT) - {"no", "st"}  # those two are short only before what they belong to
_UNITS = {"km": "kilometers", "cm": "centimeters", "mm": "millimeters", "kg": "kilograms", "mph": "miles per hour"}

_DOTTED = r"(?:[A-Za-z]\.){2,}|(?:e\.g|i\.e|a\.m|p\.m)\b\.?"
_SHORTENED = r"(?:Mr|Mrs|Ms|Dr|Prof|Jr|vs|etc|approx|dept)\.|(?:St\.(?=\s[A-Z]))|(?:No\.(?=\s?\d))"
_WORD = r"[^\W\d_]+(?:['’][^\W\d_]+)*['’]?"
_PIECE = re.compile(
    rf"(?P<dotted>{_DOTTED})|(?P<short>{_SHORTENED})|(?P<number>{NUMBER.pattern})|(?P<word>{_WORD})"
    r"|(?P<minus>(?<![\w-])[-−](?=\d))|(?P<dash>\s-+\s|--+)|(?P<mark>\.{2,}|[;:,.!?—…–。，\n])|(?P<sign>[&+=%@°#×÷€$£<>→])"
)

_ASKING_FOR_A_VERB = (
    "to i you we they will would can could should shall may might must not don't doesn't didn't won't can't let's i'll "
    "you'll we'll they'll who"
)
_ASKING_FOR_A_PARTICIPLE = "have has had was were been being be is are i've you've we've they've"
_BEFORE_A_VERB, _BEFORE_A_PARTICIPLE = (
    frozenset(words.split()) for words in (_ASKING_FOR_A_VERB, _ASKING_FOR_A_PARTICIPLE)
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A word or a mark.

    Attributes:
        sound: its phonemes, or the mark; "" if it is not read.
        end: where in the text it ends, in characters.
        is_mark: whether it belongs to the word before it.
    """

    sound: str
    end: int
    is_mark: bool = False


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    end: int
    begins_sentence: bool


class Pronouncer:
    """Reads sentences.

    Args:
        lexicon: knows words.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon

    def pronounce(self, text: str) -> list[Piece]:
        """The pieces of a text in order; none if nothing in it can be read."""
        found = list(_find_pieces(text))
        pieces: list[Piece] = []
        before, sound_after = "", ""
        for index in range(len(found) - 1, -1, -1):  # from the end: a word depends on how the next one begins
            piece = found[index]
            if isinstance(piece, Piece):
                sound_after = ""
                pieces.append(piece)
                continue
            before = next((p.text.lower() for p in found[index - 1 : index] if isinstance(p, _Word)), "")
            sound = self._sound(piece, before, sound_after)
            if sound:
                pieces.append(Piece(sound, piece.end))
                sound_after = sound
        pieces.reverse()
        return pieces if any(not piece.is_mark for piece in pieces) else []

    def _sound(self, word: _Word, before: str, after: str) -> str:
        """How a word sounds.

        Args:
            word: the word.
            before: the word before it in the same phrase, in lower case; "" if there is none.
            after: the phonemes of the one after it.
        """
        first = next((sound for sound in after if sound not in (STRESS, SECOND_STRESS)), "")
        match word.text.lower():
            case "a" if after and (word.text == "a" or word.begins_sentence):
                return "ɐ"
            case "an":
                return "ɐn"
            case "the":
                return "ði" if first in VOWELS else "ðə"
            case "to" if after:
                return "tʊ" if first in VOWELS else "tə"
            case "used" if after[:1] == "t" and after[1:] in ("ə", "ʊ"):
                return "jˈust"
        return self._lexicon.read(word.text, _role(before, after))


def _role(before: str, after: str) -> str:
    if before in _BEFORE_A_PARTICIPLE:
        return "VBN"
    if before in _BEFORE_A_VERB:
        return "VERB"
    return "DEFAULT" if after else "None"


def _find_pieces(text: str) -> Iterator[_Word | Piece]:
    begins = True
    for match in _PIECE.finditer(text):
        for piece in _pieces_of(match, begins_sentence=begins):
            yield piece
            begins = isinstance(piece, Piece) and piece.sound in ".!?…"


def _pieces_of(match: re.Match[str], *, begins_sentence: bool) -> Iterator[_Word | Piece]:
    text, end = match[0], match.end()
    match match.lastgroup:
        case "mark" if text.startswith(".."):
            yield Piece("…", end, is_mark=True)
        case "mark":
            yield Piece(MARKS[text], end, is_mark=True)
        case "dash":
            yield Piece("—", end, is_mark=True)
        case "word":
            yield _Word(_UNITS.get(text, text.replace("’", "'")), end, begins_sentence)
        case _:
            for word in _words_of(match):
                yield _Word(word, end, begins_sentence=False)


def _words_of(match: re.Match[str]) -> list[str]:
    """The words of what is not written as words."""
    text = match[0]
    if match["number"]:
        return in_words(match)
    if match["minus"]:
        return ["minus"]
    if match["sign"]:
        return _SIGNS[text].split()
    bare = text.lower().rstrip(".")
    if bare in _SHORT:
        return _SHORT[bare].split()
    return [text.replace(".", "").upper()]
