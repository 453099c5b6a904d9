"""Where speech begins and stops in a stream of samples.

A scorer gives every frame a speech probability: Silero's network through onnxruntime, or Google's WebRTC detector. The
detector adds hysteresis and turns scores into `SpeechStarted` and `SpeechStopped`, counted in samples. The same audio
gives the same events however it is chunked. Read `turns.py` next.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import onnxruntime
import webrtcvad

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.turns import SpeechStarted, SpeechStopped

VadName = Literal["silero", "webrtc"]

SILERO_FRAME_SAMPLES = 512  # 32 ms; the only window Silero 5 and later take at 16 kHz
SILERO_CONTEXT_SAMPLES = 64  # of the previous frame, put before the new one
WEBRTC_FRAME_SAMPLES = 480  # 30 ms; WebRTC takes 10, 20 or 30
SILENCE_RMS = 10 ** (-55 / 20)  # -55 dBFS: below the noise of a quiet room through a laptop's microphone


@dataclass(frozen=True, slots=True, kw_only=True)
class VadOptions:
    """How scores become speech.

    Attributes:
        engine: "silero" (a network; knows speech from noise) or "webrtc" (a tenth of the work; takes music for speech).
        onset: a score at least this begins speech. 0.5 is Silero's recommendation.
        offset: a score below this ends it; lower than `onset`, so that a doubtful frame changes nothing.
        min_speech_s: speech shorter than this is a click.
        pause_s: silence of this length is a pause, and an answer may be started.
        pre_roll_s: audio kept before the onset, because the first consonant scores low.
    """

    engine: VadName = "silero"
    onset: float = 0.5
    offset: float = 0.35
    min_speech_s: float = 0.09
    pause_s: float = 0.19
    pre_roll_s: float = 0.3

    def __post_init__(self) -> None:
        if self.engine not in ("silero", "webrtc"):
            raise ValueError(f"unknown voice activity detector {self.engine!r}; choose silero or webrtc")
        if not 0 < self.offset <= self.onset < 1:
            raise ValueError(f"need 0 < offset ({self.offset}) <= onset ({self.onset}) < 1")


class SpeechScorer(Protocol):
    """Scores consecutive frames of one stream."""

    frame_samples: int

    def score(self, frame: Samples) -> float:
        """Gives the probability of speech in float32 `(frame_samples,)`."""
        ...


class SileroScorer:
    """Silero VAD (MIT), the ONNX file of the `silero-vad` wheel.

    The wheel's own `import silero_vad` sets torch to one thread for the whole process, so only its file is used.
    """

    frame_samples = SILERO_FRAME_SAMPLES

    def __init__(self) -> None:
        self._session = _silero_session()
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(SILERO_CONTEXT_SAMPLES, np.float32)

    def score(self, frame: Samples) -> float:
        """Gives the probability of speech in float32 `(512,)`."""
        window = np.concatenate((self._context, frame))[None]
        inputs = {"input": window, "state": self._state, "sr": np.array(SAMPLE_RATE_HZ, np.int64)}
        probability, self._state = self._session.run(None, inputs)
        self._context = frame[-SILERO_CONTEXT_SAMPLES:]
        return float(probability[0, 0])


_SILERO_SESSION: onnxruntime.InferenceSession | None = None


def _silero_session() -> onnxruntime.InferenceSession:
    global _SILERO_SESSION  # noqa: PLW0603  # read-only weights, 2 MB; every stream keeps its own state
    if _SILERO_SESSION is None:
        spec = find_spec("silero_vad")
        if spec is None or spec.origin is None:
            raise RuntimeError("the package silero-vad is not installed; run `make install` or choose --vad webrtc")
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1  # 0.1 ms of work is not worth a second thread
        path = Path(spec.origin).parent / "data" / "silero_vad.onnx"
        _SILERO_SESSION = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return _SILERO_SESSION


class WebRtcScorer:
    """The detector of Google's WebRTC (BSD): a decision per frame, smoothed over three to make a score."""

    frame_samples = WEBRTC_FRAME_SAMPLES

    def __init__(self, aggressiveness: int = 3) -> None:
        self._vad = webrtcvad.Vad(aggressiveness)
        self._recent = [0.0, 0.0, 0.0]

    def score(self, frame: Samples) -> float:
        """Gives the share of the last three frames that are speech; `frame` is float32 `(480,)`."""
        pcm = (frame * 32767).astype(np.int16).tobytes()
        self._recent = [*self._recent[1:], float(self._vad.is_speech(pcm, SAMPLE_RATE_HZ))]
        return sum(self._recent) / len(self._recent)


@dataclass(frozen=True, slots=True)
class DetectedFrame:
    """One frame after detection.

    Attributes:
        end_sample: position just after the frame.
        event: what the frame decided, if anything.
        silence_samples: since the last voiced frame; 0 in speech.
        speech_samples: from the onset of the speech under way to its last voiced frame; 0 in silence.
    """

    end_sample: int
    event: SpeechStarted | SpeechStopped | None
    silence_samples: int
    speech_samples: int


class SpeechDetector:
    """Turns samples into frames with speech events."""

    def __init__(self, options: VadOptions, scorer: SpeechScorer | None = None) -> None:
        self.options = options
        self._scorer = scorer or (SileroScorer() if options.engine == "silero" else WebRtcScorer())
        self._pending = np.zeros(0, np.float32)
        self._sample = 0  # end of the last whole frame
        self._speaking = False
        self._onset_sample: int | None = None  # of speech not yet long enough to count, or of the speech under way
        self._last_voiced_sample = 0

    def push(self, samples: Samples) -> Iterator[DetectedFrame]:
        """Takes float32 `(n_samples,)`, any number, and yields every frame that is now whole."""
        self._pending = np.concatenate((self._pending, samples))
        size = self._scorer.frame_samples
        while len(self._pending) >= size:
            frame, self._pending = self._pending[:size], self._pending[size:]
            yield self._detect(frame)

    def _detect(self, frame: Samples) -> DetectedFrame:
        score = self._scorer.score(frame)
        if float(np.sqrt(np.mean(np.square(frame)))) < SILENCE_RMS:
            score = 0.0
        start, self._sample = self._sample, self._sample + len(frame)
        voiced = score >= (self.options.offset if self._onset_sample is not None else self.options.onset)
        if voiced:
            self._last_voiced_sample = self._sample
            if self._onset_sample is None:
                self._onset_sample = start
        event = self._start_if_long_enough() if not self._speaking else self._stop_if_paused()
        if not self._speaking and not voiced:
            self._onset_sample = None
        speech = 0
        if self._speaking and self._onset_sample is not None:
            speech = self._last_voiced_sample - self._onset_sample
        return DetectedFrame(self._sample, event, self._sample - self._last_voiced_sample, speech)

    def _start_if_long_enough(self) -> SpeechStarted | None:
        if self._onset_sample is None:
            return None
        if self._last_voiced_sample - self._onset_sample < self.options.min_speech_s * SAMPLE_RATE_HZ:
            return None
        self._speaking = True
        return SpeechStarted(self._onset_sample, self._sample)

    def _stop_if_paused(self) -> SpeechStopped | None:
        if self._sample - self._last_voiced_sample < self.options.pause_s * SAMPLE_RATE_HZ:
            return None
        self._speaking = False
        self._onset_sample = None
        return SpeechStopped(self._last_voiced_sample, self._sample)
