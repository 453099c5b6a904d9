"""Parsers of options that several commands share.

`parser.py` says which options there are, `environment.py` gives each of them a variable.
"""

import argparse
from typing import Any


class Options(argparse.ArgumentParser):
    """Options that may stand before a command or behind it; behind it only those that are given count.

    Args:
        behind: whether these are the ones behind.

    Attributes:
        added: the options, in order.
    """

    def __init__(self, *, behind: bool = False) -> None:
        self.added: list[argparse.Action] = []
        super().__init__(add_help=False)
        self._behind = behind

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Adds one, whose default is the one before the command."""
        if self._behind:
            settings["help"] = settings["help"].replace("%(default)s", str(settings.get("default")).replace("%", "%%"))
            settings["default"] = argparse.SUPPRESS
        self.added.append(super().add_argument(*names, **settings))
        return self.added[-1]


class CommandParser(argparse.ArgumentParser):
    """The parser of a command, whose options may stand anywhere: also between a file and the question about it."""

    _is_inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Reads the arguments, first the options and then the rest."""
        if self._is_inside or self._subparsers is not None:  # what stands behind another command is that one's
            return super().parse_known_args(args, namespace)
        self._is_inside = True
        return self.parse_known_intermixed_args(args, namespace)
