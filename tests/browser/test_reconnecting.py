"""`connection.js` in a real Chromium, with connections that are lost, blocked or silent in the middle of an answer."""

import socket
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, sync_playwright

from models.scripted import ScriptedModel
from models.types import Samples
from tests.browser.cable import cable_to
from tests.browser.conftest import ARGUMENTS, RATE_HZ
from tests.conftest import silence
from tests.servers import serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

WAIT_MS = 30_000
WORDS = [f"{number} " for number in range(60)]
OPEN = """async ({ withVoice }) => {
  window.events = []; window.told = [];
  const track = withVoice ? (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks()[0] : null;
  const { connect } = await import("/page/connection.js");
  window.connection = await connect(
    (event) => events.push(event),
    (why) => told.push(["lost", why]),
    { onReconnecting: () => told.push(["reconnecting"]), onResumed: (name) => told.push(["resumed", name]), track },
  );
  addEventListener("pagehide", () => connection.close());
  return connection.name;
}"""
ASK = """() => {
  const content = [{ type: "input_text", text: "count" }];
  connection.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  return connection.send({ type: "response.create" });
}"""
NO_WEBRTC = "window.RTCPeerConnection = class { constructor() { throw new Error('blocked by policy'); } };"
NO_WAY_FOR_WEBRTC = """const Peer = RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer { constructor() { super({ iceTransportPolicy: "relay" }); } };"""
SEE_CHANNELS = """const create = RTCPeerConnection.prototype.createDataChannel;
  RTCPeerConnection.prototype.createDataChannel = function (name) {
    return (window.channel = create.call(this, name));
  };"""

Browse = Callable[..., Page]


@pytest.fixture
def browse(chromium: str, tmp_path: Path) -> Iterator[Browse]:
    """Opens a page of a server in a browser of its own; the arguments are `browse`'s below."""
    with sync_playwright() as playwright:
        browsers = []

        def browse(port: int, *speech: Samples, script: str = "") -> Page:
            arguments = [*ARGUMENTS, "--use-fake-device-for-media-stream"]
            if speech:
                arguments.append(f"--use-file-for-fake-audio-capture={_written(tmp_path, *speech)}%noloop")
            browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
            browsers.append(browser)
            page = browser.new_context(permissions=["microphone"]).new_page()
            if script:
                page.add_init_script(script)
            page.goto(f"http://127.0.0.1:{port}/")
            return page

        yield browse
        for browser in browsers:
            browser.close()


def _written(folder: Path, *speech: Samples) -> Path:
    path = folder / "microphone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((np.repeat(np.concatenate(speech), RATE_HZ // 16_000) * 32767).astype(np.int16).tobytes())
    return path


def connected(page: Page, *, with_voice: bool = False) -> str:
    name: str = page.evaluate(OPEN, {"withVoice": with_voice})
    return name


def until(page: Page, condition: str) -> None:
    page.wait_for_function(f"() => {condition}", timeout=WAIT_MS)  # an expression would need eval


def until_word(page: Page, count: int) -> None:
    until(page, f"events.filter(({{ type }}) => type === 'response.output_text.delta').length >= {count}")


def finished(page: Page) -> list[dict[str, Any]]:
    """Waits for the end of the answer and of the numbers after it, and checks that every event has come once."""
    until(page, "events.some(({ type }) => type === 'session.metrics')")
    events: list[dict[str, Any]] = page.evaluate("events")
    numbers = [event["sequence"] for event in events if not event.get("resumed")]
    assert numbers == list(range(1, len(numbers) + 1))
    words = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert words == WORDS
    return events


def sessions(port: int) -> int:
    n_sessions: int = httpx.get(f"http://127.0.0.1:{port}/health").json()["sessions"]
    return n_sessions


def until_sessions(port: int, count: int) -> None:
    for _ in range(100):
        if sessions(port) == count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{sessions(port)} sessions are left, not {count}")


def test_a_websocket_that_is_cut_in_mid_answer(browse: Browse) -> None:
    with serving(ScriptedModel([WORDS], word_s=0.05), max_sessions=1) as port, cable_to(port) as cable:
        page = browse(cable.port, script=NO_WEBRTC)
        assert connected(page) == "WebSocket"
        page.evaluate(ASK)
        for count in (5, 20):
            until_word(page, count)
            cable.cut()
            until(page, f"told.filter(([what]) => what === 'resumed').length === {1 if count == 5 else 2}")
        finished(page)
        assert page.evaluate("told") == [["reconnecting"], ["resumed", "WebSocket"]] * 2


def test_webrtc_that_is_lost_in_mid_answer(browse: Browse) -> None:
    with serving(ScriptedModel([WORDS], word_s=0.05), max_sessions=1) as port:
        page = browse(port, script=SEE_CHANNELS)
        assert connected(page) == "WebRTC"
        page.evaluate(ASK)
        until_word(page, 5)
        page.evaluate("channel.close()")
        finished(page)
        assert page.evaluate("told") == [["reconnecting"], ["resumed", "WebRTC"]]
        page.evaluate("connection.close()")
        until_sessions(port, 0)


def test_webrtc_that_is_lost_and_then_blocked_goes_on_over_a_websocket(browse: Browse) -> None:
    with serving(ScriptedModel([WORDS], word_s=0.05), max_sessions=1) as port:
        page = browse(port, script=SEE_CHANNELS)
        assert connected(page) == "WebRTC"
        page.evaluate(ASK)
        until_word(page, 5)
        page.evaluate(f"() => {{ {NO_WEBRTC} }}")
        page.evaluate("channel.close()")
        finished(page)
        assert page.evaluate("told") == [["reconnecting"], ["resumed", "WebSocket"]]


def test_a_silent_network_is_noticed_when_the_browser_says_that_it_is_back(browse: Browse) -> None:
    with serving(ScriptedModel([WORDS], word_s=0.05)) as port, cable_to(port) as cable:
        page = browse(cable.port, script=NO_WEBRTC)
        connected(page)
        page.evaluate(ASK)
        until_word(page, 3)
        cable.fall_silent()
        page.evaluate("dispatchEvent(new Event('online'))")
        finished(page)
        assert page.evaluate("told") == [["reconnecting"], ["resumed", "WebSocket"]]


def test_what_was_sent_into_a_dead_wire_is_sent_again_once(browse: Browse) -> None:
    with serving(ScriptedModel([WORDS], word_s=0.01)) as port, cable_to(port) as cable:
        page = browse(cable.port, script=NO_WEBRTC)
        connected(page)
        page.evaluate("connection.send({ type: 'session.update', session: { captions: false } })")
        until(page, "events.some(({ type }) => type === 'session.updated')")
        cable.fall_silent()
        assert page.evaluate(ASK), "nobody knows yet"
        page.evaluate("dispatchEvent(new Event('online'))")
        events = finished(page)
        assert page.evaluate("told") == [["reconnecting"], ["resumed", "WebSocket"]]
        asked = [event for event in events if event["type"] == "conversation.item.created" and event["role"] == "user"]
        assert len(asked) == 1
        assert len([event for event in events if event["type"] == "session.updated"]) == 1


@pytest.mark.alone
def test_where_webrtc_finds_no_way_what_was_said_meanwhile_is_answered(
    browse: Browse, speech: Callable[[str], Samples]
) -> None:
    question = speech("question_capital")
    with serving(ScriptedModel([["Paris."]])) as port:
        page = browse(port, question, silence(20), script=NO_WAY_FOR_WEBRTC)
        began_s = time.monotonic()
        assert connected(page, with_voice=True) == "WebSocket"
        assert 2.4 < time.monotonic() - began_s < 6
        until(page, "events.some(({ type }) => type === 'response.done')")
        added = next(event for event in page.evaluate("events") if event["type"] == "conversation.item.created")
        assert added["audio_s"] > len(question) / 16_000 - 0.5, "all of it, less the silence around the words"


def test_what_is_said_while_webrtc_comes_back_is_not_lost(browse: Browse, speech: Callable[[str], Samples]) -> None:
    question = speech("question_capital")
    with serving(ScriptedModel([["Paris."]])) as port:
        page = browse(port, silence(3), question, silence(20), script=SEE_CHANNELS)
        assert connected(page, with_voice=True) == "WebRTC"
        until(page, "events.some(({ type }) => type === 'input_audio_buffer.speech_started')")
        page.evaluate("channel.close()")
        until(page, "events.some(({ type }) => type === 'response.done')")
        added = next(event for event in page.evaluate("events") if event["type"] == "conversation.item.created")
        assert added["audio_s"] > len(question) / 16_000 - 0.8


def test_a_network_that_takes_and_gives_nothing_is_tried_again(browse: Browse) -> None:
    impatient = "const later = setTimeout; window.setTimeout = (call, ms) => later(call, ms === 10_000 ? 500 : ms);"
    with (
        serving(ScriptedModel([WORDS], word_s=0.05)) as port,
        cable_to(port) as cable,
        socket.create_server(("127.0.0.1", 0)) as hole,
    ):
        page = browse(cable.port, script=NO_WEBRTC + impatient)
        connected(page)
        page.evaluate(ASK)
        until_word(page, 3)
        cable.lead_to(hole.getsockname()[1])
        cable.cut()
        until(page, "told.length === 1")
        until(page, "performance.getEntriesByName(new URL('webrtc/ice-servers', location).href).length >= 2")
        time.sleep(0.2)  # so that the WebSocket is asked for, too
        cable.lead_to(port)
        finished(page)
        page.evaluate("connection.close()")
        time.sleep(0.1)  # a connection that comes while the cable ends would stay open


def test_a_server_that_was_restarted_begins_anew(browse: Browse) -> None:
    with serving(ScriptedModel([WORDS], word_s=0.05)) as first, cable_to(first) as cable:
        page = browse(cable.port, script=NO_WEBRTC)
        connected(page)
        page.evaluate(ASK)
        until_word(page, 3)
        with serving(ScriptedModel([WORDS])) as second:
            cable.lead_to(second)
            cable.cut()
            until(page, "told.some(([what]) => what === 'resumed')")
            assert page.evaluate("events.at(-1)")["resumed"] is False
            page.evaluate("events = []")
            assert page.evaluate(ASK)
            until(page, "events.some(({ type }) => type === 'response.done')")


def test_a_minute_without_a_wire_is_the_end(browse: Browse) -> None:
    with serving(ScriptedModel([WORDS])) as port, cable_to(port) as cable:
        page = browse(cable.port, script=NO_WEBRTC)
        connected(page)
        cable.lead_to(1)
        cable.cut()
        until(page, "told.length === 1")
        assert page.evaluate("connection.send({ type: 'response.cancel' })") is False
        page.evaluate("const now = Date.now; Date.now = () => now() + 61_000")
        until(page, "told.length === 2")
        assert page.evaluate("told") == [["reconnecting"], ["lost", "connection.lost"]]


def test_a_closed_tab_frees_its_place_at_once(browse: Browse) -> None:
    with serving(ScriptedModel([WORDS]), max_sessions=1) as port:
        page = browse(port)
        connected(page)
        assert sessions(port) == 1
        page.goto("about:blank")
        until_sessions(port, 0)
