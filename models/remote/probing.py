"""Asks an engine, before anybody talks, what it serves: which model, how long a context, whether it takes audio.

It refuses an engine that nobody answers for, one that serves several models where none was chosen, and replicas that
serve different ones. Whether audio is taken, half a second of faint noise tells: an engine that is made for text
refuses it, or leaves it out of the prompt, which then is as long as without it. Whether a long clip is heard to its end
is told in the same way: some engines cut clips after 30 s without a word.
"""

import asyncio
import logging
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx2
import numpy as np

from models.errors import InvalidPrompt, ModelUnavailable
from models.remote.faults import Asked, EngineFault, engine_faults, no_stream, quoted, too_slow
from models.remote.model import EngineFacts
from models.remote.replica import STREAMING, Ending, Replica, Request
from models.remote.settings import EngineSettings
from models.remote.wire import connect
from models.remote.writing import ClipCache, as_json, write_messages
from models.types import SAMPLE_RATE_HZ, AudioClip, Message

logger = logging.getLogger(__name__)

LIST_LIMIT_S = 10.0
PROBE_S = 0.5
WINDOW_S = 30.0  # of every Whisper encoder, and so of what an engine that cuts a clip leaves of it
LONG_PROBES_S = (33.0, 45.0)
DEFAULT_CONTEXT_TOKENS = 8192  # where an engine does not say; a conversation too long for it is shortened all the same
MAX_NAMED = 8  # models in one sentence


async def probe(settings: EngineSettings) -> EngineFacts:
    """Finds out what an engine serves.

    Raises:
        ModelUnavailable: it cannot be used as it is; the message says what to do.
    """
    listed = await asyncio.gather(*(_list_models(url, settings) for url in settings.urls), return_exceptions=True)
    models: dict[str, dict[str, Any]] = {}
    faults: list[EngineFault] = []
    for url, found in zip(settings.urls, listed, strict=True):
        if isinstance(found, EngineFault):
            faults.append(found)
        elif isinstance(found, BaseException):
            raise found
        else:
            models[url] = _chosen(url, found, settings.model)
    why = faults.pop() if faults and not models else None  # the last one is told by the error
    for fault in faults:
        logger.warning("%s", fault)
    if not models:
        raise ModelUnavailable("the engine has no address" if why is None else str(why))
    _check_same(models)
    url, model = next(iter(models.items()))
    context = model.get("max_model_len")
    facts = EngineFacts(
        model=str(model["id"]),
        context_tokens=context if isinstance(context, int) and context > 0 else DEFAULT_CONTEXT_TOKENS,
        takes_audio=settings.input == "audio",
        is_vllm=model.get("owned_by") == "vllm",
    )
    return facts if settings.input == "text" else await _listen(url, facts, settings)


async def _list_models(url: str, settings: EngineSettings) -> list[dict[str, Any]]:
    """The models that a replica lists.

    Raises:
        EngineFault: it lists none.
    """
    asked = Asked(url, settings.model or "", DEFAULT_CONTEXT_TOKENS)
    with engine_faults(asked):
        async with connect(url, settings) as client:
            try:
                async with asyncio.timeout(LIST_LIMIT_S):
                    response = await client.get("/models", cast_to=httpx2.Response)
            except TimeoutError as error:
                raise too_slow(asked, "list of models", LIST_LIMIT_S) from error
        if "json" not in response.headers.get("content-type", ""):
            raise no_stream(asked, response.headers.get("content-type", ""))
        entries = response.json()["data"]
        return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


def _chosen(url: str, models: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    """The model that was chosen, or the only one.

    Raises:
        ModelUnavailable: it is not there, or none was chosen of several.
    """
    names = [quoted(str(model["id"])) for model in models]
    shown = ", ".join(names[:MAX_NAMED]) + (" …" if len(names) > MAX_NAMED else "")
    if not models:
        raise ModelUnavailable(f"the engine at {url} lists no model; start it with one")
    if name is None and len(models) > 1:
        raise ModelUnavailable(f"the engine at {url} serves {shown}; choose one with --engine-model")
    chosen = models[0] if name is None else next((model for model in models if model["id"] == name), None)
    if chosen is None:
        raise ModelUnavailable(f"the engine at {url} does not serve {name}, but {shown}; correct --engine-model")
    return chosen


def _check_same(models: dict[str, dict[str, Any]]) -> None:
    """Replicas answer for each other, so they serve one model.

    Raises:
        ModelUnavailable: they do not.
    """
    if len({model["id"] for model in models.values()}) > 1:
        shown = ", ".join(f"{quoted(str(model['id']))} at {url}" for url, model in models.items())
        raise ModelUnavailable(f"the replicas serve different models: {shown}; choose one with --engine-model")


async def _listen(url: str, facts: EngineFacts, settings: EngineSettings) -> EngineFacts:
    """Finds out whether clips are taken, and heard to their end.

    Raises:
        ModelUnavailable: the engine fails.
    """
    replica = Replica(url, settings)
    try:
        takes_audio = facts.takes_audio or await _takes_audio(replica, facts.model)
        hears_all = not takes_audio or await _hears_all(replica, facts.model)
    except EngineFault as fault:
        raise ModelUnavailable(str(fault)) from fault
    finally:
        await replica.close()
    return replace(facts, takes_audio=takes_audio, window_s=None if hears_all else WINDOW_S)


async def _takes_audio(replica: Replica, model: str) -> bool:
    """Whether a clip is taken, and becomes a part of the prompt."""
    try:
        with_clip = await _prompt_tokens(replica, model, Message("user", (_noise(PROBE_S), "Hello.")))
    except EngineFault as fault:
        if isinstance(fault.error, InvalidPrompt):
            return False
        raise
    without = await _prompt_tokens(replica, model, Message("user", ("Hello.",)))
    return with_clip is None or without is None or with_clip > without


async def _hears_all(replica: Replica, model: str) -> bool:
    """Whether a prompt grows with its clip; True where the engine does not say, or refuses clips so long."""
    try:
        shorter, longer = [await _prompt_tokens(replica, model, Message("user", (_noise(s),))) for s in LONG_PROBES_S]
    except EngineFault as fault:
        if isinstance(fault.error, InvalidPrompt):
            return True
        raise
    return shorter is None or shorter != longer


def _noise(seconds: float) -> AudioClip:
    return AudioClip(np.random.default_rng(0).normal(0, 1e-3, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32))


async def _prompt_tokens(replica: Replica, model: str, message: Message) -> int | None:
    """How long a prompt is, as the engine counts; None where it does not."""
    written = write_messages([message], ClipCache())
    body = {"model": model, "messages": written, "max_tokens": 1, "temperature": 0.0, **STREAMING}
    request = Request(content=as_json(body), max_new_tokens=1, asked=Asked(replica.url, model, DEFAULT_CONTEXT_TOKENS))
    async with aclosing(replica.answer(request)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Ending):
                return piece.prompt_tokens
    return None
