"""Two server processes behind a real nginx with `deploy/nginx.conf`: whoever comes back finds the own session."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.doors.clients import Client, webrtc_client, websocket_client
from tests.doors.siege import Answering

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
FIRST_TIME = {"token": "", "after": 0}
N_CLIENTS = 12  # all with one process of two: 1 in 2048


@dataclass(frozen=True, slots=True)
class Behind:
    """A proxy and the processes behind it.

    Attributes:
        port: of the proxy.
        processes: by their ports.
    """

    port: int
    processes: dict[int, Answering]

    def sessions(self) -> dict[int, int]:
        """How many sessions each process has."""
        return {port: _sessions_of(port) for port in self.processes}


def _sessions_of(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
        return int(json.load(answer)["sessions"])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def nginx(folder: Path, ports: list[int]) -> Iterator[int]:
    """Runs the shipped configuration with other ports, and gives the proxy's."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        message = "no nginx was found; install it (Debian: apt-get install nginx) to run the tests of the proxy"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    port = free_port()
    text = CONFIGURATION.read_text("utf-8").replace("listen 127.0.0.1:8080", f"listen 127.0.0.1:{port}")
    for shipped, ours in zip(("7860", "7861"), ports, strict=True):
        text, n_found = re.subn(rf"server 127\.0\.0\.1:{shipped}\b", f"server 127.0.0.1:{ours}", text)
        assert n_found == 1
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(text.replace("access_log off;", f"access_log off; {temporary}"), "utf-8")
    options = f"daemon off; pid {folder}/pid; error_log {folder}/error.log warn;"
    folder.chmod(0o755)
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", options], stderr=subprocess.PIPE
    )
    try:
        _await_answer(port, process)
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _await_answer(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise AssertionError(process.communicate()[1].decode())
        try:
            httpx.get(f"http://127.0.0.1:{port}/health").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("nginx does not answer")


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """Two processes of the server and a proxy; the last test ends one of them."""
    tmp_path = tmp_path_factory.mktemp("nginx")
    processes = [Answering("measured_server", 2 * N_CLIENTS) for _ in range(2)]
    try:
        ports = [process.read() for process in processes]
        with nginx(tmp_path, ports) as port:
            yield Behind(port, dict(zip(ports, processes, strict=True)))
    finally:
        for process in processes:
            process.end()


async def talk(client: Client) -> None:
    n_before = len(client.of("response.done"))
    await client.type_text("Are you there?")
    assert (await client.until("response.done", n_before + 1))["text"] == "Yes."


async def came_back(client: Client) -> bool:
    resumed: bool = (await client.until("session.created"))["resumed"]
    return resumed


async def test_both_processes_take_sessions_and_whoever_comes_back_finds_the_own(behind: Behind) -> None:
    """By a name in the address: over the same wire, and over the other one."""
    at_first = behind.sessions()
    for number in range(N_CLIENTS):
        query = f"?client=visitor-{number}"
        async with websocket_client(behind.port, query=query, resume=FIRST_TIME) as before:
            await talk(before)
            before.websocket.transport.abort()
        async with websocket_client(behind.port, query=query, resume=before.resume) as after:
            assert await came_back(after)
            await talk(after)
        if number % 4 == 0:
            async with webrtc_client(behind.port, f"peer{number}", query=query, resume=after.resume) as over_webrtc:
                assert await came_back(over_webrtc)
        after.websocket.transport.abort()
    at_last = behind.sessions()
    more = [at_last[port] - at_first[port] for port in at_last]
    assert min(more) > 0 and sum(more) == N_CLIENTS


async def test_a_browser_is_known_by_the_cookie_that_the_proxy_sets(behind: Behind) -> None:
    address, places = f"http://127.0.0.1:{behind.port}", set[int]()
    for _ in range(N_CLIENTS):
        async with httpx.AsyncClient(base_url=address) as browser:
            cookie = (await browser.get("/")).headers["set-cookie"].split(";")[0]
            assert "set-cookie" not in (await browser.get("/")).headers, "it keeps the one that it has"
            before = behind.sessions()
            async with connect(
                f"ws://127.0.0.1:{behind.port}/websocket/offer", additional_headers={"Cookie": cookie}
            ) as websocket:
                await websocket.send('{"event": "start", "websocket_id": "x", "resume": {"token": "", "after": 0}}')
                token = re.search(r'"resume_token": "([^"]+)"', str(await websocket.recv()))
                after = behind.sessions()
                places |= {port for port in after if after[port] > before[port]}
            assert token is not None
            no_sound = await browser.post(f"/conversation/audio?session={token[1]}&name=a.wav", content=b"no sound")
            assert no_sound.status_code == 415, "the process knows the session, and what was posted is no recording"
            await browser.post("/session/close", content=token[1])
            gone = await browser.post(f"/conversation/audio?session={token[1]}&name=a.wav", content=b"no sound")
            assert gone.status_code == 404
    assert places == set(behind.processes)


async def test_killing_one_process_leaves_the_others_sessions_alone(behind: Behind) -> None:
    async with AsyncExitStack() as stack:
        clients: dict[int, list[tuple[str, Any]]] = {port: [] for port in behind.processes}
        for number in range(N_CLIENTS):
            before = behind.sessions()
            query = f"?client=visitor-{number}"
            client = await stack.enter_async_context(websocket_client(behind.port, query=query, resume=FIRST_TIME))
            after = behind.sessions()
            clients[next(port for port in after if after[port] > before[port])].append((query, client))
        killed, left = behind.processes
        behind.processes[killed].send_signal(signal.SIGKILL)
        for _, client in clients[killed]:
            await asyncio.wait_for(client.websocket.wait_closed(), 10)
        for query, client in clients[killed]:
            async with websocket_client(behind.port, query=query, resume=client.resume) as again:
                assert not await came_back(again), "the session has gone with its process"
                await talk(again)
        for query, client in clients[left]:
            await talk(client)
            client.websocket.transport.abort()
            async with websocket_client(behind.port, query=query, resume=client.resume) as again:
                assert await came_back(again)
        assert clients[killed] and clients[left]
