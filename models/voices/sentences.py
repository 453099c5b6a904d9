"""Cuts an answer into phrases to be read aloud, while it is still being written.

A sentence is read as one, because its melody needs its end. Only the first phrase is short, so that its sound comes
soon: it ends at the first comma, or before a small word after a few. A sentence that is very long is cut at its commas.
It refuses to cut inside a number, an abbreviation or a word. Read `realtime/speaking.py` for who has them read.
"""

import re
from dataclasses import dataclass

FIRST_LEAST_WORDS = 3  # of the first phrase, unless a sentence or a clause ends before
FIRST_MOST_WORDS = 8  # then it ends, where the next word begins
LONG_WORDS = 18  # of a sentence; then it ends at the next comma
MOST_WORDS = 32  # and then anywhere

_SENTENCE_END = re.compile(r"(?:[.!?…]+[\"'”’)\]*_]*(?=\s)|\n)")
_CLAUSE_END = re.compile(r"[,;:—–](?=\s)")
_NO_END = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|No|vs|etc|approx|e\.g|i\.e|[A-Z])|(?:^|\n)\s*\d+)\.$")
_SMALL_WORDS = (
    "and but or nor so because that which who where when while if than as to of in on at by for from with into about "
    "what how why whether is are was were will can would"
)
_BEFORE = re.compile(rf"\s+(?=(?:{'|'.join(_SMALL_WORDS.split())})\s)")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A part of an answer.

    Attributes:
        text: as it stands there.
        start: where it begins in the answer, in characters.
    """

    text: str
    start: int


class PhraseCutter:
    """Takes the pieces of one answer and gives its phrases, as soon as each is whole."""

    def __init__(self) -> None:
        self._text = ""  # that no phrase has yet
        self._start = 0
        self._is_first = True

    def push(self, text: str) -> list[Phrase]:
        """Takes the next piece, and gives the phrases that are whole now."""
        self._text += text
        phrases = []
        while (end := self._find_end()) is not None:
            phrases += self._take(end)
        return phrases

    def finish(self) -> list[Phrase]:
        """Gives what is left, when the answer is whole."""
        return self._take(len(self._text))

    def _take(self, end: int) -> list[Phrase]:
        phrase = Phrase(self._text[:end], self._start)
        self._text = self._text[end:]
        self._start += end
        if not any(character.isalnum() for character in phrase.text):
            return []
        self._is_first = False
        return [phrase]

    def _find_end(self) -> int | None:
        """Where the phrase ends with which the text begins; None if that is not known yet."""
        ends = (match.end() for match in _SENTENCE_END.finditer(self._text))
        sentence_end = next((end for end in ends if not _NO_END.search(self._text[:end])), None)
        clause_end = self._find_clause_end()
        if clause_end is not None and (sentence_end is None or clause_end < sentence_end):
            return clause_end
        return sentence_end

    def _find_clause_end(self) -> int | None:
        least, most = (1, FIRST_MOST_WORDS) if self._is_first else (LONG_WORDS, MOST_WORDS)
        for match in _CLAUSE_END.finditer(self._text):
            if _n_words(self._text[: match.start()]) >= least:
                return match.end() if _n_words(self._text[: match.start()]) <= most else self._find_word(most)
        return self._find_word(most)

    def _find_word(self, most: int) -> int | None:
        """Where to cut what has no comma: before a small word, or else before the last whole one of so many.

        The first phrase ends at the first such place, which may be known before there are so many words.
        """
        words = list(re.finditer(r"\S+", self._text))
        limit = words[most].start() if len(words) > most else None
        ends = (match.end() for match in _BEFORE.finditer(self._text))
        if self._is_first:
            good = [end for end in ends if _n_words(self._text[:end]) >= FIRST_LEAST_WORDS][:1]
        else:
            good = [end for end in ends if limit and end <= limit and _n_words(self._text[:end]) >= LONG_WORDS][-1:]
        return good[0] if good and (limit is None or good[0] <= limit) else limit


def _n_words(text: str) -> int:
    return len(text.split())
