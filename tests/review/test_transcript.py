"""Recordings of any kind, written down line by line; real files, the detector of every session, scripted ears."""

import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from models.base import Transcriber
from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.files import AudioFileError
from realtime.notes.minutes import Line
from realtime.review.transcript import NO_SPEECH, Transcript


def write(path: Path, *channels: Samples, rate_hz: int = SAMPLE_RATE_HZ) -> Path:
    """Writes a WAV file of these channels."""
    frames = (np.stack(channels, axis=1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(frames.tobytes())
    return path


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)


async def lines_of(transcript: Transcript) -> list[Line]:
    return [spoken.line async for spoken in transcript.lines()]


def ears(*words: str) -> Transcriber:
    transcriber = ScriptedModel([["no"]], sounds=words).transcriber
    assert transcriber is not None
    return transcriber


async def test_two_parties_are_told_apart_by_channel_and_lines_are_in_order(
    speech: Callable[[str], Samples], tmp_path: Path, real_ears: Transcriber
) -> None:
    clip = speech("question_capital")
    left = np.concatenate((clip, silence(1), np.zeros_like(clip), silence(1)))
    right = np.concatenate((np.zeros_like(clip), silence(1), clip, silence(1)))
    path = write(tmp_path / "call.wav", left, right)
    transcript = Transcript(path, real_ears, speakers=("Anna", "Ben"))
    lines = await lines_of(transcript)
    assert [line.span.speaker for line in lines] == ["Anna", "Ben"]
    assert all("capital" in line.text for line in lines)
    voiced_s = len(clip) / SAMPLE_RATE_HZ
    assert lines[1].span.start_s == pytest.approx(voiced_s + 1, abs=0.8)
    assert all(
        line.span.start_s <= word.start_s <= word.end_s <= line.span.end_s + 0.1
        for line in lines
        for word in line.words
    )
    assert transcript.remarks == ()
    assert transcript.duration_s == pytest.approx(len(left) / SAMPLE_RATE_HZ, abs=0.01)


@pytest.mark.parametrize(("swap", "remark"), [(False, "on the right channel"), (True, "on the left channel")])
async def test_a_dead_channel_is_said(
    speech: Callable[[str], Samples], tmp_path: Path, swap: bool, remark: str
) -> None:
    clip = np.concatenate((speech("question_capital"), silence(1)))
    channels = (np.zeros_like(clip), clip) if swap else (clip, np.zeros_like(clip))
    transcript = Transcript(write(tmp_path / "dead.wav", *channels), ears("One."))
    assert [line.span.speaker for line in await lines_of(transcript)] == ["right" if swap else "left"]
    assert remark in " ".join(transcript.remarks)


async def test_two_copies_of_one_sound_are_read_once(speech: Callable[[str], Samples], tmp_path: Path) -> None:
    clip = np.concatenate((speech("question_capital"), silence(1)))
    transcript = Transcript(write(tmp_path / "same.wav", clip, clip), ears("One."))
    assert len(await lines_of(transcript)) == 1
    assert "both channels are the same" in " ".join(transcript.remarks)


async def test_eight_channels_at_96_khz_are_read(speech: Callable[[str], Samples], tmp_path: Path) -> None:
    clip = np.repeat(np.concatenate((speech("question_capital"), silence(1))), 6)  # 96 kHz, a little rough
    transcript = Transcript(write(tmp_path / "surround.wav", *[clip] * 8, rate_hz=96_000), ears("One."))
    assert len(await lines_of(transcript)) == 1
    assert transcript.duration_s == pytest.approx(len(clip) / 96_000, abs=0.01)


async def test_silence_has_no_lines_and_says_so(tmp_path: Path) -> None:
    transcript = Transcript(write(tmp_path / "silence.wav", silence(400)), ears("never"))
    assert await lines_of(transcript) == []
    assert transcript.remarks == (NO_SPEECH,)
    assert transcript.share == pytest.approx(1.0, abs=0.01)


async def test_lines_that_are_known_are_not_written_down_again(
    speech: Callable[[str], Samples], tmp_path: Path
) -> None:
    clip = np.concatenate((speech("question_capital"), silence(1)))
    path = write(tmp_path / "three.wav", np.concatenate((clip, clip, clip)))
    all_lines = await lines_of(Transcript(path, ears("One.", "Two.", "Three.")))
    again = ScriptedModel([["no"]], sounds=["Three."])
    assert await lines_of(Transcript(path, again, known=all_lines[:2])) == all_lines
    assert len(again.asked) == 1


async def test_a_truncated_file_gives_what_there_is(speech: Callable[[str], Samples], tmp_path: Path) -> None:
    clip = np.concatenate((speech("question_capital"), silence(1)))
    path = tmp_path / "cut.mp3"
    with av.open(str(path), "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray((np.tile(clip, 3) * 32767).astype(np.int16)[np.newaxis], "s16", "mono")
        frame.rate = SAMPLE_RATE_HZ
        container.mux([*stream.encode(frame), *stream.encode(None)])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 + 100])
    lines = await lines_of(Transcript(path, ears("One.", "Two.")))
    assert 1 <= len(lines) <= 2


async def test_a_video_without_sound_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "mute.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(AudioFileError, match="holds no audio"):
        await lines_of(Transcript(path, ears("never")))


async def test_text_that_is_named_as_sound_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "notes.wav"
    path.write_text("these are only words " * 1000)
    with pytest.raises(AudioFileError, match=r"notes\.wav: not readable as audio"):
        await lines_of(Transcript(path, ears("never")))


async def test_who_begins_to_speak_late_on_a_silent_channel_is_read(
    speech: Callable[[str], Samples], tmp_path: Path
) -> None:
    clip = np.concatenate((speech("question_capital"), silence(1)))
    one, other = np.tile(clip, 20), np.tile(clip, 3)
    left, right = np.concatenate((one, 0 * other)), np.concatenate((0 * one, other))
    transcript = Transcript(write(tmp_path / "late.wav", left, right), ears("Words."))
    speakers = [line.span.speaker for line in await lines_of(transcript)]
    assert speakers == ["left"] * 20 + ["right"] * 3
    assert transcript.remarks == ()


async def test_what_comes_back_as_an_echo_is_one_line(speech: Callable[[str], Samples], tmp_path: Path) -> None:
    clip, other = (np.concatenate((speech(name), silence(1.5))) for name in ("question_capital", "question_river"))
    left = np.concatenate((clip, 0 * other, clip, 0 * other))
    right = np.concatenate((0 * clip, other, 0 * clip, other)) + 0.3 * np.roll(left, 1600)
    transcript = Transcript(write(tmp_path / "echo.wav", left, np.clip(right, -1, 1)), ears("Words."))
    assert [line.span.speaker for line in await lines_of(transcript)] == ["left", "right", "left", "right"]
