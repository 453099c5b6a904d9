"""What the tests of an engine share: a model on its address, and the answer to one question."""

from typing import Any

import numpy as np

from models.remote.loading import describe
from models.remote.model import EngineFacts, RemoteModel
from models.remote.settings import EngineSettings
from models.types import AudioClip, GenerationOptions, GenerationStats, Message, TextDelta

FACTS = EngineFacts(model="tiny", context_tokens=4096, takes_audio=True, is_vllm=True)
QUESTION = (Message("user", ("What is the capital of France?",)),)


def remote(*urls: str, facts: EngineFacts = FACTS, ears: Any = None, **settings: Any) -> RemoteModel:
    """A model on an engine, with short waits."""
    waits = {"backoff_s": 0.01, "rest_s": 60.0, **settings}
    chosen = EngineSettings(urls=urls, **waits)
    return RemoteModel(describe(facts), facts, chosen, ears)


async def answer(
    model: Any, messages: Any = QUESTION, *, dialogue: str = "a", **options: Any
) -> tuple[str, GenerationStats]:
    """The whole answer."""
    events = [event async for event in model.generate(messages, GenerationOptions(**options), dialogue=dialogue)]
    assert isinstance(events[-1], GenerationStats)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), events[-1]


def clip(seconds: float = 0.1) -> AudioClip:
    """A clip of a low tone."""
    return AudioClip((0.1 * np.sin(np.arange(round(seconds * 16_000)) / 20)).astype(np.float32))
