"""The embedded default: a cascade that answers real speech on two cores, offline.

Ears: Whisper tiny.en on CTranslate2 writes down each clip, once. Reason: SmolLM2-135M-Instruct answers the text through
`engine.py`, which keeps the conversation's prefix cache over turns. It knows what was said, not how.
Read `pocket_weights.py` for where the weights come from.
"""

import asyncio
import math
import re
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from models.audio_llm import check_clip
from models.engine.engine import Engine
from models.engine.prompt import TokenSpan
from models.errors import GenerationFailed, InvalidPrompt, ModelUnavailable, translate_errors
from models.pocket_weights import find_weights
from models.registry import POCKET
from models.types import (
    SAMPLE_RATE_HZ,
    AudioClip,
    GenerationEvent,
    GenerationOptions,
    GenerationStats,
    Message,
    ModelInfo,
    Samples,
    Transcription,
)

WINDOW_S = 30  # what Whisper's encoder takes at most, and was made for; 10 s take a quarter of the time
SHORTEST_WINDOW_S, MIN_PADDING_S = 10, 4  # in a shorter one, or with less silence in it, it repeats itself
CUT_SEARCH_S = 5  # a window ends at the quietest moment in its last seconds
QUIET_FRAME_SAMPLES = 1600  # 100 ms
FRAMES_PER_S = 100  # of the mel spectrogram
MAX_TOKENS_PER_WINDOW = 224  # half of Whisper's text context, as in its reference decoder
MAX_NO_SPEECH = 0.6  # both thresholds are those of Whisper's reference decoder
MIN_MEAN_LOGPROB = -1.0
WHISPER_PROMPT = ("<|startoftranscript|>", "<|notimestamps|>")
NON_SPEECH = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|♪")  # "[Music]", "(door closes)"

REPETITION_PENALTY = 1.03  # without it the smallest SmolLM2 repeats itself; with 1.1 it avoids the question's words


class Ears:
    """Writes down speech.

    Args:
        folder: a Whisper model as CTranslate2 takes it.
    """

    def __init__(self, folder: Path) -> None:
        # One thread is as fast as two for a model this small, and a second clip need not wait for the first.
        self._model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", intra_threads=1, inter_threads=2
        )
        self._features = FeatureExtractor()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._transcribe_window(np.zeros(SAMPLE_RATE_HZ, np.float32))  # the first run takes twice as long

    async def transcribe(self, samples: Samples) -> str:
        """What was said, empty if nothing was; may be cancelled between windows of 30 s."""
        texts = [await asyncio.to_thread(self._transcribe_window, window) for window in split_at_quiet(samples)]
        return " ".join(text for text in texts if text)

    def _transcribe_window(self, samples: Samples) -> str:
        n_frames = padded_s(samples) * FRAMES_PER_S
        mel = self._features(samples)[:, :n_frames]
        mel = np.pad(mel, ((0, 0), (0, n_frames - mel.shape[1])))
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel[None], np.float32))
        (result,) = self._model.generate(
            features,
            [list(WHISPER_PROMPT)],
            beam_size=1,
            max_length=MAX_TOKENS_PER_WINDOW,
            return_scores=True,
            return_no_speech_prob=True,
        )
        if result.no_speech_prob > MAX_NO_SPEECH and result.scores[0] < MIN_MEAN_LOGPROB:
            return ""
        text = NON_SPEECH.sub("", self._tokenizer.decode(result.sequences_ids[0]))
        return " ".join(text.split()) if re.search(r"\w", text) else ""


def padded_s(samples: Samples) -> int:
    """To how many seconds a clip (n_samples,) of at most 30 s is padded before it is heard."""
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


class Pocket:
    """Hears with Whisper tiny.en, answers with SmolLM2-135M-Instruct.

    Args:
        ears: write down clips.
        language_model: answers; a transformers causal language model of the ChatML format.
        tokenizer: its tokenizer.
        context_tokens: longest prompt and answer together.
    """

    def __init__(self, ears: Ears, language_model: Any, tokenizer: Any, context_tokens: int) -> None:
        self._ears = ears
        self._tokenizer = tokenizer
        self._start, self._end = (tokenizer.convert_tokens_to_ids(mark) for mark in ("<|im_start|>", "<|im_end|>"))
        self._newline = tuple(self._encode("\n"))
        self._engine = Engine(
            language_model,
            tokenizer,
            context_tokens=context_tokens,
            stop_token_ids=frozenset((self._end, tokenizer.convert_tokens_to_ids("<|endoftext|>"))),
        )
        self._heard: dict[str, dict[str, asyncio.Future[str]]] = {}  # by dialogue, by clip

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        return POCKET

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answers the conversation, after saying what it heard; where nobody has said anything, there is no answer."""
        if options.transcribe is not None:
            raise InvalidPrompt("pocket has no request for transcription; it says what it heard before each answer")
        called_s = time.perf_counter()
        transcripts = await self._listen(messages, dialogue)
        prompt = self._prompt(messages, transcripts)
        newest = messages[-1]
        if newest.role == "user" and newest.clips:
            yield Transcription(newest.id, _said(newest, transcripts))
        if not any(_content(message, transcripts) for message in _unanswered(messages)):
            yield _no_answer(time.perf_counter() - called_s)
            return
        if options.repetition_penalty == 1:
            options = replace(options, repetition_penalty=REPETITION_PENALTY)
        listening_s = time.perf_counter() - called_s
        stream = self._engine.generate(prompt, options, dialogue=dialogue)
        try:
            async for event in stream:
                yield _with_listening(event, listening_s) if isinstance(event, GenerationStats) else event
        finally:
            await stream.aclose()

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        """Computes and caches the prompt of `messages`."""
        transcripts = await self._listen(messages, dialogue)
        await self._engine.prefill(self._prompt(messages, transcripts), dialogue=dialogue)

    async def forget(self, *, dialogue: str) -> None:
        """Frees what is cached of the dialogue."""
        self._heard.pop(dialogue, None)
        await self._engine.forget(dialogue=dialogue)

    async def close(self) -> None:
        """Ends running answers and frees the model."""
        await self._engine.close()

    async def _listen(self, messages: Sequence[Message], dialogue: str) -> dict[str, str]:
        """Transcripts of all clips of the messages, by clip; each clip is written down once, whoever asks."""
        known, hearing = self._heard.get(dialogue, {}), {}
        for clip in (clip for message in messages for clip in message.clips):
            check_clip(clip)
            hearing[clip.id] = known.get(clip.id) or asyncio.ensure_future(self._write_down(clip))
        self._heard[dialogue] = hearing
        try:
            return {clip_id: await asyncio.shield(transcript) for clip_id, transcript in hearing.items()}
        except GenerationFailed:
            self._heard.pop(dialogue, None)  # the next one tries again
            raise

    async def _write_down(self, clip: AudioClip) -> str:
        with translate_errors(f"writing down {clip.id}"):
            return await self._ears.transcribe(clip.samples)

    def _prompt(self, messages: Sequence[Message], transcripts: dict[str, str]) -> list[TokenSpan]:
        """ChatML, one span a message in which something is said, so that a beginning is always the same tokens."""
        if not messages:
            raise InvalidPrompt("there are no messages; say or write something first")
        spans = []
        for message in messages:
            if content := _content(message, transcripts):
                body = tuple(self._encode(f"{message.role}\n{content}"))
                spans.append(TokenSpan((self._start, *body, self._end, *self._newline)))
        if messages[-1].role == "assistant" and messages[-1].text:  # to be continued: it has not ended
            spans[-1] = TokenSpan(spans[-1].ids[: -1 - len(self._newline)])
        else:
            spans.append(TokenSpan((self._start, *self._encode("assistant\n"))))
        return spans

    def _encode(self, text: str) -> list[int]:
        """Tokens of plain text; what looks like a mark of the format stays text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids


def _unanswered(messages: Sequence[Message]) -> Iterator[Message]:
    """From the newest back to the last answer that says something: a long turn comes in parts."""
    if messages[-1].role == "assistant" and messages[-1].text:
        return iter(messages[-1:])
    return takewhile(lambda message: message.role == "user" or not message.text, reversed(messages))


def _said(message: Message, transcripts: dict[str, str]) -> str:
    return " ".join(text for text in (transcripts[clip.id] for clip in message.clips) if text)


def _content(message: Message, transcripts: dict[str, str]) -> str:
    """A message as the language model reads it: what was said, or what was said and what was typed about it."""
    said = _said(message, transcripts)
    if said and message.text:
        return f'In the recording somebody says: "{said}"\n\n{message.text}'
    return said or message.text


def _with_listening(stats: GenerationStats, listening_s: float) -> GenerationStats:
    """The engine's times and the ears' together."""
    ttft_s = None if stats.ttft_s is None else stats.ttft_s + listening_s
    return replace(stats, ttft_s=ttft_s, total_s=stats.total_s + listening_s)


def _no_answer(total_s: float) -> GenerationStats:
    return GenerationStats(
        prompt_tokens=0, cached_tokens=0, completion_tokens=0, ttft_s=None, total_s=total_s, finish_reason="stop"
    )


def fastest_dtype() -> torch.dtype:
    """bfloat16 where the CPU multiplies it; elsewhere a prompt of 60 tokens takes twice as long in it as in float32."""
    can = torch.cpu.get_capabilities()
    return torch.bfloat16 if can.get("avx512_bf16") or can.get("amx_bf16") else torch.float32


def lay_out_for_short_prompts(model: Any) -> None:
    """Stores the float32 weights of linear layers column by column; what they compute stays the same.

    In a model this narrow MKL then multiplies a short prompt, or the tokens of 4 dialogues and more, in half the time,
    and single tokens a few hundredths slower.
    """
    looked_up = model.get_input_embeddings().weight  # row by row; it is the output's weight too
    for weight in [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear)]:
        if weight.dtype == torch.float32 and weight is not looked_up:
            weight.data = weight.data.T.contiguous().T


def load_pocket(cache_dir: Path) -> Pocket:
    """Loads the model.

    Args:
        cache_dir: where `pocket_weights.fetch_weights` has put the weights.

    Raises:
        ModelUnavailable: they are missing or altered; the message says how to get them.
    """
    folder = find_weights(cache_dir)
    transformers_logging.disable_progress_bar()
    try:
        ears = Ears(folder / "ears")
        tokenizer = AutoTokenizer.from_pretrained(folder / "language")
        language_model = AutoModelForCausalLM.from_pretrained(folder / "language", dtype=fastest_dtype())
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelUnavailable(f"the weights in {folder} cannot be loaded: {error}") from error
    lay_out_for_short_prompts(language_model)
    return Pocket(ears, language_model.eval(), tokenizer, POCKET.context_tokens)
