"""Writes a recording of any length down, line by line: who said what, from when to when.

The file is read, cut and written down piece by piece, in memory that does not grow with it. Two parties on two channels
are told apart by these. What was written down before is not written down again: whoever keeps the lines can go on.
Read `passages.py` for the cutting, `sides.py` for the channels, `journal.py` for who keeps lines.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.base import Transcriber
from models.types import SAMPLE_RATE_HZ, Samples, Word
from realtime.hearing.crosstalk import Crosstalk
from realtime.hearing.decoding import Channels
from realtime.hearing.files import AudioStream
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.notes.minutes import Line, Span
from realtime.review.passages import PAUSE_S, Passage, Passages
from realtime.review.sides import Sides, SideWatch

SPEAKERS = ("left", "right")  # of two parties, unless somebody names them
STEP_SAMPLES = 512  # of two channels in turn, as they come in a call

TakeSound = Callable[[str | None, Samples], Awaitable[None]]
NO_SPEECH = "nobody speaks in it"


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """One line with its sound."""

    line: Line
    passage: Passage


class Transcript:
    """What is said in one recording, while it is read.

    Args:
        path: any file FFmpeg reads; "-" is the standard input.
        ears: write passages down; None: lines have no words.
        track: which of several audio tracks, from 1.
        speakers: the names of two parties on two channels, left and right.
        known: the first lines of the same recording, as they were written down before, in the order of `lines`.
        language: the one that is spoken, in two letters; None lets the ears find out.
        dialogue: names the dialogue whose cache the ears may use.
        take_sound: is given all sound in order, with the speaker of its channel, before the lines that are in it.

    Attributes:
        duration_s: of what has been read.
        share: how much of the file has been read, from 0 to 1.
        remarks: after the last line: sentences that a person should read.
    """

    def __init__(
        self,
        path: str | Path,
        ears: Transcriber | None,
        *,
        track: int | None = None,
        speakers: tuple[str, str] = SPEAKERS,
        known: Sequence[Line] = (),
        language: str | None = None,
        dialogue: str = "review",
        take_sound: TakeSound | None = None,
    ) -> None:
        self._dialogue = dialogue
        self._take_sound = take_sound
        self.duration_s = 0.0
        self.remarks: tuple[str, ...] = ()
        self._stream = AudioStream(path, track=track)
        self._ears = ears
        self._speakers = speakers
        self._known = known
        self._language = language
        self._n_given = 0

    @property
    def share(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return self._stream.share

    async def lines(self) -> AsyncIterator[Spoken]:
        """Yields all lines in the order in which they begin, each as soon as nothing earlier can come.

        Raises:
            AudioFileError: the file cannot be read; lines that were read before have been given.
            GenerationFailed: the ears failed.
        """
        blocks = self._stream.blocks()
        first, watch = await asyncio.to_thread(_look_at, blocks)
        sides = watch.judge()
        names = self._speakers if sides.has_two else (None,)
        cutters = _cutters_of_two() if sides.has_two else [Passages()]
        waiting: list[tuple[Passage, str | None]] = []
        for block in first:
            waiting += await self._take(block, sides, cutters, names)
        first.clear()
        while (newest := await asyncio.to_thread(_next, blocks)) is not None:
            async for spoken in self._write_down(waiting, min(cutter.open_s for cutter in cutters)):
                yield spoken
            watch.add(newest)
            waiting += await self._take(newest, sides, cutters, names)
        for cutter, name in zip(cutters, names, strict=True):
            waiting += [(passage, name) for passage in cutter.finish()]
        async for spoken in self._write_down(waiting, float("inf")):
            yield spoken
        sides = watch.judge() if sides.has_two else sides  # somebody may have begun to speak on a silent channel
        remarks = (*self._stream.notes, *([sides.remark] if sides.remark else []))
        self.remarks = remarks if self._n_given else (*remarks, NO_SPEECH)

    async def _take(
        self, block: Channels, sides: Sides, cutters: Sequence[Passages], names: Sequence[str | None]
    ) -> list[tuple[Passage, str | None]]:
        if self._take_sound is not None:
            for sound, name in zip(sides.split(block), names, strict=True):
                await self._take_sound(name, sound)
        return await asyncio.to_thread(self._cut, block, sides, cutters, names)

    def _cut(
        self, block: Channels, sides: Sides, cutters: Sequence[Passages], names: Sequence[str | None]
    ) -> list[tuple[Passage, str | None]]:
        self.duration_s += len(block) / SAMPLE_RATE_HZ
        sounds = list(zip(sides.split(block), cutters, names, strict=True))
        step = len(block) if len(sounds) == 1 else STEP_SAMPLES
        return [
            (passage, name)
            for start in range(0, len(block), max(1, step))
            for sound, cutter, name in sounds
            for passage in cutter.push(sound[start : start + step])
        ]

    async def _write_down(self, waiting: list[tuple[Passage, str | None]], until_s: float) -> AsyncIterator[Spoken]:
        waiting.sort(key=lambda each: each[0].start_s)
        while waiting and waiting[0][0].start_s <= until_s:
            passage, name = waiting.pop(0)
            yield Spoken(await self._line_of(passage, name), passage)

    async def _line_of(self, passage: Passage, speaker: str | None) -> Line:
        number, self._n_given = self._n_given, self._n_given + 1
        if number < len(self._known):
            return self._known[number]
        span = Span(start_s=round(passage.start_s, 3), end_s=round(passage.end_s, 3), speaker=speaker)
        if self._ears is None:
            return Line(span=span, text="")
        transcript = await self._ears.transcribe(passage.clip, dialogue=self._dialogue, language=self._language)
        words = tuple(_moved(word, passage.start_s) for word in transcript.words)
        return Line(span=span, text=transcript.text, words=words)


def _cutters_of_two() -> list[Passages]:
    """Cut two channels of which each knows what the other one carried: an echo makes no second speaker."""
    crosstalk = Crosstalk()
    cutters = []
    for channel in (crosstalk.me, crosstalk.them):
        detector = SpeechDetector(VadOptions(other_voices="hear", pause_s=PAUSE_S))
        detector.known_sound = channel
        cutters.append(Passages(detector))
    return cutters


def _look_at(blocks: Iterator[Channels]) -> tuple[list[Channels], SideWatch]:
    """Reads the beginning, by which is judged what the channels are."""
    watch, first = SideWatch(), []
    for block in blocks:
        watch.add(block)
        first.append(block)
        if watch.has_enough:
            break
    return first, watch


def _next(blocks: Iterator[Channels]) -> Channels | None:
    return next(blocks, None)


def _moved(word: Word, by_s: float) -> Word:
    return replace(word, start_s=round(word.start_s + by_s, 3), end_s=round(word.end_s + by_s, 3))
