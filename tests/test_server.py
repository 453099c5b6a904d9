"""The server as a whole: real processes and the signals they get, and what its options refuse."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from models.scripted import ScriptedModel
from realtime.server import ServerOptions, create_app
from realtime.session import SessionOptions
from tests.doors.clients import webrtc_client, websocket_client
from tests.servers import serving

WORDS = [f"{number} " for number in range(20)]
COMMAND_LINE = f"""
import sys
import app
from models.scripted import ScriptedModel
app.load_model = lambda *_: ScriptedModel([{WORDS}], word_s=0.02)
sys.exit(app.main(sys.argv[1:]))
"""  # as `python app.py` has it, but for the model


@asynccontextmanager
async def server_process() -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """Runs the command line on a free port and gives the port, once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COMMAND_LINE, "--port", str(port), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            for _ in range(600):
                try:
                    assert (await http.get("/health")).json() == {"status": "ok", "model": "scripted", "sessions": 0}
                    break
                except httpx.ConnectError:
                    assert process.returncode is None, "the server has ended"
                    await asyncio.sleep(0.1)
        yield port, process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(("sent", "exit_code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_a_server_that_is_told_to_end_lets_answers_end_and_says_why(sent: signal.Signals, exit_code: int) -> None:
    async with (
        server_process() as (port, process),
        websocket_client(port) as idle,
        websocket_client(port) as busy,
        websocket_client(port, start=False) as waiting,
    ):
        await busy.type_text("Count.")
        await busy.until("response.created")
        process.send_signal(sent)
        for client in (idle, busy):
            assert "server is going down" in (await client.until("session.ended"))["reason"]
            assert client.events[-1]["type"] == "session.ended"
        assert busy.of("response.done")[0]["text"] == "".join(WORDS)
        for client in (idle, busy, waiting):
            await asyncio.wait_for(client.websocket.wait_closed(), 10)
        assert idle.websocket.close_code == 1001
        assert await asyncio.wait_for(process.wait(), 20) == exit_code


@pytest.mark.parametrize("client_of", [websocket_client, webrtc_client])
async def test_clients_of_every_door_are_told(client_of: Callable[..., Any]) -> None:
    stack = serving(ScriptedModel([["Yes."]]))
    port = stack.__enter__()
    async with client_of(port) as client:
        await asyncio.to_thread(stack.__exit__, None, None, None)
        assert "server is going down" in (await client.until("session.ended"))["reason"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"port": 65536}, "--port 65536"),
        ({"max_sessions": 0}, "--max-sessions 0"),
        ({"max_session_s": 0.0}, "--max-session-minutes 0"),
        ({"max_session_s": float("nan")}, "--max-session-minutes nan"),
        ({"speculate_below": -1}, "--speculate-below -1"),
        ({"allowed_origins": ("talk.example",)}, "--allow-origin: 'talk.example' is no origin"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ServerOptions(**options)


def test_the_application_needs_nothing_but_a_model() -> None:
    app = create_app(ScriptedModel([["hi"]]), SessionOptions())
    routes = {getattr(route, "path", "") for route in app.routes}
    assert {"/", "/page/main.js", "/webrtc/offer", "/websocket/offer", "/health"} <= routes
