"""`python app.py fetch`: gets and verifies weights, once."""

import argparse
import sys
from pathlib import Path

from commands.engine import engine_settings
from commands.loading import DEFAULT_MODEL, SMALLEST_MODEL, load_options, weights_folder
from models.errors import ModelUnavailable
from models.registry import fetch_model

UNUSED_WEIGHTS = ("pocket-1",)  # in caches of earlier versions


def fetch(options: argparse.Namespace) -> None:
    """Gets and verifies the weights of a model, of its ears and voice, and of the end-of-turn scorer."""
    from models.ears.loading import fetch_ears
    from models.voices.loading import fetch_voice
    from realtime.turns.smart_turn import fetch_smart_turn

    engine = engine_settings(options)
    with weights_folder(options) as cache_dir:
        print(f"Smart Turn is in {fetch_smart_turn(cache_dir).parent}")
        ears = fetch_ears(options.ears, cache_dir)
        if ears is not None:
            print(f"The ears ({options.ears}) are in {ears}")
        if options.voice != "none":
            print(f"The voice ({options.voice}) is in {fetch_voice(cache_dir)}")
        if engine is None:
            _fetch_model(options, cache_dir)
        for old in UNUSED_WEIGHTS:
            if (cache_dir / old).is_dir():
                print(f"{cache_dir / old} is of an earlier version and not needed any more; you may delete it")


def _fetch_model(options: argparse.Namespace, cache_dir: Path) -> None:
    """Gets the model that was chosen; where none was and the default cannot be had, the smallest, with a word why."""
    name, chosen = options.model or DEFAULT_MODEL, load_options(options, cache_dir)
    try:
        folder = fetch_model(name, chosen)
    except ModelUnavailable as error:
        if options.model is not None:
            raise
        print(f"earpiece: {error}\nGetting {SMALLEST_MODEL} instead, which knows little", file=sys.stderr)
        name, folder = SMALLEST_MODEL, fetch_model(SMALLEST_MODEL, chosen)
    print(f"The weights of {name} are in {folder}")
