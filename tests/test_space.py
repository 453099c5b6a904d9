"""A Hugging Face Space: its head in README.md, what it installs, what it sets, and every option by a variable."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import main
from commands.environment import variable_of
from commands.parser import build_parser, shared_options
from deploy.requirements import requirements
from tests.test_lock import ROOT, pins

SPACE = {"SPACE_ID": "somebody/earpiece", "SPACE_HOST": "somebody-earpiece.hf.space"}
OPTIONS = [option for parser in shared_options() for option in parser.added]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def options_in(environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    return vars(build_parser(environment).parse_args(arguments))


def test_the_head_of_the_readme_is_what_a_space_takes() -> None:
    head = yaml.safe_load((ROOT / "README.md").read_text("utf-8").split("---\n")[1])
    assert (head["sdk"], head["sdk_version"]) == ("gradio", pins("constraints.txt")["gradio"])
    assert f">={head['python_version']}" == PROJECT["requires-python"]
    assert (ROOT / head["app_file"]).is_file()
    assert head["license"] == PROJECT["license"].lower()
    assert len(head["short_description"]) <= 60
    assert {head["colorFrom"], head["colorTo"]} <= {
        *("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
    }


def test_requirements_are_written_from_the_lock() -> None:
    lock, constraints = ((ROOT / name).read_text("utf-8") for name in ("requirements.lock", "constraints.txt"))
    written = (ROOT / "requirements.txt").read_text("utf-8")
    assert written == requirements(lock, constraints, PROJECT["optional-dependencies"]["space"]), "make requirements"
    assert pins("requirements.txt").keys() == pins("requirements.lock").keys() | {"torch", "spaces"}


@pytest.mark.parametrize("document", ["deploy/space.md", "README.md"])
def test_every_option_is_in_the_tables(document: str) -> None:
    rows = [line for line in (ROOT / document).read_text("utf-8").splitlines() if re.match(r"\| `(--|-v|EARP)", line)]
    named = {option for row in rows for option in re.findall(r"--[a-z-]+", " ".join(row.split(" | ")[:2]))}
    assert named >= {max(option.option_strings, key=len) for option in OPTIONS}
    if document == "deploy/space.md":
        variables = [variable for row in rows for variable in re.findall(r"EARPIECE_[A-Z_]+", row)]
        assert variables == [variable_of(option) for option in OPTIONS]


def test_an_option_is_set_by_its_variable_and_the_command_line_wins(tmp_path: Path) -> None:
    given = {
        "EARPIECE_MAX_SESSIONS": "3",
        "EARPIECE_SILENCE": "1.5",
        "EARPIECE_MODEL": "",
        "EARPIECE_NO_SUMMARY": "true",
        "EARPIECE_VERBOSE": "0",
        "EARPIECE_SYSTEM_PROMPT": "--You are brief.",
        "EARPIECE_CACHE_DIR": str(tmp_path),
        "EARPIECE_ICE_SERVERS": '[{"urls": "stun:x"}]',
        "EARPIECE_ALLOW_ORIGIN": "https://a.example https://b.example",
        "PATH": "/bin",
    }
    options = options_in(given)
    assert (options["max_sessions"], options["silence"], options["model"]) == (3, 1.5, None)
    assert (options["no_summary"], options["verbose"], options["host"]) == (True, False, "127.0.0.1")
    assert (options["system_prompt"], options["cache_dir"]) == ("--You are brief.", tmp_path)
    assert options["ice_servers"] == [{"urls": "stun:x"}]
    assert options["allow_origin"] == ["https://a.example", "https://b.example"]
    options = options_in(given, "--max-sessions", "5", "--allow-origin", "https://c.example")
    assert (options["max_sessions"], options["silence"]) == (5, 1.5)
    assert options["allow_origin"] == ["https://a.example", "https://b.example", "https://c.example"]
    assert options_in({"EARPIECE_VAD": "webrtc"}, "talk", "clip.ogg")["vad"] == "webrtc"
    assert options_in({"EARPIECE_VAD": "webrtc"}, "talk", "clip.ogg", "--vad", "silero")["vad"] == "silero"


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("EARPIECE_MAX_SESSIONS", "many", "EARPIECE_MAX_SESSIONS: invalid int value: 'many'"),
        ("EARPIECE_VAD", "loud", "EARPIECE_VAD: invalid choice: 'loud'"),
        ("EARPIECE_NO_SUMMARY", "maybe", "EARPIECE_NO_SUMMARY: 'maybe' is neither yes nor no; give 1 or 0"),
        ("EARPIECE_ICE_SERVERS", "{", "EARPIECE_ICE_SERVERS: not JSON"),
        ("EARPIECE_MAX_SESION", "3", "EARPIECE_MAX_SESION: there is no such option; is EARPIECE_MAX_SESSIONS meant?"),
        ("EARPIECE_TOKEN_SECRET", "short", "EARPIECE_TOKEN_SECRET has 5 characters; give 32 or more, at random"),
        ("EARPIECE_XYZ", "3", "EARPIECE_XYZ: there is no such option; `python app.py --help` lists the options"),
        (
            "EARPIECE_MAX_SESSIONS",
            "0",
            "--max-sessions 0: nobody could connect; give 1 or more (set in the environment: EARPIECE_MAX_SESSIONS)",
        ),
    ],
)
def test_a_variable_that_cannot_be_is_named(
    variable: str, value: str, complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert main([]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"earpiece: {complaint}")
    assert error.count("\n") == 1


def test_what_a_space_sets_by_itself() -> None:
    options = options_in(SPACE)
    assert (options["host"], options["port"]) == ("0.0.0.0", 7860)
    assert (options["max_sessions"], options["max_session_minutes"]) == (4, 10)
    assert options["no_auth"] and not options_in(SPACE | {"EARPIECE_API_KEYS": "x"})["no_auth"]
    assert options["allow_origin"] == ["https://somebody-earpiece.hf.space", "https://huggingface.co"]
    assert (options["zero_gpu"], options["speculate_below"] > 0) == (False, True)
    options = options_in(SPACE | {"SPACES_ZERO_GPU": "true"})
    assert (options["zero_gpu"], options["speculate_below"]) == (True, 0)
    named = {"GRADIO_SERVER_NAME": "10.0.0.7", "GRADIO_SERVER_PORT": "8080"}
    options = options_in(SPACE | named | {"EARPIECE_MAX_SESSIONS": "9"}, "--max-session-minutes", "1")
    assert (options["host"], options["port"]) == ("10.0.0.7", 8080)
    assert (options["max_sessions"], options["max_session_minutes"]) == (9, 1)
    options = options_in(named)
    assert (options["host"], options["port"], options["allow_origin"]) == ("127.0.0.1", 7860, [])


def test_a_port_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SPACE_ID", "somebody/earpiece")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "front")
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("earpiece: GRADIO_SERVER_PORT: 'front' is no port")


def test_the_first_start_fetches_what_is_missing_and_says_why_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    assert main(["--cache-dir", str(tmp_path), "--port", "0"]) == 2
    captured = capsys.readouterr()
    assert "Loading pocket …\nThe weights of pocket are fetched first, once:\n" in captured.out
    assert "Smart Turn v3.2 (is a turn complete?): 12 MB to download" in captured.err
    assert "pip could not download pipecat-ai==1.14.0" in captured.err.splitlines()[-1]


def test_the_version_is_said_and_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"Earpiece \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(("command", "taken"), [("models", set()), ("replay", {"--verbose"})])
def test_a_command_takes_what_it_uses(command: str, taken: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    listed = re.findall(r"^  (?:-[a-z], )?(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE)
    assert set(listed) == taken | {"--help"}
