"""Chromium hears the server's voice, over both transports, and hears no more of it when the user stops it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from models.scripted import ScriptedModel, ScriptedVoice
from tests.browser.conftest import ARGUMENTS
from tests.servers import serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ANSWER = [f"number {number}, " for number in range(200)]  # 80 s of tones
WITH_SERVER_VOICE = f"localStorage.setItem('earpiece', {json.dumps(json.dumps({'voice': 'server'}))});"
KEEP_PEERS = """
  window.peers = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...all) { super(...all); peers.push(this); }
  };
"""
ENERGY = """async () => {  // of what has been played, which grows while there is a tone
  let energy = 0;
  for (const peer of peers)
    for (const report of (await peer.getStats()).values())
      if (report.type === "inbound-rtp") energy += report.totalAudioEnergy;
  return energy;
}"""
NO_WEBRTC = """
  window.RTCPeerConnection = undefined;
  window.pieces = 0;
  const start = AudioBufferSourceNode.prototype.start;
  AudioBufferSourceNode.prototype.start = function (...all) { window.pieces += 1; return start.apply(this, all); };
"""


@contextmanager
def talking(chromium: str, port: int, script: str) -> Iterator[Page]:
    """The page, which has asked something."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS])
        page = browser.new_page()
        page.add_init_script(WITH_SERVER_VOICE + script)
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("body[data-ready]")
        page.locator("#ep-text").fill("Count.")
        page.keyboard.press("Enter")
        expect(page.locator(".ep-item.assistant").first).to_contain_text("number 199", timeout=60_000)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(ScriptedModel([ANSWER]), voice=ScriptedVoice()) as port:
        yield port


def test_the_track_is_heard_until_the_user_stops_it(chromium: str, port: int) -> None:
    with talking(chromium, port, KEEP_PEERS) as page:
        page.wait_for_function(f"async () => (await ({ENERGY})()) > 0.05", timeout=20_000)
        page.wait_for_timeout(1500)  # until some words have been heard
        page.click("#ep-stop")
        page.wait_for_timeout(1000)  # what was on its way
        before = page.evaluate(ENERGY)
        page.wait_for_timeout(1000)
        assert page.evaluate(ENERGY) - before < 0.005
        expect(page.locator(".ep-item.assistant").first).not_to_contain_text("number 199")


def test_the_websocket_is_heard_until_the_user_stops_it(chromium: str, port: int) -> None:
    with talking(chromium, port, NO_WEBRTC) as page:
        page.wait_for_function("() => pieces > 5", timeout=20_000)
        page.wait_for_timeout(1500)  # until some words have been heard
        page.click("#ep-stop")
        page.wait_for_timeout(500)
        before = page.evaluate("pieces")
        page.wait_for_timeout(1000)
        assert page.evaluate("pieces") == before
        expect(page.locator(".ep-item.assistant").first).not_to_contain_text("number 199")
