"""Writes `requirements.txt`, which a Hugging Face Space installs with a plain pip: `make requirements`.

It holds the versions of `requirements.lock`, and two that the lock leaves out: PyTorch, of which pip takes the build
that the machine is set up for, and what lends a GPU to a Space. The project itself is the checkout.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+==[^\\\n]+?) *\\?$", re.MULTILINE)
HEAD = "# Written by `make requirements` from requirements.lock and constraints.txt; for `make run` nobody needs it.\n"


def requirements(lock: str, constraints: str, extra: list[str]) -> str:
    """Gives the text of the file.

    Args:
        lock: of `requirements.lock`.
        constraints: of `constraints.txt`, which has the versions of what the lock leaves out.
        extra: what a Space needs beside the project's own, as `pyproject.toml` names it.
    """
    versions = {_name(pin): pin for pin in PIN.findall(constraints)}
    left_out = [versions[name] for name in ("torch", *map(_name, extra))]
    return HEAD + "".join(f"{pin}\n" for pin in sorted([*PIN.findall(lock), *left_out], key=str.lower))


def _name(requirement: str) -> str:
    return re.split(r"[=<>~! ]", requirement)[0]


def main() -> None:
    """Writes it."""
    lock, constraints = ((ROOT / name).read_text("utf-8") for name in ("requirements.lock", "constraints.txt"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = requirements(lock, constraints, project["optional-dependencies"]["space"])
    (Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "requirements.txt").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
