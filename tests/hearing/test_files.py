"""Recordings of every kind are read, and what cannot be read is explained."""

import wave
from pathlib import Path

import numpy as np
import pytest

from models.types import SAMPLE_RATE_HZ
from realtime.hearing.files import AudioFileError, read_audio_file
from tests.conftest import CLIPS


def tone(rate_hz: int, seconds: float, pitch_hz: float = 440) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def write_wav(path: Path, samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((samples * 32767).astype(np.int16).tobytes())
    return path


def test_an_opus_file_is_read() -> None:
    samples = read_audio_file(CLIPS / "question_capital.ogg")
    assert samples.dtype == np.float32
    assert 1 * SAMPLE_RATE_HZ < len(samples) < 4 * SAMPLE_RATE_HZ
    assert 0.1 < np.abs(samples).max() <= 1


def test_stereo_at_another_rate_is_mixed_and_resampled(tmp_path: Path) -> None:
    stereo = np.repeat(tone(44_100, 1), 2)
    assert len(read_audio_file(write_wav(tmp_path / "stereo.wav", stereo, 44_100, 2))) == pytest.approx(16_000, abs=50)


def test_a_truncated_file_gives_what_it_holds(tmp_path: Path) -> None:
    whole = write_wav(tmp_path / "whole.wav", tone(16_000, 2)).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    assert len(read_audio_file(tmp_path / "cut.wav")) == pytest.approx(16_000, rel=0.05)


def test_files_that_are_no_audio_say_so(tmp_path: Path) -> None:
    (tmp_path / "text.ogg").write_text("this is no audio")
    (tmp_path / "empty.wav").write_bytes(b"")
    write_wav(tmp_path / "none.wav", np.zeros(0, np.float32))
    (tmp_path / "head.ogg").write_bytes((CLIPS / "question_capital.ogg").read_bytes()[:100])
    for name in ("text.ogg", "empty.wav", "none.wav", "head.ogg", "missing.wav"):
        with pytest.raises(AudioFileError, match=name):
            read_audio_file(tmp_path / name)


def test_a_file_without_sound_says_so(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "film.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(3):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        film.mux(stream.encode(None))
    with pytest.raises(AudioFileError, match="holds no audio"):
        read_audio_file(tmp_path / "film.mp4")


def test_a_recording_that_is_too_long_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    write_wav(tmp_path / "long.wav", tone(16_000, 3))
    with pytest.raises(AudioFileError, match="longer than 2 s"):
        read_audio_file(tmp_path / "long.wav", max_s=2)
