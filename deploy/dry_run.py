"""Does on this machine what a Hugging Face Space will do with this checkout: `make space-dry-run`.

    browser ── https://huggingface.co, a page of ours ── in a frame: https://somebody-earpiece.hf.space
               │ both names lead to this machine                      │ TLS ends here, as at a Space's proxy
               ▼                                                      ▼
               the page with the frame                                python app.py, on a port of its own

A new environment is made from `requirements.txt` alone, a copy of what git knows runs in it with the variables of a
Space and no others, no UDP gets in, and the home folder is none that can be written: only the cache of weights is. The
browser, Chromium with a recording for a microphone, opens the page in a frame of another site and asks one question
aloud. It needs what `make test` needs, some gigabytes of disk and a few minutes; it says each step, and what failed.
"""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Frame, Page, expect, sync_playwright

from app import default_cache_dir
from deploy.certificate import write_certificate
from realtime.hearing.files import read_audio_file

ROOT = Path(__file__).parent.parent
FRAMING_HOST, SPACE_HOST = "huggingface.co", "somebody-earpiece.hf.space"
HOME = "/proc/nobody"  # no folder can be made there, not even by root
CLIP = ROOT / "assets" / "clips" / "question_capital.ogg"
CONNECT_S = 2  # WebRTC is tried first; what is said until the WebSocket connects is kept
START_LIMIT_S, ANSWER_LIMIT_MS = 900, 90_000
# What huggingface.co gives the frame of a Space, in November 2026.
SANDBOX = (
    "allow-downloads allow-forms allow-modals allow-pointer-lock allow-popups allow-popups-to-escape-sandbox "
    "allow-same-origin allow-scripts allow-storage-access-by-user-activation"
)
FRAMING_PAGE = (
    f'<!doctype html><title>Spaces</title><iframe src="https://{SPACE_HOST}/" width="1000" height="800" '
    f'allow="autoplay; camera; clipboard-read; clipboard-write; microphone" sandbox="{SANDBOX}"></iframe>'
)
BROWSER = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
)


def main() -> None:
    """Does it, and says each step."""
    with tempfile.TemporaryDirectory(prefix="earpiece-space-") as name:
        folder = Path(name)
        python = _install(folder)
        port = _free_port()
        with _running(python, _checkout(folder), _cache(folder), port), _proxies(folder, port) as ports:
            _ask_aloud(folder, ports)
    _say("A Space would run this checkout.")


def _install(folder: Path) -> Path:
    """A new environment, from `requirements.txt` alone."""
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", ROOT / "requirements.txt"], check=True)
    _say(f"requirements.txt was installed in {time.monotonic() - began_s:.0f} s")
    return python


def _checkout(folder: Path) -> Path:
    """A copy of what git knows, as it is now."""
    checkout = folder / "app"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name)
    return checkout


def _cache(folder: Path) -> Path:
    """A cache with the weights of this machine; what is missing is fetched, as in a Space."""
    cache = folder / "cache"
    cache.mkdir()
    if default_cache_dir().is_dir():
        (cache / "earpiece").symlink_to(default_cache_dir())
    return cache


@contextmanager
def _running(python: Path, checkout: Path, cache: Path, port: int) -> Iterator[None]:
    """`python app.py` with the variables of a Space, until the block ends."""
    began_s = time.monotonic()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": HOME,
        "XDG_CACHE_HOME": str(cache),
        "SPACE_ID": "somebody/earpiece",
        "SPACE_HOST": SPACE_HOST,
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": str(port),
    }
    before = _files(checkout)
    server = subprocess.Popen([python, "app.py"], cwd=checkout, env=environment)
    try:
        while not _answers(port):
            if server.poll() is not None or time.monotonic() - began_s > START_LIMIT_S:
                raise SystemExit(f"the server does not answer on port {port} (exit status {server.poll()})")
            time.sleep(0.5)
        _say(f"app.py answers after {time.monotonic() - began_s:.0f} s")
        yield
        server.terminate()
        if server.wait(30) != 0:
            raise SystemExit(f"the server ended with exit status {server.returncode}")
    finally:
        server.kill()
    if _files(checkout) != before:
        raise SystemExit(f"the server has written {sorted(map(str, _files(checkout) - before))} into the checkout")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _files(checkout: Path) -> set[Path]:
    return {path for path in checkout.rglob("*") if "__pycache__" not in path.parts}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _proxies(folder: Path, port: int) -> Iterator[dict[str, int]]:
    """Speaks TLS for both names; gives the port of each."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write_certificate(folder, (FRAMING_HOST, SPACE_HOST)))
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

    async def start() -> dict[str, int]:
        handlers = {FRAMING_HOST: _give_framing_page, SPACE_HOST: pass_on}
        servers = {
            host: await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context) for host, handler in handlers.items()
        }
        return {host: server.sockets[0].getsockname()[1] for host, server in servers.items()}

    yield asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)


async def _give_framing_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(FRAMING_PAGE)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n{FRAMING_PAGE}".encode())
    writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # one side is gone; the other is told by the close
    finally:
        writer.close()


def _ask_aloud(folder: Path, ports: dict[str, int]) -> None:
    """Opens the page in its frame, asks, and waits for the answer."""
    rules = ", ".join(f"MAP {host}:443 127.0.0.1:{port}" for host, port in ports.items())
    arguments = [
        *BROWSER,
        f"--host-resolver-rules={rules}",
        f"--use-file-for-fake-audio-capture={_microphone(folder)}%noloop",
    ]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_context(permissions=["microphone"], ignore_https_errors=True).new_page()
        page.on("console", lambda message: _say(f"the browser says: {message.text}"))
        page.goto(f"https://{FRAMING_HOST}/spaces/somebody/earpiece")
        frame = _frame_of(page)
        frame.click("#ep-talk")
        answer = frame.locator(".ep-item.assistant.completed")
        expect(answer).to_contain_text("Paris", timeout=ANSWER_LIMIT_MS)
        transport = frame.locator(".earpiece").get_attribute("data-transport")
        _say(f"asked aloud in the frame, answered over {transport}: {answer.inner_text().splitlines()[0]!r}")
        browser.close()


def _frame_of(page: Page) -> Frame:
    page.frame_locator("iframe").locator("#ep-talk").wait_for()
    return next(frame for frame in page.frames if SPACE_HOST in frame.url)


def _microphone(folder: Path) -> Path:
    """The question, between the time to connect and the time for an answer; 48 kHz, as Chromium plays it."""
    question = read_audio_file(CLIP).samples
    quiet = np.zeros(16_000, np.float32)
    samples = np.repeat(np.concatenate([*[quiet] * CONNECT_S, question, *[quiet] * 60]), 3)
    with wave.open(str(folder / "microphone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes((samples * 32767).astype(np.int16).tobytes())
    return folder / "microphone.wav"


def _say(line: str) -> None:
    print(f"space: {line}", flush=True)


if __name__ == "__main__":
    main()
