"""A server that speaks OpenAI's chat completions and says what it was told to, and sockets that speak nothing of it."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

Plan = Callable[["ScriptedEngine", dict[str, Any]], Awaitable[Response]]


class ScriptedEngine:
    """What the server says; the last plan repeats.

    Args:
        plans: the answers to the next requests for a completion.
        models: that it lists.
        owned_by: what it says it is.
        takes_audio: whether it answers a clip at all; else HTTP 400.
        drops_audio: it takes a clip, and leaves it out of the prompt.
        max_clips: in one prompt.
        window_s: it hears no more of one clip.
    """

    def __init__(
        self,
        *plans: Plan,
        models: tuple[str, ...] = ("tiny",),
        owned_by: str = "vllm",
        takes_audio: bool = True,
        drops_audio: bool = False,
        max_clips: int | None = None,
        window_s: int = 600,
    ) -> None:
        self.models, self.owned_by = models, owned_by
        self.window_s = window_s
        self.takes_audio, self.drops_audio, self.max_clips = takes_audio, drops_audio, max_clips
        self.reset(*plans)
        self.app = FastAPI()
        self.app.get("/v1/models")(self._list)
        self.app.post("/v1/chat/completions")(self._complete)

    def reset(self, *plans: Plan) -> None:
        """Begins anew, with other plans."""
        self.plans = list(plans) or [say("Hello", " there", ".")]
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.came, self.went = threading.Event(), threading.Event()  # a request, and whoever had made it

    async def _list(self) -> JSONResponse:
        models = [
            {"id": name, "object": "model", "owned_by": self.owned_by, "max_model_len": 4096} for name in self.models
        ]
        return JSONResponse({"object": "list", "data": models})

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        self.came.set()
        n_clips = len(clips_in(body))
        if n_clips and not self.takes_audio:
            return refusal(400, "tiny is not a multimodal model")
        if self.max_clips is not None and n_clips > self.max_clips:
            return refusal(400, f"At most {self.max_clips} audio(s) may be provided in one prompt.")
        plan = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
        return await plan(self, body)

    def prompt_tokens(self, body: dict[str, Any]) -> int:
        """As it counts: ten for a message, and for a clip and each of its seconds, as far as it listens."""
        seconds = [len(sent["data"]) * 3 // 4 // 32_000 for sent in clips_in(body)]
        heard = sum(10 + 10 * min(length, self.window_s) for length in seconds)
        return 10 * len(body["messages"]) + (0 if self.drops_audio else heard)


def clips_in(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The clips of a request."""
    contents = [message["content"] for message in body["messages"] if isinstance(message["content"], list)]
    return [part["input_audio"] for content in contents for part in content if part["type"] == "input_audio"]


def event(text: str | None = None, **more: Any) -> str:
    """One event of a stream."""
    finish = more.pop("finish_reason", None)
    delta = {} if text is None else {"content": text}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "tiny"}
    return (
        "data: "
        + json.dumps({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})
        + "\n\n"
    )


def say(
    *words: str,
    finish_reason: str = "stop",
    cached_tokens: int | None = None,
    model: str = "tiny",
    has_usage: bool = True,
) -> Plan:
    """Answers well."""

    async def plan(engine: ScriptedEngine, body: dict[str, Any]) -> Response:
        async def events() -> AsyncIterator[str]:
            for word in words:
                yield event(word, model=model)
            yield event(finish_reason=finish_reason, model=model)
            if has_usage:
                details = None if cached_tokens is None else {"cached_tokens": cached_tokens}
                usage = {
                    "prompt_tokens": engine.prompt_tokens(body),
                    "completion_tokens": len(words),
                    "total_tokens": 0,
                }
                yield event(choices=[], usage={**usage, "prompt_tokens_details": details}, model=model)
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return plan


def talk_on(piece: str, every_s: float) -> Plan:
    """Sends the same for ever, and notes when whoever listens has gone."""

    async def plan(engine: ScriptedEngine, body: dict[str, Any]) -> Response:
        async def events() -> AsyncIterator[str]:
            try:
                while True:
                    yield piece
                    await asyncio.sleep(every_s)
            finally:
                engine.went.set()

        return StreamingResponse(events(), media_type="text/event-stream")

    return plan


def raw(*pieces: str, content_type: str = "text/event-stream", headers: dict[str, str] | None = None) -> Plan:
    """Sends these pieces and ends."""

    async def plan(engine: ScriptedEngine, body: dict[str, Any]) -> Response:
        async def events() -> AsyncIterator[str]:
            for piece in pieces:
                yield piece

        return StreamingResponse(events(), media_type=content_type, headers=headers)

    return plan


def refuse(status: int, message: str, headers: dict[str, str] | None = None) -> Plan:
    """Answers an error, as OpenAI does."""

    async def plan(engine: ScriptedEngine, body: dict[str, Any]) -> Response:
        return refusal(status, message, headers)

    return plan


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as OpenAI answers it."""
    return JSONResponse({"error": {"message": message, "type": "error", "code": status}}, status, headers)


@contextmanager
def serving_engine(engine: ScriptedEngine, **settings: Any) -> Iterator[str]:
    """Serves until the block ends and gives the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(engine.app, log_level="critical", timeout_graceful_shutdown=1, **settings))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
    thread.start()
    try:
        scheme = "https" if "ssl_certfile" in settings else "http"
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        listener.close()


@asynccontextmanager
async def raw_server(*pieces: bytes, hangs: bool = False) -> AsyncIterator[str]:
    """A socket that answers every connection with the same bytes, and closes it or says no more until it is closed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if hangs:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        await server.wait_closed()


def free_url() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"
