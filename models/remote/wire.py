"""The HTTP under the engine's client: nothing that a server sends can fill the memory, and nothing follows a redirect.

A line (an event of a stream), a whole answer, and a compressed answer, which could unfold to anything, are limited.
What the client tells of this machine, and of accounts in the environment, is left out. Read `replica.py` for its use.
"""

from collections.abc import AsyncIterator

import httpx2
import openai

from models.remote.settings import EngineSettings

MAX_LINE_BYTES = 1 << 20
MAX_BODY_BYTES = 32 << 20
NOT_SENT = ("openai-", "x-stainless-")  # beginnings of headers: accounts in the environment, and what this machine is


class AnswerTooLarge(Exception):
    """A server sends more than any answer has."""


def connect(url: str, settings: EngineSettings) -> openai.AsyncOpenAI:
    """Gives a client of one replica; no connection is made yet.

    Args:
        url: of the replica.
        settings: with the key and the limits.
    """
    longest_s = max(settings.first_token_limit_s, settings.next_token_limit_s)
    timeout = httpx2.Timeout(longest_s, connect=settings.connect_limit_s, read=None)  # reading has limits of its own
    is_tls = url.startswith("https://")  # else reading all authorities of this machine would take 0.2 s for nothing
    network = httpx2.AsyncHTTPTransport(verify=is_tls, limits=httpx2.Limits(max_keepalive_connections=16))
    not_sent = NOT_SENT if settings.key is not None else (*NOT_SENT, "authorization")
    transport = _Transport(network, not_sent)
    return openai.AsyncOpenAI(
        api_key=settings.key or "none",  # the client insists on one
        base_url=url,
        max_retries=0,  # ours know of other replicas, and when a person stops waiting
        timeout=timeout,
        default_headers={"Accept-Encoding": "identity", "User-Agent": "Earpiece"},
        http_client=httpx2.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False),
    )


class _Transport(httpx2.AsyncBaseTransport):
    """Another transport, with limits to what it gives, and without the headers that begin with one of `not_sent`."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, not_sent: tuple[str, ...]) -> None:
        self._inner = inner
        self._not_sent = not_sent

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        for name in [name for name in request.headers if name.lower().startswith(self._not_sent)]:
            del request.headers[name]
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.stream.aclose()
            raise AnswerTooLarge("it compresses its answers, which nobody asked for")
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_BoundedStream(response.stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    """A body of limited length, in lines of limited length."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        n_bytes = n_line_bytes = 0
        async for piece in self._inner:
            n_bytes += len(piece)
            end = piece.rfind(b"\n")
            n_line_bytes = n_line_bytes + len(piece) if end < 0 else len(piece) - end
            if n_line_bytes > MAX_LINE_BYTES or n_bytes > MAX_BODY_BYTES:
                raise AnswerTooLarge("it sends more than any answer has")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()
