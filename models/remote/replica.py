"""One replica of an engine: one request at a time becomes one stream of text, with limits to how long it is silent.

Whoever closes the generator closes the HTTP stream at once, which ends the server's work. What a server does wrong is
raised as `EngineFault`. Read `faults.py` for those, `replicas.py` for the choice between several.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import openai
from openai.types.chat import ChatCompletionChunk

from models.remote.breaker import Breaker
from models.remote.faults import (
    Asked,
    EngineFault,
    broken_off,
    engine_faults,
    no_stream,
    other_model,
    too_slow,
)
from models.remote.settings import EngineSettings
from models.remote.wire import connect
from models.types import ReplicaState, TextDelta

STREAMING = {"stream": True, "stream_options": {"include_usage": True}}  # part of every request
USAGE_LIMIT_S = 1.0  # behind the last text, for the count of tokens; an answer does not wait longer for its bill
SLACK_PIECES = 8  # beyond the tokens that were asked for, until a server seems not to know an end


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request for an answer.

    Attributes:
        content: the request, in JSON.
        max_new_tokens: the answer ends after so many.
        asked: for the sentences about its faults.
    """

    content: bytes
    max_new_tokens: int
    asked: Asked


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended; the numbers are None where the engine does not tell them."""

    finish_reason: Literal["stop", "length"]
    n_pieces: int
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None


Piece = TextDelta | Ending


class Replica:
    """Asks one replica.

    Args:
        url: of it.
        settings: the limits.
    """

    def __init__(self, url: str, settings: EngineSettings) -> None:
        self.url = url
        self.breaker = Breaker(settings.failures_to_rest, settings.rest_s, time.monotonic)
        self.in_flight = 0
        self.retries = 0
        self.last_failure = ""
        self._settings = settings
        self._client = connect(url, settings)
        self._n_requests = 0
        self._n_failures = 0

    @property
    def state(self) -> ReplicaState:
        """How it is."""
        return ReplicaState(
            url=self.url,
            is_answering=self.breaker.state != "open",
            in_flight=self.in_flight,
            requests=self._n_requests,
            failures=self._n_failures,
            retries=self.retries,
        )

    async def answer(self, request: Request) -> AsyncGenerator[Piece, None]:
        """Asks for one answer.

        Yields:
            Its text, then one `Ending`.

        Raises:
            EngineFault: there is none, or not all of it.
        """
        is_trial = self.breaker.begin()
        self._n_requests += 1
        self.in_flight += 1
        try:
            async with aclosing(self._answer(replace(request, asked=replace(request.asked, url=self.url)))) as pieces:
                async for piece in pieces:
                    self.breaker.succeed()
                    yield piece
        except EngineFault as fault:
            self._n_failures += 1
            if fault.is_ill:
                self.last_failure = str(fault)
                self.breaker.fail()
            raise
        finally:
            self.in_flight -= 1
            self.breaker.leave(is_trial=is_trial)

    async def close(self) -> None:
        """Ends all connections."""
        await self._client.close()

    async def _answer(self, request: Request) -> AsyncGenerator[Piece, None]:
        patience = _Patience(self._settings, request.asked)
        with engine_faults(request.asked):
            async with patience.limit():
                stream = await self._open(request)
            try:
                async with aclosing(_read(stream, request, patience)) as pieces:
                    async for piece in pieces:
                        yield piece
            finally:
                await stream.close()

    async def _open(self, request: Request) -> openai.AsyncStream[ChatCompletionChunk]:
        stream = await self._client.post(
            "/chat/completions",
            cast_to=ChatCompletionChunk,
            content=request.content,
            stream=True,
            stream_cls=openai.AsyncStream[ChatCompletionChunk],
        )
        content_type = stream.response.headers.get("content-type", "")
        if not content_type.startswith("text/event-stream"):
            await stream.close()
            raise no_stream(request.asked, content_type)
        return stream


class _Patience:
    """How long is waited for the next text of one answer: first for a whole prompt, then for a token."""

    def __init__(self, settings: EngineSettings, asked: Asked) -> None:
        self._settings = settings
        self._asked = asked
        self._limit_s, self._what = settings.first_token_limit_s, "answer"
        self._until_s = asyncio.get_running_loop().time() + self._limit_s

    def renew(self) -> None:
        """Text has come."""
        self._limit_s, self._what = self._settings.next_token_limit_s, "further text"
        self._until_s = asyncio.get_running_loop().time() + self._limit_s

    def limit(self) -> "_Limit":
        """Raises `EngineFault` where what is inside takes too long."""
        return _Limit(self._until_s, too_slow(self._asked, self._what, self._limit_s))


class _Limit:
    """A point in time at which a fault is raised."""

    def __init__(self, until_s: float, fault: EngineFault) -> None:
        self._timeout = asyncio.timeout_at(until_s)
        self._fault = fault

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *reason: Any) -> None:
        try:
            await self._timeout.__aexit__(*reason)
        except TimeoutError as error:
            raise self._fault from error


async def _read(
    stream: openai.AsyncStream[ChatCompletionChunk], request: Request, patience: _Patience
) -> AsyncGenerator[Piece, None]:
    """The text of a stream up to its finish reason, and what the engine counted."""
    chunks, n_pieces = aiter(stream), 0
    while True:
        try:
            async with patience.limit():
                chunk = await anext(chunks, None)
        except openai.APIConnectionError as error:
            raise broken_off(request.asked) from error
        if chunk is None:
            raise broken_off(request.asked)
        if chunk.model and not is_same_model(request.asked.model, chunk.model):
            raise other_model(request.asked, chunk.model)
        text, has_text, finish_reason = _content(chunk)
        if has_text:
            n_pieces += 1
            patience.renew()
        if text:
            yield TextDelta(text)
        if finish_reason:
            yield await _end(chunk, chunks, "length" if finish_reason == "length" else "stop", n_pieces, request.asked)
            return
        if n_pieces >= request.max_new_tokens + SLACK_PIECES:  # it does not keep to what it was asked for
            yield Ending("length", n_pieces)
            return


def _content(chunk: ChatCompletionChunk) -> tuple[str, bool, str | None]:
    """The text of a chunk, whether the engine has said anything in it, thoughts included, and why it ends, if it does.

    The client checks nothing, so that anything may be missing.
    """
    choice = next(iter(chunk.choices or ()), None)
    delta = getattr(choice, "delta", None)
    text = getattr(delta, "content", None)
    thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
    text = text if isinstance(text, str) else ""
    reason = getattr(choice, "finish_reason", None)
    return text, bool(text or thought), reason if isinstance(reason, str) else None


async def _end(
    last: ChatCompletionChunk,
    chunks: AsyncIterator[ChatCompletionChunk],
    finish_reason: Literal["stop", "length"],
    n_pieces: int,
    asked: Asked,
) -> Ending:
    """Waits a little for the count of tokens, which comes behind the finish reason."""
    if getattr(last.choices[0], "finish_reason", None) in ("abort", "error"):  # vLLM's words for its own failures
        raise broken_off(asked)
    usage = last.usage
    with suppress(TimeoutError, openai.OpenAIError):  # the answer is complete without it
        async with asyncio.timeout(USAGE_LIMIT_S):
            async for chunk in chunks:
                usage = chunk.usage or usage
    details = getattr(usage, "prompt_tokens_details", None)
    return Ending(
        finish_reason,
        n_pieces,
        _number(usage, "prompt_tokens"),
        _number(details, "cached_tokens"),
        _number(usage, "completion_tokens"),
    )


def _number(counts: Any, name: str) -> int | None:
    number = getattr(counts, name, None)
    return number if isinstance(number, int) and number >= 0 else None


def is_same_model(asked: str, answering: str) -> bool:
    """Whether an answer is of the model that was asked: of its name, a folder's last part, or a version of it."""
    asked, answering = (name.rstrip("/").rpartition("/")[2].lower() for name in (asked, answering))
    return answering == asked or answering.startswith(f"{asked}-")
