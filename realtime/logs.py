r"""One line for each thing that is logged, whatever a client has put into it: as text, or as a JSON object.

Names, paths and the texts of errors come from clients, too, and libraries log what they were sent. A newline among them
would begin a line that looks like ours, and an escape sequence would move a terminal's cursor. So what cannot be
printed is written as Python writes it (`\n`, `\x1b`), here, where every line passes, and tracebacks are indented. In
JSON, strings hold all of it, in ASCII.
"""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["lines", "json"]

INDENT = "    "

_session: ContextVar[str | None] = ContextVar("session", default=None)


def name_session(session_id: str) -> None:
    """Says which session the present task works for, and all tasks that it begins from now on."""
    _session.set(session_id)


def formatter_of(log_format: LogFormat) -> logging.Formatter:
    """Gives what writes the log so."""
    return JsonFormatter() if log_format == "json" else OneLineFormatter("%(name)s: %(message)s")


class OneLineFormatter(logging.Formatter):
    """Formats records so that no text in them can look like another record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        """Gives the line of a record."""
        return escape(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Gives a traceback, indented."""
        return "\n".join(INDENT + escape(line) for line in super().formatException(ei).splitlines())

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """Gives a stack, indented."""
        return "\n".join(INDENT + escape(line) for line in super().formatStack(stack_info).splitlines())


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object on one line: time, level, logger, message, and the session if it has one."""

    def format(self, record: logging.LogRecord) -> str:
        """Gives the line of a record, its traceback as a string."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (session := _session.get()) is not None:
            fields["session"] = session
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        return json.dumps(fields)


def escape(text: str) -> str:
    """Writes what cannot be printed as Python does; control characters, line ends and lone surrogates among it."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
