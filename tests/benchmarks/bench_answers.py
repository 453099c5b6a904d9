"""How many answers are right, by kind of question, asked in text and by voice; several models in one run.

The questions and the rules that judge are in `answer_sheet.py`; `voices.py` says them aloud, each in another voice.
Recordings are those of `assets/clips`, and with `--data DIR` real ones. A model is loaded as `app.py` loads it, and is
asked through `generate`, with the conversation that grows from turn to turn. Run:
`python -m tests.benchmarks.bench_answers --model pocket --show --json`.
"""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from app import default_cache_dir
from models.base import AudioLanguageModel
from models.cascade.cascade import about_recording
from models.loading import LoadOptions
from models.registry import load_model
from models.types import (
    AudioClip,
    GenerationOptions,
    GenerationStats,
    Message,
    Part,
    Samples,
    TextDelta,
    Transcription,
)
from realtime.conversation import SYSTEM_PROMPT
from realtime.hearing.files import read_audio_file
from realtime.hearing.speech import measure_speech_s
from tests.benchmarks.answer_sheet import Question, Turn, kinds_of, read_sheet
from tests.benchmarks.voices import VOICES, MissingVoices, Speakers, make_sound

CLIPS = Path(__file__).parents[2] / "assets" / "clips"
WAYS = ("text", "voice")
TEXT_VOICE = "none"  # what a question in text is said by
DIALOGUE = "sheet"  # one for all questions: the system prompt stays cached, as in a session that waits
MAX_NEW_TOKENS = 64  # the right answers are short

Sayer = Callable[[Turn], Awaitable[tuple[Part, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model answered to one question, asked in one way.

    Attributes:
        number: of the question.
        kind: of the question.
        way: "text" or "voice".
        voice: which voice said it; "none" in text, "recording" where nobody is synthesised.
        asked: the turns as text; recordings by their names.
        understood: what the model took the newest turn for, if it tells.
        text: the answer that is judged.
        before: the answers to the turns before.
        is_right: whether it passes.
        ttft_s: seconds to the first token of the answer; None where there was none.
        tokens: its length.
        decode_s: seconds from its first token to its end.
    """

    number: int
    kind: str
    way: str
    voice: str
    asked: list[str]
    understood: str
    text: str
    before: list[str]
    is_right: bool
    ttft_s: float | None
    tokens: int
    decode_s: float


async def answer_of(
    model: AudioLanguageModel, messages: Sequence[Message], options: GenerationOptions
) -> tuple[str, str, GenerationStats]:
    """What a model answers, what it understood, and what that cost."""
    text, understood, stats = "", "", None
    async for event in model.generate(messages, options, dialogue=DIALOGUE):
        if isinstance(event, TextDelta):
            text += event.text
        elif isinstance(event, Transcription):
            understood = event.transcript.text
        else:
            stats = event
    assert stats is not None, "generate ends with its stats"
    return text.strip(), understood, stats


class Examiner:
    """Asks one model.

    Args:
        model: is asked.
        options: of every answer.
        system_prompt: before every conversation; empty for none.
    """

    def __init__(self, model: AudioLanguageModel, options: GenerationOptions, system_prompt: str) -> None:
        self._model = model
        self._options = options
        self._system = [Message("system", (system_prompt,))] if system_prompt else []

    async def ask(self, question: Question, way: str, voice: str, say: Sayer) -> Answer:
        """Says the turns of a question one after the other and judges the last answer."""
        messages, texts = list(self._system), []
        for turn in question.turns:
            said = Message("user", await say(turn))
            text, understood, stats = await answer_of(self._model, [*messages, said], self._options)
            texts.append(text)
            messages += [said, Message("assistant", (text,))] if text else []  # as a session does
        return Answer(
            number=question.number,
            kind=question.kind,
            way=way,
            voice=voice,
            asked=[_shown(turn) for turn in question.turns],
            understood=understood,
            text=text,
            before=texts[:-1],
            is_right=question.rule.passes(text),
            ttft_s=stats.ttft_s,
            tokens=stats.completion_tokens,
            decode_s=stats.total_s - (stats.ttft_s or stats.total_s),
        )


def _shown(turn: Turn) -> str:
    about = turn.clip or turn.data or turn.sound or " / ".join(turn.recording)
    return turn.spoken or (f"[{about}] {turn.ask}" if turn.ask else f"[{about}]")


async def in_text(turn: Turn) -> tuple[Part, ...]:
    """A turn as a person types it."""
    return (turn.spoken or about_recording(" ".join(turn.recording), turn.ask),)


async def by_voice(turn: Turn, voice: str, speakers: Speakers, data: Path | None) -> tuple[Part, ...]:
    """A turn as a person says it, or the recording and what is typed about it."""
    samples = await _samples(turn, voice, speakers, data)
    clip = AudioClip(samples, measure_speech_s(samples))
    return (clip, turn.ask) if turn.ask else (clip,)


async def _samples(turn: Turn, voice: str, speakers: Speakers, data: Path | None) -> Samples:
    if turn.sound:
        return make_sound(turn.sound)
    if turn.clip:
        return read_audio_file(str(CLIPS / f"{turn.clip}.ogg")).samples
    if turn.data:
        assert data is not None, "questions about it are left out"
        return read_audio_file(str(data / turn.data)).samples
    return await speakers.speak_in_turns(turn.recording or (turn.spoken,), voice)


async def examine(
    model: AudioLanguageModel,
    questions: Sequence[Question],
    options: GenerationOptions,
    *,
    speakers: Speakers,
    ways: Sequence[str] = WAYS,
    system_prompt: str = SYSTEM_PROMPT,
    data: Path | None = None,
) -> list[Answer]:
    """Asks a model all questions and closes it.

    Args:
        model: is asked.
        questions: of the sheet.
        options: of every answer.
        speakers: say the questions aloud.
        ways: to ask, of `WAYS`.
        system_prompt: before every conversation.
        data: folder of the real recordings.
    """
    examiner, names, answers = Examiner(model, options, system_prompt), speakers.names, []
    asked = [(question, way) for way in ways for question in questions if way == "voice" or question.can_be_text]
    await answer_of(model, [Message("user", ("Hello.",))], options)
    for question, way in tqdm(asked, unit="question", desc=model.info.name):
        voice = names[question.number % len(names)] if way == "voice" else TEXT_VOICE
        say = in_text if way == "text" else partial(by_voice, voice=voice, speakers=speakers, data=data)
        shown = voice if way == "text" or question.can_be_text else "recording"
        answers.append(await examiner.ask(question, way, shown, say))
    await model.close()
    return answers


# ---- what is printed ----


def count(answers: Iterable[Answer]) -> tuple[int, int]:
    """How many are right, and how many there are."""
    judged = [answer.is_right for answer in answers]
    return sum(judged), len(judged)


def summary_of(answers: Sequence[Answer]) -> dict[str, Any]:
    """The numbers of some answers: right and all by way, median seconds to the first token, tokens a second."""
    spoken = {answer.number for answer in answers if answer.way == "voice"}
    written = {answer.number for answer in answers if answer.way == "text"}
    both = [answer for answer in answers if answer.number in spoken & written]
    in_both_ways = [count(answer for answer in both if answer.way == way)[0] for way in WAYS]
    first_s = [answer.ttft_s for answer in answers if answer.ttft_s is not None]
    timed = [answer for answer in answers if answer.tokens > 1]
    decode_s = sum(answer.decode_s for answer in timed)
    return {
        **{way: count(answer for answer in answers if answer.way == way) for way in WAYS},
        "voice_to_text": round(in_both_ways[1] / in_both_ways[0], 3) if in_both_ways[0] else None,
        "ttft_p50_s": round(float(np.median(first_s)), 3) if first_s else None,
        "tokens_per_s": round(sum(answer.tokens - 1 for answer in timed) / decode_s, 1) if decode_s else None,
    }


def print_summary(name: str, questions: Sequence[Question], answers: Sequence[Answer], console: Console) -> None:
    """A table by kind, and a line of what each voice got right."""
    table = Table(title=f"{name}: right answers")
    for column in ("kind", "text", "voice", "voice to text", "first token p50, s", "tokens/s"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    kinds = kinds_of(questions)
    for kind in [*kinds, "all"]:
        found = summary_of([answer for answer in answers if kind in (answer.kind, "all")])
        counts = [f"{found[way][0]}/{found[way][1]}" if found[way][1] else "" for way in WAYS]
        rest = [found[key] for key in ("voice_to_text", "ttft_p50_s", "tokens_per_s")]
        if kind == "all":
            table.add_section()
        table.add_row(kind, *counts, *("" if value is None else f"{value:g}" for value in rest))
    console.print(table)
    voices = {answer.voice: count(one for one in answers if one.voice == answer.voice) for answer in answers}
    console.print("  ".join(f"{voice} {right}/{total}" for voice, (right, total) in voices.items() if voice != "none"))


def print_failures(name: str, answers: Sequence[Answer], console: Console) -> None:
    """A table of what was answered wrongly."""
    table = Table(title=f"{name}: wrong answers", show_lines=True)
    for column in ("", "by", "asked", "understood", "answered"):
        table.add_column(column)
    for answer in answers:
        if not answer.is_right:
            asked = "\n".join(answer.asked)
            by = answer.way if answer.way == "text" else answer.voice
            table.add_row(f"{answer.number}", by, asked, answer.understood, answer.text)
    console.print(table)


def _choice(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [one for one in chosen if one not in allowed]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(allowed)}")
        return chosen

    return read


def _parser(kinds: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_answers", description=__doc__)
    parser.add_argument("--model", nargs="+", default=["pocket"], help="names, hub ids or folders (pocket)")
    parser.add_argument("--text-model", help="as app.py takes it")
    parser.add_argument("--ears", default="moonshine", help="as app.py takes it (%(default)s)")
    parser.add_argument("--device", default="auto", help="as app.py takes it (%(default)s)")
    parser.add_argument("--cache-dir", type=Path, help="converted weights")
    parser.add_argument("--by", type=_choice(WAYS), default=list(WAYS), help="text, voice, or text,voice (both)")
    parser.add_argument("--voices", type=_choice(VOICES), default=list(VOICES), help=f"of {', '.join(VOICES)} (all)")
    parser.add_argument("--kinds", type=_choice(kinds), default=kinds, help=f"of {', '.join(kinds)} (all)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of real recordings, for questions about them")
    parser.add_argument("--system-prompt", default=SYSTEM_PROMPT, help="(%(default)s)")
    parser.add_argument("--repetition-penalty", type=float, default=1.0, help="1 leaves it to the model (%(default)s)")
    parser.add_argument("--max-new-tokens", type=int, default=MAX_NEW_TOKENS, help="longest answer (%(default)s)")
    parser.add_argument("--show", action="store_true", help="list the wrong answers")
    parser.add_argument("--answers", type=Path, metavar="FILE", help="keep all answers, one JSON object a line")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    return parser


def _load_options(options: argparse.Namespace) -> LoadOptions:
    return LoadOptions(
        cache_dir=options.cache_dir or default_cache_dir(),
        device=options.device,
        ears=options.ears,
        text_model=options.text_model,
    )


def main() -> None:
    """Runs the benchmark."""
    sheet = read_sheet()
    parser = _parser(kinds_of(sheet))
    options = parser.parse_args()
    questions = [one for one in sheet if one.kind in options.kinds and (options.data or not one.needs_data)]
    try:
        voices = options.voices if "voice" in options.by else []
        speakers = Speakers(voices, options.cache_dir or default_cache_dir())
    except MissingVoices as error:
        parser.error(str(error))
    generation = GenerationOptions(max_new_tokens=options.max_new_tokens, repetition_penalty=options.repetition_penalty)
    asking = partial(
        examine, speakers=speakers, ways=options.by, system_prompt=options.system_prompt, data=options.data
    )
    console, found, kept = Console(), {}, []
    for name in options.model:
        answers = asyncio.run(asking(load_model(name, _load_options(options)), questions, generation))
        print_summary(name, questions, answers, console)
        if options.show:
            print_failures(name, answers, console)
        of_kinds = {kind: summary_of([one for one in answers if one.kind == kind]) for kind in options.kinds}
        found[name] = {"all": summary_of(answers), **of_kinds}
        kept += [json.dumps({"model": name, **asdict(answer)}, ensure_ascii=False) for answer in answers]
    if options.answers:
        options.answers.write_text("".join(f"{line}\n" for line in kept))
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
