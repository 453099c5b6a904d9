"""`python app.py call`: a recorded call of two channels, played through a call session."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app import EXIT_USER_ERROR, main
from models.types import Samples
from tests.conftest import CLIPS
from tests.models.tiny import text_model
from tests.review.test_transcript import silence, write


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return ["--model", "cascade", "--text-model", str(text_model.save(tmp_path_factory.mktemp("text_model")))]


def test_a_question_of_the_right_channel_has_a_suggestion(
    model: list[str], speech: Callable[[str], Samples], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = speech("question_capital")
    them = np.concatenate((clip, silence(2), np.zeros_like(clip), silence(2)))
    me = np.concatenate((np.zeros_like(clip), silence(2), clip, silence(2)))
    path = write(tmp_path / "call.wav", me, them)
    command = [*model, "call", str(path), "--max-new-tokens", "3", "--context", "I am a guide in Paris."]
    assert main(command) == 0
    shown = capsys.readouterr().out
    theirs, mine = shown.index("them: What is the capital"), shown.index("me: What is the capital")
    assert theirs < mine
    assert shown.count("→") == 1, "what I ask is not answered"
    assert "s after they ended)" in shown


def test_a_call_is_stored_with_both_parties(
    model: list[str], speech: Callable[[str], Samples], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = np.concatenate((speech("question_capital"), silence(2)))
    path = write(tmp_path / "call.wav", np.concatenate((0 * clip, clip)), np.concatenate((clip, 0 * clip)))
    store = ["--store", str(tmp_path / "talks.db")]
    assert main([*model, "call", str(path), "--max-new-tokens", "3", *store]) == 0
    capsys.readouterr()
    assert main(["store", "list", *store]) == 0
    name = capsys.readouterr().out.split()[0]
    assert main(["store", "show", name, *store]) == 0
    shown = capsys.readouterr().out
    assert shown.index("**them** [0:00–") < shown.index("**me** [0:0")
    assert shown.count("] What is the capital of France?") == 2
    assert main(["store", "play", name, *store]) == 0
    assert len({Path(line).name for line in capsys.readouterr().out.split()}) == 2, "the sound of each"


def test_several_people_in_one_channel_are_told_apart(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    command = [*model, "call", str(CLIPS / "meeting.ogg"), "--max-new-tokens", "3", "--tell-speakers"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "them: Good morning, Peter." in shown and "0:00 was speaker 1" in shown and "speaker 2" in shown


@pytest.mark.parametrize(("channels", "reason"), [(1, "it has one channel"), (2, "both channels are the same")])
def test_one_sound_is_no_call(
    speech: Callable[[str], Samples],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    channels: int,
    reason: str,
) -> None:
    path = write(tmp_path / "one.wav", *[speech("question_capital")] * channels)
    assert main(["--model", "scripted", "call", str(path)]) == EXIT_USER_ERROR
    error = capsys.readouterr().err
    assert reason in error and "me on the left" in error


def test_a_document_that_cannot_be_read_is_said(
    speech: Callable[[str], Samples], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = np.concatenate((speech("question_capital"), silence(2)))
    path = write(tmp_path / "call.wav", clip, np.roll(clip, len(clip) // 2) * 0)
    assert main(["--model", "scripted", "call", str(path), "--context", "@nowhere.txt"]) == EXIT_USER_ERROR
    assert "--context @nowhere.txt" in capsys.readouterr().err
