"""The form in which a model writes notes: a JSON schema for its answer, and what of an answer can be used.

A note cites the number of a line, never a time: a model that writes a time invents it. The number comes first, so that
the words that follow rest on it; then the model says how things stand, so that what is no decision, no task or no open
question can be left out. An answer that was cut off gives the notes that were whole.
It refuses nothing: a note that is not of this form is left out. Read `grounding.py` for what becomes of the rest.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from realtime.notes.minutes import NoteKind

MAX_NOTES = 12  # of one kind, of one answer
MAX_TEXT_CHARACTERS = 240
MAX_NAME_CHARACTERS = 60  # of an owner, and of a deadline
SECTIONS: dict[str, NoteKind] = {
    "decisions": "decision",
    "action_items": "action_item",
    "open_questions": "open_question",
}
NOBODYS = "nobody yet"  # how a task stands that has no owner
STATES: dict[NoteKind, tuple[str, ...]] = {  # those that are kept come first
    "decision": ("agreed", "proposed", "taken back"),
    "action_item": ("taken on", "asked for", NOBODYS, "only if", "refused", "done"),
    "open_question": ("open", "answered", "small talk"),
}
N_KEPT: dict[NoteKind, int] = {"decision": 1, "action_item": 3, "open_question": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A note as a model wrote it, before anybody compared it with what was said.

    Attributes:
        kind: what it is.
        line: the number that it cites, from 1.
        text: in a sentence.
        owner: who is to do it, in the model's words.
        deadline: until when, in the model's words.
    """

    kind: NoteKind
    line: int
    text: str
    owner: str | None = None
    deadline: str | None = None


def answer_schema(n_lines: int) -> dict[str, Any]:
    """The schema of an answer about so many numbered lines."""
    line = {"type": "integer", "minimum": 1, "maximum": n_lines}
    text = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_CHARACTERS}
    name = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARACTERS}, {"type": "null"}]}
    sections = {
        section: _object(
            {
                "line": line,
                "text": text,
                "state": {"enum": list(STATES[kind])},
                **({"owner": name, "deadline": name} if kind == "action_item" else {}),
            }
        )
        for section, kind in SECTIONS.items()
    }
    return _object({name: {"type": "array", "items": item, "maxItems": MAX_NOTES} for name, item in sections.items()})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def read_answer(answer: str) -> tuple[Draft, ...]:
    """The notes of an answer that are whole, in its order."""
    return tuple(
        draft
        for section, kind in SECTIONS.items()
        for written in _whole_objects(answer, section)
        if (draft := _draft(kind, written)) is not None
    )


def is_whole(answer: str) -> bool:
    """Whether an answer is JSON to its end."""
    try:
        json.loads(answer)
    except ValueError:
        return False
    return True


def _whole_objects(answer: str, section: str) -> Iterator[Any]:
    """The objects of one list, up to its end or to where the answer breaks off."""
    begun = re.search(rf'"{section}"\s*:\s*\[', answer)
    if begun is None:
        return
    decoder, rest = json.JSONDecoder(), answer[begun.end() :].lstrip(" \n,")
    while rest.startswith("{"):
        try:
            value, end = decoder.raw_decode(rest)
        except ValueError:
            return
        yield value
        rest = rest[end:].lstrip(" \n,")


def _draft(kind: NoteKind, written: dict[str, Any]) -> Draft | None:
    line, text, state = (written.get(name) for name in ("line", "text", "state"))
    if type(line) is not int or not isinstance(text, str) or not text.strip():
        return None
    if state not in STATES[kind][: N_KEPT[kind]]:
        return None
    owner, deadline = (written.get(name) for name in ("owner", "deadline"))
    return Draft(
        kind=kind,
        line=line,
        text=" ".join(text.split()),
        owner=owner if isinstance(owner, str) and state != NOBODYS else None,
        deadline=deadline if isinstance(deadline, str) else None,
    )
