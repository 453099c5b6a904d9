"""What ends a command before its work is done. `app.py` prints the message and turns it into an exit status."""


class UsageError(Exception):
    """Something the person at the command line can mend."""


class NothingUnderstood(Exception):
    """A recording has no words, or none that are understood."""
