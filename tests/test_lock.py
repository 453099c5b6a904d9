"""The lock files hold what `make` installs, with hashes, and at the versions of constraints.txt."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"^([a-zA-Z0-9._-]+)==([^ ;\\\n]+)", re.MULTILINE)
LEFT_TO_PIP = re.compile(r"torch|triton|nvidia-|cuda-")  # which build of PyTorch a machine gets


def pins(name: str) -> dict[str, str]:
    return {normal(package): version for package, version in PIN.findall((ROOT / name).read_text("utf-8"))}


def normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_locked_package_has_hashes_and_the_version_of_the_constraints(name: str) -> None:
    constraints = pins("constraints.txt")
    assert {
        package: version for package, version in pins(name).items() if version != constraints.get(package, version)
    } == {}
    for entry in re.split(r"^(?=[a-z])", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE)[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), f"{entry.splitlines()[0]} has no hash"


def test_everything_that_the_project_asks_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    run, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert not run.keys() & dev.keys()
    assert not any(LEFT_TO_PIP.match(package) for package in run | dev)
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    for lines, locked in ((project["dependencies"], run), (extras, run | dev)):
        asked = {normal(re.split(r"[<>=\[]", line)[0]) for line in lines} - {"torch"}
        assert asked - locked.keys() == set()
    assert "setuptools" in run, "which builds the project itself"
