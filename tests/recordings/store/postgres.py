"""A real PostgreSQL of the tests' own: in a temporary folder, reached through a socket there, and nobody else's."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "postgres"  # Debian makes it; the server refuses to run as root
PORT = 5433  # only names the socket: nothing listens on the network
OPTIONS = f"-c listen_addresses='' -c fsync=off -c max_connections=40 -p {PORT}"


def postgresql_programs() -> Path | None:
    """The folder with the server's programs, if there is one; Debian has it beside the PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


@contextmanager
def running_postgresql(programs: Path) -> Iterator[str]:
    """Runs a server until the block ends, and gives its address but for the name of a database."""
    folder = Path(tempfile.mkdtemp(prefix="earpiece-pg-"))
    user = USER if os.getuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        quiet = subprocess.DEVNULL  # what it says is in its log
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=quiet, stderr=quiet)

    try:
        run("initdb", "-U", "earpiece", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", f"{OPTIONS} -k {folder}", "start")
        try:
            yield f"postgresql+psycopg://earpiece@/{{}}?host={folder}&port={PORT}"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
