"""What a model is told when it writes notes: what counts, and one example of another subject.

The beginning is always the same, so that it is computed once. Read `schema.py` for the form of the answer.
"""

import json
from collections.abc import Callable, Sequence

from models.types import AudioClip, Message, Part
from realtime.notes.minutes import Line, Span
from realtime.notes.schema import line_name

SYSTEM = """You take notes of a meeting. You are given its numbered lines and write JSON: a list of notes, in order.
line: the line where it was said, and who said it.
kind: decision: what all agreed on in the end.
task: what somebody has to do after the meeting. owner: who does it, null if nobody was named. deadline: when, in \
the words that were said, null if no time was named.
open question: what was asked and nobody could answer.
maybe: what somebody would do only in some case. done: what was done before. small talk: what is not the subject."""

EXAMPLE_LINES = """[1 Nora] How was your holiday?
[2 Peter] Wonderful, thank you. So, the garden party. Shall we have it in June?
[3 Nora] June is too wet. I would rather take the first of July.
[4 Peter] All right, the first of July then.
[5 Nora] I will order the tents by next Monday.
[6 Peter] If it gets cold, I could bring heaters.
[7 Nora] We will see. Somebody has to write the invitations.
[8 Peter] True. Sam, could you call the baker before Friday?
[9 Sam] Yes, I can do that.
[10 Nora] I paid the band last week.
[11 Peter] How many guests will come?
[12 Nora] I have no idea yet."""

EXAMPLE_ANSWER = {
    "notes": [
        {"line": "1 Nora", "kind": "small talk", "text": "Nora asks about the holiday."},
        {"line": "4 Peter", "kind": "decision", "text": "The garden party is on the first of July."},
        {
            "line": "5 Nora",
            "kind": "task",
            "text": "Order the tents.",
            "owner": "Nora",
            "deadline": "by next Monday",
        },
        {"line": "6 Peter", "kind": "maybe", "text": "Bring heaters if it gets cold."},
        {"line": "7 Nora", "kind": "task", "text": "Write the invitations.", "owner": None, "deadline": None},
        {"line": "8 Peter", "kind": "task", "text": "Call the baker.", "owner": "Sam", "deadline": "before Friday"},
        {"line": "10 Nora", "kind": "done", "text": "The band is paid."},
        {"line": "11 Peter", "kind": "open question", "text": "How many guests will come?"},
    ]
}

SUMMARISE = "Now write a summary of this part of the meeting in one to three sentences of plain text, without a list."
SUMMARISE_ALL = """These are the summaries of the parts of one meeting, in order:
{parts}
Write one summary of the whole meeting in two to four sentences of plain text, without a list."""


def notes_prompt(
    lines: Sequence[Line], context: str = "", sound: Callable[[Span], AudioClip | None] | None = None
) -> tuple[Message, ...]:
    """Asks for the notes of some lines, which are numbered from 1.

    Args:
        lines: at least one.
        context: what the meeting is about, from a person; "" if nobody said.
        sound: gives the sound of a line to a model that listens itself; None sends the words alone.
    """
    return (
        Message("system", (SYSTEM,)),
        Message("user", (EXAMPLE_LINES,)),
        Message("assistant", (json.dumps(EXAMPLE_ANSWER),)),
        Message("user", _written(lines, context, sound)),
    )


def summary_prompt(asked: Sequence[Message], answer: str) -> tuple[Message, ...]:
    """Asks for a summary behind the notes, so that the lines need not be computed again."""
    return (*asked, Message("assistant", (answer,)), Message("user", (SUMMARISE,)))


def joined_summary_prompt(parts: Sequence[str]) -> tuple[Message, ...]:
    """Asks for one summary of several."""
    return (Message("user", (SUMMARISE_ALL.format(parts="\n".join(f"- {part}" for part in parts)),)),)


def _written(lines: Sequence[Line], context: str, sound: Callable[[Span], AudioClip | None] | None) -> tuple[Part, ...]:
    head = f"About this meeting: {context}\n\n" if context else ""
    texts = [f"[{line_name(number, line)}] {line.text}" for number, line in enumerate(lines, 1)]
    if sound is None:
        return (head + "\n".join(texts),)
    parts: list[Part] = [head] if head else []
    for line, text in zip(lines, texts, strict=True):
        clip = sound(line.span)
        parts += [text] if clip is None else [text, clip]
    return tuple(parts)
