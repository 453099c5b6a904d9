"""Writes minutes down for people, in Markdown.

What people said or a model wrote may look like Markdown; it is escaped, so that it stays what it is. Read
`published.py` for programs, `subtitles.py` for players.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from realtime.notes.minutes import Line, Minutes, Note, Span

HEADINGS = {
    "summary": "Summary",
    "decision": "Decisions",
    "action_item": "Action items",
    "open_question": "Open questions",
}
NONE_YET = {"decision": "None was found.", "action_item": "None was found.", "open_question": "None was found."}
MARKUP = re.compile(r"([\\`*_\[\]<>#|])")


def to_markdown(minutes: Minutes, *, date: str | None = None, with_transcript: bool = False) -> str:
    """The minutes as a person reads them.

    Args:
        minutes: of one recording.
        date: when it was made, as it is to be read; None if nobody knows.
        with_transcript: whether all lines stand behind the notes.
    """
    parts = [f"# {_plain(minutes.title)}", *_head(minutes, date)]
    for kind, heading in HEADINGS.items():
        parts += _section(heading, kind, [note for note in minutes.notes if note.kind == kind])
    if minutes.remarks:
        parts += ["## Remarks", "\n".join(f"- {_plain(remark)}" for remark in minutes.remarks)]
    if with_transcript:
        parts += ["## Transcript", *(_said(line) for line in minutes.lines if line.text)]
    return "\n\n".join(parts) + "\n"


def participants(lines: Iterable[Line]) -> tuple[str, ...]:
    """Who spoke, in the order in which they began."""
    return tuple(dict.fromkeys(line.span.speaker for line in lines if line.span.speaker))


def clock(seconds: float) -> str:
    """A position as people write it: 0:07, 12:03, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _head(minutes: Minutes, date: str | None) -> Iterator[str]:
    facts = [date] if date else []
    facts.append(f"{clock(minutes.duration_s)} long")
    speakers = participants(minutes.lines)
    if speakers:
        facts.append(f"participants: {', '.join(map(_plain, speakers))}")
    yield "; ".join(facts)


def _section(heading: str, kind: str, notes: Sequence[Note]) -> list[str]:
    if kind == "summary":
        return [f"## {heading}", *(_plain(note.text) for note in notes)] if notes else []
    if not notes:
        return [f"## {heading}", NONE_YET[kind]]
    return [f"## {heading}", "\n".join(_item(note) for note in notes)]


def _item(note: Note) -> str:
    box = f"[{'x' if note.is_done else ' '}] " if note.kind == "action_item" else ""
    terms = [name for name in (note.owner, note.deadline) if name]
    named = f" ({_plain(', '.join(terms))})" if terms else ""
    return f"- {box}{_plain(note.text)}{named} {', '.join(map(_place, note.spans))}"


def _place(span: Span) -> str:
    return f"[{clock(span.start_s)}–{clock(span.end_s)}]"


def _said(line: Line) -> str:
    speaker = f"**{_plain(line.span.speaker)}** " if line.span.speaker else ""
    return f"{speaker}{_place(line.span)} {_plain(line.text)}"


def _plain(text: str) -> str:
    """Text that no reader of Markdown takes for more."""
    return MARKUP.sub(r"\\\1", " ".join(text.split()))
