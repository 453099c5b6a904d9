"""SHA-256 of files and folders: what a folder of weights holds is what was fetched, file for file.

Read `fetching.py` for when it is asked.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHECKSUMS = "SHA256SUMS"  # the list of every file in a finished folder, as sha256sum writes and reads it


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_each(paths: Iterable[Path]) -> dict[Path, str]:
    """The SHA-256 of many files, on all cores: hashing lets other threads run.

    On two cores with instructions for SHA, 4.7 GB take 2.5 s when the files are in the page cache, and otherwise as
    long as the disk reads them, which the load that follows then need not.
    """
    largest_first = sorted(paths, key=lambda path: path.stat().st_size, reverse=True)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return dict(zip(largest_first, threads.map(sha256, largest_first), strict=True))


def write_checksums(folder: Path) -> None:
    """Writes the list of a folder's files into it."""
    sums = sha256_of_each(_files(folder))
    lines = [f"{sums[path]}  {path.relative_to(folder).as_posix()}\n" for path in sorted(sums)]
    (folder / CHECKSUMS).write_text("".join(lines), "utf-8")


def read_checksums(folder: Path) -> dict[str, str]:
    """Reads that list: names and hashes. Of a line that is no such line nothing is taken."""
    lines = (folder / CHECKSUMS).read_text("utf-8", errors="replace").splitlines()
    return {name: checksum for checksum, _, name in (line.partition("  ") for line in lines) if name}


def find_broken(folder: Path, expected: Mapping[str, str]) -> Path | None:
    """The first file of a folder that is not as expected: gone, changed or added.

    Args:
        folder: any.
        expected: names in it, and hashes. A folder of which nothing is expected is broken as a whole.
    """
    if not expected:
        return folder / CHECKSUMS
    paths = {folder / name: checksum for name, checksum in expected.items()}
    gone = next((path for path in paths if not path.is_file()), None)
    added = next((path for path in _files(folder) if path not in paths), None)
    if gone is not None or added is not None:
        return gone or added
    found = sha256_of_each(paths)
    return next((path for path, checksum in paths.items() if found[path] != checksum), None)


def _files(folder: Path) -> list[Path]:
    """All files but the list and those that a desktop leaves behind, whose names begin with a dot."""
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS and path.name[0] != "."
    )
