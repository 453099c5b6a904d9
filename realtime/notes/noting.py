"""Asks a model for notes: of a call's newest lines while it goes on, or of a whole recording.

The model is asked about line after line, each with those around it. What it says is compared with what was said, and
the same thing twice becomes one note. Summaries are written window by window, and joined. What could not be judged is
said in remarks. Read `prompts.py` for what the model is told, `grounding.py` and `keeping.py` for what becomes of its
answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from models.base import AudioLanguageModel
from models.types import GenerationOptions, Message, TextDelta
from realtime.notes.grounding import Grounded, ground
from realtime.notes.keeping import Kept, add
from realtime.notes.minutes import Line, Minutes, Span
from realtime.notes.prompts import (
    AFTER_LINES,
    BEFORE_LINES,
    UNKNOWN_SPEAKER,
    Sound,
    joined_summary_prompt,
    line_prompt,
    summary_prompt,
)
from realtime.notes.schema import ANSWER_SCHEMA, is_whole, read_answer
from realtime.notes.writing import clock

MIN_WORDS = 3  # of a line that is worth asking about: "Yes, sure." is about the line before
MAX_ANSWER_TOKENS = 160
MAX_SUMMARY_TOKENS = 160
MAX_WINDOW_LINES = 60  # of one summary
MAX_WINDOW_TOKENS = 2500  # of it: a small model loses sight of more
CHARACTERS_PER_TOKEN = 3  # at least, of what people say
SUMMARY_PROMPT_TOKENS = 100  # what is always said
MAX_SUMMARIES = 20  # joined at a time
CUT_OFF = "The model was cut off in a note, which is missing."
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


async def note_lines(
    model: AudioLanguageModel,
    lines: Sequence[Line],
    *,
    n_before: int = 0,
    known: Kept | None = None,
    context: str = "",
    dialogue: str = "notes",
    sound: Sound | None = None,
) -> Kept:
    """Takes notes of some lines; one short answer of the model for each.

    Args:
        model: takes them.
        lines: in order.
        n_before: the first ones are there to be referred to, and are not asked about.
        known: what is kept so far.
        context: what it is about, from a person.
        dialogue: names the dialogue whose cache may be used.
        sound: gives the sound of a line to a model that listens itself.

    Returns:
        What is kept now: decisions, action items and open questions; no summary.

    Raises:
        InvalidPrompt: the lines are too long for the model, or it cannot be held to a schema.
        GenerationFailed: the model failed.
    """
    asking = _Asking(model=model, context=context, dialogue=dialogue, sound=sound)
    kept = known or Kept()
    for at in range(n_before, len(lines)):
        kept = add(kept, (await _note(asking, lines, at)).found)
    return kept


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
    n_cut_off, n_steps = 0, len(said) * 5 // 4 + 1  # summaries take about a fifth of the time
    try:
        for at in range(len(said)):
            noted = await _note(asking, said, at)
            kept, n_cut_off = add(kept, noted.found), n_cut_off + noted.is_cut_off
            progress((at + 1) / n_steps)
        summary = await _summarise(asking, said)
    finally:
        await model.forget(dialogue=dialogue)
    if summary and said:
        whole = Span(start_s=said[0].span.start_s, end_s=said[-1].span.end_s)
        kept = add(kept, [Grounded(kind="summary", text=summary, spans=(whole,))])
    progress(1.0)
    remarks = _remarks(lines, said, n_cut_off=n_cut_off)
    return Minutes(title=title, duration_s=duration_s, notes=kept.notes, lines=tuple(lines), remarks=remarks)


def cut_windows(lines: Sequence[Line], max_characters: int) -> list[Sequence[Line]]:
    """Cuts lines into windows; a line that is longer than a window is one by itself."""
    windows, start, n_characters = list[Sequence[Line]](), 0, 0
    for end, line in enumerate(lines):
        length = len(line.text) + len(line.span.speaker or UNKNOWN_SPEAKER) + len(": \n")
        if end > start and (n_characters + length > max_characters or end - start == MAX_WINDOW_LINES):
            windows.append(lines[start:end])
            start, n_characters = end, 0
        n_characters += length
    return [*windows, lines[start:]] if lines else []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noted:
    """What a line gave: one note or none."""

    found: tuple[Grounded, ...] = ()
    is_cut_off: bool = False


async def _note(asking: _Asking, lines: Sequence[Line], at: int) -> _Noted:
    first = max(0, at - BEFORE_LINES)
    around, at_around = lines[first : at + AFTER_LINES + 1], at - first
    has_sound = asking.sound is not None and asking.sound(lines[at].span) is not None
    if len(lines[at].text.split()) < MIN_WORDS and not has_sound:
        return _Noted()
    asked = line_prompt(around, at_around, asking.context, asking.sound)
    options = GenerationOptions(max_new_tokens=MAX_ANSWER_TOKENS, json_schema=ANSWER_SCHEMA)
    answer = await asking.say(f"line {at}", asked, options)
    draft = read_answer(answer)
    grounded = None if draft is None else ground(draft, around, at_around)
    return _Noted(found=() if grounded is None else (grounded,), is_cut_off=not is_whole(answer))


async def _summarise(asking: _Asking, lines: Sequence[Line]) -> str:
    context_characters = len(asking.context)
    free_tokens = asking.model.info.context_tokens - SUMMARY_PROMPT_TOKENS - MAX_SUMMARY_TOKENS
    max_characters = min(free_tokens, MAX_WINDOW_TOKENS) * CHARACTERS_PER_TOKEN - context_characters
    with_words = [line for line in lines if line.text]
    windows = cut_windows(with_words, max(1, max_characters))
    prompts = [summary_prompt(window, asking.context) for window in windows]
    parts = [await asking.say(f"summary {number}", prompt) for number, prompt in enumerate(prompts)]
    return await _join_summaries(asking, [part for part in parts if part])


async def _join_summaries(asking: _Asking, parts: list[str]) -> str:
    level = 0
    while len(parts) > 1:
        groups = [parts[at : at + MAX_SUMMARIES] for at in range(0, len(parts), MAX_SUMMARIES)]
        named = [(f"joined {level} {number}", joined_summary_prompt(group)) for number, group in enumerate(groups)]
        parts = [await asking.say(name, prompt) for name, prompt in named]
        level += 1
    return parts[0] if parts else ""


def _remarks(lines: Sequence[Line], said: Sequence[Line], *, n_cut_off: int) -> tuple[str, ...]:
    remarks = list[str]()
    if not said:
        remarks.append(NO_LINES)
    elif all(line.span.speaker is None for line in said):
        remarks.append(NO_SPEAKERS)
    unclear = [line.span for line in lines if not line.text and line not in said]
    if unclear:
        at = ", ".join(clock(span.start_s) for span in unclear[:5])
        more = f" and {len(unclear) - 5} more" if len(unclear) > 5 else ""
        remarks.append(f"Somebody spoke whose words were not understood, at {at}{more}.")
    return (*remarks, CUT_OFF) if n_cut_off else tuple(remarks)
