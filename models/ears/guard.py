"""Ears whose words are checked: nothing where nobody speaks, and nothing that cannot have been said.

A recogniser that was made to write something writes a stock phrase for a sneeze, one word twice, and now and then one
word until its limit. None of these may reach the model and its memory. Read `plausible.py` for what is taken for words,
`memory.py` next.
"""

from collections.abc import Sequence

import numpy as np

from models.base import Transcriber
from models.checks import MAX_CLIP_S, check_clip
from models.ears.plausible import is_plausible, repeats_itself, without_loops
from models.types import SAMPLE_RATE_HZ, AudioClip, Transcript, Word

QUIET_S = 20.0  # with so much silence behind them, clips on which Whisper tiny.en goes round in circles come out right


class GuardedEars:
    """Ears that write down only what can have been said.

    Args:
        ears: write down; asked again, with silence behind the clip, where their words are doubtful.
    """

    def __init__(self, ears: Transcriber) -> None:
        self._ears = ears

    @property
    def languages(self) -> tuple[str, ...]:
        """Those of the ears."""
        return self._ears.languages

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        """Writes down what is said in one clip; raises as the ears do.

        Returns:
            The words; none where no speech was detected, or none that fit in it.
        """
        check_clip(clip)
        if clip.speech_s == 0:
            return Transcript("")
        first = await self._ears.transcribe(clip, dialogue=dialogue, language=language)
        if is_plausible(first.text, clip) and not repeats_itself(first.text):
            return first
        again = await self._ears.transcribe(_before_silence(clip), dialogue=dialogue, language=language)
        choices = (_without_loops(again), first)
        return next((choice for choice in choices if choice.text and is_plausible(choice.text, clip)), Transcript(""))

    async def forget(self, *, dialogue: str) -> None:
        """Frees what the ears keep of the dialogue."""
        await self._ears.forget(dialogue=dialogue)


def _without_loops(transcript: Transcript) -> Transcript:
    text = without_loops(transcript.text)
    words = transcript.words if text == transcript.text else _words_in(text, transcript.words)
    return Transcript(text, words)


def _words_in(text: str, words: Sequence[Word]) -> tuple[Word, ...]:
    """Those of the words, in their order, that a part of their text still holds."""
    kept, at = [], 0
    for word in words:
        found = text.find(word.text, at)
        if found == at or (found > at and not text[at:found].strip()):
            kept.append(word)
            at = found + len(word.text)
    return tuple(kept)


def _before_silence(clip: AudioClip) -> AudioClip:
    """The same sound in another context; as long as models take at most."""
    quiet_s = min(QUIET_S, MAX_CLIP_S - clip.duration_s)
    quiet = np.zeros(max(0, int(quiet_s * SAMPLE_RATE_HZ)), np.float32)
    return AudioClip(np.concatenate((clip.samples, quiet)), clip.speech_s)
