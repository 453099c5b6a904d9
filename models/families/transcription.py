"""Writing speech down with an audio language model whose family has a request for that.

The request runs in a dialogue of its own, which is forgotten afterwards, so that the conversation's cache stays.
"""

import itertools
from typing import Protocol, runtime_checkable

from models.checks import check_clip, check_language
from models.ears.plausible import max_tokens
from models.engine.engine import Engine
from models.engine.prompt import Prompt
from models.errors import GenerationFailed
from models.types import AudioClip, GenerationOptions, GenerationStats, TextDelta, Transcript


@runtime_checkable
class TranscribingFamily(Protocol):
    """A family with a request of its own for writing down what is said."""

    def transcription_prompt(self, clip: AudioClip, language: str | None) -> Prompt:
        """Writes the request down; `language` is of two letters, or None where the model is to find out."""
        ...


class TranscriptionRequests:
    """Writes speech down, as a `Transcriber` does.

    Args:
        family: writes requests down.
        engine: decodes; somebody else closes it.
    """

    def __init__(self, family: TranscribingFamily, engine: Engine) -> None:
        self._family = family
        self._engine = engine
        self._numbers = itertools.count(1)

    @property
    def languages(self) -> tuple[str, ...]:
        """Not known: the checkpoint's."""
        return ()

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        """Writes down what is said in one clip.

        Raises:
            InvalidPrompt: the clip is broken, or `language` is none.
            PromptTooLong: it exceeds the context.
            GenerationFailed: the model failed, or was closed meanwhile.
        """
        check_clip(clip)
        check_language(language)
        prompt = self._family.transcription_prompt(clip, language)
        options = GenerationOptions(max_new_tokens=max_tokens(clip.duration_s))
        name = f"{dialogue}/transcript {next(self._numbers)}"  # one each: forgetting one must not end another
        stream = self._engine.generate(prompt, options, dialogue=name)
        text = ""
        try:
            async for event in stream:
                if isinstance(event, TextDelta):
                    text += event.text
                elif isinstance(event, GenerationStats) and event.finish_reason == "cancelled":
                    raise GenerationFailed(f"writing down {clip.id}: the model was closed")
        finally:
            await stream.aclose()
            await self._engine.forget(dialogue=name)
        return Transcript(text.strip())

    async def forget(self, *, dialogue: str) -> None:
        """Has nothing to free: each transcript is forgotten as soon as it is written."""
