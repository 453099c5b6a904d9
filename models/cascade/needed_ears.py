"""The ears of a cascade, which cannot do without: a text model is told words.

Read `models/ears/loading.py` for the choice.
"""

from models.base import Transcriber
from models.ears.loading import load_ears
from models.errors import ModelUnavailable
from models.loading import LoadOptions
from models.types import ModelInfo


def load_needed_ears(info: ModelInfo, options: LoadOptions) -> Transcriber:
    """Loads the ears that were chosen.

    Raises:
        ModelUnavailable: none were, or their weights are missing or cannot be read.
    """
    ears = load_ears(options.ears, options.cache_dir)
    if ears is None:
        raise ModelUnavailable(
            f"{info.name} answers words, and without ears nobody writes them down; leave out --ears none, or choose a "
            "model that takes the voice itself"
        )
    return ears
