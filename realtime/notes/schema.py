"""The form in which a model writes notes: a JSON schema for its answer, and what of an answer can be used.

The notes are one list in the order of the lines. Each cites a line by its number and speaker, never by a time: a model
that writes a time invents it. The line comes first, so that the words that follow rest on it. What somebody would do
only in some case, and what is done already, have kinds of their own, so that a model need not call them tasks; they are
left out. An answer that was cut off gives the notes that were whole.
It refuses nothing: a note that is not of this form is left out. Read `grounding.py` for what becomes of the rest.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from realtime.notes.minutes import Line, NoteKind

MAX_NOTES = 24  # of one answer
MAX_TEXT_CHARACTERS = 240
MAX_NAME_CHARACTERS = 60  # of an owner, and of a deadline
KINDS: dict[str, NoteKind] = {"decision": "decision", "task": "action_item", "open question": "open_question"}
LEFT_OUT = ("maybe", "done", "small talk")
UNKNOWN_SPEAKER = "somebody"


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


def line_name(number: int, line: Line) -> str:
    """How a line is named in the prompt and in the answer: "7 Anna"."""
    return f"{number} {line.span.speaker or UNKNOWN_SPEAKER}"


def answer_schema(lines: Sequence[Line]) -> dict[str, Any]:
    """The schema of an answer about lines that are numbered from 1."""
    cited = {"enum": [line_name(number, line) for number, line in enumerate(lines, 1)]}
    text = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT_CHARACTERS}
    name = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARACTERS}, {"type": "null"}]}
    task = _object({"line": cited, "kind": {"const": "task"}, "text": text, "owner": name, "deadline": name})
    others = [kind for kind in (*KINDS, *LEFT_OUT) if kind != "task"]
    other = _object({"line": cited, "kind": {"enum": others}, "text": text})
    return _object({"notes": {"type": "array", "items": {"anyOf": [task, other]}, "maxItems": MAX_NOTES}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def read_answer(answer: str) -> tuple[Draft, ...]:
    """The notes of an answer that are whole, in its order."""
    drafts = (_draft(written) for written in _whole_objects(answer))
    return tuple(draft for draft in drafts if draft is not None)


def is_whole(answer: str) -> bool:
    """Whether an answer is JSON to its end."""
    try:
        json.loads(answer)
    except (ValueError, RecursionError):
        return False
    return True


def _whole_objects(answer: str) -> Iterator[Any]:
    """The objects of the list, up to its end or to where the answer breaks off."""
    begun = re.search(r'"notes"\s*:\s*\[', answer)
    if begun is None:
        return
    decoder, rest = json.JSONDecoder(), answer[begun.end() :].lstrip(" \n,")
    while rest.startswith("{"):
        try:
            value, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError):
            return
        yield value
        rest = rest[end:].lstrip(" \n,")


def _draft(written: dict[str, Any]) -> Draft | None:
    cited, kind, text, owner, deadline = (
        value if isinstance(value := written.get(name), str) else None
        for name in ("line", "kind", "text", "owner", "deadline")
    )
    number = re.match(r"\d{1,6}(?=\s)", cited or "")
    if number is None or kind not in KINDS or text is None or not text.strip():
        return None
    shown = " ".join(text.split())
    return Draft(kind=KINDS[kind], line=int(number[0]), text=shown, owner=owner, deadline=deadline)
