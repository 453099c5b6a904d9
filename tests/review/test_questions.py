"""Questions to long recordings: asked part by part, put together, with places that were not invented."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from models.scripted import ScriptedModel
from models.types import AudioClip, GenerationOptions, ModelInfo
from realtime.notes.minutes import Line, Span
from realtime.review.journal import Journal, JournalError, key_of
from realtime.review.parts import PART_AUDIO_S, PART_CHARACTERS, RecordingPart, divide
from realtime.review.passages import Passage
from realtime.review.questions import NOTHING_FOUND, Question
from realtime.review.transcript import Spoken

OPTIONS = GenerationOptions(max_new_tokens=100)
CASCADE = ModelInfo(
    name="words",
    description="",
    checkpoints=(),
    parameters="",
    licence="",
    languages="",
    memory_gb=0,
    context_tokens=8192,
    listens=False,
)


def spoken(start_s: float, text: str, length_s: float = 4.0, speaker: str | None = None) -> Spoken:
    span = Span(start_s=start_s, end_s=start_s + length_s, speaker=speaker)
    clip = AudioClip(np.zeros(round(length_s * 16_000), np.float32))
    return Spoken(Line(span=span, text=text), Passage(start_s, clip))


async def parts_of(lines: list[Spoken], info: ModelInfo) -> list[RecordingPart]:
    async def all_of_them() -> AsyncIterator[Spoken]:
        for line in lines:
            yield line

    return [part async for part in divide(all_of_them(), info)]


def found(answer: str, *lines: int) -> list[str]:
    return [json.dumps({"lines": lines, "answer": answer})]


async def answer_of(question: Question) -> str:
    return "".join([delta async for delta in question.answer()])


async def test_a_model_of_words_is_given_words_and_one_that_listens_the_sound() -> None:
    lines = [spoken(5.0 * number, "word " * 40, speaker="Anna") for number in range(100)]
    by_words = await parts_of([*lines, spoken(600, "")], CASCADE)
    assert [line for part in by_words for line in part.spoken] == lines, "none is lost, and none without words is there"
    assert all(len(str(part.content(CASCADE)[0])) < PART_CHARACTERS + 1000 for part in by_words)
    assert str(by_words[1].content(CASCADE)[0]).startswith("1. Anna: word")
    by_sound = await parts_of(lines, ScriptedModel.info)
    assert all(sum(each.passage.clip.duration_s for each in part.spoken) <= PART_AUDIO_S for part in by_sound)
    assert by_sound[0].content(ScriptedModel.info)[:2] == ("1. Anna:", lines[0].passage.clip)


async def test_what_parts_say_is_put_together_with_its_places() -> None:
    first, second = (RecordingPart(n, tuple(spoken(60 * n + 5 * i, f"Line {i}.") for i in range(5))) for n in (1, 2))
    model = ScriptedModel([found("It costs ten.", 2, 3), found("", 1), ["It ", "costs ", "ten."]])
    question = Question(model, "What does it cost?", OPTIONS)
    await question.ask(first)
    await question.ask(second)
    assert await answer_of(question) == "It costs ten."
    assert [(span.start_s, span.end_s) for span in question.spans()] == [(65.0, 69.0), (70.0, 74.0)]
    assert "It costs ten." in model.requests[-1][-1].text


async def test_neighbouring_places_of_one_speaker_are_one() -> None:
    part = RecordingPart(1, tuple(spoken(4.5 * i, f"Line {i}.") for i in range(5)))
    question = Question(ScriptedModel([found("So.", 1, 2, 4)]), "?", OPTIONS)
    await question.ask(part)
    assert [(span.start_s, span.end_s) for span in question.spans()] == [(0.0, 8.5), (13.5, 17.5)]


async def test_where_nothing_answers_that_is_said() -> None:
    question = Question(ScriptedModel([found("")]), "Who won?", OPTIONS)
    await question.ask(RecordingPart(1, (spoken(0, "Nothing of that."),)))
    assert await answer_of(question) == NOTHING_FOUND
    assert question.spans() == ()


@pytest.mark.parametrize(
    "broken",
    [
        '{"lines": [1], "answer": "It is cut o',
        "",
        "null",
        '["a"]',
        '{"answer": "x"}',
        '{"lines": [99], "answer": "x"}',
        '{"lines": [0, -1, true], "answer": "x"}',
        '{"lines": [1], "answer": null}',
        "[" * 100_000,
    ],
)
async def test_an_answer_that_is_cut_off_or_keeps_to_no_schema_counts_as_none(broken: str) -> None:
    question = Question(ScriptedModel([[broken]]), "?", OPTIONS)
    await question.ask(RecordingPart(1, (spoken(0, "A line."),)))
    assert question.findings == []


async def test_many_findings_are_put_together_in_groups() -> None:
    n_parts = 40
    model = ScriptedModel([*[found("x" * 400, 1) for _ in range(n_parts)], ["Short."]])
    question = Question(model, "?", OPTIONS)
    for number in range(n_parts):
        await question.ask(RecordingPart(number + 1, (spoken(10.0 * number, "A line."),)))
    assert await answer_of(question) == "Short."
    assert all(len(request[-1].text) < PART_CHARACTERS + 1000 for request in model.requests)


async def test_what_was_found_is_not_asked_again(tmp_path: Path) -> None:
    part = RecordingPart(1, (spoken(0, "It costs ten."),))
    journal = Journal(tmp_path / "one")
    await Question(ScriptedModel([found("Ten.", 1)]), "?", OPTIONS, journal=journal).ask(part)
    journal.add_line(part.spoken[0].line)
    journal.close()
    again = Journal(tmp_path / "one")
    model = ScriptedModel([["never"]])
    question = Question(model, "?", OPTIONS, journal=again)
    await question.ask(part)
    assert [finding.text for finding in question.findings] == ["Ten."]
    assert model.requests == []
    assert again.lines == [part.spoken[0].line]
    again.remove()
    assert not (tmp_path / "one").exists()


def test_a_line_of_the_journal_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "one")
    lines = [spoken(0, "First.").line, spoken(5, "Second ä.").line]
    for line in lines:
        journal.add_line(line)
    journal.close()
    path = tmp_path / "one" / "journal.jsonl"
    path.write_bytes(path.read_bytes()[: path.read_bytes().index("ä".encode()) + 1])  # in the middle of a letter
    again = Journal(tmp_path / "one")
    assert again.lines == lines[:1]
    again.add_line(lines[1])
    again.close()
    whole = Journal(tmp_path / "one")
    assert whole.lines == lines
    whole.remove()


def test_one_recording_is_reviewed_by_one_process_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "one")
    with pytest.raises(JournalError, match="another process"):
        Journal(tmp_path / "one")
    journal.close()
    Journal(tmp_path / "one").close()


def test_the_key_of_a_journal_is_what_is_in_the_file_and_what_is_asked(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"sound")
    other.write_bytes(b"sound")
    assert key_of(one, "why") == key_of(other, "why")
    assert key_of(one, "why") != key_of(one, "who")
    other.write_bytes(b"other sound")
    assert key_of(one, "why") != key_of(other, "why")
