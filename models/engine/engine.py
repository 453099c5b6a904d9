"""A decode loop over a transformers causal language model that remembers each dialogue's prefix.

`generate` takes the whole prompt every time. The engine compares it, position by position, with what the dialogue's
key/value cache holds, keeps the common beginning and computes only the rest. One thread per engine owns torch. In each
round it prefills one chunk (or encodes one audio window) of one waiting request, in turn, and decodes one token of
every answer under way, in one batch: no prompt, however long, stalls an answer for more than one chunk a token. An
answer stops within one step of its generator's `aclose`, and what it had computed stays usable.

The thread begins with the first request: a process that is forked before it has none yet, and gets its own. It is
watched. Whatever a step raises, the thread starts afresh; if a step does not come back or the thread has ended, who
waits is told so, who comes later is told at once, and nobody waits for `forget` or `close`.

It refuses models that keep a state other than keys and values (linear attention, convolutions): a prefix of such a
state cannot be cut out. Models with sliding windows are decoded one dialogue at a time.
Read `prompt.py` for what it is given, `worker.py` for the thread's loop.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from models.engine.attention import use_prefix_attention
from models.engine.prompt import Prompt, flatten
from models.engine.request import Event, Request
from models.engine.sampling import Tokenizer
from models.engine.schema import Schemas
from models.engine.worker import Worker
from models.errors import GenerationFailed, ModelError, ModelUnavailable, PromptTooLong
from models.types import GenerationOptions, GenerationStats
from models.watch import StepWatch

PREFILL_CHUNK_TOKENS = 512  # 0.3 s of SmolLM2-135M on two CPU cores: how long a running answer may have to wait
CACHE_BUDGET_BYTES = 2 * 1024**3  # 90k tokens of SmolLM2-135M in bfloat16 (30 layers x 2 x 3 heads x 64 x 2 bytes)
MAX_BATCH = 8
STEP_LIMIT_S = 120.0  # more than the longest step there is: ten minutes of audio through a large encoder on a CPU
CALL_LIMIT_S = 5.0  # for `forget` and `close` to be heard by a thread in a long step


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
        step_limit_s: a step that takes longer never comes back.

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
        step_limit_s: float = STEP_LIMIT_S,
    ) -> None:
        self.context_tokens = context_tokens
        is_batchable = _has_full_attention(language_model)
        is_on_gpu = language_model.get_input_embeddings().weight.is_cuda
        use_prefix_attention(language_model)
        self._watch = StepWatch("the engine", step_limit_s)
        self._worker = Worker(
            language_model,
            tokenizer,
            context_tokens=context_tokens,
            stop_token_ids=stop_token_ids,
            prefill_chunk_tokens=prefill_chunk_tokens,
            cache_budget_bytes=cache_budget_bytes,
            max_batch=max_batch if is_batchable else 1,
            static=is_batchable and (is_on_gpu if static is None else static),
            watch=self._watch,
        )
        self._schemas = Schemas(tokenizer, stop_token_ids)
        self._lock = threading.Lock()  # nothing may be put behind the call that ends the worker
        self._is_closed = False
        self._thread = threading.Thread(target=self._worker.run, name="engine", daemon=True)
        self._has_begun = False

    def generate(self, prompt: Prompt, options: GenerationOptions, *, dialogue: str) -> AsyncGenerator[Event, None]:
        """Answers the prompt; requests of one dialogue run one after the other, in the order of their calls.

        A JSON schema is compiled before the request takes its place in that order.

        Args:
            prompt: the whole conversation, as the model reads it.
            options: how to sample.
            dialogue: names the cache that is used and extended.

        Yields:
            `TextDelta`s of whole characters, then one `GenerationStats`. Closing the generator stops the answer within
            one step. When the dialogue is forgotten or the engine closed, the finish reason is "cancelled".

        Raises:
            InvalidPrompt: the prompt is empty, or a clip's embeddings do not fit it; or no answer can be held to the
                JSON schema.
            PromptTooLong: it leaves no room for an answer.
            GenerationFailed: the model failed; the dialogue's cache is dropped, others are unharmed.
            ModelStopped: a step does not come back, or the thread has ended.
        """
        return self._stream(prompt, options, dialogue, time.perf_counter())

    async def prefill(self, prompt: Prompt, *, dialogue: str) -> None:
        """Computes and caches the prompt, so that a later `generate` pays only for what follows; raises as it does."""
        async for _ in self._stream(prompt, None, dialogue, time.perf_counter()):
            pass

    async def forget(self, *, dialogue: str) -> None:
        """Ends what runs of the dialogue as cancelled, and frees its cache; later, if the thread is in a long step."""
        await self._call(partial(self._worker.forget, dialogue), is_last=False)

    async def close(self) -> None:
        """Ends running answers as cancelled, frees the caches and lets go of the model; a thread that hangs is left."""
        await self._call(self._worker.close, is_last=True)
        await asyncio.to_thread(self._thread.join, CALL_LIMIT_S)

    async def _stream(
        self, prompt: Prompt, options: GenerationOptions | None, dialogue: str, called_s: float
    ) -> AsyncGenerator[Event, None]:
        keys, clips = flatten(prompt)
        if len(keys) >= self.context_tokens:
            raise PromptTooLong(len(keys), self.context_tokens)
        schema = None
        if options is not None and options.json_schema is not None:
            schema = await asyncio.to_thread(self._schemas.begin, options.json_schema)
        request = Request(dialogue, keys, clips, options, asyncio.get_running_loop(), called_s, schema)
        if not self._submit(partial(self._worker.admit, request)):
            raise GenerationFailed("the engine is closed; load the model again")
        try:
            self._watch.check()
            while True:
                event = await self._watch.wait(request.events.get)
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
            if not self._has_begun:
                self._has_begun = True
                self._thread.start()
            return True

    async def _call(self, function: Callable[[], None], *, is_last: bool) -> None:
        """Runs a function on the worker's thread, and waits for it a while; nothing when the engine is closed."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def call() -> None:
            try:
                function()
            finally:
                with suppress(RuntimeError):  # the caller's loop is closed
                    loop.call_soon_threadsafe(done.set)

        if self._submit(call, is_last=is_last) and self._thread.is_alive():
            with suppress(TimeoutError):
                async with asyncio.timeout(CALL_LIMIT_S):
                    await done.wait()


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
