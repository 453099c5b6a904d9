"""Engines that are slow, wrong, gone or broken: one clear sentence each, and nothing is left behind."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.certificate import write_certificate
from models.errors import GenerationFailed, InvalidPrompt, ModelError, PromptTooLong
from models.remote.model import RemoteModel
from models.remote.wire import MAX_LINE_BYTES
from models.types import Message
from tests.models.remote.asking import QUESTION, answer, remote
from tests.models.remote.engine_server import (
    Plan,
    ScriptedEngine,
    event,
    free_url,
    raw,
    raw_server,
    refuse,
    say,
    serving_engine,
    talk_on,
)

SHORT = {"first_token_limit_s": 0.3, "retries": 0}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[ScriptedEngine, str]]:
    engine = ScriptedEngine()
    with serving_engine(engine) as url:
        yield engine, url


async def failure_of(model: RemoteModel, messages: tuple[Message, ...] = QUESTION) -> ModelError:
    """What an answer fails with; nothing stays in flight."""
    with pytest.raises(ModelError) as caught:
        await answer(model, messages)
    assert {state.in_flight for state in model.engine_state()} == {0}
    await model.close()
    assert not [task for task in asyncio.all_tasks() - {asyncio.current_task()} if "models/remote" in str(task)]
    told, detail = str(caught.value), caught.value.detail
    assert "\n" not in told + detail
    assert not re.search(r"//|127\.0|boom|melts|--|EARPIECE|HTTP", told), "that is for whoever runs the server alone"
    return caught.value


@pytest.mark.parametrize(
    ("plan", "kind", "sentence"),
    [
        (refuse(400, "bad role"), InvalidPrompt, r"cannot take this conversation \(HTTP 400: bad role\)"),
        (refuse(401, "no"), GenerationFailed, "refuses the key .* EARPIECE_ENGINE_KEY"),
        (refuse(403, "no"), GenerationFailed, "refuses the key"),
        (refuse(404, "no"), GenerationFailed, "has no model tiny"),
        (refuse(429, "no", {"Retry-After": "30"}), GenerationFailed, "too much to do; ask again in 30 s"),
        (refuse(500, "boom"), GenerationFailed, r"has failed \(HTTP 500: boom\)"),
        (raw("<html>", content_type="text/html"), GenerationFailed, "answers text/html instead of a stream"),
        (raw(event("half"), 'data: {"choi'), GenerationFailed, "broken off the answer"),
        (raw(event("half"), 'data: {"choi\n\n'), GenerationFailed, "cannot be read"),
        (raw('data: {"error": {"message": "it melts"}}\n\n'), GenerationFailed, "while answering: it melts"),
        (raw("data: 5\n\n"), GenerationFailed, "cannot be read"),
        (raw('data: {"choices": null}\n\n', "data: [DONE]\n\n"), GenerationFailed, "broken off"),
        (raw(event("a"), event(finish_reason="abort")), GenerationFailed, "broken off"),
        (say("Hi", model="another"), GenerationFailed, "answers with another instead of tiny; give --engine-model"),
        (talk_on(": nothing\n\n", 0.01), GenerationFailed, "has given no answer in 0.3 s"),
        (talk_on(event(), 0.01), GenerationFailed, "has given no answer in 0.3 s"),
        (raw("x" * 2000 + "\n\n", headers={"Content-Encoding": "gzip"}), GenerationFailed, "compresses"),
        (raw(*["x" * 65_536] * (MAX_LINE_BYTES // 65_536 + 2)), GenerationFailed, "more than any answer"),
        (raw("", headers={"Location": "http://127.0.0.1:1/"}), GenerationFailed, "broken off"),
    ],
)
async def test_each_fault_has_one_sentence(
    served: tuple[ScriptedEngine, str], plan: Plan, kind: type[ModelError], sentence: str
) -> None:
    engine, url = served
    engine.plans = [plan]
    limits = SHORT if "0.3 s" in sentence else {"retries": 0}
    error = await failure_of(remote(url, **limits))
    assert type(error) is kind
    assert re.search(sentence, error.detail)


async def test_silence_between_two_words_ends_the_answer() -> None:
    async with raw_server(HEAD, _chunk(event("Well")), hangs=True) as url:
        error = await failure_of(remote(url, retries=0, next_token_limit_s=0.2))
    assert str(error) == "the engine has given no further text in 0.2 s; ask again"


async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    async with raw_server(hangs=True) as url:
        assert "has given no answer in 0.3 s" in str(await failure_of(remote(url, **SHORT)))


@pytest.mark.parametrize(
    ("pieces", "sentence"),
    [
        ((b"SSH-2.0-OpenSSH_9\r\n",), "cannot be reached"),
        ((), "cannot be reached"),
        ((HEAD, b"1000\r\nhalf of"), "has broken off the answer"),
    ],
)
async def test_what_is_no_server_of_http_is_named(pieces: tuple[bytes, ...], sentence: str) -> None:
    async with raw_server(*pieces) as url:
        assert sentence in (await failure_of(remote(url, retries=0))).detail


async def test_where_nobody_listens() -> None:
    url = free_url()
    error = await failure_of(remote(url, retries=0))
    assert str(error) == "the engine cannot be reached; ask again in a moment"
    assert f"the engine at {url} cannot be reached" in error.detail


@pytest.mark.parametrize(
    ("status", "message", "numbers"),
    [
        (400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.", (5000, 4096)),
        (400, "The decoder prompt (length 7000) is longer than the maximum model length of 4096.", (7000, 4096)),
        (400, "Your request exceeds the context window", (4097, 4096)),
    ],
)
async def test_a_conversation_that_is_too_long_carries_the_numbers(
    status: int, message: str, numbers: tuple[int, int]
) -> None:
    with serving_engine(ScriptedEngine(refuse(status, message))) as url:
        error = await failure_of(remote(url, retries=0))
    assert isinstance(error, PromptTooLong)
    assert (error.prompt_tokens, error.context_tokens) == numbers


@pytest.mark.parametrize("quote", ["'What is the capital of France?'", "[...capital,\n of FRANCE...]"])
async def test_a_message_that_quotes_the_conversation_is_not_passed_on(quote: str) -> None:
    with serving_engine(ScriptedEngine(refuse(400, f"cannot tokenize {quote}"))) as url:
        error = await failure_of(remote(url, retries=0))
    assert "france" not in (str(error) + error.detail).lower()
    assert "cannot tokenize" not in error.detail


async def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    certificate = str(write_certificate(tmp_path, ["localhost"]))
    with serving_engine(ScriptedEngine(), ssl_certfile=certificate) as url:
        assert "is not trusted; set SSL_CERT_FILE" in (await failure_of(remote(url, retries=0))).detail


def _chunk(text: str) -> bytes:
    return b"%x\r\n%s\r\n" % (len(text.encode()), text.encode())
