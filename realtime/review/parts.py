"""Divides what was said into parts that a model can take at once, in order, as it comes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from models.types import ModelInfo, Part
from realtime.review.transcript import Spoken

PART_CHARACTERS = 4_000  # of words: some 1,000 tokens, five minutes of speech; small models lose sight of more
PART_SHARE = 0.3  # of a model's context at most
CHARACTERS_A_TOKEN = 3.5
PART_AUDIO_S = 120.0  # of sound, for a model that listens itself
AUDIO_SHARE = 0.5  # of the longest audio that it takes


@dataclass(frozen=True, slots=True)
class RecordingPart:
    """Lines that a model is given at once, with their sound.

    Attributes:
        number: counts from 1.
        spoken: at least one line.
    """

    number: int
    spoken: tuple[Spoken, ...]

    @property
    def start_s(self) -> float:
        """Where it begins in the recording."""
        return self.spoken[0].line.span.start_s

    @property
    def end_s(self) -> float:
        """Where it ends."""
        return max(each.line.span.end_s for each in self.spoken)

    def content(self, info: ModelInfo) -> tuple[Part, ...]:
        """The numbered lines as a model is given them: their sound if it listens, else their words."""
        if not info.listens:
            return ("\n".join(f"{number}. {_said(each)}" for number, each in enumerate(self.spoken, 1)),)
        content: list[Part] = []
        for number, each in enumerate(self.spoken, 1):
            speaker = each.line.span.speaker
            content += [f"{number}." if speaker is None else f"{number}. {speaker}:", each.passage.clip]
        return tuple(content)


def _said(spoken: Spoken) -> str:
    speaker = spoken.line.span.speaker
    return spoken.line.text if speaker is None else f"{speaker}: {spoken.line.text}"


async def divide(spoken: AsyncIterator[Spoken], info: ModelInfo) -> AsyncIterator[RecordingPart]:
    """Yields parts as soon as they are full; lines without words are left out where the model does not listen."""
    number, waiting, size = 1, list[Spoken](), 0.0
    limit = _limit(info)
    async for each in spoken:
        if not info.listens and not each.line.text:
            continue
        length = each.passage.clip.duration_s if info.listens else len(_said(each)) + 5
        if waiting and size + length > limit:
            yield RecordingPart(number, tuple(waiting))
            number, waiting, size = number + 1, [], 0.0
        waiting.append(each)
        size += length
    if waiting:
        yield RecordingPart(number, tuple(waiting))


def _limit(info: ModelInfo) -> float:
    if info.listens:
        return PART_AUDIO_S if info.max_audio_s is None else min(PART_AUDIO_S, AUDIO_SHARE * info.max_audio_s)
    return min(PART_CHARACTERS, PART_SHARE * info.context_tokens * CHARACTERS_A_TOKEN)
