"""Keys: who may come in, in a file of names and hashes that only its owner can read.

    # earpiece keys: name, SHA-256 of the key, day on which it was made
    anna sha256:9f86d081884c7d65... 2026-11-27

A key is 256 random bits, so its plain SHA-256 is enough: nobody can try that many. (A password would need a slow hash,
for people choose few of those.) The file itself never holds a key. A server looks at each request whether the file has
changed; a new version that cannot be read is logged, and the one before goes on.
Read `commands/key.py` for the commands that write it, `gate.py` for who asks.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from realtime.doors.callers import Owner

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

PREFIX = "ep_"  # by which people, and scanners of source text, recognise a key
KEY_BYTES = 32
MAX_KEY_CHARACTERS = 200
MAX_FILE_BYTES = 1_000_000  # about 9000 keys
ID_CHARACTERS = 16  # of a hash, which name one key among all that have ever had its name
HEAD = "# earpiece keys: name, SHA-256 of the key, day on which it was made\n"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LINE = re.compile(rf"({_NAME.pattern})\s+sha256:([0-9a-f]{{64}})\s+(\d{{4}}-\d\d-\d\d)")
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP  # a group may read it, as a container's mounted secret is; nobody else


class KeyFileError(Exception):
    """The file of keys cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of one key.

    Attributes:
        name: of whoever has it.
        digest: its SHA-256, in hexadecimal digits.
        created: the day on which it was made.
    """

    name: str
    digest: str
    created: str

    @property
    def id(self) -> str:
        """Tells it from an earlier or later key of the same name."""
        return self.digest[:ID_CHARACTERS]

    def line(self) -> str:
        """Gives its line in the file."""
        return f"{self.name} sha256:{self.digest} {self.created}\n"


def read_keys(path: Path) -> tuple[Key, ...]:
    """Reads a file of keys; one without any is no error here.

    Raises:
        KeyFileError: it is not there, not private, or no such file.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if os.name == "posix" and found.st_mode & _TOO_OPEN:
                raise KeyFileError(f"{path}: others can read or change it; make it private with chmod 600 {path}")
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        hint = "; make a first key with: python app.py key new NAME" if isinstance(error, FileNotFoundError) else ""
        raise KeyFileError(f"{path}: the keys cannot be read ({error.strerror}){hint}") from error
    if len(content) > MAX_FILE_BYTES:
        raise KeyFileError(f"{path}: it has more than {MAX_FILE_BYTES} bytes, so it is no file of keys")
    return _keys_in(path, content)


def _keys_in(path: Path, content: bytes) -> tuple[Key, ...]:
    keys: dict[str, Key] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise KeyFileError(f"{path}, line {number}: this is no key; one is NAME sha256:64 digits YYYY-MM-DD")
        if match[1] in keys:
            raise KeyFileError(f"{path}, line {number}: {match[1]} is there twice; remove one of the two lines")
        keys[match[1]] = Key(*match.groups())
    return tuple(keys.values())


def add_key(path: Path, name: str) -> str:
    """Makes a key, writes its hash into the file, which is made if it is not there, and gives the key itself.

    Raises:
        KeyFileError: the name cannot be, or is taken; or the file cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise KeyFileError(f"{name!r} cannot name a key; take up to 64 letters, digits, dots, dashes and underscores")
    text = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    with _alone_at(path):
        keys = read_keys(path) if path.exists() else ()
        if any(key.name == name for key in keys):
            raise KeyFileError(f"{path}: there is a key named {name}; remove it first, or take another name")
        _write(path, [*keys, Key(name, digest_of(text), f"{datetime.now(UTC):%Y-%m-%d}")])
    return text


def remove_key(path: Path, name: str) -> None:
    """Takes a key out of the file.

    Raises:
        KeyFileError: there is none of that name, or the file cannot be used.
    """
    with _alone_at(path):
        keys = read_keys(path)
        left = [key for key in keys if key.name != name]
        if len(left) == len(keys):
            raise KeyFileError(f"{path}: there is no key named {name}; python app.py key list shows them")
        _write(path, left)


@contextmanager
def _alone_at(path: Path) -> Iterator[None]:
    """Has another command that would change the file wait, so that it does not write back what it read before."""
    if sys.platform == "win32":  # has no such locks
        yield
        return
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY)
    except OSError as error:
        raise KeyFileError(f"{path}: the keys cannot be written ({error.strerror})") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, keys: Sequence[Key]) -> None:
    """Puts a new file in the place of the old one, so that a server never reads half of it."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.resolve().parent, prefix=".keys-", delete=False) as file:
            try:  # it is private from the beginning
                file.write(HEAD + "".join(key.line() for key in keys))
                file.flush()
                os.fsync(file.fileno())
                _keep_readers(path, file.fileno())
                Path(file.name).replace(path.resolve())
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise KeyFileError(f"{path}: the keys cannot be written ({error.strerror})") from error


def _keep_readers(path: Path, new: int) -> None:
    """Lets those read the new file who can read the old one; a server that cannot would go on with removed keys."""
    if os.name == "posix" and path.exists():
        old, made = path.stat(), os.fstat(new)
        if (old.st_uid, old.st_gid) != (made.st_uid, made.st_gid):
            os.fchown(new, old.st_uid, old.st_gid)
        os.fchmod(new, stat.S_IMODE(old.st_mode) & ~_TOO_OPEN)


def digest_of(text: str) -> str:
    """Gives the SHA-256 of a key, in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


class KeyFile:
    """The keys of a file, as they are now.

    Args:
        path: of the file.

    Raises:
        KeyFileError: it cannot be used, or has no key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = self._look()
        self._complained_of: tuple[int, ...] | None = None
        self._take(read_keys(path))
        if not self._keys:
            raise KeyFileError(f"{path}: there is no key in it; make one with: python app.py key new NAME")

    @property
    def owners(self) -> frozenset[Owner]:
        """The keys that are good now; the same object until the file changes."""
        self._current()
        return self._owners

    def find(self, text: str) -> Key | None:
        """Gives what is kept of a key; None if it is none."""
        if not text.startswith(PREFIX) or len(text) > MAX_KEY_CHARACTERS:
            return None
        digest, found = digest_of(text), None
        for key in self._current():
            if hmac.compare_digest(key.digest, digest):  # all are compared, so that the time tells nothing
                found = key
        return found

    def named(self, name: str) -> Key | None:
        """Gives what is kept of the key of that name; None if there is none."""
        return next((key for key in self._current() if key.name == name), None)

    def holds(self, name: str, key_id: str) -> bool:
        """Whether a key, by its name and its `id`, has not been removed."""
        return any(key.name == name and hmac.compare_digest(key.id, key_id) for key in self._current())

    def _current(self) -> tuple[Key, ...]:
        version = self._look()
        if version != self._version:
            try:
                self._take(read_keys(self._path))
            except KeyFileError as error:
                if version != self._complained_of:
                    logger.error("%s; the keys that were there before are still good", error)
                self._complained_of = version
                if isinstance(error.__cause__, OSError):
                    return self._keys  # the next look may be luckier, and a key may have been removed
            else:
                self._complained_of = None
                logger.warning("%s has changed; keys that are good now: %d", self._path, len(self._keys))
            self._version = version
        return self._keys

    def _take(self, keys: tuple[Key, ...]) -> None:
        self._keys = keys
        self._owners = frozenset((key.name, key.id) for key in keys)

    def _look(self) -> tuple[int, ...]:
        """What differs between two versions of the file; nothing where it cannot be found."""
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode
