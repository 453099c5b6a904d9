"""Audio in: what transports deliver becomes 16 kHz mono float32, whatever it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.types import SAMPLE_RATE_HZ
from realtime.hearing.audio import (
    MAX_RATE_HZ,
    MIN_RATE_HZ,
    AudioWindow,
    Capture,
    rounded_to_16_bits,
    to_float32,
    to_int16,
)


def tone(rate_hz: int, seconds: float, pitch_hz: float = 440) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_every_rate_becomes_16_khz_with_its_pitch(rate_hz: int) -> None:
    capture, audio = Capture(), tone(rate_hz, 2.0)
    chunks = [capture.push(rate_hz, audio[start : start + 333]) for start in range(0, len(audio), 333)]
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert len(samples) == pytest.approx(2 * SAMPLE_RATE_HZ, rel=0.04)  # soxr holds back up to 61 ms
    spectrum = np.abs(np.fft.rfft(samples[: SAMPLE_RATE_HZ // 2 * 2]))
    assert spectrum.argmax() * SAMPLE_RATE_HZ / (SAMPLE_RATE_HZ // 2 * 2) == pytest.approx(440, abs=2)


@given(st.lists(st.floats(-1.5, 1.5, width=32), max_size=50))
def test_rounding_gives_the_same_bits_as_the_way_through_integers(values: list[float]) -> None:
    samples = np.array([*values, 0.0, -1e-9, 0.5 / 32768, 1.0, -1.0], np.float32)
    assert rounded_to_16_bits(samples).tobytes() == to_float32(to_int16(samples)).tobytes()
    every = to_float32(np.arange(-(2**15), 2**15).astype(np.int16))
    assert rounded_to_16_bits(every).tobytes() == every.tobytes()


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=20))
def test_chunks_follow_each_other_without_gap_or_overlap(sizes: list[int]) -> None:
    capture = Capture()
    end = 0
    for size in sizes:
        chunk = capture.push(48_000, np.zeros((1, size), np.int16))
        assert chunk.start_sample == end
        end = chunk.end_sample


def test_broken_numbers_are_repaired_and_counted() -> None:
    capture = Capture()
    chunk = capture.push(SAMPLE_RATE_HZ, np.array([0.1, np.nan, np.inf, -3.0, 2.0], np.float64))
    assert chunk.samples.tolist() == pytest.approx([0.1, 0, 0, -1, 1])
    assert capture.counters.non_finite_samples == 2
    assert capture.counters.clipped_samples == 2


@pytest.mark.parametrize("chunk_samples", [1, 320, 4801, 100_000])
def test_a_current_in_the_wire_and_a_stuck_microphone_are_counted_however_chunked(chunk_samples: int) -> None:
    rng = np.random.default_rng(0)
    voice = (0.1 * rng.standard_normal(SAMPLE_RATE_HZ)).astype(np.float32)
    audio = np.concatenate((voice, voice + np.float32(0.3), np.full(SAMPLE_RATE_HZ, 0.0, np.float32)))
    capture = Capture()
    for start in range(0, len(audio), chunk_samples):
        capture.push(SAMPLE_RATE_HZ, audio[start : start + chunk_samples])
    assert capture.counters.offset_samples == SAMPLE_RATE_HZ
    assert capture.counters.flat_samples == SAMPLE_RATE_HZ


@pytest.mark.parametrize("rate_hz", [0, MIN_RATE_HZ - 1, MAX_RATE_HZ + 1])
def test_an_impossible_rate_gives_no_audio_and_is_counted(rate_hz: int) -> None:
    capture = Capture()
    assert capture.push(rate_hz, tone(16_000, 1)).samples.size == 0
    assert capture.counters.rate_changes == 1
    assert capture.push(SAMPLE_RATE_HZ, tone(16_000, 1)).samples.size == SAMPLE_RATE_HZ


def test_integers_are_scaled() -> None:
    assert to_float32(np.array([[-32768, 0, 16384]], np.int16)).tolist() == [-1.0, 0.0, 0.5]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.data())
def test_a_window_gives_what_was_appended(sizes: list[int], data: st.DataObject) -> None:
    total = sum(sizes)
    audio = np.arange(total, dtype=np.float32)
    window, end = AudioWindow(), 0
    for size in sizes:
        window.append(audio[end : end + size])
        end += size
    dropped = data.draw(st.integers(0, total))
    window.drop_before(dropped)
    start = data.draw(st.integers(dropped, total))
    stop = data.draw(st.integers(start, total))
    assert window.cut(start, stop).tolist() == audio[start:stop].tolist()


def test_an_empty_window_gives_nothing() -> None:
    assert AudioWindow().cut(0, 100).size == 0
