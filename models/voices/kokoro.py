"""Kokoro-82M on ONNX Runtime: reads English aloud on a CPU, a phrase at a time.

The int8 graph takes phonemes and a style, which depends on the voice and on how many phonemes there are, and gives the
sound of the whole phrase at once. So the first sound comes sooner the shorter the first phrase is.
Read `phonemes.py` for what it is given, `sentences.py` for who cuts an answer into phrases.
"""

import asyncio
import os
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime

from models.errors import InvalidPrompt, translate_errors
from models.types import VOICE_RATE_HZ, Samples, Speech, SpokenWord, VoiceInfo
from models.voices.lexicon import Lexicon
from models.voices.names import VOICES
from models.voices.phonemes import Piece, Pronouncer
from models.watch import StepWatch

MODEL = "kokoro.onnx"  # a file; the styles of a voice are in `NAME.bin`
AUDIO, DURATIONS, LONGEST = "audio", "durations", "longest"  # outputs of the graph, and an input
STYLE_SIZE = 256  # half for the timbre, half for the melody
MAX_PHONEMES = 510  # of one phrase; the model has positions for two more, which are the pads around it
FRAME_SAMPLES = 600  # 25 ms at 24 kHz: the unit of the durations
FRAMES_BEFORE = 13  # of the pad before a phrase, for which it takes 20; with 8, the first words are cut off
FRAMES_BEHIND, FRAMES_BETWEEN = 8, 4  # of the mark that ends it, for which it takes 13; 4 where a sentence goes on
FRAMES_AT_MOST = 1000  # of any other phoneme: no limit
BEFORE_SAMPLES = VOICE_RATE_HZ * 30 // 1000  # kept of the silence before a phrase
BEHIND_SAMPLES = VOICE_RATE_HZ * 180 // 1000  # and behind it, of half a second: pauses between phrases are made of it
BETWEEN_SAMPLES = VOICE_RATE_HZ * 30 // 1000  # where a phrase ends in the middle of a sentence
QUIET = 0.005  # an amplitude that nobody hears beside speech
PHRASE_LIMIT_S = 30.0  # of wall time; the longest phrase took 9 s on one core, which many may share
THREADS = 2  # of one phrase: somebody waits for the first one
MAX_PHRASES = max(2, (os.cpu_count() or 1) // THREADS)  # at a time: more make each other slow, until they seem to hang

# Hexgrad's own table (`config.json` of Kokoro-82M), without what English has no use for.
_VOCABULARY = {
    **{";": 1, ":": 2, ",": 3, ".": 4, "!": 5, "?": 6, "—": 9, "…": 10, " ": 16, "A": 24, "I": 25, "O": 31, "W": 39},
    **{"Y": 41, "ᵊ": 42, "a": 43, "b": 44, "d": 46, "e": 47, "f": 48, "h": 50, "i": 51, "j": 52, "k": 53, "l": 54},
    **{"m": 55, "n": 56, "o": 57, "p": 58, "s": 61, "t": 62, "u": 63, "v": 64, "w": 65, "x": 66, "z": 68, "ɑ": 69},
    **{"ɐ": 70, "ɒ": 71, "æ": 72, "ɔ": 76, "ð": 81, "ʤ": 82, "ə": 83, "ɛ": 86, "ɜ": 87, "ɡ": 92, "ɪ": 102, "ŋ": 112},
    **{"θ": 119, "ɹ": 123, "ɾ": 125, "ʃ": 131, "ʧ": 133, "ʊ": 135, "ʌ": 138, "ʒ": 147, "ʔ": 148, "ˈ": 156, "ˌ": 157},
    **{"ː": 158, "ᵻ": 177},
}
_PAD = 0


class KokoroVoice:
    """Reads English aloud, as a `Voice` does.

    Args:
        folder: the graph that `open_durations` made, the styles of each voice, and the two dictionaries.
        voices: those whose styles are in the folder.
    """

    def __init__(self, folder: Path, voices: tuple[VoiceInfo, ...] = VOICES) -> None:
        self.voices = voices
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others need the cores between runs
        options.log_severity_level = 3  # errors alone
        self._graph = onnxruntime.InferenceSession(str(folder / MODEL), options, providers=["CPUExecutionProvider"])
        self._styles = {
            voice.name: np.fromfile(folder / f"{voice.name}.bin", np.float32).reshape(-1, 1, STYLE_SIZE)
            for voice in voices
        }
        self._pronouncer = Pronouncer(Lexicon(folder))
        self._watch = StepWatch("the voice", PHRASE_LIMIT_S)
        self._places = asyncio.Semaphore(MAX_PHRASES)
        self._read("Hello.", voices[0].name)  # the first run takes longer

    async def speak(self, text: str, *, voice: str) -> Speech:
        """Reads one phrase or sentence aloud, and raises, as `Voice.speak` does."""
        if voice not in self._styles:
            raise InvalidPrompt(f"there is no voice {voice!r}; there are {', '.join(self._styles)}")
        await self._places.acquire()
        reading = asyncio.create_task(self._watch.run(partial(self._read, text, voice)))
        reading.add_done_callback(self._give_back)
        with translate_errors("reading aloud"):
            return await asyncio.shield(reading)

    def _give_back(self, reading: asyncio.Task[Speech]) -> None:
        """Frees the place of a phrase that has been read, which may be long after nobody wants it any more."""
        self._places.release()
        if not reading.cancelled():
            reading.exception()  # that of a phrase that nobody wants is told to nobody

    def _read(self, text: str, voice: str) -> Speech:
        parts = [self._read_part(part, voice) for part in _parts(self._pronouncer.pronounce(text))]
        if not parts:
            return Speech(np.zeros(0, np.float32), ())
        words: list[SpokenWord] = []
        begin = 0
        for samples, ends in parts:
            words += [SpokenWord(end, begin + end_sample) for end, end_sample in ends]
            begin += len(samples)
        return Speech(np.concatenate([samples for samples, _ in parts]), tuple(words))

    def _read_part(self, pieces: list[Piece], voice: str) -> tuple[Samples, list[tuple[int, int]]]:
        """The sound of pieces, and where each word ends in the text and in the sound."""
        ends_within = not pieces[-1].is_mark  # a sentence that goes on: a comma keeps its melody up
        tokens, word_ends = _tokens_of([*pieces, Piece(",", pieces[-1].end, is_mark=True)] if ends_within else pieces)
        styles = self._styles[voice]
        inputs = {
            "tokens": np.array([[_PAD, *tokens, _PAD]], np.int64),
            "style": styles[min(len(tokens), len(styles)) - 1],
            "speed": np.ones(1, np.float32),
            LONGEST: _longest(len(tokens), FRAMES_BETWEEN if ends_within else FRAMES_BEHIND),
        }
        samples, durations = self._graph.run([AUDIO, DURATIONS], inputs)
        ends = np.cumsum(durations.reshape(-1)).astype(int) * FRAME_SAMPLES  # of each token, the pads included
        start, end = _sounding(samples, BETWEEN_SAMPLES if ends_within else BEHIND_SAMPLES)
        return samples[start:end], [
            (word_end, _within(int(ends[at]), start, end) - start) for word_end, at in word_ends
        ]


def _tokens_of(pieces: list[Piece]) -> tuple[list[int], list[tuple[int, int]]]:
    """The model's tokens; and of each word where it ends, in the text and among the tokens counted from the pad."""
    tokens: list[int] = []
    words: list[tuple[int, int]] = []
    for piece in pieces:
        if tokens and not piece.is_mark:
            tokens.append(_VOCABULARY[" "])
        tokens += [_VOCABULARY[sound] for sound in piece.sound]
        if piece.is_mark and words:
            words[-1] = (piece.end, words[-1][1])  # the mark is heard with its word
        elif not piece.is_mark:
            if words and words[-1][0] == piece.end:
                words.pop()  # one number may be many words
            words.append((piece.end, len(tokens)))
    return tokens, words


def _longest(n_tokens: int, frames_behind: int) -> Samples:
    """How many frames the tokens of a phrase and its two pads may last, (1, n_tokens + 2)."""
    longest = np.full((1, n_tokens + 2), FRAMES_AT_MOST, np.float32)
    longest[0, 0], longest[0, -2:] = FRAMES_BEFORE, frames_behind
    return longest


def _parts(pieces: list[Piece]) -> list[list[Piece]]:
    """The pieces of a text in parts that the model takes, of which only the last may have no word."""
    parts: list[list[Piece]] = []
    n_phonemes = 0
    for piece in pieces:
        length = len(piece.sound) + 1
        if not parts or n_phonemes + length > MAX_PHONEMES:
            parts.append([])
            n_phonemes = 0
        parts[-1].append(piece)
        n_phonemes += length
    return parts


def _sounding(samples: Samples, behind_samples: int) -> tuple[int, int]:
    """Where a phrase begins and ends that can be heard, with a short pause behind it."""
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    if not len(loud):
        return 0, len(samples)
    return max(0, int(loud[0]) - BEFORE_SAMPLES), min(len(samples), int(loud[-1]) + behind_samples)


def _within(sample: int, start: int, end: int) -> int:
    return min(max(sample, start), end)
