"""A cascade: ears write down each clip, and a text model answers what they wrote. It knows what was said, not how.

Where the ears wrote nothing down, a text model would invent. So a question about a recording without words, and speech
in a language that the ears do not know, get one and the same answer, which the text model does not give. It runs on the
engine, which keeps the conversation's prefix cache over turns.
Read `pocket.py` for the embedded one, `text_model.py` for one with any text model.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Generic, Protocol, TypeVar

from models.base import Transcriber
from models.checks import check_messages
from models.ears.languages import what_is_understood
from models.transcripts import write_down
from models.types import (
    GenerationEvent,
    GenerationOptions,
    GenerationStats,
    Message,
    ModelInfo,
    ReplicaState,
    TextDelta,
    Transcript,
    Transcription,
)

NO_SPEECH = "Nobody speaks in the recording."
NO_WORDS = "No words were understood in the recording."
FOREIGN = "(words in a language that is not understood)"  # in the place of what was said

WrittenT = TypeVar("WrittenT")
WrittenT_contra = TypeVar("WrittenT_contra", contravariant=True)


class TextEngine(Protocol[WrittenT_contra]):
    """What runs a text model: the engine here, or somebody else's."""

    @property
    def context_tokens(self) -> int:
        """Longest prompt and answer together."""
        ...

    def generate(
        self, prompt: WrittenT_contra, options: GenerationOptions, /, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answers a conversation that was written down."""
        ...

    async def prefill(self, prompt: WrittenT_contra, /, *, dialogue: str) -> None:
        """Computes it before it is needed."""
        ...

    async def forget(self, *, dialogue: str) -> None:
        """Frees what is cached of the dialogue."""
        ...

    async def close(self) -> None:
        """Ends running answers."""
        ...


class Cascade(Generic[WrittenT]):
    """Ears and a text model.

    Args:
        info: what the model is.
        ears: write down what is said, each clip once, and only what can have been said.
        write: writes a conversation of text, of one message at least, down for the engine. The beginning of a longer
            one must be written exactly like the shorter one, so that it stays cached.
        engine: answers; closed with the model.
        repetition_penalty: of answers for which the caller asks for none.
    """

    def __init__(
        self,
        info: ModelInfo,
        ears: Transcriber,
        write: Callable[[Sequence[Message]], WrittenT],
        engine: TextEngine[WrittenT],
        *,
        repetition_penalty: float = 1.0,
    ) -> None:
        self._info = replace(info, context_tokens=engine.context_tokens)
        self._ears = ears
        self._write = write
        self._engine = engine
        self._repetition_penalty = repetition_penalty

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        return self._info

    @property
    def transcriber(self) -> Transcriber:
        """Its ears, which write a clip down once, whoever asks."""
        return self._ears

    @property
    def has_ears(self) -> bool:
        """True: it answers what they write."""
        return True

    @property
    def engine_state(self) -> Callable[[], tuple[ReplicaState, ...]] | None:
        """What tells how the engine's replicas are, where it is somebody else's."""
        return getattr(self._engine, "engine_state", None)

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answers the conversation, after saying what was said; where nobody has said anything, there is no answer.

        To a question about a recording without words, and to speech in a language that the ears do not know, the answer
        is always the same sentence; where a JSON schema is asked for, which no sentence keeps to, it is empty.
        """
        called_s = time.perf_counter()
        transcripts = await self._write_down(messages, dialogue)
        newest = messages[-1]
        if newest.role == "user" and newest.clips:
            yield Transcription(newest.id, transcripts[newest.id])
        fixed = self._fixed_answer(messages, transcripts)
        if fixed is not None:
            if fixed and options.json_schema is None:
                yield TextDelta(fixed)
            yield _no_generation(time.perf_counter() - called_s)
            return
        if options.repetition_penalty == 1:
            options = replace(options, repetition_penalty=self._repetition_penalty)
        prompt = self._write(_as_text(messages, transcripts))
        writing_s = time.perf_counter() - called_s
        stream = self._engine.generate(prompt, options, dialogue=dialogue)
        try:
            async for event in stream:
                yield _with_writing(event, writing_s) if isinstance(event, GenerationStats) else event
        finally:
            await stream.aclose()

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        """Writes down what is new in `messages`, computes and caches their prompt."""
        text = _as_text(messages, await self._write_down(messages, dialogue))
        if text:
            await self._engine.prefill(self._write(text), dialogue=dialogue)

    async def forget(self, *, dialogue: str) -> None:
        """Frees what is cached of the dialogue."""
        await self._ears.forget(dialogue=dialogue)
        await self._engine.forget(dialogue=dialogue)

    async def close(self) -> None:
        """Ends running answers and frees the model."""
        await self._engine.close()

    def _fixed_answer(self, messages: Sequence[Message], transcripts: dict[str, Transcript]) -> str | None:
        """What is answered without the text model, maybe nothing; None where it is to answer."""
        newest = messages[-1]
        said = [message for message in _unanswered(messages) if _content(message, transcripts)]
        if not said:
            return ""
        if transcripts[newest.id].is_foreign or all(transcripts[message.id].is_foreign for message in said):
            return what_is_understood(self._ears.languages)
        if _asks_about_recording(newest) and not transcripts[newest.id].text:
            # A small text model that is told so answers with inventions all the same.
            return NO_SPEECH if all(clip.speech_s == 0 for clip in newest.clips) else NO_WORDS
        return None

    async def _write_down(self, messages: Sequence[Message], dialogue: str) -> dict[str, Transcript]:
        """Transcripts of all messages, by their ids."""
        check_messages(messages)
        parts = await asyncio.gather(*(write_down(self._ears, message, dialogue=dialogue) for message in messages))
        return {message.id: part for message, part in zip(messages, parts, strict=True)}


def _as_text(messages: Sequence[Message], transcripts: dict[str, Transcript]) -> list[Message]:
    """The messages in which something is said, as the text model reads them."""
    contents = ((message, _content(message, transcripts)) for message in messages)
    return [
        replace(message, parts=(content if message.speaker is None else f"{message.speaker}: {content}",), speaker=None)
        for message, content in contents
        if content
    ]


def _unanswered(messages: Sequence[Message]) -> Iterator[Message]:
    """From the newest back to the last answer that says something: a long turn comes in parts."""
    if messages[-1].role == "assistant" and messages[-1].text:
        return iter(messages[-1:])
    return takewhile(lambda message: message.role == "user" or not message.text, reversed(messages))


def _content(message: Message, transcripts: dict[str, Transcript]) -> str:
    """A message as the text model reads it: what was said, with what was typed beside or about it."""
    transcript = transcripts[message.id]
    if _asks_about_recording(message):
        return about_recording(transcript.text, message.text)
    if message.text and message.clips:
        return "\n\n".join(part for part in (message.text, transcript.text) if part)
    return FOREIGN if transcript.is_foreign else transcript.text or message.text


def _asks_about_recording(message: Message) -> bool:
    """Whether its text is about its audio: then it stands behind it. Text before audio is a part of the same turn."""
    return bool(message.clips) and isinstance(message.parts[-1], str)


def about_recording(said: str, question: str) -> str:
    """How a text model is given the words of a recording, none perhaps, and what is asked about it."""
    return f'In the recording somebody says: "{said}"\n\n{question}' if said else f"{NO_WORDS}\n\n{question}"


def _with_writing(stats: GenerationStats, writing_s: float) -> GenerationStats:
    """The engine's times and the ears' together."""
    ttft_s = None if stats.ttft_s is None else stats.ttft_s + writing_s
    prefill_s = None if stats.prefill_s is None else stats.prefill_s + writing_s
    return replace(stats, ttft_s=ttft_s, total_s=stats.total_s + writing_s, prefill_s=prefill_s)


def _no_generation(total_s: float) -> GenerationStats:
    return GenerationStats(
        prompt_tokens=0, cached_tokens=0, completion_tokens=0, ttft_s=None, total_s=total_s, finish_reason="stop"
    )
