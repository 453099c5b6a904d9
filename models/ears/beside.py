"""Any model with ears beside it: it answers as it did, and the ears write down what is said to it.

The model never waits for the ears, and what goes wrong with them is none of its errors.
Read `memory.py` for what the ears keep of a dialogue, `models/registry.py` for which models get ears.
"""

from collections.abc import AsyncGenerator, Callable, Sequence

from models.base import AudioLanguageModel, Transcriber
from models.types import GenerationEvent, GenerationOptions, Message, ModelInfo, ReplicaState


class ModelWithEars:
    """A model and ears; all but writing down is the model's.

    Args:
        model: answers; a transcriber of its own is not used.
        ears: write down, each clip once, whoever asks.
    """

    def __init__(self, model: AudioLanguageModel, ears: Transcriber) -> None:
        self._model = model
        self._ears = ears

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        return self._model.info

    @property
    def transcriber(self) -> Transcriber:
        """The ears."""
        return self._ears

    @property
    def has_ears(self) -> bool:
        """True: they work on threads of their own."""
        return True

    @property
    def engine_state(self) -> Callable[[], tuple[ReplicaState, ...]] | None:
        """What tells how the replicas of the model's engine are, where somebody else's runs it."""
        return getattr(self._model, "engine_state", None)

    def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answers the conversation, as the model does."""
        return self._model.generate(messages, options, dialogue=dialogue)

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        """Computes and caches the prompt of `messages`, as the model does."""
        await self._model.prefill(messages, dialogue=dialogue)

    async def forget(self, *, dialogue: str) -> None:
        """Frees what the model and the ears keep of the dialogue."""
        await self._ears.forget(dialogue=dialogue)
        await self._model.forget(dialogue=dialogue)

    async def close(self) -> None:
        """Ends running answers and frees the model."""
        await self._model.close()
