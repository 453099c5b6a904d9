"""A model that says what it was told to: for tests and demonstrations of turn-taking, where the words do not matter.

It keeps the interface's promises (cancellation, errors, stats) and records what it was asked. It hears nothing. Beside
it is a voice of which each word is a tone of the same length.
"""

import asyncio
import math
import re
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import numpy as np

from models.base import Transcriber
from models.types import (
    VOICE_RATE_HZ,
    AudioClip,
    GenerationEvent,
    GenerationOptions,
    GenerationStats,
    Message,
    ModelInfo,
    Samples,
    Speech,
    SpokenWord,
    TextDelta,
    Transcript,
    Transcription,
    VoiceInfo,
)


class ScriptedModel:
    """Answers the n-th request with the n-th script, word by word.

    Args:
        answers: one per request; the last one repeats. An exception instead of a word is raised at that place.
        transcripts: what the n-th user message is said to have been, if given.
        sounds: what the n-th clip that `transcribe` is asked about is said to have been; the last one repeats. An
            exception is raised instead. Without them it cannot write speech down.
        languages: those it says it writes down.
        gate: if given, awaited before every word, so that a test decides when words come.
        word_s: pause before every word, in seconds of wall time, for demonstrations.
        audio_window_s: what it says of itself in its `info`.
    """

    info = ModelInfo(
        name="scripted",
        description="Says what it was told to say, without listening. For tests of turn-taking.",
        checkpoints=(),
        parameters="0",
        licence="Apache-2.0",
        languages="any",
        memory_gb=0.0,
        context_tokens=1_000_000,
    )
    has_ears = False

    def __init__(
        self,
        answers: Sequence[Sequence[str | Exception]],
        *,
        transcripts: Sequence[str | Transcript] = (),
        sounds: Sequence[str | Transcript | Exception] = (),
        languages: tuple[str, ...] = (),
        gate: asyncio.Semaphore | None = None,
        word_s: float = 0.0,
        audio_window_s: float | None = None,
    ) -> None:
        self.info = replace(self.info, audio_window_s=audio_window_s)
        self._answers = answers
        self._transcripts = transcripts
        self._sounds = sounds
        self._languages = languages
        self._gate = gate
        self._word_s = word_s
        self.requests: list[tuple[Message, ...]] = []
        self.prefilled: list[tuple[Message, ...]] = []
        self.cancelled = 0
        self.forgotten: list[str] = []
        self.asked: list[AudioClip] = []

    @property
    def transcriber(self) -> Transcriber | None:
        """Itself, if it was told what clips are to have been."""
        return self if self._sounds else None

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Says the next answer."""
        called_s, first_s, n_words = time.perf_counter(), None, 0
        answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(tuple(messages))
        users = [message for message in messages if message.role == "user"]
        if users[-1].clips and len(users) <= len(self._transcripts):
            yield Transcription(users[-1].id, _transcript_of(self._transcripts[len(users) - 1]))
        try:
            for word in answer[: options.max_new_tokens]:
                await (self._gate.acquire() if self._gate else asyncio.sleep(self._word_s))
                if isinstance(word, Exception):
                    raise word
                first_s = first_s or time.perf_counter()
                n_words += 1
                yield TextDelta(word)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        yield GenerationStats(
            prompt_tokens=len(messages),
            cached_tokens=0,
            completion_tokens=n_words,
            ttft_s=first_s and first_s - called_s,
            total_s=time.perf_counter() - called_s,
            finish_reason="stop" if n_words == len(answer) else "length",
        )

    @property
    def languages(self) -> tuple[str, ...]:
        """Those it was told."""
        return self._languages

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        """Says what the next clip is to have been."""
        sound = self._sounds[min(len(self.asked), len(self._sounds) - 1)]
        self.asked.append(clip)
        if isinstance(sound, Exception):
            raise sound
        return _transcript_of(sound)

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        """Records the prompt."""
        self.prefilled.append(tuple(messages))

    async def forget(self, *, dialogue: str) -> None:
        """Records the dialogue."""
        self.forgotten.append(dialogue)

    async def close(self) -> None:
        """Has nothing to free."""


class ScriptedVoice:
    """Reads every word as a tone of the same length; each word is at another pitch than the one before.

    Args:
        word_s: of each word, in seconds of its sound.
        failures: raised instead of reading the next phrases, in order; None reads one.
        gate: if given, awaited before every phrase, so that a test decides when sound comes.
    """

    voices = (VoiceInfo("tone", "en", "Tones, one a word"), VoiceInfo("other", "en", "The same"))

    def __init__(
        self,
        *,
        word_s: float = 0.2,
        failures: Sequence[Exception | None] = (),
        gate: asyncio.Semaphore | None = None,
    ) -> None:
        self._word_samples = round(word_s * VOICE_RATE_HZ)
        self._failures = list(failures)
        self._gate = gate
        self._n_words = 0
        self.asked: list[tuple[str, str]] = []

    async def speak(self, text: str, *, voice: str) -> Speech:
        """Reads a phrase."""
        self.asked.append((text, voice))
        if self._gate is not None:
            await self._gate.acquire()
        if self._failures and (failure := self._failures.pop(0)) is not None:
            raise failure
        words, tones = [], [np.zeros(0, np.float32)]
        for number, word in enumerate(re.finditer(r"\S*\w\S*", text), 1):
            words.append(SpokenWord(word.end(), number * self._word_samples))
            tones.append(self._tone())
        return Speech(np.concatenate(tones), tuple(words))

    def _tone(self) -> Samples:
        self._n_words += 1
        phases = 2 * math.pi * (200 + 20 * (self._n_words % 10)) / VOICE_RATE_HZ * np.arange(self._word_samples)
        tone: Samples = (0.5 * np.sin(phases)).astype(np.float32)
        return tone


def _transcript_of(words: str | Transcript) -> Transcript:
    return Transcript(words) if isinstance(words, str) else words
