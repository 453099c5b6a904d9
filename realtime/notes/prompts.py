"""What a model is told when it takes notes: what counts, and one example meeting of another subject, line by line.

It is asked about one line at a time, with those around it: small models that are to list all notes of a meeting count
lines badly and mix them up. The beginning is always the same, so that it is computed once and a line costs only itself.
Read `schema.py` for the form of the answer.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from models.types import AudioClip, Message, Part
from realtime.notes.minutes import Line, Span

BEFORE_LINES = 2  # that are shown with a line
AFTER_LINES = 1
UNKNOWN_SPEAKER = "Somebody"

SYSTEM = """You take notes of a meeting. You are given a part of it and say in JSON what one line is.
task: somebody says "I will", or is to do something after the meeting. owner: who does it, null if nobody was named. \
deadline: until when, in the words that were said, null if no time was named.
decision: it settles what all agree on, and is nobody's task.
open question: it asks something about the subject that nobody then answers.
answered question: somebody answers it. proposal: it is not settled yet. maybe: somebody would do it only in some \
case. done: it was done before. refused: somebody will not do it. nothing: small talk and all else."""

EXAMPLE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Nora: How was your holiday?", {"kind": "nothing"}),
    ("Peter: Wonderful, thank you. So, shall we have the garden party in June?", {"kind": "proposal"}),
    ("Nora: June is too wet. I would rather take the first of July.", {"kind": "proposal"}),
    (
        "Peter: All right, the first of July then.",
        {"kind": "decision", "text": "The garden party is on the first of July."},
    ),
    (
        "Nora: Good. I will order the tents by next Monday.",
        {"kind": "task", "text": "Order the tents.", "owner": "Nora", "deadline": "by next Monday"},
    ),
    ("Peter: If it gets cold, I could bring heaters.", {"kind": "maybe"}),
    (
        "Nora: We will see. Somebody has to write the invitations.",
        {"kind": "task", "text": "Write the invitations.", "owner": None, "deadline": None},
    ),
    (
        "Peter: True. Sam, could you call the baker before Friday?",
        {"kind": "task", "text": "Call the baker.", "owner": "Sam", "deadline": "before Friday"},
    ),
    ("Sam: Yes, I can do that.", {"kind": "nothing"}),
    (
        "Nora: And I can talk to the neighbours on Sunday.",
        {"kind": "task", "text": "Talk to the neighbours.", "owner": "Nora", "deadline": "on Sunday"},
    ),
    ("Nora: I paid the band last week.", {"kind": "done"}),
    ("Peter: What time does the music start?", {"kind": "answered question"}),
    ("Nora: At eight.", {"kind": "nothing"}),
    ("Peter: How many guests will come?", {"kind": "open question", "text": "How many guests will come?"}),
    ("Nora: I have no idea yet.", {"kind": "nothing"}),
)

UNASKED = (1, 8, 12, 14)  # of the example, so that most of what is asked about is something

SUMMARY_SYSTEM = "You summarise a part of a meeting in one to three sentences of plain text, without a list."
SUMMARISE_ALL = """These are the summaries of the parts of one meeting, in order:
{parts}
Write one summary of the whole meeting in two to four sentences of plain text, without a list."""

Sound = Callable[[Span], AudioClip | None]


def line_prompt(lines: Sequence[Line], at: int, context: str = "", sound: Sound | None = None) -> tuple[Message, ...]:
    """Asks what one line is.

    Args:
        lines: it and those around it.
        at: its index.
        context: what the meeting is about, from a person; "" if nobody said.
        sound: gives the sound of a line to a model that listens itself; None sends the words alone.
    """
    texts = [f"{line.span.speaker or UNKNOWN_SPEAKER}: {line.text}" for line in lines]
    about = (Message("system", (f"{SYSTEM}\n\nAbout this meeting: {context}",)) if context else _BEGINNING[0],)
    clip = None if sound is None else sound(lines[at].span)
    shown = _excerpt(texts, at)
    parts: tuple[Part, ...] = (shown,) if clip is None else (shown, clip)
    return (*about, *_BEGINNING[1:], Message("user", parts))


def summary_prompt(lines: Sequence[Line], context: str = "") -> tuple[Message, ...]:
    """Asks for a summary of some lines."""
    head = f"About this meeting: {context}\n\n" if context else ""
    said = "\n".join(f"{line.span.speaker or UNKNOWN_SPEAKER}: {line.text}" for line in lines if line.text)
    return Message("system", (SUMMARY_SYSTEM,)), Message("user", (head + said,))


def joined_summary_prompt(parts: Sequence[str]) -> tuple[Message, ...]:
    """Asks for one summary of several."""
    return (Message("user", (SUMMARISE_ALL.format(parts="\n".join(f"- {part}" for part in parts)),)),)


def _excerpt(texts: Sequence[str], at: int) -> str:
    """The line, behind those around it: what stands last is what a small model looks at."""
    around = "\n".join(texts[max(0, at - BEFORE_LINES) : at + AFTER_LINES + 1])
    return f"Part of the meeting:\n{around}\n\nThe line:\n{texts[at]}"


def _beginning() -> tuple[Message, ...]:
    texts = [text for text, _ in EXAMPLE]
    messages = [Message("system", (SYSTEM,))]
    for at, (_, answer) in enumerate(EXAMPLE):
        if at in UNASKED:
            continue
        messages += [Message("user", (_excerpt(texts, at),)), Message("assistant", (json.dumps(answer),))]
    return tuple(messages)


_BEGINNING = _beginning()
