"""A real server process with a scripted model, and a real receiver of its spans."""

import asyncio
import gzip
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.conftest import CLIPS

ROOT = CLIPS.parent.parent


class SpanReceiver:
    """What a collector does at `/v1/traces`: it takes spans as protobuf over HTTP, and keeps them.

    Attributes:
        bodies: of all requests, unpacked.
        headers: of the last one.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: dict[str, str] = {}

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        """All that came."""
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]

    @property
    def spans(self) -> list[Span]:
        """All that came, in order."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def receiving_spans() -> Iterator[tuple[str, SpanReceiver]]:
    """Gives the address of a receiver, and what it has received."""
    receiver = SpanReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            packed = self.headers.get("content-encoding") == "gzip"
            assert self.path == "/v1/traces"
            receiver.headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.bodies.append(gzip.decompress(body) if packed else body)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's own name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", receiver
        finally:
            server.shutdown()
            thread.join()


@asynccontextmanager
async def running(
    script: str, log: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[int]:
    """Runs a script that serves, gives the port once it is ready, and ends it with SIGTERM.

    Args:
        script: is given `--port`, and the other arguments.
        log: what it writes to stderr.
        arguments: of the command line.
        environment: of the process.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script, "--port", str(port), *arguments),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=stderr,
            env=environment,
            cwd=ROOT,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            while not await _is_ready(http):
                assert process.returncode is None, "the server has ended"
                await asyncio.sleep(0.1)
        yield port
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.ConnectError:
        return False
