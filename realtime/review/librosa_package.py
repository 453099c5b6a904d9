"""The package that measures sound, where it is installed."""

import importlib
from typing import Any


def find_librosa() -> Any | None:
    """Gives librosa, which takes a second or more the first time; None: it is not installed."""
    try:
        return importlib.import_module("librosa")
    except ImportError:
        return None
