r"""One line for each thing that is logged, whatever a client has put into it.

Names, paths and the texts of errors come from clients, too, and libraries log what they were sent. A newline among them
would begin a line that looks like ours, and an escape sequence would move a terminal's cursor. So what cannot be
printed is written as Python writes it (`\n`, `\x1b`), here, where every line passes, and tracebacks are indented.
"""

import logging
from typing import Any

INDENT = "    "


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


def escape(text: str) -> str:
    """Writes what cannot be printed as Python does; control characters, line ends and lone surrogates among it."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
