"""From the address of an engine to a model: with our ears beside it, or with our ears before it.

An engine that takes audio answers the voice itself, and ears write captions. One that takes only text becomes a
cascade: ears write down what is said, and the engine answers that. Neither needs weights of a language model.
"""

import asyncio

from models.base import AudioLanguageModel
from models.cascade.cascade import Cascade
from models.cascade.needed_ears import load_needed_ears
from models.ears.beside import ModelWithEars
from models.ears.loading import load_ears
from models.loading import LoadOptions
from models.remote.model import EngineFacts, RemoteModel
from models.remote.probing import probe
from models.remote.settings import EngineSettings
from models.types import ModelInfo


def load_remote(settings: EngineSettings, options: LoadOptions) -> AudioLanguageModel:
    """Finds out what an engine serves, and gives it as a model.

    Args:
        settings: where it is.
        options: which ears, and where their weights are.

    Raises:
        ModelUnavailable: the engine cannot be used, or the ears are missing; the message says what to do.
    """
    ears = load_ears(options.ears, options.cache_dir)  # first: whoever gets weights does not wait for an engine
    facts = asyncio.run(probe(settings))
    info = describe(facts)
    if facts.takes_audio:
        model = RemoteModel(info, facts, settings, ears)
        return model if ears is None else ModelWithEars(model, ears)
    return Cascade(info, ears or load_needed_ears(info, options), tuple, RemoteModel(info, facts, settings))


def describe(facts: EngineFacts) -> ModelInfo:
    """What can be said of a model that runs elsewhere; not where, since everybody on the page reads it."""
    how = "hears the voice itself" if facts.takes_audio else "answers what ears write down"
    return ModelInfo(
        name=facts.model.rstrip("/").rpartition("/")[2] or facts.model,
        description=f"{facts.model}, on an engine of its own; it {how}.",
        checkpoints=(facts.model,),
        parameters="not listed",
        licence="see the engine",
        languages="those of the engine's model",
        memory_gb=0.0,
        context_tokens=facts.context_tokens,
        listens=facts.takes_audio,
    )
