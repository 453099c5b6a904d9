"""Which voices there are to read answers aloud, and how they are fetched and loaded.

Read `kokoro.py` for the one engine, `models/base.py` for the interface.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from models.base import Voice
from models.loading import loading
from models.voices.kokoro import MODEL, KokoroVoice
from models.weights.fetching import fetch_weights, find_weights
from models.weights.packages import KOKORO


def load_voice(cache_dir: Path) -> Voice:
    """Loads what reads aloud, in all voices of `names.py`.

    Args:
        cache_dir: folder of fetched weights.

    Raises:
        ModelUnavailable: the weights are missing or cannot be read; the message says what to do.
    """
    folder = find_weights(KOKORO, cache_dir)
    with loading(folder):
        return KokoroVoice(folder)


def fetch_voice(cache_dir: Path) -> Path:
    """Gets its weights, once, and gives their folder; raises as `load_voice` does."""
    return fetch_weights(KOKORO, cache_dir, _make_kokoro)


def _make_kokoro(taken: Path, into: Path, report: Callable[[int, int], None]) -> None:
    from models.voices.kokoro_graph import open_durations  # noqa: PLC0415  # onnx, which only making needs

    into.mkdir(parents=True, exist_ok=True)
    for file in KOKORO.files:
        if file.name == MODEL:
            open_durations(taken / MODEL, into / MODEL)
        else:
            shutil.copyfile(taken / file.name, into / file.name)
    report(1, 1)
