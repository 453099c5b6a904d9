"""The command line, as a person types it."""

import asyncio
import json
import socket
from pathlib import Path
from unittest import mock

import pytest

from app import main
from models.catalogue import MODELS
from models.scripted import ScriptedModel
from realtime.conversation import SYSTEM_PROMPT
from realtime.server import open_session
from realtime.session import SessionOptions
from tests.conftest import CLIPS

CAPITAL, RIVER = str(CLIPS / "question_capital.ogg"), str(CLIPS / "question_river.ogg")


def test_ask_answers_about_a_recording(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", CAPITAL, "What does the speaker want to know?", "--json", "--max-new-tokens", "30"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "capital of France" in report["text"]
    assert report["model"] == "pocket"
    assert 0 < report["ttft_s"] <= report["total_s"]
    assert report["prompt_tokens"] > 10
    assert 0 < report["completion_tokens"] <= 30
    assert report["audio_s"] == pytest.approx(2.26, abs=0.1)


def test_ask_streams_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", CAPITAL, "", "--system-prompt", SYSTEM_PROMPT]) == 0
    assert "Paris" in capsys.readouterr().out


def test_talk_plays_clips_through_a_session(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["talk", CAPITAL, RIVER]) == 0
    out = capsys.readouterr().out
    assert out.count("response.committed") == 2
    first, second = out.split("transcript=What is the name of the river")
    assert "transcript=What is the capital of France?" in first
    assert "Paris" in first and "Paris" in second  # the second question does not name it


def test_a_recorded_talk_replays_with_the_same_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["talk", CAPITAL, "--record", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    capsys.readouterr()
    assert main(["replay", str(folder)]) == 0
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert [event["text"] for event in events if event["name"] == "ResponseDone"] == ["The capital of France is Paris."]
    assert "byte for byte" in captured.err
    recorded = folder / "events.jsonl"
    recorded.write_text(recorded.read_text().replace("Paris.", "Lyon.", 1))
    assert main(["replay", str(folder)]) == 2
    assert "Lyon" in capsys.readouterr().err


def test_nothing_is_recorded_unless_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["talk", CAPITAL]) == 0
    assert list(tmp_path.iterdir()) == []
    assert "Paris" in capsys.readouterr().out


def test_models_lists_what_there_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in MODELS)


def test_fetch_says_where_the_weights_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch"]) == 0
    assert "The weights of pocket are in" in capsys.readouterr().out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(
        command in out
        for command in ("ask", "talk", "replay", "fetch", "models", "--record", "--vad", "--port", "--allow-origin")
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ask", "missing.ogg", "?"], "missing.ogg: no such file"),
        (["ask", __file__, "?"], "not readable as audio"),
        (["ask", "/dev/null", "?"], "/dev/null: not a file"),
        (["--model", "gpt-9", "ask", CAPITAL, "?"], "unknown model 'gpt-9'"),
        (["talk", CAPITAL, "--max-new-tokens", "9000"], "--max-new-tokens 9000: pocket takes"),
        (["--max-sessions", "0"], "--max-sessions 0"),
        (["--port", "99999"], "--port 99999"),
        (["--max-session-minutes", "-1"], "--max-session-minutes -1"),
        (["--allow-origin", "https://a.example", "--allow-origin", "b"], "--allow-origin: 'b' is no origin"),
        (["--speculate-below", "-1"], "--speculate-below -1"),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
        (["ask", CAPITAL, "?", "--model", "gpt-9"], "unknown model 'gpt-9'; choose pocket"),
        (["--model", "gpt-9", "--port", "0"], "unknown model"),
        (["ask", CAPITAL, "?", "--temperature", "-1"], "must be 0 (greedy) or more"),
        (["talk", CAPITAL, "--silence", "-1"], "silence_s"),
        (["talk", CAPITAL, "--record", __file__], "--record"),
        (["replay", "missing"], "missing/events.jsonl: cannot be read"),
    ],
)
def test_mistakes_end_in_one_line_and_exit_code_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("earpiece: ")
    assert complaint in error
    assert error.count("\n") == 1


def test_missing_weights_name_the_command_that_gets_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", CAPITAL, "?", "--cache-dir", str(tmp_path)]) == 2
    assert "python app.py fetch" in capsys.readouterr().err


@pytest.mark.parametrize("servers", ["{nonsense", "5", '{"urls": "stun:x"}', '["stun:x"]'])
def test_malformed_ice_servers_are_refused(servers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--ice-servers", servers])
    assert ended.value.code == 2
    assert "--ice-servers" in capsys.readouterr().err


def test_a_session_whose_audio_cannot_be_kept_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with mock.patch("realtime.recordings.recorder.wave.open", side_effect=OSError("no space left")):
        assert main(["talk", CAPITAL, "--record", str(tmp_path)]) == 0
    assert "Paris" in capsys.readouterr().out
    assert "the recording ends here: no space left" in caplog.text


async def test_a_session_whose_recording_cannot_be_begun_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    session = open_session(ScriptedModel([["Yes."]]), SessionOptions(), record=tmp_path / "file")
    running = asyncio.create_task(session.run())
    session.submit_text("hello")
    await session.settled()
    session.close()
    await running
    assert session.metrics.turns == 1
    assert "this session is not recorded" in caplog.text


def test_options_stand_before_a_command_or_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--silence", "2", "talk", CAPITAL]) == 0
    assert "Paris" in capsys.readouterr().out


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert str(port) in error and "--port" in error


def test_a_bug_of_ours_shows_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.read_audio_file", lambda _: int("no number"))
    with pytest.raises(ValueError, match="invalid literal"):
        main(["ask", CAPITAL, "?"])
