"""A decode loop over a transformers causal language model that remembers each dialogue's prefix.

`generate` takes the whole prompt every time. The engine compares it, position by position, with what the dialogue's
key/value cache holds, keeps the common beginning and computes only the rest. One thread per engine owns torch. In each
round it prefills one chunk (or encodes one audio window) of one waiting request, in turn, and decodes one token of
every answer under way, in one batch: no prompt, however long, stalls an answer for more than one chunk a token. An
answer stops within one step of its generator's `aclose`, and what it had computed stays usable.

It refuses models that keep a state other than keys and values (linear attention, convolutions): a prefix of such a
state cannot be cut out. Models with sliding windows are decoded one dialogue at a time.
Read `kv_cache.py` next, then `sampling.py` for how tokens are chosen and become text.
"""

import asyncio
import logging
import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from models.attention import use_prefix_attention
from models.errors import GenerationFailed, InvalidPrompt, ModelError, ModelUnavailable, PromptTooLong, translate_errors
from models.kv_cache import KeyValues, StaticDecoder
from models.sampling import Detokenizer, Sampler, StopStrings, Tokenizer, choose_tokens
from models.types import FinishReason, GenerationOptions, GenerationStats, TextDelta

logger = logging.getLogger(__name__)

PREFILL_CHUNK_TOKENS = 512  # 0.3 s of SmolLM2-135M on two CPU cores: how long a running answer may have to wait
CACHE_BUDGET_BYTES = 2 * 1024**3  # 90k tokens of SmolLM2-135M in bfloat16 (30 layers x 2 x 3 heads x 64 x 2 bytes)
MAX_BATCH = 8


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """A stretch of text tokens."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AudioSpan:
    """A stretch of positions that an audio clip fills.

    Attributes:
        key: names the clip; the same key means the same embeddings.
        n_tokens: how many positions.
        embed: returns (n_tokens, hidden). Called on the engine's thread, at most once as long as the dialogue's cached
            or pending prompts hold the key.
    """

    key: str
    n_tokens: int
    embed: Callable[[], torch.Tensor]


Prompt = Sequence[TokenSpan | AudioSpan]
Event = TextDelta | GenerationStats
PositionKey = int | tuple[str, int]  # a token, or a clip's key and the index in it: what decides a position's content


@dataclass(slots=True, eq=False)
class _Request:
    """One call of `generate`, or of `prefill` (no options), from its caller to its end."""

    dialogue: str
    keys: list[PositionKey]
    clips: dict[str, AudioSpan]
    options: GenerationOptions | None
    loop: asyncio.AbstractEventLoop
    called_s: float
    events: asyncio.Queue[Event | ModelError] = field(default_factory=asyncio.Queue)  # bounded by the answer's length
    stopped: bool = False  # set by the caller, read by the worker before every step
    # The rest belongs to the worker.
    cached_tokens: int = 0
    new_tokens: int = 0
    next_token: int | None = None  # chosen, not yet run through the model
    first_delta_s: float | None = None
    decodes_alone: bool = False
    sampler: Sampler | None = None
    detokenizer: Detokenizer | None = None
    stops: StopStrings = field(default_factory=lambda: StopStrings(()))

    def deliver(self, event: Event | ModelError) -> None:
        """Hands an event to the caller, from the worker's thread."""
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:  # the caller's loop is closed: nobody listens any more
            self.stopped = True

    def deliver_text(self, text: str) -> None:
        if text:
            if self.first_delta_s is None:
                self.first_delta_s = time.perf_counter() - self.called_s
            self.deliver(TextDelta(text))


class _Dialogue:
    """What the engine remembers of a dialogue."""

    def __init__(self) -> None:
        self.keys: list[PositionKey] = []  # of the positions computed, those in a batch row included
        self.cache = KeyValues(1)
        self.embeddings: dict[str, torch.Tensor] = {}
        self.requests: deque[_Request] = deque()  # the first one runs

    @property
    def n_bytes(self) -> int:
        return self.cache.n_bytes + sum(rows.nbytes for rows in self.embeddings.values())

    def begin(self, request: _Request) -> None:
        """Cuts the cache down to what the request's prompt shares with it."""
        common = _common_prefix(self.keys, request.keys)
        if request.options is not None:
            common = min(common, len(request.keys) - 1)  # the last position is run again, for its logits
        request.cached_tokens = common
        if common < len(request.keys):
            del self.keys[common:]
            self.cache.lengths[0] = common
        needed = {key[0] for key in self.keys if isinstance(key, tuple)}.union(*(r.clips for r in self.requests))
        self.embeddings = {key: rows for key, rows in self.embeddings.items() if key in needed}


class _Batch:
    """Dialogues that decode together: their caches are copied into the rows of one.

    Rows have different lengths and nothing is moved when another comes or goes. What was in a dialogue's own cache
    stays there; on leaving only the tokens decoded here are copied back.
    """

    def __init__(self, *, keeps_cache: bool) -> None:
        self.requests: list[_Request] = []
        self.cache = KeyValues(0)
        self._keeps_cache = keeps_cache  # when it is empty; a graph is bound to its place in memory

    def join(self, request: _Request, dialogue: _Dialogue) -> None:
        """Copies the dialogue's cache into a new row."""
        self.cache.lengths.append(0)
        try:
            self.cache.copy_row(len(self.requests), dialogue.cache, 0, 0, dialogue.cache.lengths[0])
        except BaseException:
            self.cache.lengths.pop()
            raise
        self.requests.append(request)

    def leave(self, request: _Request, dialogue: _Dialogue) -> None:
        """Copies what was decoded here back to the dialogue, and fills the hole with the last row."""
        row, last = self.requests.index(request), len(self.requests) - 1
        try:
            dialogue.cache.copy_row(0, self.cache, row, dialogue.cache.lengths[0], self.cache.lengths[row])
        finally:
            if row != last:
                self.cache.clear_row(row)  # beyond the other's end, too: what a broken answer left there is no number
                self.cache.copy_row(row, self.cache, last, 0, self.cache.lengths[last])
                self.requests[row] = self.requests[last]
            self.requests.pop()
            self.cache.lengths.pop()
            if self.requests or self._keeps_cache:
                self.cache.clear_row(last)
            else:
                self.cache = KeyValues(0)


class _Worker:
    """The thread's side: everything here runs on the one thread that owns torch."""

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer,
        *,
        context_tokens: int,
        stop_token_ids: frozenset[int],
        prefill_chunk_tokens: int,
        cache_budget_bytes: int,
        max_batch: int,
        static: bool,
    ) -> None:
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._model = model
        self._embed_tokens = model.get_input_embeddings()
        self._tokenizer = tokenizer
        self._context_tokens = context_tokens
        self._stop_token_ids = stop_token_ids
        self._prefill_chunk_tokens = prefill_chunk_tokens
        self._cache_budget_bytes = cache_budget_bytes
        self._max_batch = max_batch
        self._dialogues: OrderedDict[str, _Dialogue] = OrderedDict()  # least recently used first
        self._running: list[_Request] = []
        self._static = StaticDecoder(model) if static else None
        self._batch = _Batch(keeps_cache=static)
        self._is_closed = False

    # What callers ask for, between steps.

    def admit(self, request: _Request) -> None:
        """Takes a request; it runs once those before it in its dialogue have ended."""
        dialogue = self._dialogues.setdefault(request.dialogue, _Dialogue())
        dialogue.requests.append(request)
        if dialogue.requests[0] is request:
            self._begin(request)

    def forget(self, name: str) -> None:
        """Ends the dialogue's requests as cancelled, and frees its cache."""
        dialogue = self._dialogues.get(name)
        if dialogue is not None:
            for request in dialogue.requests:
                request.stopped = True  # lest one that waits begins
            while dialogue.requests:
                self._finish(dialogue.requests[0], "cancelled")
            self._dialogues.pop(name, None)

    def close(self) -> None:
        """Ends everything as cancelled."""
        self._is_closed = True
        for name in tuple(self._dialogues):
            self.forget(name)

    # The loop.

    def run(self) -> None:
        """Takes one step of each running request in turn, until closed."""
        with torch.inference_mode():
            while not self._is_closed:
                try:
                    self._round()
                except Exception as error:  # a defect of this module: nobody may wait for ever
                    logger.exception("the engine failed and starts afresh")
                    self._start_afresh(GenerationFailed(f"the engine failed: {error}"))
        del self._model, self._embed_tokens, self._static

    def _round(self) -> None:
        self._take_calls()
        self._end_stopped()
        waiting = [request for request in self._running if request.next_token is None]
        if waiting:
            self._running.remove(waiting[0])
            self._running.append(waiting[0])  # the others' turn comes first next time
            self._attempt(self._prefill_step, waiting[0])
        self._end_stopped()
        self._decode_step()

    def _start_afresh(self, error: GenerationFailed) -> None:
        for dialogue in self._dialogues.values():
            for request in dialogue.requests:
                request.deliver(error)
        self._dialogues.clear()
        self._running.clear()
        self._batch = _Batch(keeps_cache=self._static is not None)

    def _take_calls(self) -> None:
        if not self._running:
            self.calls.get()()
        while not self._is_closed:
            try:
                call = self.calls.get_nowait()
            except queue.Empty:
                return
            call()

    def _end_stopped(self) -> None:
        for request in tuple(self._running):
            if request.stopped and request in self._running:
                self._finish(request, "cancelled")

    def _attempt(self, step: Callable[[_Request], None], request: _Request) -> None:
        """Runs a step of one request; its failure is that request's alone."""
        try:
            with translate_errors(f"dialogue {request.dialogue}"):
                step(request)
        except GenerationFailed as error:
            logger.warning("a step failed and the cache of dialogue %s is dropped", request.dialogue, exc_info=True)
            self._end(request, error, keep_cache=False)
        except ModelError as error:
            self._end(request, error)

    # The life of a request.

    def _begin(self, request: _Request) -> None:
        self._dialogues.move_to_end(request.dialogue)
        self._running.append(request)
        if not request.stopped:  # else it ends in the next round
            self._dialogues[request.dialogue].begin(request)

    def _finish(self, request: _Request, reason: FinishReason) -> None:
        self._end(
            request,
            GenerationStats(
                prompt_tokens=len(request.keys),
                cached_tokens=request.cached_tokens,
                completion_tokens=request.new_tokens,
                ttft_s=request.first_delta_s,
                total_s=time.perf_counter() - request.called_s,
                finish_reason=reason,
            ),
        )

    def _end(self, request: _Request, last: GenerationStats | ModelError, *, keep_cache: bool = True) -> None:
        request.deliver(last)
        if request in self._running:
            self._running.remove(request)
        if request in self._batch.requests:
            keep_cache = self._leave_batch(request) and keep_cache
        dialogue = self._dialogues[request.dialogue]
        dialogue.requests.remove(request)
        self._dialogues.move_to_end(request.dialogue)
        if not keep_cache:
            dialogue.cache, dialogue.keys = KeyValues(1), []
        self._evict()
        if dialogue.requests and dialogue.requests[0] not in self._running:
            self._begin(dialogue.requests[0])

    def _evict(self) -> None:
        """Drops the caches of idle dialogues, least recently used first, until the budget holds.

        A batch that keeps its memory for a graph is no part of it: it would leave the dialogues less and less.
        """
        n_bytes = sum(dialogue.n_bytes for dialogue in self._dialogues.values())
        n_bytes += 0 if self._static is not None else self._batch.cache.n_bytes
        for name, dialogue in tuple(self._dialogues.items()):
            if n_bytes <= self._cache_budget_bytes:
                return
            if not dialogue.requests:
                n_bytes -= dialogue.n_bytes
                del self._dialogues[name]

    # Prefill.

    def _prefill_step(self, request: _Request) -> None:
        """Embeds one clip, or runs one chunk of the prompt."""
        dialogue = self._dialogues[request.dialogue]
        done = len(dialogue.keys)
        if request.options is None and request.cached_tokens == len(request.keys):
            self._finish(request, "stop")
            return
        chunk = request.keys[done : done + self._prefill_chunk_tokens]
        for key in chunk:
            if isinstance(key, tuple) and key[0] not in dialogue.embeddings:
                dialogue.embeddings[key[0]] = self._embed_clip(request.clips[key[0]])
                return
        logits = dialogue.cache.forward(self._model, self._inputs(chunk, dialogue.embeddings))
        dialogue.cache.extend(len(chunk))
        dialogue.keys.extend(chunk)
        if len(dialogue.keys) < len(request.keys):
            return
        if request.options is None:
            self._finish(request, "stop")
        else:
            self._begin_answer(request, request.options, logits)

    def _embed_clip(self, clip: AudioSpan) -> torch.Tensor:
        weight = self._embed_tokens.weight
        rows = clip.embed()
        if rows.ndim != 2 or rows.shape[0] != clip.n_tokens:
            raise InvalidPrompt(
                f"clip {clip.key} takes {clip.n_tokens} positions of the prompt but its embeddings are of shape "
                f"{tuple(rows.shape)}; the encoder and the prompt must count alike"
            )
        rows = rows.to(device=weight.device, dtype=weight.dtype)
        if not bool(rows.isfinite().all()):  # what comes before it in the prompt would be computed wrong, too
            raise GenerationFailed(
                f"the encoder's numbers overflow on clip {clip.key}; use --dtype bfloat16 or float32"
            )
        return rows

    def _inputs(self, chunk: list[PositionKey], embeddings: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        ids = [key if isinstance(key, int) else 0 for key in chunk]
        input_ids = torch.tensor([ids], device=self._embed_tokens.weight.device)
        spans = _clip_spans(chunk)
        if not spans:
            return {"input_ids": input_ids}
        embeds = self._embed_tokens(input_ids)
        for at, key, first, n_tokens in spans:
            embeds[0, at : at + n_tokens] = embeddings[key][first : first + n_tokens]
        return {"inputs_embeds": embeds}

    # Decode.

    def _begin_answer(self, request: _Request, options: GenerationOptions, logits: torch.Tensor) -> None:
        longest = min(options.max_new_tokens, self._context_tokens - len(request.keys))
        prompt_ids = (key for key in request.keys if isinstance(key, int))
        request.sampler = Sampler(options, prompt_ids, longest)
        request.detokenizer = Detokenizer(self._tokenizer)
        request.stops = StopStrings(options.stop)
        self._accept(request, choose_tokens(logits, [request.sampler])[0])

    def _accept(self, request: _Request, token: int) -> None:
        """Delivers a chosen token's text; ends the answer or makes the token the next to run."""
        assert request.options is not None and request.sampler is not None and request.detokenizer is not None
        if token in self._stop_token_ids:
            request.deliver_text(request.stops.flush())
            self._finish(request, "stop")
            return
        request.new_tokens += 1
        request.sampler.saw(token)
        text, is_stopped = request.stops.push(request.detokenizer.push(token))
        request.deliver_text(text)
        limit = min(request.options.max_new_tokens, self._context_tokens - len(request.keys))
        if is_stopped:
            self._finish(request, "stop")
        elif request.new_tokens >= limit:
            request.deliver_text(request.stops.flush())
            self._finish(request, "length")
        else:
            request.next_token = token

    def _decode_step(self) -> None:
        """One token of every answer under way."""
        ready = [request for request in self._running if request.next_token is not None]
        if len(ready) > 1 or self._static is not None:
            for request in ready:
                self._join_batch(request)
        in_batch = tuple(self._batch.requests)
        if in_batch:
            self._decode_batch(in_batch)
        for request in ready:
            if request not in in_batch and not request.stopped:
                self._attempt(self._decode_alone, request)

    def _decode_alone(self, request: _Request) -> None:
        tokens = self._advance([request], self._dialogues[request.dialogue].cache)
        self._accept(request, tokens[0])

    def _decode_batch(self, requests: Sequence[_Request]) -> None:
        try:
            tokens = self._advance(requests, self._batch.cache)
        except Exception:
            # Whose fault it is shows when each goes on alone; a failed step has left every cache as it was.
            logger.warning("a batch of %d dialogues failed; they go on one by one", len(requests), exc_info=True)
            for request in requests:
                request.decodes_alone = True
                if not self._leave_batch(request):
                    self._end(
                        request, GenerationFailed(f"dialogue {request.dialogue}: out of memory"), keep_cache=False
                    )
            return
        for request, token in zip(requests, tokens, strict=True):
            self._attempt(partial(self._accept, token=token), request)

    def _advance(self, requests: Sequence[_Request], cache: KeyValues) -> list[int]:
        """Runs the next token of each request, which fill the rows of `cache`, and chooses those after."""
        fed = [request.next_token for request in requests if request.next_token is not None]
        samplers = [request.sampler for request in requests if request.sampler is not None]
        if self._static is not None and cache is self._batch.cache:
            logits = self._static.forward(cache, fed)
        else:
            input_ids = torch.tensor(fed, device=self._embed_tokens.weight.device)[:, None]
            logits = cache.forward(self._model, {"input_ids": input_ids})
        tokens = choose_tokens(logits, samplers)
        cache.extend(1)
        for request, token in zip(requests, fed, strict=True):
            self._dialogues[request.dialogue].keys.append(token)
        return tokens

    def _join_batch(self, request: _Request) -> None:
        is_full = len(self._batch.requests) >= self._max_batch
        if self._max_batch == 1 or is_full or request.decodes_alone or request in self._batch.requests:
            return
        try:
            self._batch.join(request, self._dialogues[request.dialogue])
        except Exception:
            logger.warning("no room for dialogue %s in the batch; it goes on alone", request.dialogue, exc_info=True)
            request.decodes_alone = True

    def _leave_batch(self, request: _Request) -> bool:
        """Whether the dialogue's cache holds what was decoded in the batch."""
        try:
            self._batch.leave(request, self._dialogues[request.dialogue])
        except Exception:
            logger.warning("dialogue %s could not take back its cache", request.dialogue, exc_info=True)
            return False
        return True


class Engine:
    """Answers prompts of any number of dialogues with one language model.

    Args:
        language_model: a transformers causal language model, on its device and in its dtype, in evaluation mode.
        tokenizer: the model's.
        context_tokens: longest prompt and answer together.
        stop_token_ids: tokens that end an answer; they are not part of it.
        prefill_chunk_tokens: longest stretch of a prompt that other dialogues wait for.
        cache_budget_bytes: caches of idle dialogues are dropped, least recently used first, when all together are more.
        max_batch: how many dialogues decode together; more take turns.
        static: decode in steps of constant shape, which a GPU replays as a graph; None means on a GPU.

    Attributes:
        context_tokens: as given.

    Raises:
        ModelUnavailable: the model keeps a state of which no prefix can be cut out.
    """

    def __init__(
        self,
        language_model: Any,
        tokenizer: Tokenizer,
        *,
        context_tokens: int,
        stop_token_ids: frozenset[int],
        prefill_chunk_tokens: int = PREFILL_CHUNK_TOKENS,
        cache_budget_bytes: int = CACHE_BUDGET_BYTES,
        max_batch: int = MAX_BATCH,
        static: bool | None = None,
    ) -> None:
        self.context_tokens = context_tokens
        is_batchable = _has_full_attention(language_model)
        is_on_gpu = language_model.get_input_embeddings().weight.is_cuda
        use_prefix_attention(language_model)
        self._worker = _Worker(
            language_model,
            tokenizer,
            context_tokens=context_tokens,
            stop_token_ids=stop_token_ids,
            prefill_chunk_tokens=prefill_chunk_tokens,
            cache_budget_bytes=cache_budget_bytes,
            max_batch=max_batch if is_batchable else 1,
            static=is_batchable and (is_on_gpu if static is None else static),
        )
        self._lock = threading.Lock()  # nothing may be put behind the call that ends the worker
        self._is_closed = False
        self._thread = threading.Thread(target=self._worker.run, name="engine", daemon=True)
        self._thread.start()

    def generate(
        self, prompt: Prompt, options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[TextDelta | GenerationStats, None]:
        """Answers the prompt; requests of one dialogue run one after the other, in the order of their calls.

        Args:
            prompt: the whole conversation, as the model reads it.
            options: how to sample.
            dialogue: names the cache that is used and extended.

        Yields:
            `TextDelta`s of whole characters, then one `GenerationStats`. Closing the generator stops the answer within
            one step. When the dialogue is forgotten or the engine closed, the finish reason is "cancelled".

        Raises:
            InvalidPrompt: the prompt is empty, or a clip's embeddings do not fit it.
            PromptTooLong: it leaves no room for an answer.
            GenerationFailed: the model failed; the dialogue's cache is dropped, others are unharmed.
        """
        return self._stream(prompt, options, dialogue, time.perf_counter())

    async def prefill(self, prompt: Prompt, *, dialogue: str) -> None:
        """Computes and caches the prompt, so that a later `generate` pays only for what follows; raises as it does."""
        async for _ in self._stream(prompt, None, dialogue, time.perf_counter()):
            pass

    async def forget(self, *, dialogue: str) -> None:
        """Ends what runs of the dialogue as cancelled, and frees its cache."""
        await self._call(partial(self._worker.forget, dialogue), is_last=False)

    async def close(self) -> None:
        """Ends running answers as cancelled, frees the caches and lets go of the model."""
        await self._call(self._worker.close, is_last=True)
        await asyncio.to_thread(self._thread.join)

    async def _stream(
        self, prompt: Prompt, options: GenerationOptions | None, dialogue: str, called_s: float
    ) -> AsyncGenerator[TextDelta | GenerationStats, None]:
        keys, clips = _flatten(prompt)
        if len(keys) >= self.context_tokens:
            raise PromptTooLong(len(keys), self.context_tokens)
        request = _Request(dialogue, keys, clips, options, asyncio.get_running_loop(), called_s)
        if not self._submit(partial(self._worker.admit, request)):
            raise GenerationFailed("the engine is closed; load the model again")
        try:
            while True:
                event = await request.events.get()
                if isinstance(event, ModelError):
                    raise event
                yield event
                if isinstance(event, GenerationStats):
                    return
        finally:
            request.stopped = True

    def _submit(self, call: Callable[[], None], *, is_last: bool = False) -> bool:
        with self._lock:
            if self._is_closed:
                return False
            self._is_closed = is_last
            self._worker.calls.put(call)
            return True

    async def _call(self, function: Callable[[], None], *, is_last: bool) -> None:
        """Runs a function on the worker's thread; nothing when the engine is closed."""
        done: Future[None] = Future()

        def call() -> None:
            try:
                function()
            except Exception as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        if self._submit(call, is_last=is_last):
            await asyncio.shield(asyncio.wrap_future(done))


def _has_full_attention(model: Any) -> bool:
    """Whether every layer sees every position; refuses models with layers that keep more than keys and values."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    foreign = kinds - {"full_attention", "sliding_attention"}
    if foreign:
        raise ModelUnavailable(
            f"{config.model_type} has layers of kind {', '.join(sorted(foreign))}, whose state cannot be cut back to a "
            "prefix; use a model with attention only"
        )
    is_windowed = getattr(config, "sliding_window", None) is not None and not getattr(config, "layer_types", None)
    return kinds == {"full_attention"} and not is_windowed


def _flatten(prompt: Prompt) -> tuple[list[PositionKey], dict[str, AudioSpan]]:
    """What decides each position's content, and the clips by key."""
    keys: list[PositionKey] = []
    clips: dict[str, AudioSpan] = {}
    for span in prompt:
        if isinstance(span, TokenSpan):
            keys.extend(span.ids)
        else:
            other = clips.setdefault(span.key, span)
            if other.n_tokens != span.n_tokens:
                raise InvalidPrompt(f"clip {span.key} is given as {other.n_tokens} and as {span.n_tokens} tokens long")
            keys.extend((span.key, index) for index in range(span.n_tokens))
    if not keys:
        raise InvalidPrompt("the prompt is empty; say or write something first")
    return keys, clips


def _common_prefix(a: Sequence[PositionKey], b: Sequence[PositionKey]) -> int:
    """How many positions two sequences begin with alike."""
    n = min(len(a), len(b))
    return next((index for index in range(n) if a[index] != b[index]), n)


def _clip_spans(chunk: Sequence[PositionKey]) -> list[tuple[int, str, int, int]]:
    """The stretches of audio in a chunk: (position in the chunk, clip, first row, number of rows)."""
    spans: list[tuple[int, str, int, int]] = []
    for at, key in enumerate(chunk):
        if isinstance(key, tuple):
            if spans and (spans[-1][0] + spans[-1][3], spans[-1][1], spans[-1][2] + spans[-1][3]) == (at, *key):
                spans[-1] = (*spans[-1][:3], spans[-1][3] + 1)
            else:
                spans.append((at, key[0], key[1], 1))
    return spans
