"""What somebody means: intent, certainty, sentiment and emotion, each with the words that it rests on.

The model answers under a JSON schema. Words that it quotes are looked for among those that were said: what nobody said
is taken away, and what is found gets its time. Beside the words, or the sound, it is given what was measured of the
voice. A model that is given words alone cannot judge the tone, and the result says so.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.base import AudioLanguageModel
from models.errors import GenerationFailed
from models.types import AudioClip, GenerationOptions, Message, Part, Transcript
from realtime.notes.minutes import Span
from realtime.review.questions import generated

CERTAINTIES = ("certain", "fairly certain", "uncertain")
SENTIMENTS = ("positive", "neutral", "negative", "mixed")
EMOTIONS = ("calm", "happy", "excited", "sad", "worried", "angry", "frustrated", "surprised", "afraid", "embarrassed")
ANSWER_TOKENS = 1000  # beyond what the schema allows, whatever a token is
ASK = (
    "Judge what the speaker means. Give the intent in one short sentence, how certain the speaker is, the sentiment "
    "and the emotion. For each, quote the exact words of the speaker that show it, or nothing if no words do."
)
NO_TONE = (
    "this model is given words alone, and cannot judge the tone of the voice, laughter or sighs; what it says of "
    "certainty, sentiment and emotion is that of the words and of what was measured"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Words that were said.

    Attributes:
        text: as the ears wrote them.
        span: where; None: their times are not known.
    """

    text: str
    span: Span | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One judgement, and the words that it rests on; none where no words show it."""

    value: str
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What somebody means.

    Attributes:
        intent, certainty, sentiment, emotion: what was judged.
        remarks: what could not be judged, in sentences.
    """

    intent: Judgement
    certainty: Judgement
    sentiment: Judgement
    emotion: Judgement
    remarks: tuple[str, ...]


async def judge_intent(
    model: AudioLanguageModel, clip: AudioClip, transcript: Transcript | None, measured: Sequence[str]
) -> Intent:
    """Asks the model what is meant.

    Args:
        model: judges.
        clip: what was said.
        transcript: the words of it; None where nobody writes them down.
        measured: of the voice, in sentences.

    Raises:
        ModelError: the model failed.
    """
    evidence = "Measured: " + "; ".join(measured) + "."
    said: tuple[Part, ...] = (clip,)
    if not model.info.listens:
        assert transcript is not None, "a model that is given words has ears"
        said = (f'The speaker says: "{transcript.text}"',)
    messages = [Message("system", (ASK,)), Message("user", (*said, evidence))]
    options = GenerationOptions(max_new_tokens=ANSWER_TOKENS, json_schema=_schema())
    text = "".join([delta async for delta in generated(model, messages, options)])
    try:
        found = json.loads(text)
    except ValueError as error:
        raise GenerationFailed("the judgement was cut off; try again, or ask another model") from error
    judged = {name: _judgement_of(found[name], transcript) for name in ("intent", "certainty", "sentiment", "emotion")}
    return Intent(**judged, remarks=() if model.info.listens else (NO_TONE,))


def _judgement_of(found: dict[str, Any], transcript: Transcript | None) -> Judgement:
    quote = _find_quote(found["quote"], transcript)
    return Judgement(value=found["value"].strip(), quotes=() if quote is None else (quote,))


def _find_quote(text: str, transcript: Transcript | None) -> Quote | None:
    """Looks for words among those that were said; None if nobody said them."""
    wanted = _plain(text)
    if not wanted or transcript is None:
        return None
    words = [(_plain(word.text), word) for word in transcript.words]
    for start in range(len(words) - len(wanted) + 1):
        run = words[start : start + len(wanted)]
        if [plain for plain, _ in run] == [[each] for each in wanted]:
            span = Span(start_s=run[0][1].start_s, end_s=run[-1][1].end_s)
            return Quote(text=" ".join(word.text for _, word in run), span=span)
    if not words and " ".join(wanted) in " ".join(_plain(transcript.text)):
        return Quote(text=text.strip(), span=None)
    return None


def _plain(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.casefold().replace("’", "'"))


def _schema() -> dict[str, Any]:
    def judged(value: dict[str, Any]) -> dict[str, Any]:
        quote = {"type": "string", "maxLength": 120}
        return {
            "type": "object",
            "properties": {"quote": quote, "value": value},
            "required": ["quote", "value"],
            "additionalProperties": False,
        }

    properties = {
        "intent": judged({"type": "string", "minLength": 3, "maxLength": 160}),
        "certainty": judged({"enum": list(CERTAINTIES)}),
        "sentiment": judged({"enum": list(SENTIMENTS)}),
        "emotion": judged({"enum": list(EMOTIONS)}),
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
