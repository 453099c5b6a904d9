"""The one interface every audio language model implements.

`generate` is stateless: it always takes the whole message list. What makes a turn cheap is the cache behind it, which
keeps what it knows of a dialogue and computes only what is new. A caller cannot get that state wrong.
Read `registry.py` for how a model is loaded, `cascade/pocket.py` for the embedded one, `engine/` for the decode loop.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from models.types import (
    AudioClip,
    GenerationEvent,
    GenerationOptions,
    Message,
    ModelInfo,
    Samples,
    Speech,
    Transcript,
    VoiceInfo,
    Voiceprint,
)


class Transcriber(Protocol):
    """Writes speech down."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Those it writes down, in two letters (ISO 639-1); none where that is not known."""
        ...

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        """Writes down, word by word, what is said in one clip.

        Args:
            clip: what somebody said.
            dialogue: names the dialogue whose cache may be used; never changes the words.
            language: the one spoken, in two letters (ISO 639-1); None lets it find out, or means its only one.

        Returns:
            The words; none where nobody says one.

        Raises:
            InvalidPrompt: it cannot take this clip or this language.
            GenerationFailed: it failed.
        """
        ...

    async def forget(self, *, dialogue: str) -> None:
        """Frees what is cached of the dialogue."""
        ...


class Voice(Protocol):
    """Reads text aloud, in one of several voices."""

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        """Those there are; at least one."""
        ...

    async def speak(self, text: str, *, voice: str) -> Speech:
        """Reads one phrase or sentence aloud; cancelling it leaves the phrase unread.

        Args:
            text: of a length that a person would say in one breath, or a little more.
            voice: the name of one of `voices`.

        Returns:
            Its sound; none where nothing in it can be read.

        Raises:
            InvalidPrompt: there is no such voice.
            GenerationFailed: it failed.
        """
        ...


class VoiceReader(Protocol):
    """Says what voices are like, whatever they say."""

    def prints(self, samples: Samples, start_s: float) -> tuple[Voiceprint, ...]:
        """Describes the voice in a piece of speech, again and again; takes its time, so ask it beside the event loop.

        Args:
            samples: float32 `(n_samples,)` at 16 kHz, without longer silence.
            start_s: where it begins in the recording or call.
        """
        ...


class AudioLanguageModel(Protocol):
    """Hears audio and text, answers in text.

    Closing the generator that `generate` returned (`aclose`) cancels the answer within one decode step.
    """

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        ...

    @property
    def transcriber(self) -> Transcriber | None:
        """What of it can write speech down; None if it cannot."""
        ...

    @property
    def has_ears(self) -> bool:
        """Whether that works beside answers, so that every turn may be written down; else it takes the model's time."""
        ...

    def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answers the conversation.

        Args:
            messages: the whole conversation. If the last one is the assistant's, the answer continues it.
            options: how to sample.
            dialogue: names the dialogue whose cache may be used; never changes the answer.

        Yields:
            `TextDelta`s and at most one `Transcription` per user message, then one `GenerationStats`.

        Raises:
            InvalidPrompt: the model cannot take these messages.
            GenerationFailed: the model failed; other dialogues are unharmed.
        """
        ...

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        """Computes and caches the prompt of `messages`, so that a later `generate` pays only for what follows."""
        ...

    async def forget(self, *, dialogue: str) -> None:
        """Frees what is cached of the dialogue."""
        ...

    async def close(self) -> None:
        """Ends running answers and frees the model."""
        ...
