"""What the tests share: recorded speech and a clock of samples."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import aioice.ice
import numpy as np
import pytest

from app import default_cache_dir
from models.base import Transcriber, Voice
from models.ears.loading import load_ears
from models.types import SAMPLE_RATE_HZ, Samples
from models.voices.loading import load_voice
from realtime.hearing.files import read_audio_file

if TYPE_CHECKING:
    from tests.two_party import Speak

CLIPS = Path(__file__).parent.parent / "assets" / "clips"


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """Lets WebRTC connect within this machine, where there may be no other network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aioice.ice, "get_host_addresses", lambda *_, **__: ["127.0.0.1"])
        yield


@pytest.fixture(scope="session")
def speech() -> Callable[[str], Samples]:
    """Reads a demo clip by name: float32 `(n_samples,)` at 16 kHz."""

    def read(name: str) -> Samples:
        return read_audio_file(CLIPS / f"{name}.ogg").samples

    return read


@pytest.fixture(scope="session")
def real_ears() -> Transcriber:
    """Ears for English with their own weights, as a server has them beside a model."""
    ears = load_ears("moonshine", default_cache_dir())
    assert ears is not None
    return ears


@pytest.fixture(scope="session")
def real_voice() -> Voice:
    """A voice for English with its own weights, as a server has it that speaks."""
    return load_voice(default_cache_dir())


@pytest.fixture(scope="session")
def speak(real_voice: Voice) -> "Speak":
    """Lets the real voice say the lines of calls, each once in a run."""
    from tests.two_party import with_voice  # brings ears for benchmarks, which few tests need

    return with_voice(real_voice)


def silence(seconds: float) -> Samples:
    """Digital silence, float32 `(n_samples,)` at 16 kHz."""
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)
