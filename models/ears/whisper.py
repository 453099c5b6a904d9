"""Whisper on CTranslate2: writes speech down on a CPU, many times faster than it was spoken, in one language or many.

A clip is cut into windows at quiet moments, and each window is padded no further than it needs. A window that never
comes back is given up. It remembers nothing; `memory.py` does. Read `windows.py` for the cuts, `guard.py` for what is
passed on.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer

from models.checks import check_clip
from models.ears.plausible import max_tokens
from models.ears.windows import split_at_quiet
from models.errors import InvalidPrompt, translate_errors
from models.types import SAMPLE_RATE_HZ, AudioClip, Samples, Transcript, Word
from models.watch import StepWatch

LANGUAGE = "en"  # the only language of the ".en" models
WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})  # as in Whisper's reference: each piece is a word
WINDOW_S = 30  # what Whisper's encoder takes at most, and was made for; 10 s take a quarter of the time
SHORTEST_WINDOW_S, MIN_PADDING_S = 10, 4  # in a shorter one, or with less silence in it, it repeats itself
FRAMES_PER_S = 100  # of the mel spectrogram
ALIGNED_S = 0.02  # what an index of time in an alignment is
MAX_TOKENS_PER_WINDOW = 224  # half of Whisper's text context, as in its reference decoder
CT2_LENGTH_RATIO = 2  # CTranslate2 writes at most half of the `max_length` that it is given
MAX_NO_SPEECH = 0.6  # both thresholds are those of Whisper's reference decoder
MIN_MEAN_LOGPROB = -1.0
CERTAIN_SPEECH_S = 0.2  # where a detector found as much, both are wrong more often than right: single words score low
START, TRANSCRIBE, WITHOUT_TIMES, END = (
    "<|startoftranscript|>",
    "<|transcribe|>",
    "<|notimestamps|>",
    "<|endoftext|>",
)
WINDOW_LIMIT_S = 30.0  # of wall time: of Whisper base a window of 30 s takes 1.6 s on one core, which many may share
NON_SPEECH = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|♪")  # "[Music]", "(door closes)"


@dataclass(frozen=True, slots=True)
class _Spelled:
    """One word with the spaces around it, and which of the tokens are its own."""

    text: str
    start: int
    end: int


class WhisperEars:
    """Writes speech down, as a `Transcriber` does.

    Args:
        folder: a Whisper model as CTranslate2 takes it, of English or of many languages, and its `tokenizer.json`.
    """

    def __init__(self, folder: Path) -> None:
        # One thread is as fast as two for a model this small, and a second clip need not wait for the first.
        self._model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", intra_threads=1, inter_threads=2
        )
        self._watch = StepWatch("the model that writes speech down", WINDOW_LIMIT_S)
        self._features = FeatureExtractor(feature_size=self._model.n_mels)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._languages = _languages_of(self._tokenizer) if self._model.is_multilingual else (LANGUAGE,)
        self._write(np.zeros(SAMPLE_RATE_HZ, np.float32), LANGUAGE, False)  # the first run takes twice as long

    @property
    def languages(self) -> tuple[str, ...]:
        """English, or those that its vocabulary has a token for."""
        return self._languages

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        """Writes down what is said in one clip; may be cancelled between windows of 30 s.

        Args:
            clip: of any length that models take.
            dialogue: makes no difference: nothing is kept.
            language: the one spoken; None lets it find out, by the first window.

        Raises:
            InvalidPrompt: the clip is broken, or a language is asked for that it does not write down.
            GenerationFailed: the model failed.
            ModelStopped: it hangs.
        """
        check_clip(clip)
        if language is not None and language not in self._languages:
            known = "English alone" if len(self._languages) == 1 else ", ".join(self._languages)
            raise InvalidPrompt(f"these ears write down {known} and were asked for {language!r}")
        if len(self._languages) == 1:
            language = LANGUAGE
        words: list[Word] = []
        texts: list[str] = []
        start_s = 0.0
        is_certain = clip.speech_s is not None and clip.speech_s >= CERTAIN_SPEECH_S
        with translate_errors(f"writing down {clip.id}"):
            for window in split_at_quiet(clip.samples, WINDOW_S):
                written, language = await self._watch.run(partial(self._write, window, language, is_certain))
                texts.append(written.text)
                words += [_later(word, start_s) for word in written.words]
                start_s += len(window) / SAMPLE_RATE_HZ
        between = "" if language in WITHOUT_SPACES else " "
        return Transcript(between.join(text for text in texts if text), tuple(words))

    async def forget(self, *, dialogue: str) -> None:
        """Has nothing to free."""

    def _write(self, samples: Samples, language: str | None, is_certain: bool) -> tuple[Transcript, str]:
        """Writes down (n_samples,), at most 30 s, in which somebody is known to speak or not; and in which language."""
        window_s = padded_s(samples)
        # Silence is added as audio, as Whisper's reference does: zeros in the spectrogram are a loud hiss.
        silence = np.zeros(window_s * SAMPLE_RATE_HZ - len(samples), np.float32)
        mel = self._features(np.concatenate((samples, silence)))[:, : window_s * FRAMES_PER_S]
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel[None], np.float32))
        encoded = self._model.encode(features)
        language = language or self._find_language(encoded)
        prompt = [START, f"<|{language}|>", TRANSCRIBE] if self._model.is_multilingual else [START]
        (result,) = self._model.generate(
            encoded,
            [[*prompt, WITHOUT_TIMES]],
            beam_size=1,
            max_length=CT2_LENGTH_RATIO * min(MAX_TOKENS_PER_WINDOW, max_tokens(len(samples) / SAMPLE_RATE_HZ)),
            return_scores=True,
            return_no_speech_prob=True,
        )
        if not is_certain and result.no_speech_prob > MAX_NO_SPEECH and result.scores[0] < MIN_MEAN_LOGPROB:
            return Transcript(""), language
        tokens = [token for token in result.sequences_ids[0] if token < self._tokenizer.token_to_id(END)]
        spelled = without_remarks(self._spell(tokens, language))
        text = " ".join("".join(word.text for word in spelled).split())
        if not re.search(r"\w", text):
            return Transcript(""), language
        duration_s = len(samples) / SAMPLE_RATE_HZ
        return Transcript(text, self._when(encoded, prompt, tokens, spelled, duration_s)), language

    def _find_language(self, encoded: Any) -> str:
        """The most probable language of those that have two letters, of one window."""
        (ranked,) = self._model.detect_language(encoded)
        names = (str(token).strip("<|>") for token, _ in ranked)
        return next(name for name in names if name in self._languages)

    def _spell(self, tokens: Sequence[int], language: str) -> list[_Spelled]:
        """Puts tokens together to words; a character may take several of them."""
        words: list[_Spelled] = []
        start = 0
        for index in range(len(tokens)):
            text = self._tokenizer.decode(list(tokens[start : index + 1]))
            if text.endswith("\N{REPLACEMENT CHARACTER}") and index + 1 < len(tokens):
                continue
            is_new = not words or text.startswith(" ") or (language in WITHOUT_SPACES and re.search(r"\w", text))
            joined = _Spelled(text, start, index + 1) if is_new else _joined(words.pop(), text, index + 1)
            words.append(joined)
            start = index + 1
        return words

    def _when(
        self, encoded: Any, prompt: Sequence[str], tokens: Sequence[int], spelled: Sequence[_Spelled], duration_s: float
    ) -> tuple[Word, ...]:
        """When in a window of so many seconds the words were said, and how sure it was of them."""
        ids = [self._tokenizer.token_to_id(token) for token in prompt]
        n_frames = max(1, round(duration_s * FRAMES_PER_S))
        (aligned,) = self._model.align(encoded, ids, [list(tokens)], [n_frames])
        begins_s = np.full(len(tokens) + 1, duration_s)
        for token, time in reversed(aligned.alignments):  # in order of time: the first one counts
            begins_s[token] = min(time * ALIGNED_S, duration_s)
        begins_s = np.minimum.accumulate(begins_s[::-1])[::-1]
        sure = aligned.text_token_probs
        return tuple(
            Word(
                word.text.strip(),
                round(float(begins_s[word.start]), 3),
                round(float(begins_s[word.end]), 3),
                min(1.0, math.prod(sure[word.start : word.end])),
            )
            for word in spelled
            if word.text.strip()
        )


def padded_s(samples: Samples) -> int:
    """To how many seconds a clip (n_samples,) of at most 30 s is padded before it is written down."""
    least_s = math.ceil(len(samples) / SAMPLE_RATE_HZ + MIN_PADDING_S)
    return min(WINDOW_S, max(SHORTEST_WINDOW_S, least_s))


def without_remarks(words: Sequence[_Spelled]) -> list[_Spelled]:
    """Leaves out the words that nobody said: "[Music]", "(door closes)"."""
    text = "".join(word.text for word in words)
    remarks = [match.span() for match in NON_SPEECH.finditer(text)]
    kept, at = [], 0
    for word in words:
        end = at + len(word.text)
        if not any(start < end and at < stop for start, stop in remarks):
            kept.append(word)
        at = end
    return kept


def _languages_of(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Those of two letters that a multilingual vocabulary has a token for."""
    found = (re.fullmatch(r"<\|([a-z]{2})\|>", token) for token in tokenizer.get_vocab())
    return tuple(sorted(match.group(1) for match in found if match))


def _joined(word: _Spelled, more: str, end: int) -> _Spelled:
    return _Spelled(word.text + more, word.start, end)


def _later(word: Word, by_s: float) -> Word:
    return Word(word.text, round(word.start_s + by_s, 3), round(word.end_s + by_s, 3), word.probability)
