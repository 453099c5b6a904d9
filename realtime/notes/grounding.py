"""Compares what a model wrote of a line with what was said: a note, its owner and its deadline must rest on words.

A note whose words are nowhere near its line is left out. "I" is whoever speaks. An owner that is neither a speaker nor
named, and a deadline that nobody said, are taken away: a wrong name or day is worse than none. It knows no model and no
time. Read `keeping.py` for what is done with the notes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from realtime.notes.minutes import Line, NoteKind, Span
from realtime.notes.schema import Draft

NEAR_LINES = 2  # on both sides of a line: where its subject may have been said
QUESTION_MARKS = "?？؟"
MIN_STEM_CHARACTERS = 4  # words count as the same when they begin alike: "order", "ordered"
SPEAKER_WORDS = frozenset({"i", "me", "myself", "i'll", "i will"})
NOBODY = """null none nobody somebody someone anyone we us you they everyone everybody team unknown unassigned n/a"""
ANYBODY = "somebody someone anybody anyone nobody"
NO_TIME = """null none unknown n/a unspecified tbd"""
COMMON = """a an and are as at be been before but by can could did do does for from had has have he her his i if in is
it its me my need next no not of on or our shall she should so some that the their them then there they this to until up
us was we were what when which who will with would you your"""
NOBODY_WORDS, ANYBODY_WORDS, NO_TIME_WORDS, COMMON_WORDS = (
    frozenset(words.split()) for words in (NOBODY, ANYBODY, NO_TIME, COMMON)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounded:
    """A note that rests on what was said.

    Attributes:
        kind: what it is.
        text: in a sentence.
        spans: of the lines that it rests on, in order.
        owner: a speaker's name, or as said.
        deadline: as said.
    """

    kind: NoteKind
    text: str
    spans: tuple[Span, ...]
    owner: str | None = None
    deadline: str | None = None


def ground(draft: Draft, lines: Sequence[Line], at: int) -> Grounded | None:
    """Compares the note that a model made of one line with it and those around it; None where they say something else.

    Args:
        draft: the note.
        lines: some of a recording, in order.
        at: the index of the note's own.
    """
    words = _stems(draft.text)
    if at + 1 < len(lines) and not words & _stems(lines[at].text) and words & _stems(lines[at + 1].text):
        at += 1  # the model has looked ahead
    line, near = lines[at], lines[max(0, at - NEAR_LINES) : at + NEAR_LINES + 1]
    is_spoken_of = any(words & _stems(other.text) for other in near)
    if line.text and not is_spoken_of:  # of sound without words, the model alone knows
        return None
    if draft.kind == "open_question" and line.text and not _asks(lines[max(0, at - 1) : at + 1]):
        return None
    return Grounded(
        kind=draft.kind,
        text=draft.text,
        spans=(line.span,),
        owner=said_owner(draft.owner, line, near),
        deadline=said_deadline(draft.deadline, _where_a_deadline_is(draft, lines, at)),
    )


def said_owner(owner: str | None, line: Line, near: Sequence[Line]) -> str | None:
    """An owner as people know them: a speaker's name, or words that were said; None otherwise."""
    wanted = " ".join((owner or "").split()).strip(".,;:")
    if wanted.lower() in SPEAKER_WORDS:
        return line.span.speaker
    if not wanted or wanted.lower() in NOBODY_WORDS:
        return None
    if wanted == line.span.speaker and ANYBODY_WORDS & set(_words(line.text)):
        return None  # small models take whoever says "somebody should" for the owner
    for speaker in dict.fromkeys(line.span.speaker for line in near if line.span.speaker):
        if wanted.lower() in (speaker.lower(), speaker.lower().split()[0]):
            return speaker
    return wanted if any(_contains(line.text, wanted) for line in near) else None


def said_deadline(deadline: str | None, near: Sequence[Line]) -> str | None:
    """A deadline as it was said in one of the lines; None where nobody said it."""
    wanted = " ".join((deadline or "").split()).strip(".,;:")
    if not wanted or wanted.lower() in NO_TIME_WORDS:
        return None
    shorter = re.sub(r"^(by|until|till|before|on|at|in|no later than|due)\s+", "", wanted, flags=re.IGNORECASE)
    for words in (wanted, shorter):
        if any(_contains(line.text, words) for line in near):
            return words
    return None


def alike(one: str, other: str) -> float:
    """How much two sentences say with the same words, from 0 to 1."""
    first, second = _stems(one), _stems(other)
    return len(first & second) / max(1, min(len(first), len(second)))


def _where_a_deadline_is(draft: Draft, lines: Sequence[Line], at: int) -> Sequence[Line]:
    """The lines whose times are this note's: the next one, and the one before where the line only says yes to it."""
    names_it = bool(_stems(draft.text) & _stems(lines[at].text))
    return lines[at if names_it else max(0, at - 1) : at + 2]


def _asks(lines: Sequence[Line]) -> bool:
    """Whether one of these asks something, as ears write it."""
    return any(mark in line.text for line in lines for mark in QUESTION_MARKS)


def _contains(text: str, words: str) -> bool:
    """Whether a text has these words, one behind the other."""
    return f" {' '.join(_words(words))} " in f" {' '.join(_words(text))} "


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:['’]\w+)*", text.lower())


def _stems(text: str) -> set[str]:
    """The words that say something, each by its beginning."""
    return {word[: max(MIN_STEM_CHARACTERS, len(word) - 3)] for word in _words(text) if word not in COMMON_WORDS}
