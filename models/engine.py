"""A decode loop over a transformers causal language model that remembers each dialogue's prefix.

`generate` takes the whole prompt every time. The engine compares it, position by position, with what the dialogue's
key/value cache holds, keeps the common beginning and computes only the rest. One thread per engine owns torch; it
takes one step of each running request in turn (a chunk of prefill, or a token), and tokens of several dialogues in one
batch. An answer stops within one step of its generator's `aclose`, and what it had computed stays usable.

It refuses models that keep a state other than keys and values (linear attention, convolutions): a prefix of such a
state cannot be cut out. Models with sliding windows are decoded one dialogue at a time.
Read `sampling.py` next for how tokens are chosen and become text.
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
from transformers.cache_utils import Cache, CacheLayerMixin

from models.errors import GenerationFailed, InvalidPrompt, ModelError, ModelUnavailable, PromptTooLong, translate_errors
from models.sampling import Detokenizer, Sampler, StopStrings, Tokenizer, choose_tokens
from models.types import FinishReason, GenerationOptions, GenerationStats, TextDelta

logger = logging.getLogger(__name__)

PREFILL_CHUNK_TOKENS = 512  # 0.3 s of SmolLM2-135M on two CPU cores: how long a running answer may have to wait
CACHE_BUDGET_BYTES = 2 * 1024**3  # 90k tokens of SmolLM2-135M in bfloat16 (30 layers x 2 x 3 heads x 64 x 2 bytes)
MAX_BATCH = 8
CAPACITY_STEP_TOKENS = 64  # caches grow by a quarter, rounded up to this, so that a token is rarely a reallocation


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


class _Extent:
    """How far the rows of a cache are filled; its layers share one. Grows only after a whole model step succeeded."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.rows: torch.Tensor | None = None  # of a batched step: 0, 1, 2, ...
        self.ends: torch.Tensor | None = None  # of a batched step: where each row's new token goes


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer, (rows, heads, capacity, head size), with room to grow.

    transformers' own layer copies everything it holds at each token. Here a token is written in place, and rows of
    different lengths can be decoded together: each row writes at its own end, and the mask hides what lies beyond.
    """

    is_sliding = False  # windows are the mask's business: everything is kept, so that everything can be cut
    is_croppable = True
    keys: torch.Tensor | None
    values: torch.Tensor | None

    def __init__(self, extent: _Extent) -> None:
        super().__init__()
        self._extent = extent

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.reserve(1, 1, key_states, value_states)

    def reserve(self, n_rows: int, n_tokens: int, like_keys: torch.Tensor, like_values: torch.Tensor) -> None:
        """Makes room for `n_rows` of `n_tokens` in the format of `like_...`, keeping what is there."""
        old = (0, 0) if self.keys is None else (self.keys.shape[0], self.keys.shape[2])
        if n_rows <= old[0] and n_tokens <= old[1]:
            return
        if n_rows > old[0]:
            n_rows = 1 << (n_rows - 1).bit_length()
        if n_tokens > old[1]:
            n_tokens = -(-(n_tokens + n_tokens // 4) // CAPACITY_STEP_TOKENS) * CAPACITY_STEP_TOKENS
        shape = (max(n_rows, old[0]), max(n_tokens, old[1]))
        self.keys = self._moved(self.keys, like_keys, *shape)
        self.values = self._moved(self.values, like_values, *shape)
        self.is_initialized = True

    @staticmethod
    def _moved(old: torch.Tensor | None, like: torch.Tensor, n_rows: int, n_tokens: int) -> torch.Tensor:
        # Zeros, since masked positions are still multiplied by 0, and 0 times what `empty` holds may be NaN.
        new = like.new_zeros((n_rows, like.shape[1], n_tokens, like.shape[3]))
        if old is not None:
            new[: old.shape[0], :, : old.shape[2]] = old
        return new

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes (rows, heads, new tokens, head size) behind what the rows hold, and returns all of it."""
        extent = self._extent
        n_rows, end = key_states.shape[0], max(extent.lengths) + key_states.shape[2]
        self.reserve(n_rows, end, key_states, value_states)
        keys, values = self.keys, self.values
        assert keys is not None and values is not None
        if n_rows == 1:
            start = end - key_states.shape[2]
            keys[:1, :, start:end] = key_states
            values[:1, :, start:end] = value_states
        else:
            keys[extent.rows, :, extent.ends] = key_states[:, :, 0]
            values[extent.rows, :, extent.ends] = value_states[:, :, 0]
        return keys[:n_rows, :, :end], values[:n_rows, :, :end]

    def get_seq_length(self) -> int:
        return max(self._extent.lengths)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return max(self._extent.lengths) + query_length, 0

    def get_max_length(self) -> int:
        return -1  # none


class _KeyValues(Cache):  # type: ignore[misc]
    """A cache of one or more rows; a row is the beginning of a dialogue.

    Cutting a row is setting `lengths[row]`: what lies beyond is hidden, then overwritten.
    """

    def __init__(self, n_rows: int) -> None:
        self._extent = _Extent()
        self.lengths = self._extent.lengths
        self.lengths.extend([0] * n_rows)
        super().__init__(layer_class_to_replicate=partial(_Layer, self._extent))

    def forward(self, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Runs new positions of each row through the model; logits (rows, vocabulary) of the last one.

        Until `extend`, the rows are as long as before: a failed step changes nothing.

        Args:
            model: the language model.
            inputs: input_ids (rows, positions) or inputs_embeds (rows, positions, hidden); more than one position only
                with a single row.
        """
        tensor = next(iter(inputs.values()))
        n_new, device = tensor.shape[1], tensor.device
        mask: torch.Tensor | None = None  # a single row needs none: causal attention over all of it is the default
        if len(self.lengths) == 1:
            positions = torch.arange(self.lengths[0], self.lengths[0] + n_new, device=device)[None]
        else:
            extent, end = self._extent, max(self.lengths) + 1
            extent.ends = torch.tensor(self.lengths, device=device)
            extent.rows = torch.arange(len(self.lengths), device=device)
            positions = extent.ends[:, None]
            mask = (torch.arange(end, device=device)[None] <= positions).to(torch.long)
        output = model(
            **inputs,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def extend(self, n_new: int) -> None:
        """Keeps what `forward` wrote."""
        self.lengths[:] = [length + n_new for length in self.lengths]

    def copy_row(self, row: int, source: "_KeyValues", source_row: int, start: int, end: int) -> None:
        """Copies positions `start:end` of a row of another cache to the same positions of a row of this one."""
        while len(self.layers) < len(source.layers):
            self.layers.append(_Layer(self._extent))
        for layer, other in zip(self.layers, source.layers, strict=True):
            if other.keys is not None:  # layers that share another's keys and values have none
                layer.reserve(row + 1, end, other.keys, other.values)
                layer.keys[row, :, start:end] = other.keys[source_row, :, start:end]
                layer.values[row, :, start:end] = other.values[source_row, :, start:end]
        self.lengths[row] = end

    def clear_row(self, row: int) -> None:
        """Overwrites a row that is no longer used, lest a broken number in it harm the next one there."""
        for layer in self.layers:
            if layer.keys is not None:
                layer.keys[row] = 0
                layer.values[row] = 0

    @property
    def n_bytes(self) -> int:
        """What the tensors take."""
        kept = [layer for layer in self.layers if layer.keys is not None]
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in kept)


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
        self.cache = _KeyValues(1)
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

    def __init__(self) -> None:
        self.requests: list[_Request] = []
        self.cache = _KeyValues(0)

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
                self.cache.copy_row(row, self.cache, last, 0, self.cache.lengths[last])
                self.requests[row] = self.requests[last]
            self.requests.pop()
            self.cache.lengths.pop()
            if self.requests:
                self.cache.clear_row(last)
            else:
                self.cache = _KeyValues(0)


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
        self._batch = _Batch()
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
        for name in tuple(self._dialogues):
            self.forget(name)
        self._is_closed = True

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
        del self._model, self._embed_tokens

    def _round(self) -> None:
        self._take_calls()
        self._end_stopped()
        for request in tuple(self._running):
            if request.next_token is None and not request.stopped:
                self._attempt(self._prefill_step, request)
        self._end_stopped()
        self._decode_step()

    def _start_afresh(self, error: GenerationFailed) -> None:
        for dialogue in self._dialogues.values():
            for request in dialogue.requests:
                request.deliver(error)
        self._dialogues.clear()
        self._running.clear()
        self._batch = _Batch()

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
        if request.stopped:
            self._finish(request, "cancelled")
            return
        self._dialogues[request.dialogue].begin(request)
        if request.options is None and request.cached_tokens == len(request.keys):
            self._finish(request, "stop")

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
            dialogue.cache, dialogue.keys = _KeyValues(1), []
        self._evict()
        if dialogue.requests and dialogue.requests[0] not in self._running:
            self._begin(dialogue.requests[0])

    def _evict(self) -> None:
        """Drops the caches of idle dialogues, least recently used first, until the budget holds."""
        n_bytes = sum(dialogue.n_bytes for dialogue in self._dialogues.values()) + self._batch.cache.n_bytes
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
        return rows.to(device=weight.device, dtype=weight.dtype)

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
        if len(ready) > 1:
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

    def _advance(self, requests: Sequence[_Request], cache: _KeyValues) -> list[int]:
        """Runs the next token of each request, which fill the rows of `cache`, and chooses those after."""
        fed = [request.next_token for request in requests if request.next_token is not None]
        samplers = [request.sampler for request in requests if request.sampler is not None]
        input_ids = torch.tensor(fed, device=self._embed_tokens.weight.device)[:, None]
        tokens = choose_tokens(cache.forward(self._model, {"input_ids": input_ids}), samplers)
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
    ) -> None:
        self.context_tokens = context_tokens
        self._worker = _Worker(
            language_model,
            tokenizer,
            context_tokens=context_tokens,
            stop_token_ids=stop_token_ids,
            prefill_chunk_tokens=prefill_chunk_tokens,
            cache_budget_bytes=cache_budget_bytes,
            max_batch=max_batch if _has_full_attention(language_model) else 1,
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
            function()
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
