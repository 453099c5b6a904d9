"""The command line: `python app.py` serves the page, `python app.py --help` lists the other commands.

It runs one command of `commands/` and turns what ended it into an exit status. This is the only module that reads the
environment.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from commands.environment import name_variables
from commands.errors import NothingUnderstood, UsageError
from commands.parser import build_parser
from models.errors import ModelError
from realtime.hearing.files import AudioFileError
from realtime.logs import formatter_of

EXIT_OK, EXIT_USER_ERROR, EXIT_NO_SPEECH, EXIT_INTERRUPTED = 0, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives the exit code; unless it is 0, with one line on stderr that says why."""
    log = _log_to_stderr()
    try:
        options = build_parser(os.environ).parse_args(arguments)
        log.setFormatter(formatter_of(options.log_format))
        if options.verbose:
            for name in ("realtime", "models"):
                logging.getLogger(name).setLevel(logging.INFO)
        with _temporary_folder():
            if options.needs_weights and options.cache_dir is None:
                options.cache_dir = default_cache_dir()
            options.command(options)
    except (UsageError, ModelError, AudioFileError) as error:
        why = error.detail if isinstance(error, ModelError) else str(error)
        print(f"earpiece: {name_variables(why, os.environ)}", file=sys.stderr)
        return EXIT_USER_ERROR
    except NothingUnderstood as reason:
        print(f"earpiece: {reason}", file=sys.stderr)
        return EXIT_NO_SPEECH
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_OK


@contextmanager
def _temporary_folder() -> Iterator[None]:
    """Gives all libraries a temporary folder of this process: in the common one, theirs might be somebody else's."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="earpiece-", ignore_cleanup_errors=True)
    except OSError as error:
        raise UsageError(f"no temporary folder ({error}); set TMPDIR to a folder that can be written") from error
    before = tempfile.tempdir
    with folder:
        tempfile.tempdir = folder.name
        try:
            yield
        finally:
            tempfile.tempdir = before


def _log_to_stderr() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(formatter_of("lines"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    return handler


def default_cache_dir() -> Path:
    """Where weights are kept unless `--cache-dir` says otherwise.

    Raises:
        UsageError: there is no home folder.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earpiece"
    except RuntimeError as error:
        raise UsageError("there is no home folder to keep weights in; give --cache-dir") from error


def leave(exit_code: int) -> NoReturn:
    """Ends the process; after Ctrl-C at once: a thread that still computes would abort it while Python ends."""
    if exit_code == EXIT_INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    sys.exit(exit_code)


if __name__ == "__main__":
    leave(main())
