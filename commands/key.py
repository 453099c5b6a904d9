"""`python app.py key new | list | remove`: the keys of those who may talk to a server with `--api-keys`.

A key is shown once, when it is made; the file has its hash alone. Read `realtime/doors/keys.py` for the file.
"""

import argparse
import sys
from pathlib import Path

from commands.errors import UsageError
from realtime.doors.keys import KeyFileError, add_key, read_keys, remove_key

DEFAULT_FILE = Path("earpiece.keys")


def keep_keys(options: argparse.Namespace) -> None:
    """Makes, lists or removes keys."""
    if (options.action == "list") == bool(options.name):
        whose = "takes no name" if options.name else "needs a name: whose key is it?"
        raise UsageError(f"key {options.action} {whose}")
    try:
        KEY_ACTIONS[options.action](options.file or options.api_keys or DEFAULT_FILE, options.name)
    except KeyFileError as error:
        raise UsageError(str(error)) from error


def _new(file: Path, name: str) -> None:
    print(add_key(file, name), flush=True)
    print(f"This is the key of {name}. It is shown this once; {file} has only its hash.", file=sys.stderr)


def _list(file: Path, _: str) -> None:
    for key in read_keys(file):
        print(f"{key.created}  {key.name}")


def _remove(file: Path, name: str) -> None:
    remove_key(file, name)
    print(f"The key of {name} is good no more, nor is a login with it; its conversations end.")


KEY_ACTIONS = {"new": _new, "list": _list, "remove": _remove}
