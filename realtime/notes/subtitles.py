"""Writes lines down as subtitles: SubRip (SRT) and WebVTT, cut into cues that people can read in time.

A cue is at most 7 s and two rows of 42 characters long, as broadcasters have them; a longer line is cut between words,
at their times where these are known. What would be read as markup is escaped. Lines without words give no cue.
Sources: the W3C's WebVTT recommendation, and for lengths the Timed Text Style Guide of Netflix.
"""

import html
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from models.types import Word
from realtime.notes.minutes import Line

MAX_CUE_S = 7.0
MAX_ROW_CHARACTERS = 42
MAX_ROWS = 2
MIN_CUE_S = 0.5  # a shorter one flickers


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """What is shown at once.

    Attributes:
        start_s: from when.
        end_s: until when.
        rows: one or two.
        speaker: who says it; None: not known.
    """

    start_s: float
    end_s: float
    rows: tuple[str, ...]
    speaker: str | None = None


def to_srt(lines: Sequence[Line]) -> str:
    """SubRip: the speaker's name stands before the words."""
    blocks = []
    for number, cue in enumerate(cues(lines, names_in_rows=True), 1):
        times = f"{_time(cue.start_s, ',')} --> {_time(cue.end_s, ',')}"
        rows = "\n".join(row.replace("-->", "→") for row in cue.rows)
        blocks.append(f"{number}\n{times}\n{rows}\n")
    return "\n".join(blocks)


def to_vtt(lines: Sequence[Line]) -> str:
    """WebVTT: the speaker is the voice of the cue."""
    blocks = ["WEBVTT\n"]
    for cue in cues(lines, names_in_rows=False):
        rows = html.escape("\n".join(cue.rows), quote=False)
        voice = "" if cue.speaker is None else f"<v {html.escape(_one_row(cue.speaker), quote=False)}>"
        blocks.append(f"{_time(cue.start_s, '.')} --> {_time(cue.end_s, '.')}\n{voice}{rows}\n")
    return "\n".join(blocks)


def cues(lines: Iterable[Line], *, names_in_rows: bool) -> Iterator[Cue]:
    """Cuts lines into cues, in order.

    Args:
        lines: in order.
        names_in_rows: whether a speaker's name stands in the rows, and takes room there.
    """
    for line in lines:
        speaker = line.span.speaker
        name = f"{_one_row(speaker)}: " if names_in_rows and speaker is not None else ""
        for words in _readable(_timed_words(line), name):
            rows = _rows(name + " ".join(word.text for word in words))
            end_s = max(words[-1].end_s, words[0].start_s + MIN_CUE_S)
            yield Cue(start_s=words[0].start_s, end_s=end_s, rows=rows, speaker=speaker)


def _timed_words(line: Line) -> Sequence[Word]:
    """The words of a line; where their times are not known, these are taken to be as long as they are written."""
    texts = [part for text in line.text.split() for part in textwrap.wrap(text, MAX_ROW_CHARACTERS)]
    if line.words and [word.text.strip() for word in line.words] == texts:
        return line.words
    per_character_s = (line.span.end_s - line.span.start_s) / max(1, sum(len(text) + 1 for text in texts))
    words, at_s = [], line.span.start_s
    for text in texts:
        end_s = at_s + (len(text) + 1) * per_character_s
        words.append(Word(text, at_s, end_s, 1.0))
        at_s = end_s
    return words


def _readable(words: Sequence[Word], name: str) -> Iterator[Sequence[Word]]:
    """Cuts words where a cue is full."""
    begun: list[Word] = []
    for word in words:
        text = name + " ".join(each.text for each in (*begun, word))
        if begun and (len(_rows(text)) > MAX_ROWS or word.end_s - begun[0].start_s > MAX_CUE_S):
            yield begun
            begun = []
        begun.append(word)
    if begun:
        yield begun


def _rows(text: str) -> tuple[str, ...]:
    return tuple(textwrap.wrap(text, MAX_ROW_CHARACTERS, break_on_hyphens=False)) or ("",)


def _one_row(name: str) -> str:
    return " ".join(name.split())


def _time(seconds: float, point: str) -> str:
    whole_s, ms = divmod(round(seconds * 1000), 1000)
    return f"{whole_s // 3600:02}:{whole_s // 60 % 60:02}:{whole_s % 60:02}{point}{ms:03}"
