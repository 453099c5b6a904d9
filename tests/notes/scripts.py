"""Lines and models for tests of notes."""

import json

from models.scripted import ScriptedModel
from realtime.notes.minutes import Line, Span


def lines(*said: str) -> list[Line]:
    """Lines of "Anna: words", five seconds after each other and four long; "words" alone: nobody knows who speaks."""
    made = []
    for number, line in enumerate(said):
        speaker, colon, text = line.partition(": ")
        span = Span(start_s=5.0 * number, end_s=5.0 * number + 4.0, speaker=speaker if colon else None)
        made.append(Line(span=span, text=text if colon else line))
    return made


def note(kind: str, text: str, owner: str | None = None, deadline: str | None = None) -> str:
    """A note as a model writes it."""
    names = {"owner": owner, "deadline": deadline} if kind == "task" else {}
    return json.dumps({"kind": kind, "text": text, **names})


NOTHING = json.dumps({"kind": "nothing"})


def model_of(*answers: str) -> ScriptedModel:
    """A model that gives these answers one after the other."""
    return ScriptedModel([[text] for text in answers])
