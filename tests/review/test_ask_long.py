"""`ask` for recordings that are longer than what a model takes at once, on the command line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from app import EXIT_INTERRUPTED, EXIT_NO_SPEECH, default_cache_dir, main
from commands.ask import SHORT_S
from commands.review import FOLDER
from models.types import Samples
from tests.models.tiny import text_model
from tests.review.test_transcript import silence, write

N_CLIPS = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return ["--model", "cascade", "--text-model", str(text_model.save(tmp_path_factory.mktemp("text_model")))]


@pytest.fixture
def long_file(speech: Callable[[str], Samples], tmp_path: Path) -> Path:
    clip = speech("question_capital")
    return write(tmp_path / "long.wav", np.concatenate((silence(3), clip, silence(SHORT_S), clip, silence(2))))


@pytest.fixture
def journals() -> Iterator[Callable[[], set[Path]]]:
    folder = default_cache_dir() / FOLDER
    before = set(folder.glob("*/*"))
    yield lambda: set(folder.glob("*/*")) - before


def test_the_answer_cites_places_that_are_there(
    model: list[str], long_file: Path, capsys: pytest.CaptureFixture[str], journals: Callable[[], set[Path]]
) -> None:
    assert main([*model, "ask", str(long_file), "What is asked?", "--json", "--max-new-tokens", "20"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["audio_s"] > SHORT_S
    for span in report["spans"]:
        assert span["start_s"] == pytest.approx(2.9, abs=0.5) or span["start_s"] > SHORT_S
    assert not journals(), "the work is done"


def test_it_is_written_down_line_by_line(model: list[str], long_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*model, "ask", str(long_file), "--transcribe", "en"]) == 0
    first, second = capsys.readouterr().out.strip().splitlines()
    assert first.startswith(("[0:02–", "[0:03–"))
    assert second.startswith("[3:0")
    assert "capital" in first and "capital" in second


def test_long_silence_is_said_to_be_one(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "silence.wav", silence(SHORT_S + 5))
    assert main([*model, "ask", str(path), "What is said?"]) == EXIT_NO_SPEECH
    assert "no speech was detected" in capsys.readouterr().err


def test_who_stops_it_goes_on_from_there(
    speech: Callable[[str], Samples],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    journals: Callable[[], set[Path]],
    model: list[str],
) -> None:
    clip = np.concatenate((speech("question_capital"), silence(5)))
    path = write(tmp_path / "many.wav", np.tile(clip, N_CLIPS))
    command = [*model, "ask", str(path), "--transcribe", "en", "--json"]
    process = subprocess.Popen([sys.executable, "app.py", *command], stderr=subprocess.PIPE, env=os.environ)
    deadline_s = time.monotonic() + 120
    while time.monotonic() < deadline_s and process.poll() is None:
        if any(journal.read_text("utf-8").count("\n") >= 3 for journal in journals()):
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.05)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, b"run the same again" in error) == (EXIT_INTERRUPTED, True), error
    assert journals()
    assert main(command) == 0
    out, said = capsys.readouterr()
    assert "going on at 0:" in said
    assert len(json.loads(out)["lines"]) == N_CLIPS
    assert not journals()
