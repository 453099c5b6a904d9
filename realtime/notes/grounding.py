"""Compares what a model wrote with what was said: each note must rest on lines, its owner and deadline on their words.

A note whose words are nowhere in the lines is left out; one that cites the wrong line is given the right one. "I" is
whoever speaks. An owner that is neither a speaker nor named, and a deadline that nobody said, are taken away: a wrong
name or day is worse than none. It knows no model and no time. Read `keeping.py` for what is done with the notes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from realtime.notes.minutes import Line, NoteKind, Span
from realtime.notes.schema import Draft

NEAR_LINES = 2  # on both sides of a line that a note rests on: where its deadline may have been said
CITED_NEAR_LINES = 3  # as far as a small model's count is off
DEADLINE_WEIGHT = 2  # of a deadline that is said in a line, in words that the line shares with the note
MIN_STEM_CHARACTERS = 4  # words count as the same when they begin alike: "order", "ordered"
SPEAKER_WORDS = frozenset({"i", "me", "myself", "i'll", "i will"})
NOBODY = """null none nobody somebody someone anyone we us you they everyone everybody team unknown unassigned n/a"""
NO_TIME = """null none unknown n/a unspecified tbd"""
COMMON = """a an and are as at be been before but by can could did do does for from had has have he her his i if in is
it its me my need next no not of on or our shall she should so some that the their them then there they this to until up
us was we were what when which who will with would you your"""
NOBODY_WORDS, NO_TIME_WORDS, COMMON_WORDS = (frozenset(words.split()) for words in (NOBODY, NO_TIME, COMMON))


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


def ground(draft: Draft, lines: Sequence[Line]) -> Grounded | None:
    """Compares one note with the lines that the model was given; None where nothing in them speaks of it."""
    cited = _cited(draft, lines)
    if not cited:
        return None
    near = _near(cited, lines)
    return Grounded(
        kind=draft.kind,
        text=draft.text,
        spans=tuple(lines[index].span for index in cited),
        owner=said_owner(draft.owner, [lines[index] for index in cited], lines),
        deadline=said_deadline(draft.deadline, near),
    )


def said_owner(owner: str | None, cited: Sequence[Line], lines: Sequence[Line]) -> str | None:
    """An owner as people know them: a speaker's name, or words that were said; None otherwise."""
    wanted = " ".join((owner or "").split()).strip(".,;:")
    if wanted.lower() in SPEAKER_WORDS:
        return next((line.span.speaker for line in cited if re.search(r"\bI\b", line.text)), cited[0].span.speaker)
    if not wanted or wanted.lower() in NOBODY_WORDS:
        return None
    for speaker in dict.fromkeys(line.span.speaker for line in lines if line.span.speaker):
        if wanted.lower() in (speaker.lower(), speaker.lower().split()[0]):
            return speaker
    return wanted if any(_contains(line.text, wanted) for line in lines) else None


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


def _cited(draft: Draft, lines: Sequence[Line]) -> tuple[int, ...]:
    """The indices of the lines that a note rests on, in order: the best one, and the cited one if it is beside it.

    Small models count badly, so the words count more than the number: a line that shares most of them with the note
    is the best, then one that is near to where the model saw it.
    """
    at = draft.line - 1
    if not 0 <= at < len(lines):
        return ()
    if not lines[at].text:
        return (at,)  # sound without words: the model alone listened to it
    scores = [_shared(draft, line) + (abs(number - at) <= CITED_NEAR_LINES) for number, line in enumerate(lines)]
    best = max(range(len(lines)), key=lambda number: (scores[number], -abs(number - at)))
    if _shared(draft, lines[best]) < min(2, len(_stems(draft.text))) and abs(best - at) > CITED_NEAR_LINES:
        return ()
    if _shared(draft, lines[best]) == 0:
        return ()
    return tuple(sorted({best, at})) if abs(best - at) == 1 else (best,)


def _shared(draft: Draft, line: Line) -> int:
    """How much of a note's words a line has."""
    shared = len(_stems(draft.text) & _stems(line.text))
    return shared + DEADLINE_WEIGHT * (said_deadline(draft.deadline, [line]) is not None)


def _near(cited: Sequence[int], lines: Sequence[Line]) -> list[Line]:
    return list(lines[max(0, cited[0] - NEAR_LINES) : cited[-1] + NEAR_LINES + 1])


def _contains(text: str, words: str) -> bool:
    """Whether a text has these words, one behind the other."""
    return f" {' '.join(_words(words))} " in f" {' '.join(_words(text))} "


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:['’]\w+)*", text.lower())


def _stems(text: str) -> set[str]:
    """The words that say something, each by its beginning."""
    return {word[: max(MIN_STEM_CHARACTERS, len(word) - 3)] for word in _words(text) if word not in COMMON_WORDS}
