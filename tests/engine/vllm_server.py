"""A vLLM on the CPU that serves a tiny checkpoint, as a process that can be killed."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

START_LIMIT_S = 240.0
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_HOST_IP": "127.0.0.1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
OPTIONS = (
    *("--host", "127.0.0.1", "--dtype", "float32", "--enforce-eager", "--max-model-len", "4096"),
    *("--block-size", "32", "--enable-prompt-tokens-details", "--max-num-seqs", "8"),
)


class VllmServer:
    """One replica.

    Args:
        python: of vLLM's environment.
        folder: of the checkpoint, whose name the model has.
        log: file that its words go to.
        options: more of its command line.
    """

    def __init__(self, python: Path, folder: Path, log: Path, options: tuple[str, ...] = ()) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._python, self._folder, self._log, self._options = python, folder, log, options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begins to start."""
        model = ("--model", str(self._folder), "--served-model-name", self._folder.name, "--port", str(self.port))
        path = f"{self._python.parent}{os.pathsep}{os.environ['PATH']}"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["nice", self._python, "-m", "vllm.entrypoints.openai.api_server", *model, *OPTIONS, *self._options],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **ENVIRONMENT, "PATH": path},
                start_new_session=True,
            )

    def wait(self) -> float:
        """Waits until it answers, and gives how long that took, in seconds."""
        assert self._process is not None
        began_s = time.monotonic()
        while time.monotonic() - began_s < START_LIMIT_S:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.address}/health", timeout=2).status_code == 200:
                    return time.monotonic() - began_s
            assert self._process.poll() is None, f"it has ended; {self._log} says why"
            time.sleep(0.2)
        raise AssertionError(f"it does not start in {START_LIMIT_S:g} s; {self._log} says more")

    def kill(self) -> None:
        """Kills it and all its processes, as `kill -9` does."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def metric(self, name: str) -> float:
        """The sum of one of its metrics."""
        text = httpx.get(f"{self.address}/metrics", timeout=5).text
        return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    def wait_for(self, name: str, value: float, limit_s: float = 10.0) -> None:
        """Waits until one of its metrics has a value."""
        began_s = time.monotonic()
        while self.metric(name) != value:
            assert time.monotonic() - began_s < limit_s, f"{name} is not {value} after {limit_s:g} s"
            time.sleep(0.02)


@contextmanager
def running(*servers: VllmServer) -> Iterator[None]:
    """Runs them until the block ends."""
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait()
        yield
    finally:
        for server in servers:
            server.kill()
