"""What benchmarks say of a data folder that holds no data."""

from pathlib import Path

import pytest

from tests.benchmarks.manifests import read_manifest


def test_rows_are_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"path": "a.flac"}\n{"path": "b.flac"}\n')
    assert [row["path"] for row in read_manifest(tmp_path)] == ["a.flac", "b.flac"]


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"manifest.jsonl: No such file or directory; --data names a folder"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(("line", "complaint"), [("{", "line 2: no JSON"), ("3", "line 2: no JSON object")])
def test_a_broken_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"path": "a.flac"}\n' + line)
    with pytest.raises(SystemExit, match=complaint):
        read_manifest(tmp_path)
