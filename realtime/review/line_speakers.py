"""Tells several people in one channel of a recording apart, line by line, by their voices.

Lines that have a speaker already, of a channel of their own, keep it. The others are known once all of them have been
taken: "speaker 1" is who speaks first. Read `realtime/speakers.py` for how voices are told apart.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from models.base import VoiceReader
from models.types import Voiceprint
from realtime.notes.minutes import Line
from realtime.review.transcript import Spoken
from realtime.speakers import speaker_in, tell_apart


class LineSpeakers:
    """The voices of one recording.

    Args:
        network: says what a voice is like.
        n_speakers: how many there are; None: that is found out.
    """

    def __init__(self, network: VoiceReader, *, n_speakers: int | None = None) -> None:
        self._network = network
        self._n_speakers = n_speakers
        self._prints: list[Voiceprint] = []

    async def take(self, spoken: Spoken) -> None:
        """Listens to the next line, off the event loop; a tenth of its length, or some tenths on a busy machine."""
        if spoken.line.span.speaker is None:
            samples, start_s = spoken.passage.clip.samples, spoken.passage.start_s
            self._prints += await asyncio.to_thread(self._network.prints, samples, start_s)

    def name(self, lines: Iterable[Line]) -> list[Line]:
        """Gives the same lines with their speakers."""
        spans = tell_apart(self._prints, n_speakers=self._n_speakers)
        return [_named(line, speaker_in(spans, line.span.start_s, line.span.end_s)) for line in lines]


def _named(line: Line, speaker: str | None) -> Line:
    if line.span.speaker is not None or speaker is None:
        return line
    return replace(line, span=replace(line.span, speaker=speaker))
