"""A model that somebody else's engine runs: vLLM first, and whatever else speaks OpenAI's chat completions.

Like every model it is given the whole conversation each time, and the engine's own prefix cache makes that cheap. A
request that fails before its first text is made again: at once on another replica, after a while on the same. What
fails later is told, since the words have been shown.

`prefill` asks for an answer of one token, which fills the prefix cache while nobody waits; it does so only where an
engine has shown that it has one (vLLM says so by its name, others by the tokens they count as cached). Elsewhere it
would double the engine's work. Read `replica.py` for one request, `loading.py` for what is found out before.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from models.base import Transcriber
from models.checks import check_messages
from models.errors import InvalidPrompt, ModelError
from models.remote.faults import Asked, EngineFault, conversation_texts
from models.remote.replica import STREAMING, Ending, Replica, Request
from models.remote.replicas import Replicas
from models.remote.settings import EngineSettings
from models.remote.writing import ClipCache, as_json, clips_beyond, write_messages
from models.types import (
    GenerationEvent,
    GenerationOptions,
    GenerationStats,
    Message,
    ModelInfo,
    ReplicaState,
    TextDelta,
)

MAX_RETRY_AFTER_S = 2.0  # nobody waits longer for an answer that has not begun; they are told when to ask again


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What was found out about an engine at the start.

    Attributes:
        model: the model's name there.
        context_tokens: longest prompt and answer together.
        takes_audio: whether its messages may hold clips.
        is_vllm: it takes vLLM's own options.
        window_s: it hears no more than so much of one clip; None where it hears all.
    """

    model: str
    context_tokens: int
    takes_audio: bool
    is_vllm: bool
    window_s: float | None = None


class RemoteModel:
    """A model behind HTTP.

    Args:
        info: what it is.
        facts: about its engine.
        settings: where it is, and how long it is waited for.
        ears: what they wrote down of old clips is given instead of these, where the engine takes only a few.
    """

    def __init__(
        self, info: ModelInfo, facts: EngineFacts, settings: EngineSettings, ears: Transcriber | None = None
    ) -> None:
        self._info = info
        self._facts = facts
        self._settings = settings
        self._ears = ears
        self._replicas = Replicas([Replica(url, settings) for url in settings.urls])
        self._clips = ClipCache(window_s=facts.window_s)
        self._max_clips: int | None = None
        self._continues = True
        self._caches_prefix = facts.is_vllm

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        return self._info

    @property
    def context_tokens(self) -> int:
        """Longest prompt and answer together."""
        return self._facts.context_tokens

    @property
    def transcriber(self) -> None:
        """None: what an engine writes down is its answer."""

    @property
    def has_ears(self) -> bool:
        """False."""
        return False

    @property
    def engine_state(self) -> Callable[[], tuple[ReplicaState, ...]]:
        """Tells how each replica is."""
        return lambda: tuple(replica.state for replica in self._replicas.all)

    async def generate(
        self, messages: Sequence[Message], options: GenerationOptions, *, dialogue: str
    ) -> AsyncGenerator[GenerationEvent, None]:
        """Answers the conversation, as the engine does; raises as every model does."""
        check_messages(messages)
        called_s, first_s, n_pieces = time.perf_counter(), None, 0
        async with aclosing(self._answer(messages, options, dialogue)) as pieces:
            async for piece in pieces:
                if isinstance(piece, TextDelta):
                    first_s = first_s or time.perf_counter()
                    n_pieces += 1
                    yield piece
                    continue
                self._caches_prefix = self._caches_prefix or bool(piece.cached_tokens)
                yield GenerationStats(
                    prompt_tokens=piece.prompt_tokens or 0,
                    cached_tokens=piece.cached_tokens or 0,
                    completion_tokens=piece.n_pieces if piece.completion_tokens is None else piece.completion_tokens,
                    ttft_s=None if first_s is None else first_s - called_s,
                    total_s=time.perf_counter() - called_s,
                    finish_reason=piece.finish_reason,
                )

    async def prefill(self, messages: Sequence[Message], *, dialogue: str) -> None:
        """Has the engine compute the prompt, where it keeps what it has computed; failures are told by the answer."""
        if not self._caches_prefix or all(message.role == "system" for message in messages):
            return
        replica = self._replicas.choose(dialogue)
        if replica is None or replica.breaker.state != "closed":
            return
        try:
            request = await self._write(messages, GenerationOptions(max_new_tokens=1), dialogue)
            async with aclosing(replica.answer(request)) as pieces:
                async for _ in pieces:
                    pass
        except (EngineFault, ModelError):  # it is counted; the answer that needs the prompt will say so
            return

    async def forget(self, *, dialogue: str) -> None:
        """Lets the dialogue's replica go; what the engine has cached, it drops when it needs the room."""
        self._replicas.forget(dialogue)

    async def close(self) -> None:
        """Ends all connections, and with them the engine's work."""
        await asyncio.gather(*(replica.close() for replica in self._replicas.all))

    async def _answer(
        self, messages: Sequence[Message], options: GenerationOptions, dialogue: str
    ) -> AsyncGenerator[TextDelta | Ending, None]:
        """One answer, by as many requests as it takes until text comes."""
        tries = _Tries(self._settings)
        replica = self._replicas.choose(dialogue)
        if replica is None:
            raise self._replicas.resting()
        while True:
            has_begun = False
            try:
                request = await self._write(messages, options, dialogue)
                async with aclosing(replica.answer(request)) as pieces:
                    async for piece in pieces:
                        has_begun = True
                        yield piece
                return
            except EngineFault as fault:
                if fault.is_ill:
                    self._replicas.leave(dialogue)
                if has_begun:
                    raise fault.error from fault
                if not self._adapts(fault, messages):
                    replica = await self._next(replica, fault, tries, dialogue)

    async def _next(self, failed: Replica, fault: EngineFault, tries: "_Tries", dialogue: str) -> Replica:
        """The replica to be asked next, when it is time for that.

        Raises:
            ModelError: the fault is to be told.
        """
        tries.tried.add(failed)
        other = self._replicas.choose(dialogue, tries.tried) if fault.elsewhere else None
        if other is not None:
            other.retries += 1
            return other
        wait_s = tries.wait_s(fault)
        if wait_s is None or not failed.breaker.may_ask:
            raise fault.error from fault
        failed.retries += 1
        await asyncio.sleep(wait_s)
        return failed

    def _adapts(self, fault: EngineFault, messages: Sequence[Message]) -> bool:
        """Whether the prompt can be written otherwise, after the engine has refused it."""
        n_clips = sum(len(message.clips) for message in messages)
        if fault.clip_limit and n_clips > fault.clip_limit and fault.clip_limit != self._max_clips:
            self._max_clips = fault.clip_limit
            return True
        is_refusal = type(fault.error) is InvalidPrompt and fault.clip_limit is None
        if is_refusal and self._continues and messages[-1].role == "assistant":
            self._continues = False
            return True
        return False

    async def _write(self, messages: Sequence[Message], options: GenerationOptions, dialogue: str) -> Request:
        words = {
            clip.id: "" if self._ears is None else (await self._ears.transcribe(clip, dialogue=dialogue)).text
            for clip in clips_beyond(messages, self._max_clips)
        }
        return await asyncio.to_thread(self._write_down, messages, words, options)

    def _write_down(self, messages: Sequence[Message], words: Mapping[str, str], options: GenerationOptions) -> Request:
        """Writes a request down; on a thread, since five minutes of audio are 13 MB."""
        written = write_messages(messages, self._clips, words, continues=self._continues)
        body: dict[str, Any] = {
            "model": self._facts.model,
            "messages": written,
            "max_tokens": options.max_new_tokens,
            "temperature": options.temperature,
            "top_p": options.top_p,
            **self._extra(options, goes_on=written[-1]["role"] == "assistant"),
            **STREAMING,
        }
        if options.seed is not None:
            body["seed"] = options.seed
        if options.stop:
            body["stop"] = list(options.stop)
        if options.json_schema is not None:
            named = {"name": "answer", "schema": dict(options.json_schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        asked = Asked("", self._facts.model, self._facts.context_tokens, conversation_texts(written))
        return Request(content=as_json(body), max_new_tokens=options.max_new_tokens, asked=asked)

    def _extra(self, options: GenerationOptions, *, goes_on: bool) -> dict[str, Any]:
        """What OpenAI's own interface has no word for; an engine that is not vLLM is told no more of it than needed."""
        extra: dict[str, Any] = {}
        if self._facts.is_vllm or options.top_k:
            extra["top_k"] = options.top_k
        if self._facts.is_vllm or options.repetition_penalty != 1:  # else vLLM takes the checkpoint's own
            extra["repetition_penalty"] = options.repetition_penalty
        if self._facts.is_vllm:
            extra["chat_template_kwargs"] = {"enable_thinking": False}  # a listener would wait for it
        if goes_on:
            extra |= {"continue_final_message": True, "add_generation_prompt": False}
        return extra


class _Tries:
    """How often one answer was asked for."""

    def __init__(self, settings: EngineSettings) -> None:
        self.tried: set[Replica] = set()
        self._settings = settings
        self._n_waits = 0

    def wait_s(self, fault: EngineFault) -> float | None:
        """How long to wait before the same replica is asked again; None where that is of no use."""
        if not fault.again or self._n_waits >= self._settings.retries:
            return None
        if fault.after_s is not None and fault.after_s > MAX_RETRY_AFTER_S:
            return None
        backoff_s: float = self._settings.backoff_s * 2**self._n_waits * random.uniform(0.75, 1.25)
        self._n_waits += 1
        return max(backoff_s, fault.after_s or 0.0)
