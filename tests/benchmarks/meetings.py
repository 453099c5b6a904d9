"""Scripted meetings: who says what in which voice, what was agreed on, and which notes of it count as right.

A file of meetings has for each `== Title`, then `Name (voice): words` in order, then the truth, a line each:
`-> decision | lines | words`, `-> question | lines | words`, `-> task | lines | owner | deadline | words`; lines are
counted from 1, `-` is nobody and no time, and `/` stands between words of which one is enough.

A note is right if it is of the same kind, one of its spans is one of these lines, and its text has one of the words;
a task, if its owner and its deadline are right besides: compared in small letters, without "by", "on" and the like
before them and without articles. A truth counts as found once, by the first note that is right.
Read `bench_notes.py` for who is judged.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from realtime.notes.minutes import Note, NoteKind

KINDS: dict[str, NoteKind] = {"decision": "decision", "task": "action_item", "question": "open_question"}
BEFORE_A_TIME = re.compile(r"^(by|until|till|on|at|in|before|no later than|due|within)\s+")
ARTICLES = re.compile(r"\b(the|a|an|of)\b\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One line of a script."""

    speaker: str
    voice: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One thing that a note should say.

    Attributes:
        kind: of the note.
        lines: one of which it must rest on, from 1.
        words: one of which its text must have.
        owner: of a task; None: nobody was named.
        deadline: of a task; None: no time was named.
    """

    kind: NoteKind
    lines: tuple[int, ...]
    words: tuple[str, ...]
    owner: str | None = None
    deadline: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """A script and its truths."""

    title: str
    spoken: tuple[Spoken, ...]
    truths: tuple[Truth, ...]


@dataclass(slots=True)
class Score:
    """Notes that were counted: those that are right, all that were written, all that should have been."""

    n_right: int = 0
    n_written: int = 0
    n_true: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        """The share of what was written that is right; 1 where nothing was."""
        return self.n_right / self.n_written if self.n_written else 1.0

    @property
    def recall(self) -> float:
        """The share of what should have been written that was."""
        return self.n_right / self.n_true if self.n_true else 1.0


def read_meetings(file: Path) -> tuple[Meeting, ...]:
    """Reads a file of meetings.

    Raises:
        ValueError: a line is of no known form.
    """
    meetings = []
    for block in re.split(r"^== ", file.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        title, *lines = (line.strip() for line in block.splitlines() if line.strip())
        spoken = tuple(_read_spoken(line) for line in lines if not line.startswith("->"))
        truths = tuple(_read_truth(line) for line in lines if line.startswith("->"))
        meetings.append(Meeting(title=title, spoken=spoken, truths=truths))
    return tuple(meetings)


def _read_spoken(line: str) -> Spoken:
    found = re.fullmatch(r"(\w+) \((\w+)\): (.+)", line)
    if found is None:
        raise ValueError(f"no line of a meeting: {line}")
    return Spoken(speaker=found[1], voice=found[2], text=found[3])


def _read_truth(line: str) -> Truth:
    kind, lines, *names, words = (part.strip() for part in line.removeprefix("->").split("|"))
    if kind not in KINDS or len(names) != (2 if kind == "task" else 0):
        raise ValueError(f"no truth of a meeting: {line}")
    owner, deadline = (None if name == "-" else name for name in names or ("-", "-"))
    numbers = tuple(int(number) for number in lines.split(","))
    return Truth(kind=KINDS[kind], lines=numbers, words=tuple(words.lower().split("/")), owner=owner, deadline=deadline)


def count(
    score: Score,
    kind: NoteKind,
    notes: Sequence[Note],
    truths: Sequence[Truth],
    places_s: Sequence[tuple[float, float]],
) -> None:
    """Compares notes of one kind with the truths.

    Args:
        score: added to.
        kind: of the notes that are looked at.
        notes: of one meeting.
        truths: of the same.
        places_s: where each line of the script was said, first line first.
    """
    written = [note for note in notes if note.kind == kind]
    left = [truth for truth in truths if truth.kind == kind]
    score.n_written += len(written)
    score.n_true += len(left)
    for note in written:
        right = next((truth for truth in left if is_right(note, truth, places_s)), None)
        if right is None:
            score.wrong.append(f"wrong: {note.text} ({note.owner}, {note.deadline})")
        else:
            left.remove(right)
            score.n_right += 1
    score.wrong += [f"missing: {truth.words[0]} ({truth.owner}, {truth.deadline})" for truth in left]


def is_right(note: Note, truth: Truth, places_s: Sequence[tuple[float, float]]) -> bool:
    """Whether a note says what a truth asks for."""
    said_s = [places_s[number - 1] for number in truth.lines]
    rests_on_it = any(start_s < span.end_s and span.start_s < end_s for span in note.spans for start_s, end_s in said_s)
    has_words = any(word in note.text.lower() for word in truth.words)
    names_are_right = normalised(note.owner) == normalised(truth.owner) and normalised(note.deadline) == normalised(
        truth.deadline
    )
    return rests_on_it and has_words and names_are_right


def normalised(name: str | None) -> str:
    """An owner or a deadline as it is compared: "by the end of May" is "end may"."""
    text = re.sub(r"[^\w\s]", "", (name or "").lower()).strip()
    return ARTICLES.sub("", BEFORE_A_TIME.sub("", text)).strip()
