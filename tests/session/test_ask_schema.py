"""`ask --schema`: the answer is JSON that a schema in a file describes, or one line says why not."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app import EXIT_NO_SPEECH, main
from models.types import MAX_SCHEMA_BYTES, GenerationOptions
from tests.benchmarks.voices import make_sound
from tests.conftest import CLIPS
from tests.models.tiny import text_model
from tests.session.test_app import write_wav

CAPITAL = str(CLIPS / "question_capital.ogg")
SCHEMA = {
    "type": "object",
    "properties": {"topic": {"enum": ["food", "places"]}, "words": {"type": "integer", "minimum": 1, "maximum": 99}},
    "required": ["topic", "words"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return ["--model", "cascade", "--text-model", str(text_model.save(tmp_path_factory.mktemp("text_model")))]


def written(folder: Path, content: str | bytes) -> str:
    path = folder / "schema.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_the_answer_is_what_the_schema_describes(
    model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = [*model, "ask", CAPITAL, "What is it about?", "--schema", written(tmp_path, json.dumps(SCHEMA, indent=2))]
    assert main(ask) == 0
    streamed = capsys.readouterr().out
    Draft202012Validator(SCHEMA).validate(json.loads(streamed))
    assert main([*ask, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["answer"], report["text"]) == (json.loads(streamed), streamed.strip())
    assert report["finish_reason"] == "stop"


def test_an_answer_that_is_cut_off_is_printed_and_said_to_be(
    model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = written(tmp_path, json.dumps(SCHEMA))
    assert main([*model, "ask", CAPITAL, "?", "--schema", schema, "--json", "--max-new-tokens", "5"]) == 2
    out, error = capsys.readouterr()
    report = json.loads(out)
    assert (report["answer"], report["finish_reason"]) == (None, "length")
    assert report["text"].startswith('{"to')
    assert "cut off before its JSON was whole; give a larger --max-new-tokens" in error


def test_a_recording_without_words_has_no_answer(
    model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_wav(tmp_path / "silence.wav", make_sound("silence"))
    ask = [*model, "ask", clip, "What is it about?", "--schema", written(tmp_path, json.dumps(SCHEMA))]
    assert main([*ask, "--json"]) == EXIT_NO_SPEECH
    report = json.loads(capsys.readouterr().out)
    assert (report["answer"], report["text"]) == (None, "")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[1]", "json_schema is a list; it must be a JSON object"),
        ('{"type":', "no JSON (Expecting value"),
        (b"\xff\xfe{", "no text in UTF-8"),
        ('{"items":' * 100_000, "nested too deeply"),
        (json.dumps({"enum": ["x" * MAX_SCHEMA_BYTES]}), f"it must be at most {MAX_SCHEMA_BYTES}"),
        (" " * 1_000_001, "more than 1000000 bytes"),
        ('{"minimum": NaN}', "cannot be written as JSON"),
        (json.dumps({"type": "strin"}), "no answer can be held to this JSON schema (Invalid type: strin)"),
    ],
    ids=["list", "half", "bytes", "deep", "long", "file", "nan", "type"],
)
def test_a_file_that_holds_no_schema_ends_in_one_line(
    model: list[str], tmp_path: Path, content: str | bytes, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*model, "ask", CAPITAL, "?", "--schema", written(tmp_path, content)]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert complaint in error
    assert error.splitlines()[-1].startswith("earpiece: ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--schema", "missing.json"], "--schema missing.json: cannot be read (No such file or directory)"),
        (["--schema", "/tmp"], "--schema /tmp: cannot be read (Is a directory)"),
        (["--schema", __file__, "--transcribe", "en"], "leave out"),
        (["--schema", __file__, "--speak", "answer.wav"], "leave out --transcribe and --speak"),
    ],
)
def test_options_that_cannot_be(
    model: list[str], arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*model, "ask", CAPITAL, *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_a_schema_is_copied_and_has_to_be_one() -> None:
    given: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "null"}}}
    options = GenerationOptions(json_schema=given)
    given["properties"]["a"]["type"] = "string"
    assert options.json_schema == {"type": "object", "properties": {"a": {"type": "null"}}}
    assert hash(options) == hash(GenerationOptions(json_schema={}))
    for no_schema in (["type"], {"minimum": float("nan")}, {"enum": [b""]}, {"enum": ["x" * MAX_SCHEMA_BYTES]}):
        with pytest.raises(ValueError, match="json_schema"):
            GenerationOptions(json_schema=no_schema)  # type: ignore[arg-type]
