"""Describes a recording: sounds, instruments and genre by the model, tempo, key and sections as they were measured.

Models guess tempo and key, so these are measured (`music.py`) and given to the model as evidence. A model that is given
words alone cannot listen: it is told so, and works with what was measured and said. Read `intent.py` for speech.
"""

from collections.abc import AsyncIterator, Sequence

from models.base import AudioLanguageModel
from models.types import AudioClip, GenerationOptions, Message, Part, Transcript
from realtime.review.questions import generated

DEFAULT_QUESTION = "Describe this recording: what sounds, which instruments, which genre, what happens in it?"
LISTENS = (
    "You are given a recording, and what was measured of it. What was measured is right: use these numbers, and do not "
    "guess others. Say what you do not know."
)
CANNOT_LISTEN = (
    "You cannot listen to the recording. You are given only what was measured of it and which words were said. Use "
    "these alone. Never invent sounds, instruments or a genre: say that you cannot judge them."
)
NO_SOUND = (
    "this model is given words alone, and cannot judge sounds, instruments or a genre; what was measured is no guess"
)


async def describe(
    model: AudioLanguageModel,
    clip: AudioClip,
    question: str,
    options: GenerationOptions,
    *,
    measured: Sequence[str],
    transcript: Transcript | None,
) -> AsyncIterator[str]:
    """Yields the description, piece by piece.

    Args:
        model: describes.
        clip: the recording.
        question: what is asked about it; "": everything.
        options: how to generate.
        measured: of it, in sentences.
        transcript: what is said in it; None where nobody writes it down.

    Raises:
        ModelError: the model failed.
    """
    evidence = "Measured: " + "; ".join(measured) + "."
    parts: tuple[Part, ...] = (clip, evidence)
    if not model.info.listens:
        words = transcript.text if transcript is not None else ""
        parts = (evidence, f'Words that are said in it: "{words}"' if words else "No words are said in it.")
    prompt = LISTENS if model.info.listens else CANNOT_LISTEN
    messages = [Message("system", (prompt,)), Message("user", (*parts, question or DEFAULT_QUESTION))]
    async for delta in generated(model, messages, options):
        yield delta
