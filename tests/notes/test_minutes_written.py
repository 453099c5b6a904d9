"""Minutes as people, programs and players are given them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from models.types import Word
from realtime.notes.minutes import Line, Minutes, Note, Span
from realtime.notes.published import minutes_schema, to_json
from realtime.notes.subtitles import MAX_CUE_S, MAX_ROW_CHARACTERS, MAX_ROWS, cues, to_srt, to_vtt
from realtime.notes.writing import to_markdown
from tests.notes.scripts import lines

SPAN = Span(start_s=12.0, end_s=18.4, speaker="Anna")
MINUTES = Minutes(
    title="garden_party.wav",
    duration_s=3725.0,
    notes=(
        Note(id="note_3", kind="summary", text="They plan a party.", spans=(SPAN,)),
        Note(id="note_1", kind="decision", text="It is in <June>.", spans=(SPAN,)),
        Note(id="note_2", kind="action_item", text="Order tents.", spans=(SPAN,), owner="Anna", deadline="by Monday"),
        Note(id="note_4", kind="action_item", text="Call.", spans=(SPAN,), is_done=True),
    ),
    lines=tuple(lines("Anna: I order tents.", "Ben: *Good*.")),
    remarks=("The last minute is missing.",),
)
MARKDOWN = r"""# garden\_party.wav

1 May; 1:02:05 long; participants: Anna, Ben

## Summary

They plan a party.

## Decisions

- It is in \<June\>. [0:12–0:18]

## Action items

- [ ] Order tents. (Anna, by Monday) [0:12–0:18]
- [x] Call. [0:12–0:18]

## Open questions

None was found.

## Remarks

- The last minute is missing.

## Transcript

**Anna** [0:00–0:04] I order tents.

**Ben** [0:05–0:09] \*Good\*.
"""


def test_markdown() -> None:
    assert to_markdown(MINUTES, date="1 May", with_transcript=True) == MARKDOWN


def test_json_keeps_to_the_published_schema() -> None:
    Draft202012Validator.check_schema(dict(minutes_schema()))
    Draft202012Validator(dict(minutes_schema())).validate(to_json(MINUTES))


@pytest.mark.parametrize("broken", [{"version": 2}, {"notes": [{}]}, {"more": 1}, {"duration_s": -1}])
def test_the_published_schema_refuses_something_else(broken: dict[str, object]) -> None:
    assert not Draft202012Validator(dict(minutes_schema())).is_valid({**to_json(MINUTES), **broken})


def test_srt() -> None:
    assert to_srt(MINUTES.lines) == (
        "1\n00:00:00,000 --> 00:00:04,000\nAnna: I order tents.\n\n2\n00:00:05,000 --> 00:00:09,000\nBen: *Good*.\n"
    )


def test_vtt_escapes_what_is_markup() -> None:
    said = [Line(span=replace(SPAN, start_s=3600.0, end_s=3604.0, speaker="A & B"), text="1 < 2 --> yes")]
    assert to_vtt(said) == "WEBVTT\n\n01:00:00.000 --> 01:00:04.000\n<v A &amp; B>1 &lt; 2 --&gt; yes\n"


def test_a_long_line_is_cut_at_the_times_of_its_words() -> None:
    words = tuple(Word(f"word{number}", number * 2.0, number * 2.0 + 1.0, 1.0) for number in range(10))
    line = Line(span=Span(start_s=0, end_s=20), text=" ".join(word.text for word in words), words=words)
    assert [(cue.start_s, cue.end_s) for cue in cues([line], names_in_rows=True)] == [(0, 7), (8, 15), (16, 19)]


@given(
    text=st.text(st.characters(codec="utf-8"), max_size=400),
    speaker=st.none() | st.just("Anna"),
    length_s=st.floats(0, 100),
)
def test_no_cue_is_too_long_and_no_word_is_lost(text: str, speaker: str | None, length_s: float) -> None:
    line = Line(span=Span(start_s=1.0, end_s=1.0 + length_s, speaker=speaker), text=text)
    shown = list(cues([line], names_in_rows=False))
    assert "".join("".join(cue.rows) for cue in shown).replace(" ", "") == "".join(text.split())
    for cue in shown:
        assert len(cue.rows) <= MAX_ROWS
        assert all(len(row) <= MAX_ROW_CHARACTERS for row in cue.rows)
        assert len(cue.rows) == 1 or cue.end_s - cue.start_s <= MAX_CUE_S + 1e-6
