"""Answers a question about a recording of any length, with the places that the answer rests on.

Each part is asked by itself: what in it answers the question, and in which lines. The lines are numbers that the model
chooses among those there are, so that a place is never invented. What was found is put together in a last answer, which
streams; where that is too much for the model at once, it is put together in groups first. Read `parts.py` for parts.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import Any

from models.base import AudioLanguageModel
from models.types import GenerationOptions, Message, TextDelta
from realtime.notes.minutes import Span
from realtime.review.journal import Journal
from realtime.review.parts import PART_CHARACTERS, RecordingPart

DIALOGUE = "review"
FOUND_TOKENS = 400
MAX_CITED = 6  # lines of one part
MAX_FOUND_CHARACTERS = 500
GROUP_CHARACTERS = PART_CHARACTERS  # of findings that are put together at once

ASK_PART = (
    "You are given one part of a recording: numbered lines that were said. Find what in this part answers the "
    "question. Give the numbers of the lines that say it, and the answer in one or two short sentences. If this part "
    'says nothing about the question, give "lines": [] and "answer": "".'
)
PUT_TOGETHER = (
    "You are given what was found in the parts of a recording, in order. Answer the question from it alone, in a few "
    "plain sentences. Do not mention parts or findings."
)
NOTHING_FOUND = "Nothing in this recording answers that."


@dataclass(frozen=True, slots=True)
class Finding:
    """What one part says about the question.

    Attributes:
        text: in words.
        spans: where it is said; at least one.
    """

    text: str
    spans: tuple[Span, ...]


class Question:
    """One question to one recording.

    Args:
        model: answers.
        text: the question.
        options: of the last answer.
        journal: keeps what is found, so that it can be gone on with; None: nothing is kept.
        dialogue: names the dialogue whose cache may be used.

    Attributes:
        findings: so far.
    """

    def __init__(
        self,
        model: AudioLanguageModel,
        text: str,
        options: GenerationOptions,
        *,
        journal: Journal | None = None,
        dialogue: str = DIALOGUE,
    ) -> None:
        self.findings: list[Finding] = []
        self._model = model
        self._text = text
        self._options = options
        self._journal = journal
        self._dialogue = dialogue

    async def ask(self, part: RecordingPart) -> None:
        """Asks one part; the next ones come after it.

        Raises:
            ModelError: the model failed.
        """
        name = f"part {part.number}"
        found = None if self._journal is None else self._journal.find(name)
        if found is None:
            found = await self._find(part)
            if self._journal is not None:
                self._journal.keep(name, found)
        if found["answer"] and found["spans"]:
            spans = tuple(Span(**span) for span in found["spans"])
            self.findings.append(Finding(found["answer"], spans))

    async def _find(self, part: RecordingPart) -> dict[str, Any]:
        question = f"Question: {self._text}"
        messages = [Message("system", (ASK_PART,)), Message("user", (*part.content(self._model.info), question))]
        options = GenerationOptions(max_new_tokens=FOUND_TOKENS, json_schema=_schema(len(part.spoken)))
        text = "".join([delta async for delta in generated(self._model, messages, options, dialogue=self._dialogue)])
        numbers, answer = _read(text)
        known = [number for number in dict.fromkeys(numbers) if 1 <= number <= len(part.spoken)]
        return {"answer": answer, "spans": [asdict(part.spoken[number - 1].line.span) for number in known]}

    async def answer(self) -> AsyncGenerator[str, None]:
        """Yields the last answer, piece by piece, from what was found.

        Raises:
            ModelError: the model failed.
        """
        texts = [finding.text for finding in self.findings]
        if not texts and self._options.json_schema is None:
            yield NOTHING_FOUND
            return
        texts = texts or [NOTHING_FOUND]
        while len(groups := _groups(texts)) > 1:
            texts = [await self._condense(group) for group in groups]
        async for delta in self._put_together(texts, self._options):
            yield delta

    async def _condense(self, texts: Sequence[str]) -> str:
        options = replace(self._options, json_schema=None)
        return "".join([delta async for delta in self._put_together(texts, options)])

    async def _put_together(self, texts: Sequence[str], options: GenerationOptions) -> AsyncIterator[str]:
        found = "\n".join(f"- {text}" for text in texts)
        messages = [Message("system", (PUT_TOGETHER,)), Message("user", (f"{found}\n\nQuestion: {self._text}",))]
        async for delta in generated(self._model, messages, options, dialogue=self._dialogue):
            yield delta

    def spans(self) -> tuple[Span, ...]:
        """Where all of it was said, in order; neighbours of one speaker are one."""
        joined: list[Span] = []
        for span in sorted(
            (span for finding in self.findings for span in finding.spans), key=lambda each: each.start_s
        ):
            last = joined[-1] if joined else None
            if last is not None and last.speaker == span.speaker and span.start_s - last.end_s < 1.0:
                joined[-1] = Span(start_s=last.start_s, end_s=max(last.end_s, span.end_s), speaker=span.speaker)
            else:
                joined.append(span)
        return tuple(joined)


async def generated(
    model: AudioLanguageModel, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str = DIALOGUE
) -> AsyncIterator[str]:
    """Yields the pieces of one answer."""
    async with aclosing(model.generate(messages, options, dialogue=dialogue)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                yield event.text


def _read(text: str) -> tuple[list[int], str]:
    """The lines and the answer that a model gave; none where it was cut off, or kept to no schema."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return [], ""
    match found:
        case {"lines": list(lines), "answer": str(answer)}:
            return [line for line in lines if isinstance(line, int) and not isinstance(line, bool)], answer.strip()
        case _:
            return [], ""


def _groups(texts: Sequence[str]) -> list[list[str]]:
    """Divides what was found into groups that a model can take at once; one that is alone is not put together."""
    groups: list[list[str]] = [[]]
    for text in texts:
        if groups[-1] and sum(map(len, groups[-1])) + len(text) > GROUP_CHARACTERS and len(groups[-1]) > 1:
            groups.append([])
        groups[-1].append(text)
    return groups


def _schema(n_lines: int) -> dict[str, Any]:
    number = {"type": "integer", "minimum": 1, "maximum": n_lines}
    return {
        "type": "object",
        "properties": {
            "lines": {"type": "array", "items": number, "maxItems": MAX_CITED},
            "answer": {"type": "string", "maxLength": MAX_FOUND_CHARACTERS},
        },
        "required": ["lines", "answer"],
        "additionalProperties": False,
    }
