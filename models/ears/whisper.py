"""Whisper tiny.en on CTranslate2: writes English speech down on a CPU, many times faster than it was spoken.

A clip is cut into windows at quiet moments, and each window is padded no further than it needs. A window that never
comes back is given up. It remembers nothing; `memory.py` does.
"""

import math
import re
from functools import partial
from pathlib import Path

import ctranslate2
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer

from models.checks import check_clip
from models.ears.plausible import max_tokens
from models.errors import InvalidPrompt, translate_errors
from models.types import SAMPLE_RATE_HZ, AudioClip, Samples, Transcript
from models.watch import StepWatch

LANGUAGE = "en"  # the only one of the ".en" models
WINDOW_S = 30  # what Whisper's encoder takes at most, and was made for; 10 s take a quarter of the time
SHORTEST_WINDOW_S, MIN_PADDING_S = 10, 4  # in a shorter one, or with less silence in it, it repeats itself
CUT_SEARCH_S = 5  # a window ends at the quietest moment in its last seconds
QUIET_FRAME_SAMPLES = 1600  # 100 ms
FRAMES_PER_S = 100  # of the mel spectrogram
MAX_TOKENS_PER_WINDOW = 224  # half of Whisper's text context, as in its reference decoder
CT2_LENGTH_RATIO = 2  # CTranslate2 writes at most half of the `max_length` that it is given
MAX_NO_SPEECH = 0.6  # both thresholds are those of Whisper's reference decoder
MIN_MEAN_LOGPROB = -1.0
CERTAIN_SPEECH_S = 0.2  # where a detector found as much, both are wrong more often than right: single words score low
WHISPER_PROMPT = ("<|startoftranscript|>", "<|notimestamps|>")
WINDOW_LIMIT_S = 30.0  # of wall time: a window takes 2 s at most on one core, which many may share
NON_SPEECH = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|♪")  # "[Music]", "(door closes)"


class WhisperEars:
    """Writes speech down, as a `Transcriber` does.

    Args:
        folder: an English Whisper model as CTranslate2 takes it.
    """

    def __init__(self, folder: Path) -> None:
        # One thread is as fast as two for a model this small, and a second clip need not wait for the first.
        self._model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", intra_threads=1, inter_threads=2
        )
        self._watch = StepWatch("the model that writes speech down", WINDOW_LIMIT_S)
        self._features = FeatureExtractor()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._transcribe_window(np.zeros(SAMPLE_RATE_HZ, np.float32), False)  # the first run takes twice as long

    @property
    def languages(self) -> tuple[str, ...]:
        """English."""
        return (LANGUAGE,)

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        """Writes down what is said in one clip; may be cancelled between windows of 30 s.

        Args:
            clip: of any length that models take.
            dialogue: makes no difference: nothing is kept.
            language: English ("en", or None).

        Raises:
            InvalidPrompt: the clip is broken, or another language is asked for.
            GenerationFailed: the model failed.
            ModelStopped: it hangs.
        """
        check_clip(clip)
        if language not in (None, LANGUAGE):
            raise InvalidPrompt(f"Whisper tiny.en writes down English alone and was asked for {language!r}; ask for en")
        with translate_errors(f"writing down {clip.id}"):
            windows = split_at_quiet(clip.samples)
            is_certain = clip.speech_s is not None and clip.speech_s >= CERTAIN_SPEECH_S
            texts = [await self._watch.run(partial(self._transcribe_window, window, is_certain)) for window in windows]
        return Transcript(" ".join(text for text in texts if text))

    async def forget(self, *, dialogue: str) -> None:
        """Has nothing to free."""

    def _transcribe_window(self, samples: Samples, is_certain: bool) -> str:
        """Writes down (n_samples,), at most 30 s, in which somebody is known to speak or not."""
        window_s = padded_s(samples)
        # Silence is added as audio, as Whisper's reference does: zeros in the spectrogram are a loud hiss.
        silence = np.zeros(window_s * SAMPLE_RATE_HZ - len(samples), np.float32)
        mel = self._features(np.concatenate((samples, silence)))[:, : window_s * FRAMES_PER_S]
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel[None], np.float32))
        (result,) = self._model.generate(
            features,
            [list(WHISPER_PROMPT)],
            beam_size=1,
            max_length=CT2_LENGTH_RATIO * min(MAX_TOKENS_PER_WINDOW, max_tokens(len(samples) / SAMPLE_RATE_HZ)),
            return_scores=True,
            return_no_speech_prob=True,
        )
        if not is_certain and result.no_speech_prob > MAX_NO_SPEECH and result.scores[0] < MIN_MEAN_LOGPROB:
            return ""
        text = NON_SPEECH.sub("", self._tokenizer.decode(result.sequences_ids[0]))
        return " ".join(text.split()) if re.search(r"\w", text) else ""


def padded_s(samples: Samples) -> int:
    """To how many seconds a clip (n_samples,) of at most 30 s is padded before it is written down."""
    least_s = math.ceil(len(samples) / SAMPLE_RATE_HZ + MIN_PADDING_S)
    return min(WINDOW_S, max(SHORTEST_WINDOW_S, least_s))


def split_at_quiet(samples: Samples) -> list[Samples]:
    """Cuts (n_samples,) into windows of at most 30 s, each at the quietest 100 ms of its last 5 s."""
    windows, window, search = [], WINDOW_S * SAMPLE_RATE_HZ, CUT_SEARCH_S * SAMPLE_RATE_HZ
    while len(samples) > window:
        frames = samples[window - search : window].reshape(-1, QUIET_FRAME_SAMPLES)
        quietest = int(np.square(frames).mean(axis=1).argmin())
        end = window - search + quietest * QUIET_FRAME_SAMPLES + QUIET_FRAME_SAMPLES // 2
        windows.append(samples[:end])
        samples = samples[end:]
    return [*windows, samples]
