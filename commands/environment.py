"""Options from the environment: `EARPIECE_MAX_SESSIONS=4` is `--max-sessions 4`.

Every option that may stand before a command has a variable, and its name follows from the option's; what is given on
the command line wins. A switch takes 1 or 0, an option that may be repeated takes several values with spaces between.
A variable that is empty counts as not set. It refuses a variable that no option has, and a value that the option would
refuse, and names the variable. A secret has a variable and no option. Nothing is read here: `app.py` gives the
environment.
Read `space.py` for what a Hugging Face Space sets, `parser.py` for the options.
"""

import argparse
import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from commands.errors import UsageError
from commands.options import Options

PREFIX = "EARPIECE_"
ENGINE_KEY, TOKEN_SECRET = "EARPIECE_ENGINE_KEY", "EARPIECE_TOKEN_SECRET"
SECRETS = (ENGINE_KEY, TOKEN_SECRET)  # no options: a command line is seen by everybody on the machine
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def variable_of(option: argparse.Action) -> str:
    """The variable of an option: `EARPIECE_MAX_SESSIONS` of `--max-sessions`."""
    return _variable(max(option.option_strings, key=len))


def name_variables(message: str, environment: Mapping[str, str]) -> str:
    """Adds to a message about options which of them the environment has set."""
    variables = [_variable(name) for name in dict.fromkeys(re.findall(r"--[a-z]+[a-z-]*", message))]
    named = [variable for variable in variables if environment.get(variable)]
    return f"{message} (set in the environment: {', '.join(named)})" if named else message


def _variable(name: str) -> str:
    return PREFIX + name.lstrip("-").replace("-", "_").upper()


def defaults_from(environment: Mapping[str, str], parsers: Sequence[Options]) -> dict[str, Any]:
    """Gives the options that the environment sets, as an argument parser would have read them.

    Args:
        environment: names and values; only names that begin with `EARPIECE_` are looked at.
        parsers: hold the options.

    Raises:
        UsageError: there is no option of that name, or it does not take this value.
    """
    reader = _Reader(add_help=False, parents=list(parsers))
    options = {variable_of(option): option for parser in parsers for option in parser.added}
    found: dict[str, Any] = {}
    for variable in sorted(name for name in environment if name.startswith(PREFIX) and environment[name].strip()):
        if variable in SECRETS:
            continue
        if variable not in options:
            raise UsageError(f"{variable}: there is no such option{_similar(variable, options)}")
        option = options[variable]
        try:
            read = reader.parse_args(_as_arguments(option, environment[variable].strip()))
        except ValueError as error:
            raise UsageError(f"{variable}: {error}") from None
        found[option.dest] = getattr(read, option.dest)
    return found


class _Reader(argparse.ArgumentParser):
    """A parser that raises what it refuses, instead of ending the program."""

    def error(self, message: str) -> NoReturn:
        """Raises the refusal, without the option that nobody has typed."""
        raise ValueError(message.partition(": ")[2] or message)


def _as_arguments(option: argparse.Action, value: str) -> list[str]:
    """What somebody would have typed."""
    name = max(option.option_strings, key=len)
    if option.nargs == 0:
        if value.lower() not in (*YES, *NO):
            raise ValueError(f"{value!r} is neither yes nor no; give 1 or 0")
        return [name] if value.lower() in YES else []
    values = value.split() if isinstance(option.default, list) and option.type is None else [value]
    return [f"{name}={each}" for each in values]


def _similar(variable: str, options: Mapping[str, Any]) -> str:
    names = [option.removeprefix(PREFIX) for option in options]
    close = difflib.get_close_matches(variable.removeprefix(PREFIX), names, 1)
    return f"; is {PREFIX}{close[0]} meant?" if close else "; `python app.py --help` lists the options"
