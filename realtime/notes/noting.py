"""Asks a model for notes: of a call's newest lines while it goes on, or of a whole recording, window by window.

A window is as many lines as the model can keep in view. Its notes are compared with what was said, and the same thing
twice becomes one note. What could not be judged is said in remarks. It never gives notes that rest on no line.
Read `prompts.py` for what the model is told, `grounding.py` and `keeping.py` for what becomes of its answer.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from models.base import AudioLanguageModel
from models.types import AudioClip, GenerationOptions, Message, TextDelta
from realtime.notes.grounding import Grounded, ground
from realtime.notes.keeping import Kept, add
from realtime.notes.minutes import Line, Minutes, Span
from realtime.notes.prompts import joined_summary_prompt, notes_prompt, summary_prompt
from realtime.notes.schema import answer_schema, is_whole, read_answer

MAX_WINDOW_LINES = 40
OVERLAP_LINES = 4  # of a window with the one before: an answer may stand behind the cut
CHARACTERS_PER_TOKEN = 3  # at least, of what people say
PROMPT_TOKENS = 900  # what is always said, its example included
MAX_ANSWER_TOKENS = 900
MAX_SUMMARY_TOKENS = 160
MAX_WINDOW_TOKENS = 3000  # a small model loses sight of more
MAX_WINDOW_SOUND_S = 120.0  # to a model that listens itself
MAX_SUMMARIES = 20  # joined at a time
CUT_OFF = "The notes of one part were cut off before they were whole; some may be missing."
NO_SPEAKERS = "Who spoke is not known, so that tasks may lack their owner."
NO_LINES = "Nothing was said that could be written down, so there are no notes."


class Answers(Protocol):
    """Keeps what a model said, so that whoever was interrupted need not ask again."""

    def find(self, name: str) -> Any:
        """What was kept under this name; None: nothing yet."""
        ...

    def keep(self, name: str, found: Any) -> None:
        """Keeps it."""
        ...


Sound = Callable[[Span], AudioClip | None]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """How the model is asked; the same for all windows."""

    model: AudioLanguageModel
    context: str
    dialogue: str
    sound: Sound | None
    answers: Answers | None = None

    async def say(self, name: str, asked: Sequence[Message], options: GenerationOptions | None = None) -> str:
        """The whole answer of the model, or what it said before; a summary if nothing else is asked for."""
        before = None if self.answers is None else self.answers.find(name)
        if isinstance(before, str):
            return before
        options = options or GenerationOptions(max_new_tokens=MAX_SUMMARY_TOKENS)
        events = self.model.generate(asked, options, dialogue=self.dialogue)
        answer = "".join([event.text async for event in events if isinstance(event, TextDelta)]).strip()
        if self.answers is not None:
            self.answers.keep(name, answer)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noted:
    """What one window gave."""

    kept: Kept
    asked: tuple[Message, ...]
    answer: str
    is_cut_off: bool


async def note_lines(
    model: AudioLanguageModel,
    lines: Sequence[Line],
    *,
    known: Kept | None = None,
    context: str = "",
    dialogue: str = "notes",
    sound: Sound | None = None,
) -> Kept:
    """Takes notes of some lines; one answer of the model.

    Args:
        model: writes them.
        lines: the new ones, and a few before them that they may refer to.
        known: what is kept so far.
        context: what it is about, from a person.
        dialogue: names the dialogue whose cache may be used.
        sound: gives the sound of a line to a model that listens itself.

    Returns:
        What is kept now: decisions, action items and open questions; no summary.

    Raises:
        InvalidPrompt: the lines are too many for the model, or it cannot be held to a schema.
        GenerationFailed: the model failed.
    """
    kept = known or Kept()
    if not lines:
        return kept
    asking = _Asking(model=model, context=context, dialogue=dialogue, sound=sound)
    return (await _note(asking, "notes", lines, kept)).kept


async def write_minutes(
    model: AudioLanguageModel,
    lines: Sequence[Line],
    *,
    title: str,
    duration_s: float,
    known: Kept | None = None,
    context: str = "",
    dialogue: str = "notes",
    sound: Sound | None = None,
    answers: Answers | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Minutes:
    """Writes the minutes of a whole recording.

    Args:
        model: writes them.
        lines: all that was said, in order.
        title: of the recording.
        duration_s: its length.
        known: of an earlier run; what people changed in it stays.
        context: what it is about, from a person.
        dialogue: names the dialogue whose cache may be used; forgotten at the end.
        sound: gives the sound of a line to a model that listens itself.
        answers: keeps those of the model; what it has is not asked again. For the same lines and model alone.
        progress: is told which share of the work is done.

    Raises:
        InvalidPrompt: the model cannot be held to a schema.
        GenerationFailed: the model failed.
    """
    kept = known or Kept()
    said = [line for line in lines if line.text or sound is not None]
    asking = _Asking(model=model, context=context, dialogue=dialogue, sound=sound, answers=answers)
    cut_off, summaries = False, list[str]()
    windows = cut_windows(said, _window_characters(model, context), _window_s(model, sound))
    try:
        for number, window in enumerate(windows):
            noted = await _note(asking, f"notes {number}", window, kept)
            kept, cut_off = noted.kept, cut_off or noted.is_cut_off
            summaries.append(await asking.say(f"summary {number}", summary_prompt(noted.asked, noted.answer)))
            progress((number + 1) / (len(windows) + 1))
        summary = await _join_summaries(asking, [one for one in summaries if one])
    finally:
        await model.forget(dialogue=dialogue)
    if summary and said:
        whole = Span(start_s=said[0].span.start_s, end_s=said[-1].span.end_s)
        kept = add(kept, [Grounded(kind="summary", text=summary, spans=(whole,))])
    progress(1.0)
    remarks = _remarks(lines, said, cut_off=cut_off)
    return Minutes(title=title, duration_s=duration_s, notes=kept.notes, lines=tuple(lines), remarks=remarks)


def cut_windows(lines: Sequence[Line], max_characters: int, max_s: float = math.inf) -> list[Sequence[Line]]:
    """Cuts lines into windows that overlap; a line that is longer than a window is one by itself."""
    windows, start = list[Sequence[Line]](), 0
    while start < len(lines):
        end, n_characters, length_s = start, 0, 0.0
        while end < len(lines) and end - start < MAX_WINDOW_LINES:
            n_characters += len(lines[end].text) + len(lines[end].span.speaker or "") + len("000 : ")
            length_s += lines[end].span.end_s - lines[end].span.start_s
            if (n_characters > max_characters or length_s > max_s) and end > start:
                break
            end += 1
        windows.append(lines[start:end])
        if end == len(lines):
            break
        start = max(start + (end - start + 1) // 2, end - OVERLAP_LINES)
    return windows


def _window_characters(model: AudioLanguageModel, context: str) -> int:
    rest = model.info.context_tokens - PROMPT_TOKENS - 2 * MAX_ANSWER_TOKENS - len(context) // CHARACTERS_PER_TOKEN
    return max(1, min(rest, MAX_WINDOW_TOKENS)) * CHARACTERS_PER_TOKEN


def _window_s(model: AudioLanguageModel, sound: Sound | None) -> float:
    return math.inf if sound is None else min(model.info.max_audio_s or math.inf, MAX_WINDOW_SOUND_S)


async def _note(asking: _Asking, name: str, lines: Sequence[Line], kept: Kept) -> _Noted:
    asked = notes_prompt(lines, asking.context, asking.sound)
    options = GenerationOptions(max_new_tokens=MAX_ANSWER_TOKENS, json_schema=answer_schema(lines))
    answer = await asking.say(name, asked, options)
    drafts = read_answer(answer)
    found = [grounded for draft in drafts if (grounded := ground(draft, lines)) is not None]
    logger.info("notes: %d lines, %d notes, %d of them rest on what was said", len(lines), len(drafts), len(found))
    return _Noted(kept=add(kept, found), asked=asked, answer=answer, is_cut_off=not is_whole(answer))


async def _join_summaries(asking: _Asking, parts: list[str]) -> str:
    level = 0
    while len(parts) > 1:
        groups = [parts[at : at + MAX_SUMMARIES] for at in range(0, len(parts), MAX_SUMMARIES)]
        named = [(f"joined {level} {number}", joined_summary_prompt(group)) for number, group in enumerate(groups)]
        parts = [await asking.say(name, prompt) for name, prompt in named]
        level += 1
    return parts[0] if parts else ""


def _remarks(lines: Sequence[Line], said: Sequence[Line], *, cut_off: bool) -> tuple[str, ...]:
    remarks = list[str]()
    if not said:
        remarks.append(NO_LINES)
    elif all(line.span.speaker is None for line in said):
        remarks.append(NO_SPEAKERS)
    unclear = [line.span for line in lines if not line.text and line not in said]
    if unclear:
        at = ", ".join(f"{int(span.start_s) // 60}:{int(span.start_s) % 60:02}" for span in unclear[:5])
        more = f" and {len(unclear) - 5} more" if len(unclear) > 5 else ""
        remarks.append(f"Somebody spoke whose words were not understood, at {at}{more}.")
    return (*remarks, CUT_OFF) if cut_off else tuple(remarks)
