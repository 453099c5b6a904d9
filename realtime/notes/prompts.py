"""What a model is told when it writes notes: what counts, and one example of another subject.

The beginning is always the same, so that it is computed once. Read `schema.py` for the form of the answer.
"""

import json
from collections.abc import Callable, Sequence

from models.types import AudioClip, Message, Part
from realtime.notes.minutes import Line, Span

SYSTEM = """You take notes of meetings. You are given numbered lines, each with its speaker, and write JSON.
decisions: what the people agreed on.
action_items: what somebody has to do after the meeting. owner: the name of who does it, or null if nobody was named. \
deadline: until when, in the words that were said, or null if no time was named.
open_questions: what was asked and not answered.
line: the number of the line where it was said.
state: how it stands at the end of the meeting. "only if": somebody would do it only if something else happened.
Leave out greetings and small talk. An empty list is a good answer."""

EXAMPLE_LINES = """[1] Nora: How was your holiday?
[2] Peter: Wonderful, thank you. So, the garden party. Shall we have it in June?
[3] Nora: June is too wet. I would rather take the first of July.
[4] Peter: All right, the first of July then.
[5] Nora: I will order the tents by next Monday.
[6] Peter: If it gets cold, I could bring heaters.
[7] Nora: We will see. Somebody has to write the invitations.
[8] Peter: True. Sam, could you call the baker before Friday?
[9] Sam: Yes, I can do that.
[10] Nora: I paid the band last week.
[11] Peter: How many guests will come?
[12] Nora: I have no idea yet."""

EXAMPLE_ANSWER = {
    "decisions": [
        {"line": 2, "text": "The party is in June.", "state": "taken back"},
        {"line": 4, "text": "The party is on the first of July.", "state": "agreed"},
    ],
    "action_items": [
        {"line": 5, "text": "Order the tents.", "state": "taken on", "owner": "Nora", "deadline": "by next Monday"},
        {"line": 6, "text": "Bring heaters.", "state": "only if", "owner": "Peter", "deadline": None},
        {"line": 7, "text": "Write the invitations.", "state": "nobody yet", "owner": None, "deadline": None},
        {"line": 8, "text": "Call the baker.", "state": "asked for", "owner": "Sam", "deadline": "before Friday"},
        {"line": 10, "text": "Pay the band.", "state": "done", "owner": "Nora", "deadline": None},
    ],
    "open_questions": [{"line": 11, "text": "How many guests will come?", "state": "open"}],
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
    texts = [f"[{number}] {line.span.speaker or 'somebody'}: {line.text}" for number, line in enumerate(lines, 1)]
    if sound is None:
        return (head + "\n".join(texts),)
    parts: list[Part] = [head] if head else []
    for line, text in zip(lines, texts, strict=True):
        clip = sound(line.span)
        parts += [text] if clip is None else [text, clip]
    return tuple(parts)
