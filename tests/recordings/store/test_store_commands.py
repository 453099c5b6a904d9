"""`python app.py store`, as a person types it."""

import json
import wave
import zipfile
from pathlib import Path

import pytest

from app import main
from models.scripted import ScriptedModel
from realtime.recordings.recorder import SessionRecorder
from tests.recordings.store.conftest import Place
from tests.recordings.store.keeping import keeping
from tests.session.conversing import conversing, loud, quiet

Capture = pytest.CaptureFixture[str]


@pytest.fixture
async def talk(sqlite_place: Place, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a conversation in the store of `EARPIECE_STORE`."""
    model = ScriptedModel([["A ", "kumquat."]], transcripts=["What is small\x1b[2J\nand orange?"])
    async with keeping(model, sqlite_place.open) as kept:
        await kept.conversation.hear(loud(1.0), quiet(1.5))
    monkeypatch.setenv("EARPIECE_STORE", sqlite_place.address)
    return kept.stored.id


def run(capsys: Capture, *arguments: str) -> str:
    capsys.readouterr()
    assert main(["store", *arguments]) == 0
    return capsys.readouterr().out


def complaint(capsys: Capture, *arguments: str) -> str:
    capsys.readouterr()
    assert main(["store", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("earpiece: ") and error.count("\n") == 1
    return error.removeprefix("earpiece: ")


def test_conversations_are_listed_found_and_shown(talk: str, capsys: Capture) -> None:
    (line,) = run(capsys, "list").splitlines()
    assert line.startswith(talk) and "2 messages" in line and "\\x1b[2J" in line
    assert run(capsys, "search", "ORANGE", "small").startswith(f"{talk}  user ")
    assert main(["store", "search", "banana"]) == 0 and "Nothing was found" in capsys.readouterr().err
    shown = run(capsys, "show", talk[:17])
    assert "**You** (0:00)\n\nWhat is small\\x1b[2J\nand orange?" in shown and "A kumquat." in shown
    assert "\x1b" not in shown


def test_a_conversation_is_exported_in_every_form(talk: str, tmp_path: Path, capsys: Capture) -> None:
    assert "A kumquat." in run(capsys, "export")
    everything = json.loads(run(capsys, "export", talk, "--format", "json"))
    assert [said["message"]["role"] for said in everything["messages"]] == ["user", "assistant"]
    assert everything["messages"][0]["caption"]["transcript"].endswith("orange?")
    srt = run(capsys, "export", talk, "--format", "srt")
    assert srt.startswith("1\n00:00:00,000 --> 00:00:0") and "\nEarpiece: A kumquat.\n" in srt
    for command in (("export", talk, "--format", "wav"), ("play", talk)):
        path = tmp_path / f"{command[0]}.wav"
        assert run(capsys, *command, "-o", str(path)) == f"{path}\n"
        with wave.open(str(path)) as file:
            assert (file.getnchannels(), file.getframerate()) == (1, 16_000)
            assert file.getnframes() == len(loud(1.0)) + len(quiet(1.5))
    run(capsys, "export", "--format", "zip", "-o", str(tmp_path / "all.zip"))
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        names = {
            f"{talk}/{name}"
            for name in ("user.oga", *(f"conversation.{form}" for form in ("md", "srt", "vtt", "json")))
        }
        assert set(archive.namelist()) == names


def test_sound_that_is_missing_is_named(talk: str, tmp_path: Path, capsys: Capture) -> None:
    path = Path(run(capsys, "play", talk).strip())
    path.unlink()
    expected = f"{path}: the sound is not there any more; `store show` has the words\n"
    assert complaint(capsys, "play", talk) == expected
    assert complaint(capsys, "export", talk, "--format", "wav", "-o", str(tmp_path / "x.wav")) == expected
    assert not (tmp_path / "x.wav").exists()
    assert main(["store", "export", "--format", "zip", "-o", str(tmp_path / "all.zip")]) == 0
    assert f"{path}: the sound is not there any more; its words are exported" in capsys.readouterr().err


def test_a_deleted_conversation_is_gone(talk: str, capsys: Capture) -> None:
    folder = Path(run(capsys, "play", talk).strip()).parent
    assert run(capsys, "delete", talk, talk[:20]) == f"{talk} is deleted, words and sound\n"
    assert not folder.exists()
    assert main(["store", "list"]) == 0 and "There are no conversations" in capsys.readouterr().err
    assert "there is no conversation whose id begins so" in complaint(capsys, "delete", talk)


@pytest.fixture
async def recording(tmp_path: Path) -> Path:
    """A session that was recorded."""
    model = ScriptedModel([["A ", "quince."]], transcripts=["And yellow?"])
    async with conversing(model, taps=[SessionRecorder(tmp_path / "one")]) as conversation:
        await conversation.hear(loud(1.0), quiet(1.5))
    return tmp_path / "one"


def test_a_recording_is_imported(talk: str, recording: Path, capsys: Capture) -> None:
    imported = run(capsys, "import", str(recording)).strip()
    assert "And yellow?" in run(capsys, "show", imported)
    assert len(run(capsys, "list").splitlines()) == 2


def test_what_cannot_be_done_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.delenv("EARPIECE_STORE", raising=False)
    assert complaint(capsys, "list").startswith("--store: say which store")
    missing = tmp_path / "none.db"
    assert complaint(capsys, "list", "--store", str(missing)).startswith(f"{missing}: there is no store; give the")
    assert not missing.exists()
    assert "cannot be read; give the folder" in complaint(capsys, "import", str(tmp_path), "--store", str(missing))
    assert complaint(capsys, "export", "--format", "wav", "--store", str(missing)).startswith("--format wav: it takes")
    assert main(["--store-days", "3", "--port", "0"]) == 2
    assert capsys.readouterr().err == "earpiece: --store-days: nothing is kept; give --store, too, or leave it out\n"
    assert main(["--store-days", "0", "--port", "0"]) == 2
    assert "--store-days 0: it must be more than 0" in capsys.readouterr().err
