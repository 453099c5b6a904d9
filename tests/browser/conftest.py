"""A real Chromium with a recording as its microphone, and a real server with the embedded model."""

import os
import shutil
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from app import default_cache_dir
from models.loading import LoadOptions
from models.registry import load_model
from models.scripted import ScriptedModel
from models.types import Samples
from realtime.session import SessionOptions
from tests.browser.scripted import MODERN, ScriptedSession, greeting
from tests.servers import serving

RATE_HZ = 48_000
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
)

OpenPage = Callable[..., Page]
OpenScripted = Callable[..., tuple[Page, ScriptedSession]]


def chromium_path() -> str | None:
    """Path of a Chromium, if there is one."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


def write_microphone(recording: Path, speech: Samples) -> None:
    """Writes what a browser takes as the sound of its microphone.

    Args:
        recording: a WAV file at 48 kHz.
        speech: float32 (n_samples,) at 16 kHz.
    """
    samples = np.repeat(speech, RATE_HZ // 16_000)
    with wave.open(str(recording), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((samples * 32767).astype(np.int16).tobytes())


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; where there is none the browser tests are skipped, and in CI they fail."""
    path = chromium_path()
    if path is None:
        message = "no Chromium was found; install it (Debian: apt-get install chromium) to run the browser tests"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    return path


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where a server with the embedded model listens."""
    with serving(load_model("pocket-tiny", LoadOptions(cache_dir=default_cache_dir())), SessionOptions()) as port:
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def _browsing(chromium: str, address: str, arguments: list[str], script: str | None) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, *arguments])
        try:
            context = browser.new_context(permissions=["microphone"], viewport={"width": 1000, "height": 760})
            page = context.new_page()
            errors: list[str] = []
            elsewhere: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("request", lambda request: address in request.url or elsewhere.append(request.url))
            page.on("requestfailed", lambda request: request.failure == "csp" and elsewhere.remove(request.url))
            if script:
                page.add_init_script(script)
            page.goto(address)
            page.wait_for_selector("body[data-ready]")
            yield page
            assert not errors
            assert not [url for url in elsewhere if url.startswith("http")], "asked of other servers"
        finally:
            browser.close()


@pytest.fixture
def open_page(chromium: str, address: str, tmp_path: Path) -> Iterator[OpenPage]:
    """Opens the page.

    Args of the function given:
        *speech: what the microphone hears, float32 (n_samples,) at 16 kHz, once it is started; nothing: there is none.
        script: JavaScript to run before the page's own.
    """
    opened = []

    def open_page(*speech: Samples, script: str | None = None) -> Page:
        arguments = []
        if speech:
            recording = tmp_path / "microphone.wav"
            write_microphone(recording, np.concatenate(speech))
            arguments = [
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={recording}%noloop",
            ]
        browsing = _browsing(chromium, address, arguments, script)
        opened.append(browsing)
        return browsing.__enter__()

    yield open_page
    for browsing in opened:
        browsing.__exit__(None, None, None)


@pytest.fixture(scope="module")
def scripted_browser(chromium: str) -> Iterator[tuple[Browser, str]]:
    """A Chromium with a beeping microphone, and the address of a server that gives it the page."""
    with serving(ScriptedModel([["Hello."]])) as port, sync_playwright() as playwright:
        arguments = [*ARGUMENTS, "--use-fake-device-for-media-stream"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser, f"http://127.0.0.1:{port}/"
        browser.close()


@pytest.fixture
def open_scripted(scripted_browser: tuple[Browser, str]) -> Iterator[OpenScripted]:
    """Opens the page with a server that says what the test tells it to; not beside `open_page` in one module.

    Args of the function given:
        created: the first event of the server.
        script: JavaScript to run before the page's own.
        options: of the browser's context.
    """
    browser, address = scripted_browser
    contexts, errors, elsewhere = [], list[str](), list[str]()

    def open_scripted(
        created: dict[str, object] = MODERN, *, script: str = "", **options: Any
    ) -> tuple[Page, ScriptedSession]:
        granted = ["microphone", "clipboard-read", "clipboard-write"]
        context = browser.new_context(**{"permissions": granted, "viewport": {"width": 1000, "height": 760}} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: request.url.startswith((address, "blob:")) or elsewhere.append(request.url))
        page.add_init_script(greeting(created) + script)
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        return page, ScriptedSession(page)

    yield open_scripted
    for context in contexts:
        context.close()
    assert not errors
    assert not elsewhere, "asked of other servers"
