"""The command line, as a person types it."""

import asyncio
import getpass
import io
import json
import os
import re
import socket
import stat
import subprocess
import sys
import wave
from pathlib import Path
from unittest import mock

import av
import numpy as np
import pytest
from rich.console import Console

from app import EXIT_NO_SPEECH, main
from commands.event_lines import EventLines
from models.catalogue import MODELS
from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, Samples, Transcript, Word
from realtime.conversation import SYSTEM_PROMPT
from realtime.events import ResponseDelta, ResponseDone, ResponseRetracted
from realtime.hearing.files import read_audio_file
from realtime.opening import open_session
from realtime.session import SessionOptions
from tests.benchmarks.voices import make_sound
from tests.conftest import CLIPS
from tests.containers import mux

TINY = ("--model", "pocket-tiny")  # where any model that answers will do: it loads in a second
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
    assert 1 < report["speech_s"] < report["audio_s"]


def write_wav(path: Path, samples: Samples) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return str(path)


@pytest.mark.parametrize("sound", ["silence", "noise", "melody"])
def test_where_nobody_speaks_the_person_is_told_so(
    sound: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_wav(tmp_path / "nobody.wav", make_sound(sound))
    assert main(["ask", path, "What does the speaker want to know?", "--json", *TINY]) == EXIT_NO_SPEECH
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert captured.err == f"earpiece: {path}: {report['no_words']}\n"
    assert (report["no_words"], report["text"]) in NOTHING_SAID
    assert main(["ask", path, "--transcribe", "en", "--json", *TINY]) == EXIT_NO_SPEECH
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert captured.err == f"earpiece: {path}: {report['no_words']}\n"
    assert (report["text"], report["words"]) == ("", [])


NOTHING_SAID = {
    ("no speech was detected in it", "Nobody speaks in the recording."),
    ("no words were understood in it", "No words were understood in the recording."),
}


def test_a_model_that_listens_itself_is_told_of_a_recording_without_words_and_may_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ScriptedModel([["A dog."]], sounds=["", "what is the capital of France"])
    monkeypatch.setattr("commands.loading.load_model", lambda *_: model)
    silence = write_wav(tmp_path / "nobody.wav", np.zeros(16_000, np.float32))
    assert main(["ask", silence, "What is this?"]) == EXIT_NO_SPEECH
    assert main(["ask", CAPITAL, "What is this?"]) == EXIT_NO_SPEECH
    captured = capsys.readouterr()
    assert captured.out == "A dog.\nA dog.\n"
    assert captured.err == (
        f"earpiece: {silence}: no speech was detected in it\nearpiece: {CAPITAL}: no words were understood in it\n"
    )
    assert main(["ask", CAPITAL, "What is this?"]) == 0
    no_speech, no_words, words = (request[0].text for request in model.requests)
    assert no_speech == "No speech was detected in this recording; it may hold other sounds, or music.\nWhat is this?"
    assert no_words == "No words were understood in this recording; it may hold other sounds, or music.\nWhat is this?"
    assert words == "What is this?"


def test_a_language_that_only_the_ears_do_not_know_is_no_hindrance_to_a_model_that_listens_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = Transcript("", is_foreign=True)
    model = ScriptedModel([["He asks for bread."]], sounds=[foreign], languages=("en",))
    monkeypatch.setattr("commands.loading.load_model", lambda *_: model)
    assert main(["ask", CAPITAL, "What does he want?"]) == 0
    note = "to the ears it sounds like another language than theirs; the model, which listens itself, was asked"
    assert capsys.readouterr().err == f"earpiece: {CAPITAL}: {note}\n"
    assert model.requests[0][0].text == "What does he want?", "the model is told nothing of it"
    assert main(["ask", CAPITAL, "What does he want?", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [note]
    assert main(["ask", CAPITAL, "--transcribe", "auto"]) == EXIT_NO_SPEECH
    complaint = "it sounds like another language. I understand only English."
    assert capsys.readouterr().err == f"earpiece: {CAPITAL}: {complaint}\n"


def test_a_language_that_a_cascade_does_not_know_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = Transcript("", is_foreign=True)
    model = ScriptedModel(
        [["I understand only English."]], transcripts=[foreign], sounds=[foreign], languages=("en", "de")
    )
    monkeypatch.setattr("commands.loading.load_model", lambda *_: model)
    assert main(["ask", CAPITAL, "What does he want?", "--json"]) == EXIT_NO_SPEECH
    report = json.loads(capsys.readouterr().out)
    assert report["no_words"] == "it sounds like another language. I understand only English and German."


def test_words_have_times_and_those_that_are_unsure_a_mark(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (Word("Paris,", 0.1, 0.5, 0.9), Word("on", 0.6, 0.7, 0.6), Word("on", 0.8, 0.9, 0.2))
    model = ScriptedModel([], sounds=[Transcript("Paris, on on time.", words)])
    monkeypatch.setattr("commands.loading.load_model", lambda *_: model)
    assert main(["ask", CAPITAL, "--transcribe", "en"]) == 0
    assert capsys.readouterr().out == "Paris, on on(?) time.\n"
    assert main(["ask", CAPITAL, "--transcribe", "en", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["words"][0] == {"text": "Paris,", "start_s": 0.1, "end_s": 0.5, "probability": 0.9}
    assert (report["text"], len(report["words"]), report["no_words"]) == ("Paris, on on time.", 3, None)


def test_ask_says_what_of_a_recording_was_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tmp_path / "cut.wav"
    with av.open(str(clip), "w") as container:
        mux(container, container.add_stream("pcm_s16le", rate=16_000, layout="mono"), read_audio_file(CAPITAL).samples)
    clip.write_bytes(clip.read_bytes()[:-16_000])
    assert main(["ask", str(clip), "?", "--json", "--max-new-tokens", "1", *TINY]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["lost_s"] == pytest.approx(0.5, abs=0.01)
    assert report["audio_s"] == pytest.approx(1.76, abs=0.1)
    assert report["track"] == 1
    assert captured.err == f"earpiece: {clip}: about 0.5 s are missing or damaged; the rest is read\n"
    assert report["notes"] == ["about 0.5 s are missing or damaged; the rest is read"]


def test_ask_takes_the_track_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = str(tmp_path / "two.mka")
    with av.open(two, "w") as container:
        tracks = [container.add_stream("flac", rate=16_000, layout="mono") for _ in range(2)]
        tracks[1].disposition = 0
        for clip, track in zip((CAPITAL, RIVER), tracks, strict=True):
            mux(container, track, read_audio_file(clip).samples)
    assert main(["ask", two, "--transcribe", "en", "--json", *TINY]) == 0
    captured = capsys.readouterr()
    assert "capital of France" in captured.out
    assert captured.err == f"earpiece: {two}: audio track 1 is read, of 1, 2\n"
    assert main(["ask", two, "--transcribe", "en", "--json", "--track", "2", *TINY]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "river" in report["text"]
    assert report["track"] == 2
    assert main(["ask", two, "--track", "3", "What is asked?"]) == 2
    assert "has no audio track 3; choose one of 1, 2" in capsys.readouterr().err


def test_ask_streams_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", CAPITAL, "", "--system-prompt", SYSTEM_PROMPT, *TINY]) == 0
    assert "Paris" in capsys.readouterr().out


def test_talk_plays_clips_through_a_session(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["talk", CAPITAL, RIVER]) == 0
    out = capsys.readouterr().out
    assert out.count("response.committed") == 2
    first, second = out.split("transcript=What is the name of the river")
    assert "transcript=What is the capital of France?" in first
    assert "Paris" in first and "Paris" in second  # the second question does not name it


def test_a_recorded_talk_replays_with_the_same_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "kept"
    assert main(["talk", CAPITAL, "--record", str(kept), *TINY]) == 0
    (folder,) = kept.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == stat.S_IMODE(folder.stat().st_mode) == 0o700
    capsys.readouterr()
    assert main(["replay", str(folder)]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("All ") and captured.err.count("\n") == 2, "the verdict, and what there was"
    assert "1 ResponseDone" in captured.err
    assert main(["replay", str(folder), "-v"]) == 0
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
    assert main(["talk", CAPITAL, *TINY]) == 0
    assert list(tmp_path.iterdir()) == []
    assert "Paris" in capsys.readouterr().out


def test_text_that_may_be_taken_back_stands_in_brackets_and_numbers_are_short() -> None:
    shown = io.StringIO()
    lines = EventLines(Console(file=shown, highlight=False))
    one = {"response_id": "resp_1"}
    lines.show(ResponseDelta(**one, delta="In ", provisional=True))
    lines.show(ResponseDelta(**one, delta="[France", provisional=True))
    lines.show(ResponseRetracted(**one))
    lines.show(ResponseDelta(**one, delta="In Spain.", provisional=False))
    stats = {"prompt_tokens": 7, "cached_tokens": 0, "completion_tokens": 3}
    lines.show(ResponseDone(**one, status="completed", text="", response_latency_s=0.7000001, ttft_s=1 / 3, **stats))
    text, retracted, done = shown.getvalue().split("\n  response.")
    assert text == "[In [France]"
    assert retracted == "retracted  response_id=resp_1  (what stands in brackets above is taken back)\nIn Spain."
    assert "response_latency_s=0.7  ttft_s=0.333  prompt_tokens=7" in done


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
        (["ask", "x" * 300, "?"], "cannot be read (File name too long)"),
        (["ask", "/tmp", "?"], "/tmp: not a file but a folder"),
        (["ask", "a\0b", "?"], "null character"),
        (["ask", "/dev/null", "?"], "/dev/null: not a file but a terminal or another device"),
        (["--model", "gpt-9", "ask", CAPITAL, "?"], "unknown model 'gpt-9'"),
        (["talk", CAPITAL, "--max-new-tokens", "9000", *TINY], "--max-new-tokens 9000: pocket-tiny takes"),
        (["--max-sessions", "0"], "--max-sessions 0"),
        (["--port", "99999"], "--port 99999"),
        (["--max-session-minutes", "-1"], "--max-session-minutes -1"),
        (["--allow-origin", "https://a.example", "--allow-origin", "b"], "--allow-origin: 'b' is no origin"),
        (["--speculate-below", "-1"], "--speculate-below -1"),
        (["--host", "no.such.host.invalid", "--no-auth"], "--host no.such.host.invalid"),
        (["--host", "0.0.0.0"], "--host 0.0.0.0: other machines reach the server there"),
        (["--host", "::", "--port", "0"], "or say --no-auth"),
        (["--api-keys", "missing"], "--api-keys missing: the keys cannot be read"),
        (["--rate-limit", "0"], "--rate-limit 0: nobody could connect"),
        (["--max-sessions-per-key", "2"], "--max-sessions-per-key: there are no keys"),
        (["--trust-proxy", "*"], "--trust-proxy *: it must be an address"),
        (["key", "new"], "key new needs a name"),
        (["key", "list", "anna"], "key list takes no name"),
        (["key", "remove", "anna", "--file", "missing"], "missing: the keys cannot be read"),
        (["ask", CAPITAL, "?", "--model", "gpt-9"], "unknown model 'gpt-9'; choose pocket"),
        (["--model", "gpt-9", "--port", "0"], "unknown model"),
        (["ask", CAPITAL, "?", "--temperature", "-1"], "must be 0 (greedy) or more"),
        (["talk", CAPITAL, "--silence", "-1", *TINY], "silence_s"),
        (["talk", CAPITAL, "--record", __file__], "--record"),
        (["replay", "missing"], "missing/events.jsonl: cannot be read"),
        (["fetch", "--cache-dir", f"{__file__}/cache"], "Not a directory"),
        (["ask", CAPITAL, "--cache-dir", "x" * 300], "File name too long"),
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


def test_what_others_have_left_in_the_common_temporary_folder_is_no_hindrance(tmp_path: Path) -> None:
    for name in ("gradio", "matplotlib", f"torchinductor_{getpass.getuser()}"):
        (tmp_path / name).touch(mode=0o400)
    before = sorted(tmp_path.iterdir())
    program = f"import sys, app; sys.exit(app.main(['ask', {CAPITAL!r}, *{TINY!r}]))"
    environment = {key: value for key, value in os.environ.items() if key != "TORCHINDUCTOR_CACHE_DIR"}
    subprocess.run(
        [sys.executable, "-c", program], env=environment | {"TMPDIR": str(tmp_path)}, timeout=120, check=True
    )
    assert sorted(tmp_path.iterdir()) == before, "and nothing is left there"


def test_without_a_temporary_folder_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert main(["models"]) == 2
    assert capsys.readouterr().err.endswith("set TMPDIR to a folder that can be written\n")


def test_without_a_home_it_says_what_to_do(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with mock.patch("pathlib.Path.home", side_effect=RuntimeError("Could not determine home directory.")):
        assert main(["ask", CAPITAL]) == 2
        assert main(["models"]) == 0
    assert capsys.readouterr().err == "earpiece: there is no home folder to keep weights in; give --cache-dir\n"


@pytest.mark.parametrize("module", ["realtime.hearing.vad", "models.ears.whisper"])
def test_no_library_notes_who_it_runs_for(module: str, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", f"import {module}, onnxruntime"], env=environment, timeout=120, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("given", "used"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
@pytest.mark.parametrize("module", ["app, torch", "models.loading", "models.ears.whisper", "realtime.server, torch"])
def test_threads_that_wait_sleep_unless_the_environment_says_otherwise(
    module: str, given: dict[str, str], used: str
) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    command = [sys.executable, "-c", f"import {module}"]
    environment |= {"OMP_DISPLAY_ENV": "TRUE", **given}  # has the library say what it goes by
    shown = subprocess.run(command, env=environment, timeout=120, check=True, capture_output=True, text=True).stderr
    assert re.findall("OMP_WAIT_POLICY = '(.*)'", shown) == [used] * shown.count("OPENMP DISPLAY ENVIRONMENT BEGIN")
    assert "OMP_WAIT_POLICY" in shown


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
        assert main(["talk", CAPITAL, "--record", str(tmp_path), *TINY]) == 0
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
    assert main(["--silence", "2", "talk", CAPITAL, *TINY]) == 0
    assert "Paris" in capsys.readouterr().out


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert str(port) in error and "--port" in error


def test_a_bug_of_ours_shows_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commands.recording.read_audio_file", lambda *_, **__: int("no number"))
    with pytest.raises(ValueError, match="invalid literal"):
        main(["ask", CAPITAL, "?"])


def test_a_recording_of_which_no_word_is_understood_is_told_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.loading.load_model", lambda *_: ScriptedModel([["A song."]], transcripts=[""]))
    assert main(["ask", CAPITAL, "What is this?"]) == EXIT_NO_SPEECH
    captured = capsys.readouterr()
    assert captured.out == "A song.\n"
    assert captured.err == f"earpiece: {CAPITAL}: no words were understood in it\n"
