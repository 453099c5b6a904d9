"""The server as a whole: real processes and the signals they get, and what its options refuse."""

import asyncio
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from models.cascade.cascade import Cascade
from models.engine.engine import Engine
from models.engine.prompt import TokenSpan
from models.scripted import ScriptedModel
from models.types import Message
from realtime.conversation import ConversationOptions
from realtime.server import create_app
from realtime.server_options import DRAIN_LIMIT_S, ServerOptions
from realtime.session import SessionOptions
from tests.doors.clients import webrtc_client, websocket_client
from tests.models.engine.probing import CONTEXT_TOKENS, Ids, Probe, llama
from tests.models.hanging import HangingModel
from tests.servers import serving

WORDS = [f"{number} " for number in range(20)]
COMMAND_LINE = f"""
import sys
import app
import commands.loading
from models.scripted import ScriptedModel
commands.loading.load_model = lambda *_: ScriptedModel([{WORDS}], word_s=0.02)
sys.exit(app.main(sys.argv[1:]))
"""  # as `python app.py` has it, but for the model


@asynccontextmanager
async def server_process() -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """Runs the command line on a free port and gives the port, once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        COMMAND_LINE,
        "--port",
        str(port),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            for _ in range(600):
                try:
                    assert (await http.get("/health")).json()["status"] == "ok"
                    break
                except httpx.ConnectError:
                    assert process.returncode is None, "the server has ended"
                    await asyncio.sleep(0.1)
        yield port, process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_server_that_is_told_to_end_lets_answers_end_and_says_why() -> None:
    async with (
        server_process() as (port, process),
        websocket_client(port) as idle,
        websocket_client(port) as busy,
        websocket_client(port, start=False) as waiting,
    ):
        await busy.type_text("Count.")
        await busy.until("response.created")
        process.send_signal(signal.SIGTERM)
        for client in (idle, busy):
            assert "server is going down" in (await client.until("session.ended"))["reason"]
            assert client.events[-1]["type"] == "session.ended"
        assert busy.of("response.done")[0]["text"] == "".join(WORDS)
        for client in (idle, busy, waiting):
            await asyncio.wait_for(client.websocket.wait_closed(), 10)
        assert idle.websocket.close_code == 1001
        assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_ctrl_c_ends_at_once_with_sessions_open_and_leaves_nothing_to_complain_of() -> None:
    lasting = {"token": "", "after": 0}
    async with server_process() as (port, process), websocket_client(port, resume=lasting) as away:
        away.websocket.transport.abort()
        async with websocket_client(port) as busy, webrtc_client(port, resume=lasting) as idle:
            await busy.type_text("Count.")
            await busy.until("response.output_text.delta")
            began_s = asyncio.get_running_loop().time()
            process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(process.wait(), 20) == 130
            assert asyncio.get_running_loop().time() - began_s < 4, "twice the goal: the machine may be busy"
            for client in (busy, idle):
                assert "server is going down" in (await client.until("session.ended"))["reason"]
            assert busy.of("response.done")[0]["status"] == "cancelled"
        assert process.stderr is not None and await process.stderr.read() == b""


@pytest.mark.parametrize("client_of", [websocket_client, webrtc_client])
async def test_clients_of_every_door_are_told(client_of: Callable[..., Any]) -> None:
    stack = serving(ScriptedModel([["Yes."]]))
    port = stack.__enter__()
    async with client_of(port) as client:
        await asyncio.to_thread(stack.__exit__, None, None, None)
        assert "server is going down" in (await client.until("session.ended"))["reason"]


async def test_a_model_that_hangs_ends_its_answer_and_health_says_so_until_it_answers() -> None:
    model = HangingModel([["Yes."]], n_hanging=2)
    with serving(model, answer_timeout_s=0.3) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http, websocket_client(port) as client:
            for number in (1, 2):
                await client.type_text("Are you there?")
                assert (await client.until("response.done", number))["status"] == "failed"
                assert "scripted has given nothing for an answer in 0.3 s" in client.of("error")[-1]["message"]
                answer = await http.get("/health")
                assert answer.status_code == 503
                assert (answer.json()["status"], answer.json()["sessions"]) == ("failed", 1)
                assert "has given nothing" in answer.json()["reason"]
            await client.type_text("And now?")
            assert (await client.until("response.done", 3))["status"] == "completed"
            answer = await http.get("/health")
            assert (answer.status_code, answer.json()["status"]) == (200, "ok")


async def test_an_engine_that_hangs_is_told_to_every_client_and_the_server_still_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.engine.engine.CALL_LIMIT_S", 0.2)
    probe = Probe(llama())
    let_go = threading.Event()
    engine = Engine(probe, Ids(), context_tokens=CONTEXT_TOKENS, stop_token_ids=frozenset(), step_limit_s=0.5)

    def write(messages: Sequence[Message]) -> list[TokenSpan]:
        return [TokenSpan(tuple(range(1, 1 + len(message.text)))) for message in messages]

    model = Cascade(ScriptedModel.info, ScriptedModel([], sounds=["Hello."]), write, engine)
    with serving(model, SessionOptions(conversation=ConversationOptions(system_prompt=""))) as port:
        async with websocket_client(port) as first, websocket_client(port) as second:
            probe.before = lambda _: let_go.wait() and None
            for client in (first, second):
                await client.type_text("Are you there?")
                assert (await client.until("response.done"))["status"] == "failed"
                assert "the engine has been in one step for" in client.of("error")[0]["message"]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                assert (await http.get("/health")).status_code == 503
        began_s = time.monotonic()
    assert time.monotonic() - began_s < DRAIN_LIMIT_S
    let_go.set()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"port": 65536}, "--port 65536"),
        ({"max_sessions": 0}, "--max-sessions 0"),
        ({"max_waiting": -1}, "--max-waiting -1"),
        ({"drain_limit_s": -1.0}, "--drain-seconds -1"),
        ({"drain_limit_s": float("nan")}, "--drain-seconds nan"),
        ({"max_session_s": 0.0}, "--max-session-minutes 0"),
        ({"max_session_s": float("nan")}, "--max-session-minutes nan"),
        ({"answer_timeout_s": 0.0}, "--answer-timeout 0"),
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
