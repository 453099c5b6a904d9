"""What minutes are made of: lines that were said, and notes that lead back to them.

All of it is frozen, and knows no model, no file and no wire. Times are seconds from the beginning of a recording or
of a call. Read `schema.py` for the form in which a model writes notes, `writing.py` for what people are given.
"""

from dataclasses import dataclass
from typing import Literal

from models.types import Word

NoteKind = Literal["summary", "decision", "action_item", "open_question"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of the sound.

    Attributes:
        start_s: where it begins.
        end_s: where it ends.
        speaker: who speaks in it, as people name the speaker; None: not known.
    """

    start_s: float
    end_s: float
    speaker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one speaker said without a longer pause.

    Attributes:
        span: where, and who.
        text: the words as the ears, or the model, wrote them down; "": somebody spoke, and no words were understood.
        words: the same one by one, timed as the span is; none where that is not known.
    """

    span: Span
    text: str
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing that is worth keeping.

    Attributes:
        id: names it within its minutes, and stays when it is edited.
        kind: what it is.
        text: in a sentence.
        spans: the sound that it rests on, in order; at least one.
        owner: who is to do it, of an action item; None: nobody was named.
        deadline: until when, in the words that were said; None: no time was named.
        is_done: an action item that a person has ticked.
    """

    id: str
    kind: NoteKind
    text: str
    spans: tuple[Span, ...]
    owner: str | None = None
    deadline: str | None = None
    is_done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Minutes:
    """What is kept of one recording, or of one call.

    Attributes:
        title: of the recording; its file's name if nothing better is known.
        duration_s: its length.
        notes: in the order of what they rest on, each kind for itself.
        lines: all that was said, in order.
        remarks: sentences that a person should read beside them: what could not be judged, what was lost.
    """

    title: str
    duration_s: float
    notes: tuple[Note, ...] = ()
    lines: tuple[Line, ...] = ()
    remarks: tuple[str, ...] = ()
