"""Where speech begins and stops in a stream of samples.

A scorer gives every frame a speech probability: Silero's network through onnxruntime, or Google's WebRTC detector. The
detector adds a gate that follows the noise floor, and hysteresis, and turns scores into `SpeechStarted` and
`SpeechStopped`, counted in samples. The same audio gives the same events however it is chunked, and
however many sessions share one call of the network (`SileroBatch`). Read `listener.py` next.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
import webrtcvad

from models.errors import ModelUnavailable
from models.types import SAMPLE_RATE_HZ, Samples
from models.weights.checksums import sha256
from realtime.hearing.foreground import Foreground
from realtime.hearing.noise import NoiseSuppressor
from realtime.turns.observations import DEFAULT_SPEAKER, DetectedFrame, SpeechStarted, SpeechStopped

SILERO_VERSION = "6.2.3"  # of the wheel
SILERO_SHA256 = "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"
SILERO_FRAME_SAMPLES = 512  # 32 ms; the only window Silero 5 and later take at 16 kHz
SILERO_CONTEXT_SAMPLES = 64  # of the previous frame, put before the new one
WEBRTC_FRAME_SAMPLES = 480  # 30 ms; WebRTC takes 10, 20 or 30
SILENCE_RMS = 10 ** (-55 / 20)  # -55 dBFS: below the noise of a quiet room through a laptop's microphone
MAX_FLOOR_RMS = 10 ** (-30 / 20)  # no speech at an ordinary level is ever taken for the room
GATE_RATIO = 10 ** (3 / 20)  # speech is at least 3 dB above the room's noise
FLOOR_RISE = 10 ** (1.0 * 0.032 / 20)  # 1 dB/s at 32 ms frames: slower than speech, faster than people wait
FLOOR_FALL = 0.3  # of the way down, each frame that is quieter than the floor
OFFSET_STEP = 0.02  # of the way to a frame's mean: a time constant of 1.6 s, so that no voice is filtered
OTHER_VOICES = ("ignore", "hear")
BATCH_WINDOW_S = 0.008  # frames wait this long for others: a quarter of a frame
WARM_UP_FRAMES = 4  # of unheard silence, before the next sound: the false onsets of a fresh state
MAX_FRAMES_AT_ONCE = 32  # of one stream, in one turn of the event loop: a second of audio, 10 ms of work


@dataclass(frozen=True, slots=True, kw_only=True)
class VadOptions:
    """How scores become speech.

    Attributes:
        engine: one of `VAD_ENGINES`: "silero" (a network; knows speech from noise) or "webrtc" (a tenth of the work;
            takes music for speech).
        onset: a score at least this begins speech. 0.5 is Silero's recommendation.
        offset: a score below this ends it; lower than `onset`, so that a doubtful frame changes nothing.
        min_speech_s: speech shorter than this is a click.
        pause_s: silence of this length is a pause, and an answer may be started.
        pre_roll_s: audio kept before the onset, because the first consonant scores low.
        other_voices: one of `OTHER_VOICES`: "ignore" takes who is weaker than the speaker for silence, "hear" does not.
        suppress_noise: noise is taken out before, which needs an optional package; events come 40 ms later.
    """

    engine: str = "silero"
    onset: float = 0.5
    offset: float = 0.35
    min_speech_s: float = 0.09
    pause_s: float = 0.19
    pre_roll_s: float = 0.3
    other_voices: str = "hear"
    suppress_noise: bool = False

    def __post_init__(self) -> None:
        if self.engine not in VAD_ENGINES:
            raise ValueError(f"unknown voice activity detector {self.engine!r}; choose {' or '.join(VAD_ENGINES)}")
        if self.other_voices not in OTHER_VOICES:
            raise ValueError(f"other voices are to be {' or '.join(OTHER_VOICES)}, not {self.other_voices!r}")
        if not 0 < self.offset <= self.onset < 1:
            raise ValueError(f"need 0 < offset ({self.offset}) <= onset ({self.onset}) < 1")


class SpeechScorer(Protocol):
    """Scores consecutive frames of one stream."""

    frame_samples: int

    def score(self, frame: Samples) -> float:
        """Gives the probability of speech in float32 `(frame_samples,)`."""
        ...

    def forget(self) -> None:
        """Forgets what came before: the next frame is the first of a stream."""
        ...


class KnownSound(Protocol):
    """Knows a sound that comes into a stream from somewhere else, and is not to be taken for its speaker's."""

    def listen(self, frame: Samples) -> None:
        """Takes the next frame of the stream, float32 `(frame_samples,)`."""
        ...

    @property
    def explains_microphone(self) -> bool:
        """Whether the last frames are that sound."""
        ...


class OffsetRemoval:
    """Takes the constant part out of one stream, which a cheap microphone adds and detectors are not trained for."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def __call__(self, frame: Samples) -> Samples:
        """Gives the next frame without the mean of the last seconds."""
        mean = float(frame.sum()) / len(frame)  # `mean` itself takes three times as long for so few
        self._offset = mean if self._offset is None else self._offset + OFFSET_STEP * (mean - self._offset)
        return frame - np.float32(self._offset)


@dataclass(slots=True, eq=False)
class SileroStream:
    """What Silero remembers of one stream: its recurrent state, and the end of the frame before."""

    state: Samples = field(default_factory=lambda: np.zeros((2, 128), np.float32))
    context: Samples = field(default_factory=lambda: np.zeros(SILERO_CONTEXT_SAMPLES, np.float32))


def score_streams(streams: Sequence[SileroStream], frames: Sequence[Samples]) -> Samples:
    """Scores one frame of each of several streams in one call of the network, and moves the streams on.

    A stream's scores do not depend on which others share its calls.

    Args:
        streams: different ones.
        frames: of each the next, float32 `(512,)`.

    Returns:
        Probabilities of speech, float32 `(n_streams,)`.
    """
    windows = np.empty((len(streams), SILERO_CONTEXT_SAMPLES + SILERO_FRAME_SAMPLES), np.float32)
    for window, stream, frame in zip(windows, streams, frames, strict=True):
        window[:SILERO_CONTEXT_SAMPLES] = stream.context
        window[SILERO_CONTEXT_SAMPLES:] = frame
        stream.context = window[-SILERO_CONTEXT_SAMPLES:]
    state = np.stack([stream.state for stream in streams], axis=1)
    inputs = {"input": windows, "state": state, "sr": np.array(SAMPLE_RATE_HZ, np.int64)}
    probabilities, states = _silero_session().run(None, inputs)
    for index, stream in enumerate(streams):
        stream.state = states[:, index]
    return np.asarray(probabilities[:, 0], np.float32)


class SileroScorer:
    """Silero VAD (MIT), the ONNX file of the `silero-vad` wheel, for one stream.

    The wheel's own `import silero_vad` sets torch to one thread for the whole process, so only its file is used.
    """

    frame_samples = SILERO_FRAME_SAMPLES

    def __init__(self) -> None:
        _silero_session()  # loads the network, or says that it is missing, before anybody speaks
        self._stream = SileroStream()

    def score(self, frame: Samples) -> float:
        """Gives the probability of speech in float32 `(512,)`."""
        return float(score_streams([self._stream], [frame])[0])

    def forget(self) -> None:
        """Begins another stream."""
        self._stream = SileroStream()


class SileroBatch:
    """Scores the frames of all sessions of one event loop together, which takes half the work.

    Frames that arrive within `window_s` of the first share one call of the network. It runs on the event loop, a
    millisecond for ten frames: handing each frame to a thread and back costs more than its share of the call.
    """

    def __init__(self, window_s: float = BATCH_WINDOW_S) -> None:
        self._window_s = window_s
        self._waiting: list[tuple[SileroStream, Sequence[Samples], asyncio.Future[list[float]]]] = []

    async def score(self, stream: SileroStream, frames: Sequence[Samples]) -> list[float]:
        """Gives the probabilities of speech in a stream's next frames, each float32 `(512,)`.

        One call at a time for each stream.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[float]] = loop.create_future()
        if not self._waiting:
            loop.call_later(self._window_s, self._flush)
        self._waiting.append((stream, frames, future))
        return await future

    def _flush(self) -> None:
        requests, self._waiting = self._waiting, []
        try:
            scores = self._score_all([(stream, frames) for stream, frames, _ in requests])
        except Exception as error:
            for _, _, future in requests:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, _, future), own in zip(requests, scores, strict=True):
            if not future.done():  # its session may have been cancelled
                future.set_result(own)

    @staticmethod
    def _score_all(requests: Sequence[tuple[SileroStream, Sequence[Samples]]]) -> list[list[float]]:
        """Scores the first frame of every stream in one call, then the second of those that have one, and so on."""
        scores: list[list[float]] = [[] for _ in requests]
        for step in range(max(len(frames) for _, frames in requests)):
            longer = [index for index, (_, frames) in enumerate(requests) if len(frames) > step]
            streams = [requests[index][0] for index in longer]
            found = score_streams(streams, [requests[index][1][step] for index in longer])
            for index, score in zip(longer, found, strict=True):
                scores[index].append(float(score))
        return scores


_SILERO_SESSION: onnxruntime.InferenceSession | None = None


def _silero_session() -> onnxruntime.InferenceSession:
    global _SILERO_SESSION  # noqa: PLW0603  # read-only weights, 2 MB; every stream keeps its own state
    if _SILERO_SESSION is None:
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1  # 0.1 ms of work is not worth a second thread
        _SILERO_SESSION = onnxruntime.InferenceSession(str(_find_silero()), options, providers=["CPUExecutionProvider"])
    return _SILERO_SESSION


def _find_silero() -> Path:
    """The network in the installed package, compared with its checksum; raises `ModelUnavailable` as that says."""
    spec = find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise ModelUnavailable("the package silero-vad is not installed; run `make install` or choose --vad webrtc")
    path = Path(spec.origin).parent / "data" / "silero_vad.onnx"
    if not path.is_file() or sha256(path) != SILERO_SHA256:
        raise ModelUnavailable(
            f"{path} is missing or altered; get it again with: pip install --force-reinstall --no-deps "
            f"silero-vad=={SILERO_VERSION}, or choose --vad webrtc"
        )
    return path


class WebRtcScorer:
    """The detector of Google's WebRTC (BSD): a decision per frame, smoothed over three to make a score."""

    frame_samples = WEBRTC_FRAME_SAMPLES

    def __init__(self, aggressiveness: int = 3) -> None:
        self._aggressiveness = aggressiveness
        self._vad = webrtcvad.Vad(aggressiveness)
        self._recent = [0.0, 0.0, 0.0]

    def score(self, frame: Samples) -> float:
        """Gives the share of the last three frames that are speech; `frame` is float32 `(480,)`."""
        pcm = (np.clip(frame, -1, 1) * 32767).astype(np.int16).tobytes()
        self._recent = [*self._recent[1:], float(self._vad.is_speech(pcm, SAMPLE_RATE_HZ))]
        return sum(self._recent) / len(self._recent)

    def forget(self) -> None:
        """Begins another stream."""
        self._vad = webrtcvad.Vad(self._aggressiveness)
        self._recent = [0.0, 0.0, 0.0]


VAD_ENGINES: dict[str, Callable[[], SpeechScorer]] = {"silero": SileroScorer, "webrtc": WebRtcScorer}


@dataclass(frozen=True, slots=True)
class _Frame:
    """One frame before detection.

    Attributes:
        samples: float32 `(frame_samples,)`, without a constant offset, and without noise where that is taken out.
        as_it_came: the same with its noise, for who knows the assistant's own voice.
        power: the mean square of `samples`.
        is_audible: whether it is louder than the room; else it is silence, whatever its score.
        is_scored: whether the scorer is given it. Silence beyond the length of a pause is not scored.
        before: where the scorer begins anew with it, the last frames that were not scored; else none.
    """

    samples: Samples
    as_it_came: Samples
    power: float
    is_audible: bool
    is_scored: bool
    before: tuple[Samples, ...] = ()


def _divide(frames: Iterable[_Frame]) -> list[list[_Frame]]:
    """Divides the frames that are scored into stretches of one stream, so short that the event loop is not held."""
    stretches: list[list[_Frame]] = []
    for frame in frames:
        if not stretches or frame.before or len(stretches[-1]) == MAX_FRAMES_AT_ONCE:
            stretches.append([])
        stretches[-1].append(frame)
    return stretches


class SpeechDetector:
    """Turns the samples of one stream into frames with speech events.

    Silence beyond a pause costs next to nothing, because the scorer does not hear it. Shorter silences it does hear:
    without them it notices the next word later. After silence that it did not hear, the scorer begins anew with the
    last frames of it: with what it remembers of the speech before, it takes the next noise for more of it.

    Args:
        options: how scores become speech.
        scorer: scores the frames; made from the options if not given.
        batch: scores them together with other sessions' in `push_batched`; for Silero alone.
        speaker: whose audio it is.

    Attributes:
        known_sound: what the assistant says (`OwnVoice`), or what the other channel of a call carries (`Crosstalk`), is
            not to be taken for the speaker; None: there is no such sound.
    """

    known_sound: KnownSound | None = None

    def __init__(
        self,
        options: VadOptions,
        scorer: SpeechScorer | None = None,
        batch: SileroBatch | None = None,
        *,
        speaker: str = DEFAULT_SPEAKER,
    ) -> None:
        self.options = options
        self._speaker = speaker
        self._scorer = scorer or VAD_ENGINES[options.engine]()
        self._batch = batch if options.engine == "silero" and scorer is None else None
        self._stream = SileroStream()
        ignores_others = options.other_voices == "ignore"
        self._foreground = Foreground(self._scorer.frame_samples) if ignores_others else None
        self._suppressor = NoiseSuppressor() if options.suppress_noise else None
        self._noisy = np.zeros(0, np.float32)  # what came and is in no frame yet, where noise is taken out
        self._pending = np.zeros(0, np.float32)
        self._centred = OffsetRemoval()
        self._floor_rms = SILENCE_RMS / GATE_RATIO
        self._inaudible_samples = 0  # since the last audible frame
        self._unscored: deque[Samples] = deque(maxlen=WARM_UP_FRAMES)  # the last ones, since one was scored
        self._sample = 0  # end of the last whole frame
        self._speaking = False
        self._onset_sample: int | None = None  # of speech not yet long enough to count, or of the speech under way
        self._last_voiced_sample = 0

    def push(self, samples: Samples) -> Iterator[DetectedFrame]:
        """Takes float32 `(n_samples,)`, any number, and yields every frame that is now whole."""
        cleaned = samples if self._suppressor is None else self._suppressor.push(samples)
        for frame in self._whole_frames(samples, cleaned):
            yield self._detect(frame, self._score(frame))

    async def push_batched(self, samples: Samples) -> list[DetectedFrame]:
        """What `push` gives, scored together with other sessions where there is a batch; a few milliseconds later."""
        cleaned = samples if self._suppressor is None else await self._suppressor.push_on_thread(samples)
        frames = list(self._whole_frames(samples, cleaned))
        if self._batch is None:
            return [self._detect(frame, self._score(frame)) for frame in frames]
        scores: list[float] = []
        for heard in _divide(frame for frame in frames if frame.is_scored):
            if heard[0].before:
                self._stream = SileroStream()
            given = [*heard[0].before, *(frame.samples for frame in heard)]
            scores += (await self._batch.score(self._stream, given))[-len(heard) :]
        found = iter(scores)
        return [self._detect(frame, next(found) if frame.is_scored else 0.0) for frame in frames]

    def _score(self, frame: _Frame) -> float:
        if not frame.is_scored:
            return 0.0
        if frame.before:
            self._scorer.forget()
            for unscored in frame.before:
                self._scorer.score(unscored)
        return self._scorer.score(frame.samples)

    def _whole_frames(self, samples: Samples, cleaned: Samples) -> Iterator[_Frame]:
        """Cuts the stream into frames: what came, and what of it is ready without its noise."""
        self._pending = np.concatenate((self._pending, cleaned))
        if self._suppressor is not None:
            self._noisy = np.concatenate((self._noisy, samples))
        size = self._scorer.frame_samples
        while len(self._pending) >= size:
            frame, self._pending = self._centred(self._pending[:size]), self._pending[size:]
            as_it_came = frame
            if self._suppressor is not None:
                as_it_came, self._noisy = self._noisy[:size], self._noisy[size:]
            yield self._looked_at(frame, as_it_came)

    def _looked_at(self, samples: Samples, as_it_came: Samples) -> _Frame:
        """Finds whether a frame is audible, and whether it is to be scored."""
        power = float(samples.dot(samples)) / len(samples)
        is_audible = self._is_audible(math.sqrt(power))
        self._inaudible_samples = 0 if is_audible else self._inaudible_samples + len(samples)
        is_scored = self._inaudible_samples - len(samples) < self.options.pause_s * SAMPLE_RATE_HZ
        before = tuple(self._unscored) if is_scored else ()
        if is_scored:
            self._unscored.clear()
        else:
            self._unscored.append(samples)
        return _Frame(samples, as_it_came, power, is_audible, is_scored, before)

    def _is_audible(self, rms: float) -> bool:
        """Whether a frame is louder than the room, whose noise it follows."""
        if rms < self._floor_rms:
            self._floor_rms += FLOOR_FALL * (rms - self._floor_rms)
        else:
            self._floor_rms = min(self._floor_rms * FLOOR_RISE, MAX_FLOOR_RMS)
        return rms >= max(SILENCE_RMS, self._floor_rms * GATE_RATIO)

    def _detect(self, frame: _Frame, score: float) -> DetectedFrame:
        start, self._sample = self._sample, self._sample + len(frame.samples)
        threshold = self.options.offset if self._onset_sample is not None else self.options.onset
        voiced = frame.is_audible and score >= threshold
        if self.known_sound is not None:
            self.known_sound.listen(frame.as_it_came)
            voiced = voiced and not self.known_sound.explains_microphone
        if self._foreground is not None:
            voiced = self._is_speaker(self._foreground, frame, is_voiced=voiced)
        if voiced:
            self._last_voiced_sample = self._sample
            if self._onset_sample is None:
                self._onset_sample = start
        event = self._start_if_long_enough() if not self._speaking else self._stop_if_paused()
        if not self._speaking and not voiced:
            self._onset_sample = None
        return DetectedFrame(self._sample, event, self._sample - self._last_voiced_sample, self._speaker)

    def _is_speaker(self, foreground: Foreground, frame: _Frame, *, is_voiced: bool) -> bool:
        """Whether voice is the speaker's; somebody behind may have been taken for the speaker until now."""
        foreground.take(frame.power, is_voiced=is_voiced)
        if foreground.is_behind:
            end_sample = max(0, self._sample - foreground.gone_samples)
            self._last_voiced_sample = min(self._last_voiced_sample, end_sample)
        return foreground.has_speaker

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
