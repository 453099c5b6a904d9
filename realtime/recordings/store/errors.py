"""What goes wrong with a store, in one sentence for a person; no words of a conversation are ever in it."""


class StoreError(Exception):
    """A store that cannot be used, or something that is not in it; the message names it and says what to do."""


class TracesLeft(StoreError):
    """What was to be deleted is gone, but not yet all that is left of it in the files; the message says until when."""


class NoWords(StoreError):
    """There is no word to search for."""


class NotStored(StoreError):
    """There is no such conversation, or no such part of one."""
