"""`--engine`: what the options about somebody else's engine come to, and which others make no sense beside them."""

import argparse
from collections.abc import Mapping
from typing import Any

from commands.environment import ENGINE_KEY
from commands.errors import UsageError
from models.remote.settings import EngineSettings, engine_urls

# Options of a model that runs here, and what each is where nobody has given it.
OURS: Mapping[str, tuple[str, Any]] = {
    "--model": ("model", None),
    "--text-model": ("text_model", None),
    "--device": ("device", "auto"),
    "--dtype": ("dtype", "auto"),
    "--quantization": ("quantization", "none"),
}


def engine_settings(options: argparse.Namespace) -> EngineSettings | None:
    """Where the engine is; None where a model of ours answers.

    Raises:
        UsageError: options contradict each other, or one cannot be.
    """
    if not options.engine:
        if options.engine_model is not None or options.engine_input != "auto":
            raise UsageError("--engine-model and --engine-input say how an engine is asked; give its --engine URL, too")
        return None
    given = [option for option, (name, default) in OURS.items() if getattr(options, name, default) != default]
    if given:
        raise UsageError(f"{', '.join(given)}: the engine has the model, and runs it as it was started; leave it out")
    try:
        return EngineSettings(
            urls=engine_urls(options.engine),
            model=options.engine_model,
            input=options.engine_input,
            key=options.environment.get(ENGINE_KEY, "").strip() or None,
        )
    except ValueError as error:
        raise UsageError(f"--engine: {error}") from error
