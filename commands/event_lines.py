"""What a terminal shows of a session's events, one line each; an answer's text stands between them as it comes.

Text that may still be taken back stands in brackets, dim where the terminal can, and a line says so if it is.
Read `realtime/events.py` for the events.
"""

from typing import Any

from rich.console import Console

from realtime.doors.event_text import to_wire
from realtime.events import (
    ConversationWindow,
    ResponseDelta,
    ResponseRetracted,
    SessionEvent,
    SessionMetricsReported,
)

FOR_THE_PAGE = (ConversationWindow, SessionMetricsReported)  # too long for a terminal after each answer
DIGITS = 3  # behind the point: milliseconds
RETRACTED = "what stands in brackets above is taken back"


class EventLines:
    """Shows one event after another.

    Args:
        console: where; stdout if not given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._in_brackets = False

    def show(self, event: SessionEvent) -> None:
        """Shows one, unless it is for the page alone."""
        if isinstance(event, FOR_THE_PAGE):
            return
        if isinstance(event, ResponseDelta):
            self._show_text(event)
            return
        self._leave_brackets()
        wire = {name: value for name, value in to_wire(event).items() if name != "logprobs" and value is not None}
        line = f"\n  {wire.pop('type')}  " + "  ".join(f"{name}={_short(value)}" for name, value in wire.items())
        self._write(f"{line}  ({RETRACTED})\n" if isinstance(event, ResponseRetracted) else f"{line}\n")

    def _show_text(self, delta: ResponseDelta) -> None:
        if not delta.provisional:
            self._leave_brackets()
            self._write(delta.delta)
            return
        self._write(delta.delta if self._in_brackets else f"[{delta.delta}", style="dim")
        self._in_brackets = True

    def _leave_brackets(self) -> None:
        if self._in_brackets:
            self._write("]", style="dim")
            self._in_brackets = False

    def _write(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, end="", markup=False, emoji=False, soft_wrap=True)
        self._console.file.flush()


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(inner) for name, inner in value.items()}
    return round(value, DIGITS) if isinstance(value, float) else value
