"""Answers a question about what is kept: about a whole recording, or about one note with the sound that it rests on.

A note's own sound is given to the model again, which hears it, whatever was written down before. A whole recording is
asked part by part, as `realtime/review/questions.py` says.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np

from models.base import AudioLanguageModel
from models.types import SAMPLE_RATE_HZ, AudioClip, GenerationOptions, Message, Part, TextDelta
from realtime.notes.minutes import Line, Note, Span
from realtime.recordings.store.errors import NotStored
from realtime.recordings.store.mixing import MixedSound
from realtime.recordings.store.reading import StoredConversation
from realtime.review.parts import divide
from realtime.review.passages import Passage
from realtime.review.questions import Question
from realtime.review.transcript import Spoken

BESIDE_S = 0.5  # of sound before and behind what a note rests on
LONGEST_S = 120.0  # of sound that a question about a note takes, where the model takes so much
NOTHING = AudioClip(np.zeros(0, np.float32))

ASK_NOTE = (
    "You hear a part of a recording, and a note that somebody took of it. Answer the question from what you hear, in "
    "one or two plain sentences. If what you hear does not say it, say that."
)


@dataclass(frozen=True, slots=True)
class Searched:
    """How much of the recording has been asked, from 0 to 1."""

    share: float


@dataclass(frozen=True, slots=True)
class Cited:
    """Where the answer was said."""

    spans: tuple[Span, ...]


AnswerPiece = str | Searched | Cited


async def ask_note(
    model: AudioLanguageModel,
    note: Note,
    sound: MixedSound,
    text: str,
    options: GenerationOptions,
    *,
    dialogue: str,
) -> AsyncGenerator[AnswerPiece, None]:
    """Yields the answer about one note, which the model gives to the sound of its spans, and these at last.

    Raises:
        ModelError: the model failed.
        StoreError: the sound is not there any more.
    """
    longest_s = min(LONGEST_S, model.info.max_audio_s or LONGEST_S)
    clips = list[Part]()
    for span in note.spans:
        if longest_s <= 0:
            break
        clip = await asyncio.to_thread(
            clip_of, sound, Span(start_s=span.start_s - BESIDE_S, end_s=span.end_s + BESIDE_S), longest_s
        )
        longest_s -= clip.duration_s
        clips.append(clip)
    asked = (Message("system", (ASK_NOTE,)), Message("user", (*clips, f"The note: {note.text}\n\nQuestion: {text}")))
    async with aclosing(model.generate(asked, options, dialogue=dialogue)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                yield event.text
    yield Cited(note.spans)


async def ask_recording(
    model: AudioLanguageModel,
    lines: Sequence[Line],
    sound: MixedSound | None,
    text: str,
    options: GenerationOptions,
    *,
    dialogue: str,
) -> AsyncGenerator[AnswerPiece, None]:
    """Yields how far it has come, then the answer, and at last where it was said.

    Raises:
        ModelError: the model failed.
        StoreError: the sound is not there any more.
    """
    question, n_asked = Question(model, text, options, dialogue=dialogue), 0
    async for part in divide(_spoken(model, lines, sound), model.info):
        await question.ask(part)
        n_asked += len(part.spoken)
        yield Searched(min(1.0, n_asked / len(lines)))
    async with aclosing(question.answer()) as answer:
        async for delta in answer:
            yield delta
    yield Cited(question.spans())


def sound_of(stored: StoredConversation) -> MixedSound | None:
    """The sound of a recording; None if there is none."""
    try:
        return MixedSound(stored)
    except NotStored:
        return None


def clip_of(sound: MixedSound, span: Span, longest_s: float = float("inf")) -> AudioClip:
    """The sound of a span, at most so much of it."""
    start = max(0, round(span.start_s * SAMPLE_RATE_HZ))
    end = round(min(span.end_s, span.start_s + longest_s) * SAMPLE_RATE_HZ)
    pcm = np.concatenate([np.zeros(0, np.int16), *sound.samples(start, end)])
    return AudioClip(pcm.astype(np.float32) / 32768)


async def _spoken(model: AudioLanguageModel, lines: Sequence[Line], sound: MixedSound | None) -> AsyncIterator[Spoken]:
    for line in lines:
        hears = model.info.listens and sound is not None
        clip = await asyncio.to_thread(clip_of, sound, line.span) if hears and sound is not None else NOTHING
        yield Spoken(line, Passage(line.span.start_s, clip))
