"""Moonshine base on ONNX Runtime: writes English down on a CPU; of LibriSpeech half as many words wrong as tiny.en.

It takes audio as long as it is, without padding. What leads in silence is left out, for it writes nothing where much
does, and what is longer than 15 s is cut at quiet moments. While a speaker goes on, each longer clip is written down
anew, but its finished windows are known, and what was written of the last one is checked in one pass: nothing of it
changes the words. A window that never comes back is given up.
Read `moonshine_decoder.py` for the graphs, `confidence.py` for what is taken for English, `guard.py` next.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from models.checks import check_clip
from models.ears.alignment import first_frames, without_pauses
from models.ears.confidence import is_believed, sounds_foreign
from models.ears.moonshine_decoder import MoonshineDecoder, Written
from models.ears.pieces import PIECES, Spelled, is_sounded, read_pieces, spell
from models.ears.windows import first_sound, last_sound, loud_part, split_at_quiet
from models.errors import InvalidPrompt, translate_errors
from models.types import SAMPLE_RATE_HZ, AudioClip, Samples, Transcript, Word
from models.watch import StepWatch

LANGUAGE = "en"
WINDOW_S = 15  # of longer clips it loses words; of 30 s now and then, of 50 s many
SHORT_SAMPLES = 3 * SAMPLE_RATE_HZ  # of windows below it, words are lost that are at an edge:
BEFORE_SAMPLES, BEHIND_SAMPLES = 1600, 4800  # silence around them, 0.1 and 0.3 s; of 45 digits by telephone 38 % are
# wrong instead of 49, of as many single words in noise 76 % instead of 196; with 0.5 s, it writes nothing of 14 digits
FRAME_SAMPLES = 384  # of the encoder: strides of 64, 3 and 2
LEAST_LEFT_OUT_SAMPLES = SAMPLE_RATE_HZ // 4  # of a window of which nothing was written, to read the loud part alone:
# of 60 spoken orders with seconds of a quiet room around them it wrote nothing of 9, and then of none
TOKENS_PER_S, MIN_TOKENS = 7.5, 4  # its card allows 6.5 a second; in 30 readings the fastest wrote 4.7
WINDOW_LIMIT_S = 30.0  # of wall time: of 30 readings the slowest took 0.5 s on one core, which many may share
CLIPS_KEPT = 4  # of a dialogue, to be recognised when they have grown; several people may speak at a time
THREADS = 1  # two take an eighth less time for a third more CPU (30 readings), and a second clip need not wait


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """A part of a clip, and what was written of it.

    Attributes:
        start: where in the clip it begins, in samples.
        samples: its audio, (n_samples,).
        read_from: where in it the part begins that was read.
        read_to: where that ends.
        written: what was written of that part.
    """

    start: int
    samples: Samples
    read_from: int
    read_to: int
    written: Written

    @property
    def read_samples(self) -> Samples:
        """The audio that was read."""
        return self.samples[self.read_from : self.read_to]


class MoonshineEars:
    """Writes English down, as a `Transcriber` does.

    Args:
        folder: what `moonshine_graphs.convert` made.
    """

    def __init__(self, folder: Path) -> None:
        self._decoder = MoonshineDecoder(folder, threads=THREADS)
        self._pieces = read_pieces(folder / PIECES)
        self._watch = StepWatch("the model that writes speech down", WINDOW_LIMIT_S)
        self._known: dict[str, deque[tuple[_Window, ...]]] = {}
        self._decode(np.zeros(SAMPLE_RATE_HZ, np.float32), ())  # the first run takes longer

    @property
    def languages(self) -> tuple[str, ...]:
        """English."""
        return (LANGUAGE,)

    async def transcribe(self, clip: AudioClip, *, dialogue: str, language: str | None = None) -> Transcript:
        """Writes down what is said in one clip; may be cancelled between windows of 15 s.

        Args:
            clip: of any length that models take.
            dialogue: whose earlier clips this one may begin with.
            language: English ("en", or None).

        Raises:
            InvalidPrompt: the clip is broken, or another language is asked for.
            GenerationFailed: the model failed.
            ModelStopped: it hangs.
        """
        check_clip(clip)
        if language not in (None, LANGUAGE):
            raise InvalidPrompt(f"Moonshine writes down English alone and was asked for {language!r}; ask for en")
        earlier = self._known.setdefault(dialogue, deque(maxlen=CLIPS_KEPT))
        windows: list[_Window] = []
        with translate_errors(f"writing down {clip.id}"):
            for start, samples in _windows_of(clip.samples):
                known = _find(earlier, len(windows), start, samples)
                if known is not None and len(known.samples) == len(samples):
                    windows.append(known)
                    continue
                guess = () if known is None else known.written.tokens
                windows.append(await self._watch.run(partial(self._write, start, samples, guess)))
        earlier.append(tuple(windows))
        return self._read(windows, clip)

    async def forget(self, *, dialogue: str) -> None:
        """Frees what is kept of the dialogue."""
        self._known.pop(dialogue, None)

    def _write(self, start: int, samples: Samples, guess: Sequence[int]) -> _Window:
        """Writes down the window (n_samples,), at most 15 s, that begins at `start` samples."""
        window = _Window(start, samples, 0, len(samples), self._decode(samples, guess))
        first, last = loud_part(samples)
        if window.written.tokens or last - first > len(samples) - LEAST_LEFT_OUT_SAMPLES:
            return window
        return _Window(start, samples, first, last, self._decode(samples[first:last], guess))

    def _decode(self, samples: Samples, guess: Sequence[int]) -> Written:
        limit = MIN_TOKENS + math.ceil(TOKENS_PER_S * len(samples) / SAMPLE_RATE_HZ)
        if len(samples) < SHORT_SAMPLES:
            samples = np.pad(samples, (BEFORE_SAMPLES, BEHIND_SAMPLES))
        return self._decoder.write(samples, limit, guess)

    def _read(self, windows: Sequence[_Window], clip: AudioClip) -> Transcript:
        """The words of all windows, if they are English."""
        spelled = [spell(self._pieces, window.written.tokens) for window in windows]
        if not any(spelled):
            return Transcript("")
        scores = np.concatenate([window.written.log_probabilities for window in windows])
        if sounds_foreign(scores, sum(len(window.read_samples) for window in windows) / SAMPLE_RATE_HZ):
            return Transcript("", is_foreign=True)
        if not is_believed(scores, clip.speech_s):
            return Transcript("")
        words = [word for window, said in zip(windows, spelled, strict=True) for word in self._when(window, said)]
        return Transcript(" ".join(word.text for word in words), tuple(words))

    def _when(self, window: _Window, spelled: Sequence[Spelled]) -> list[Word]:
        """When in the clip the words of a window were said, and how sure the model was of them."""
        samples = window.read_samples
        frames = first_frames(window.written.attention)
        before = BEFORE_SAMPLES if len(samples) < SHORT_SAMPLES else 0
        edges = np.clip(frames * FRAME_SAMPLES - before, 0, len(samples))
        origin = window.start + window.read_from
        words = []
        for word in spelled:
            start, end = without_pauses(samples, int(edges[word.start]), int(edges[word.end]))
            start_s, end_s = (round((origin + at) / SAMPLE_RATE_HZ, 3) for at in (start, end))
            words.append(Word(word.text, start_s, end_s, self._probability(window.written, word)))
        return words

    def _probability(self, written: Written, word: Spelled) -> float:
        """How probable all pieces of a word are together, marks at its end aside: they are a matter of taste."""
        scores = written.log_probabilities[word.start : word.end]
        tokens = written.tokens[word.start : word.end]
        sounded = [score for token, score in zip(tokens, scores, strict=True) if is_sounded(self._pieces[token])]
        return min(1.0, math.exp(sum(sounded if sounded else scores)))


def _windows_of(samples: Samples) -> list[tuple[int, Samples]]:
    """Where each window begins in (n_samples,), in samples, and its audio; none of those that are silent."""
    begins = first_sound(samples)
    if begins is None:
        return []
    windows = split_at_quiet(samples[begins : last_sound(samples)], WINDOW_S)
    starts = begins + np.cumsum([0, *(len(window) for window in windows[:-1])])
    return [(int(s), w) for s, w in zip(starts, windows, strict=True) if first_sound(w) is not None]


def _find(earlier: Sequence[tuple[_Window, ...]], index: int, start: int, samples: Samples) -> _Window | None:
    """The same window of an earlier clip, or one that begins with it or that it begins with; the newest."""
    for clip in reversed(earlier):
        known = clip[index] if index < len(clip) else None
        if known is not None and known.start == start:
            n_shared = min(len(known.samples), len(samples))
            if np.array_equal(known.samples[:n_shared], samples[:n_shared]):
                return known
    return None
