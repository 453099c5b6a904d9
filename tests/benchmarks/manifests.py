"""Manifests: what a data set's folder says of its clips, one JSON object a line in `manifest.jsonl`."""

import json
from pathlib import Path
from typing import Any


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """Reads the rows of a data set's manifest.

    Args:
        folder: of the data set.

    Raises:
        SystemExit: there is no manifest, or a line of it is no JSON object; the message says which.
    """
    path = folder / "manifest.jsonl"
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}; --data names a folder of data sets with a manifest each") from None
    return [_read_row(path, number, line) for number, line in enumerate(lines, 1)]


def _read_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise SystemExit(f"{path}, line {number}: no JSON ({error})") from None
    if not isinstance(row, dict):
        raise SystemExit(f"{path}, line {number}: no JSON object")
    return row
