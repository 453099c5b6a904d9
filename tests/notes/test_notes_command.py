"""`python app.py notes`: a spoken file in, minutes or subtitles out, or one line that says why not."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from app import EXIT_NO_SPEECH, EXIT_OK, EXIT_USER_ERROR, main
from realtime.notes.published import minutes_schema
from tests.benchmarks.voices import make_sound
from tests.conftest import CLIPS
from tests.models.tiny import text_model
from tests.session.test_app import write_wav

CAPITAL = str(CLIPS / "question_capital.ogg")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return ["--model", "cascade", "--text-model", str(text_model.save(tmp_path_factory.mktemp("text_model")))]


def test_json_keeps_to_the_published_schema(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*model, "notes", CAPITAL, "-f", "json"]) == EXIT_OK
    minutes = json.loads(capsys.readouterr().out)
    Draft202012Validator(dict(minutes_schema())).validate(minutes)
    assert "capital" in minutes["lines"][0]["text"].lower()
    assert minutes["title"] == "question_capital.ogg"


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("minutes.md", r"# question\_capital.ogg"), ("words.srt", "1\n00:00:0"), ("words.vtt", "WEBVTT\n\n00:00:0")],
)
def test_the_name_of_the_file_says_the_form(
    model: list[str], tmp_path: Path, name: str, beginning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*model, "notes", CAPITAL, "-o", str(tmp_path / name), "--about", "geography"]) == EXIT_OK
    assert (tmp_path / name).read_text("utf-8").startswith(beginning)
    assert capsys.readouterr().out == ""


def test_nobody_speaks(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_wav(tmp_path / "silence.wav", make_sound("silence"))
    assert main([*model, "notes", clip, "-o", str(tmp_path / "minutes.md")]) == EXIT_NO_SPEECH
    assert "no words were understood" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "minutes.md").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["missing.wav"], "missing.wav: no such file"),
        ([__file__], "not readable as audio"),
        ([CAPITAL, "-o", "/tmp"], "-o /tmp: is a folder"),
        ([CAPITAL, "-o", "/nowhere/minutes.md"], "its folder is not there"),
        ([CAPITAL, "--speakers", "Anna"], "--speakers: give the names"),
        ([CAPITAL, "--speakers", "Anna,Anna"], "--speakers: give the names"),
        ([CAPITAL, "--about", "x" * 8001], "--about is 8001 characters long"),
        ([CAPITAL, "--ears", "none", "-f", "srt"], "ears"),
    ],
)
def test_one_line_says_what_was_wrong(
    model: list[str], arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*model, "notes", *arguments]) == EXIT_USER_ERROR
    out, error = capsys.readouterr()
    assert out == ""
    assert complaint in error
    assert error.splitlines()[-1].startswith("earpiece: ")
