"""Writing a whole message down: its clips, one after the other, become one transcript.

Read `base.py` for who writes a clip down.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from models.base import Transcriber
from models.types import Message, Transcript


async def write_down(transcriber: Transcriber, message: Message, *, dialogue: str) -> Transcript:
    """Writes down what is said in a message; raises as `Transcriber.transcribe` does.

    Args:
        transcriber: writes each clip down.
        message: with any number of clips.
        dialogue: names the dialogue whose cache may be used.
    """
    clips = message.clips
    parts = await asyncio.gather(*(transcriber.transcribe(clip, dialogue=dialogue) for clip in clips))
    return join_transcripts(parts, [clip.duration_s for clip in clips])


def join_transcripts(parts: Sequence[Transcript], durations_s: Sequence[float]) -> Transcript:
    """One transcript of clips that follow each other.

    Args:
        parts: of each clip.
        durations_s: length of each clip.
    """
    words, start_s = [], 0.0
    for part, duration_s in zip(parts, durations_s, strict=True):
        words += [replace(word, start_s=start_s + word.start_s, end_s=start_s + word.end_s) for word in part.words]
        start_s += duration_s
    text = " ".join(part.text for part in parts if part.text)
    return Transcript(text, tuple(words), is_foreign=not text and any(part.is_foreign for part in parts))
