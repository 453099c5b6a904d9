"""What is kept of a recording or a call while notes come, and what people have done with them.

A note that a person edited is never written over, and one that a person removed does not come back, however often the
model finds it again. It is pure: what goes in is unchanged. Read `noting.py` for where notes come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from realtime.notes.grounding import Grounded, alike
from realtime.notes.minutes import Note, Span

SAME_SHARE = 0.6  # of the words of the shorter of two notes, from which on they say the same
SAME_PLACE_SHARE = 0.3  # the same for notes that rest on a common line, and for decisions that follow each other
NEAR_S = 15.0  # between two such decisions: people propose, agree and change their mind
KIND_ORDER = ("summary", "decision", "action_item", "open_question")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Notes, and what people did with them.

    Attributes:
        notes: in order.
        edited: the ids of those that a person changed.
        removed: those that a person took away.
    """

    notes: tuple[Note, ...] = ()
    edited: frozenset[str] = frozenset()
    removed: tuple[Note, ...] = ()


def edit(kept: Kept, note_id: str, **changes: Any) -> Kept:
    """Changes a note as a person wants it; `changes` are fields of `Note`: text, owner, deadline, is_done.

    Raises:
        KeyError: there is no such note.
    """
    changed = replace(_find(kept, note_id), **changes)
    notes = tuple(changed if note.id == note_id else note for note in kept.notes)
    return replace(kept, notes=notes, edited=kept.edited | {note_id})


def remove(kept: Kept, note_id: str) -> Kept:
    """Takes a note away for good.

    Raises:
        KeyError: there is no such note.
    """
    gone = _find(kept, note_id)
    notes = tuple(note for note in kept.notes if note.id != note_id)
    return replace(kept, notes=notes, edited=kept.edited - {note_id}, removed=(*kept.removed, gone))


def add(kept: Kept, found: Sequence[Grounded]) -> Kept:
    """Takes what a model found; the same thing in newer words takes the place of the older."""
    for one in found:
        kept = _add_one(kept, one)
    notes = sorted(kept.notes, key=lambda note: (KIND_ORDER.index(note.kind), note.spans[0].start_s))
    return replace(kept, notes=tuple(notes))


def _find(kept: Kept, note_id: str) -> Note:
    for note in kept.notes:
        if note.id == note_id:
            return note
    raise KeyError(note_id)


def _add_one(kept: Kept, found: Grounded) -> Kept:
    if any(_is_same(note, found, is_edited=False) for note in kept.removed):
        return kept
    for at, note in enumerate(kept.notes):
        if not _is_same(note, found, is_edited=note.id in kept.edited):
            continue
        if note.id in kept.edited:
            return kept
        newer = replace(
            note,
            text=found.text,
            spans=_joined(note.spans, found.spans),
            owner=found.owner or note.owner,
            deadline=found.deadline or note.deadline,
        )
        return replace(kept, notes=(*kept.notes[:at], newer, *kept.notes[at + 1 :]))
    new = Note(
        id=_new_id(kept),
        kind=found.kind,
        text=found.text,
        spans=found.spans,
        owner=found.owner,
        deadline=found.deadline,
    )
    return replace(kept, notes=(*kept.notes, new))


def _is_same(note: Note, found: Grounded, *, is_edited: bool) -> bool:
    if note.kind != found.kind:
        return False
    if note.kind == "summary":
        return True
    share = alike(note.text, found.text)
    if {span.start_s for span in note.spans} & {span.start_s for span in found.spans}:
        return is_edited or share >= SAME_PLACE_SHARE
    if note.kind == "decision" and abs(found.spans[0].start_s - note.spans[-1].end_s) <= NEAR_S:
        return share >= SAME_PLACE_SHARE
    if note.owner and found.owner and note.owner != found.owner:
        return False
    return share == 1 if note.kind == "open_question" else share >= SAME_SHARE


def _joined(older: Sequence[Span], newer: Sequence[Span]) -> tuple[Span, ...]:
    by_place = {(span.start_s, span.end_s, span.speaker): span for span in (*older, *newer)}
    return tuple(sorted(by_place.values(), key=lambda span: span.start_s))


def _new_id(kept: Kept) -> str:
    """A name that no note here ever had."""
    numbers = [int(note.id.rpartition("_")[2]) for note in (*kept.notes, *kept.removed) if _is_numbered(note.id)]
    return f"note_{max(numbers, default=0) + 1}"


def _is_numbered(note_id: str) -> bool:
    return note_id.rpartition("_")[2].isdecimal()
