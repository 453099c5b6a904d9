"""Several people in one channel, told apart line by line; real voices, the real network."""

from pathlib import Path

import numpy as np
import pytest

from app import EXIT_USER_ERROR, main
from models.scripted import ScriptedModel
from models.voiceprints import load_voiceprints
from realtime.review.line_speakers import LineSpeakers
from realtime.review.transcript import Transcript
from tests.review.test_transcript import silence, write
from tests.two_party import Speak

SAID = (  # by whom, and what
    ("am_fenrir", "Good morning everybody, let us begin with the report from last week."),
    ("af_bella", "We have sold forty bikes, and the new catalogue is ready for the printer."),
    ("am_fenrir", "That is very good news. I will tell the others about it this afternoon."),
    ("af_bella", "Please do not forget the invoice for the repair of the big window."),
)


async def test_lines_of_one_channel_get_the_speakers_of_their_voices(speak: Speak, tmp_path: Path) -> None:
    pieces = [np.concatenate((await speak(text, voice), silence(1.0))) for voice, text in SAID]
    transcript = Transcript(write(tmp_path / "meeting.wav", np.concatenate(pieces)), None)
    speakers, lines = LineSpeakers(load_voiceprints()), []
    async for spoken in transcript.lines():
        await speakers.take(spoken)
        lines.append(spoken.line)
    named = speakers.name(lines)
    ends_s = np.cumsum([len(piece) / 16_000 for piece in pieces])
    truth = [f"speaker {1 + int(np.searchsorted(ends_s, line.span.start_s + 0.3)) % 2}" for line in named]
    assert [line.span.speaker for line in named] == truth
    assert {"speaker 1", "speaker 2"} == set(truth)
    assert [line.span.start_s for line in named] == [line.span.start_s for line in lines]


async def test_who_has_a_channel_keeps_the_name(speak: Speak, tmp_path: Path) -> None:
    one = np.concatenate((await speak(SAID[0][1], "af_bella"), silence(1.0)))
    path = write(tmp_path / "call.wav", np.concatenate((one, 0 * one)), np.concatenate((0 * one, one)))
    model = ScriptedModel([["no"]], sounds=["Words."])
    speakers, lines = LineSpeakers(load_voiceprints()), []
    async for spoken in Transcript(path, model.transcriber, speakers=("Anna", "Ben")).lines():
        await speakers.take(spoken)
        lines.append(spoken.line)
    assert {line.span.speaker for line in speakers.name(lines)} == {"Anna", "Ben"}
    assert speakers.name([]) == []


def test_a_number_that_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "short.wav", silence(1))
    assert main(["notes", str(path), "--tell-speakers", "-1"]) == EXIT_USER_ERROR
    assert "give the number of people" in capsys.readouterr().err
