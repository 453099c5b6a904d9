"""Minutes as JSON for programs, by the schema that is published beside this file: `minutes.schema.json`.

Read `writing.py` for people.
"""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from realtime.notes.minutes import Line, Minutes, Note, Span
from realtime.notes.writing import participants

VERSION = 1  # of the form; it rises when a reader of an older one would misread it


def to_json(minutes: Minutes) -> dict[str, Any]:
    """Everything that is known, in seconds from the beginning of the recording."""
    return {
        "version": VERSION,
        "title": minutes.title,
        "duration_s": round(minutes.duration_s, 3),
        "speakers": list(participants(minutes.lines)),
        "notes": [_note(note) for note in minutes.notes],
        "lines": [line_to_json(line) for line in minutes.lines],
        "remarks": list(minutes.remarks),
    }


def minutes_schema() -> Mapping[str, Any]:
    """The published schema, draft 2020-12."""
    written = resources.files("realtime.notes").joinpath("minutes.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(written)
    return schema


def _note(note: Note) -> dict[str, Any]:
    return {
        "id": note.id,
        "kind": note.kind,
        "text": note.text,
        "owner": note.owner,
        "deadline": note.deadline,
        "is_done": note.is_done,
        "spans": [span_to_json(span) for span in note.spans],
    }


def line_to_json(line: Line) -> dict[str, Any]:
    """One line, in the same form."""
    return {**span_to_json(line.span), "text": line.text}


def span_to_json(span: Span) -> dict[str, Any]:
    """One part of the sound, in the same form."""
    return {"start_s": round(span.start_s, 3), "end_s": round(span.end_s, 3), "speaker": span.speaker}
