"""The form in which a model says what one line is: a JSON schema for its answer, and what of an answer can be used.

The kind comes first. What somebody would do only in some case, what is done already and what was refused have kinds of
their own, so that a model need not call them tasks; they are left out. It refuses nothing: an answer that is not of
this form is no note. Read `grounding.py` for what becomes of the rest.
"""

import json
from dataclasses import dataclass
from typing import Any

from realtime.notes.minutes import NoteKind

MAX_TEXT_CHARACTERS = 200
MAX_NAME_CHARACTERS = 60  # of an owner, and of a deadline
KINDS: dict[str, NoteKind] = {"decision": "decision", "task": "action_item", "open question": "open_question"}
LEFT_OUT = ("nothing", "proposal", "maybe", "done", "refused", "answered question")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A note as a model wrote it, before anybody compared it with what was said.

    Attributes:
        kind: what it is.
        text: in a sentence.
        owner: who is to do it, in the model's words.
        deadline: until when, in the model's words.
    """

    kind: NoteKind
    text: str
    owner: str | None = None
    deadline: str | None = None


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _answer_schema() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_CHARACTERS}
    name = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARACTERS}, {"type": "null"}]}
    task = _object({"kind": {"const": "task"}, "text": text, "owner": name, "deadline": name})
    other = _object({"kind": {"enum": [kind for kind in KINDS if kind != "task"]}, "text": text})
    return {"anyOf": [task, other, _object({"kind": {"enum": list(LEFT_OUT)}})]}


ANSWER_SCHEMA = _answer_schema()


def read_answer(answer: str) -> Draft | None:
    """The note that an answer is; None where it is none."""
    try:
        written = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if not isinstance(written, dict):
        return None
    kind, text, owner, deadline = (
        value if isinstance(value := written.get(name), str) else None for name in ("kind", "text", "owner", "deadline")
    )
    if kind not in KINDS or text is None or not text.strip():
        return None
    return Draft(kind=KINDS[kind], text=" ".join(text.split()), owner=owner, deadline=deadline)


def is_whole(answer: str) -> bool:
    """Whether an answer is JSON to its end."""
    try:
        json.loads(answer)
    except (ValueError, RecursionError):
        return False
    return True
