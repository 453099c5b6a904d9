"""Which ears stand beside a model: those of a name, or of a folder; none, where none are wanted.

Read `registry.py` for who asks.
"""

from pathlib import Path

from models.base import Transcriber
from models.ears.guard import GuardedEars
from models.ears.memory import TranscriptMemory
from models.ears.whisper import LANGUAGE, WhisperEars
from models.errors import ModelUnavailable

NAMED = "pocket-1/ears"  # in the folder of the weights


def load_ears(choice: str, cache_dir: Path) -> Transcriber | None:
    """Loads ears, guarded, with a memory; None for the choice "none".

    Args:
        choice: a name, or the folder of an English Whisper for CTranslate2.
        cache_dir: where weights are kept.

    Raises:
        ModelUnavailable: they are not there.
    """
    if choice == "none":
        return None
    folder = Path(choice) if Path(choice).is_dir() else cache_dir / NAMED
    if not folder.is_dir():
        raise ModelUnavailable(
            f"the ears {choice!r} are not in {folder}; run `python app.py fetch`, or give --ears none"
        )
    return TranscriptMemory(GuardedEars(WhisperEars(folder)), language=LANGUAGE)
