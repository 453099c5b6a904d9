"""What no model can take: no messages at all, clips that are too short, too long or broken, languages that are none.

A model asks here before it works, so that all refuse alike. What only one of them cannot take, it refuses itself.
"""

import re
from collections.abc import Sequence

import numpy as np

from models.errors import InvalidPrompt
from models.types import AudioClip, Message

MIN_CLIP_S = 0.02  # one hop or two of every encoder here; a shorter clip is a mistake, not a sound
MAX_CLIP_S = 600.0  # ten minutes: what the most patient family was trained on


def check_messages(messages: Sequence[Message]) -> None:
    """Refuses what no family can take.

    Raises:
        InvalidPrompt: there are no messages, or a clip is too short, too long or not finite.
    """
    if not messages:
        raise InvalidPrompt("there are no messages; say or write something first")
    for clip in (clip for message in messages for clip in message.clips):
        check_clip(clip)


def check_clip(clip: AudioClip) -> None:
    """Refuses a clip that cannot be heard.

    Raises:
        InvalidPrompt: it is too short, too long or not finite.
    """
    if clip.duration_s < MIN_CLIP_S:
        raise InvalidPrompt(f"{clip.id} is {clip.duration_s:.3f} s long; at least {MIN_CLIP_S} s are needed")
    if clip.duration_s > MAX_CLIP_S:
        raise InvalidPrompt(f"{clip.id} is {clip.duration_s:.0f} s long; at most {MAX_CLIP_S:.0f} s are taken")
    if not np.isfinite(clip.samples).all():
        raise InvalidPrompt(f"{clip.id} holds numbers that are not finite; the recording or its decoder is broken")


def check_language(language: str | None) -> None:
    """Refuses what names no language.

    Raises:
        InvalidPrompt: it is neither None nor of two letters, as ISO 639-1 names languages.
    """
    if language is not None and not re.fullmatch("[a-z]{2}", language):
        raise InvalidPrompt(f"{language!r} is no language of two letters (en, fr, ...)")
