"""The page in the queue: it says where, over both wires, is let in by itself, and may be left."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from models.scripted import ScriptedModel
from tests.browser.conftest import ARGUMENTS
from tests.browser.test_reconnecting import NO_WEBRTC
from tests.servers import serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

LONGER_THAN_WEBRTC_MAY_TAKE = "() => performance.now() - window.queuedAt > 3000"
OpenTab = Callable[..., Page]


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server with one place."""
    with serving(ScriptedModel([["Yes."]]), max_sessions=1, max_waiting=2) as port:
        yield port


@pytest.fixture
def open_tab(chromium: str, port: int) -> Iterator[OpenTab]:
    """Opens the page for one more person."""
    with sync_playwright() as playwright:
        arguments = [*ARGUMENTS, "--use-fake-device-for-media-stream"]
        browser: Browser = playwright.chromium.launch(executable_path=chromium, args=arguments)

        def open_tab(script: str = "", language: str = "en") -> Page:
            page = browser.new_context(permissions=["microphone"], locale=language).new_page()
            page.add_init_script(script)
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_selector("body[data-ready]")
            return page

        yield open_tab
        browser.close()


def until_status(page: Page, state: str, words: str) -> None:
    page.wait_for_selector(f"#ep-status[data-state='{state}']:has-text('{words}')")


def queue_behind_somebody(open_tab: OpenTab) -> list[Page]:
    """One who talks, and two who wait: over WebRTC, and over a WebSocket in German."""
    talking, second, third = open_tab(), open_tab(), open_tab(NO_WEBRTC, "de")
    talking.click("#ep-talk")
    until_status(talking, "listening", "Listening")
    second.click("#ep-talk")
    until_status(second, "queued", "You are number 1 in the queue.")
    second.evaluate("window.queuedAt = performance.now()")
    third.click("#ep-talk")
    until_status(third, "queued", "Du bist Nummer 2 in der Warteschlange.")
    return [talking, second, third]


def test_who_waits_sees_the_place_and_is_let_in_over_the_same_wire(open_tab: OpenTab) -> None:
    talking, second, third = queue_behind_somebody(open_tab)
    second.wait_for_function(LONGER_THAN_WEBRTC_MAY_TAKE)
    until_status(second, "queued", "number 1")
    assert second.inner_text("#ep-talk") == "Leave the queue"
    assert second.is_hidden("#ep-empty"), "it says what the button does not do now"
    talking.goto("about:blank")
    until_status(second, "listening", "Listening")
    until_status(third, "queued", "Nummer 1")
    assert second.evaluate("document.body.dataset.transport") == "WebRTC"
    told = second.eval_on_selector_all("#ep-announcer p", "all => all.map(({ textContent }) => textContent)")
    assert told == ["All places are taken. You are number 1 in the queue.", "It is your turn."]
    second.goto("about:blank")
    until_status(third, "listening", "Hört zu")
    third.fill("#ep-text", "Hallo")
    third.click("#ep-send")
    third.wait_for_selector("#ep-items :text('Yes.')")


def test_who_leaves_the_queue_is_told_nothing_and_may_come_again(open_tab: OpenTab, port: int) -> None:
    _, second, third = queue_behind_somebody(open_tab)
    second.fill("#ep-text", "not sent")
    second.click("#ep-talk")
    until_status(second, "idle", "Microphone off.")
    assert second.is_hidden("#ep-error") and second.input_value("#ep-text") == "not sent"
    until_status(third, "queued", "Nummer 1")
    second.click("#ep-talk")
    until_status(second, "queued", "number 2")
    third.click("#ep-talk")
    until_status(second, "queued", "number 1")
    assert httpx.get(f"http://127.0.0.1:{port}/health").json()["waiting"] == 1


def test_a_message_that_is_typed_in_the_queue_is_sent_when_the_turn_comes(open_tab: OpenTab) -> None:
    talking, second, _ = queue_behind_somebody(open_tab)
    second.fill("#ep-text", "Is it my turn?")
    second.click("#ep-send")
    talking.goto("about:blank")
    second.wait_for_selector("#ep-items :text('Yes.')")
    assert second.input_value("#ep-text") == ""


def test_who_is_refused_sees_why_and_that_nobody_listens(open_tab: OpenTab) -> None:
    queue_behind_somebody(open_tab)
    refused = open_tab()
    refused.click("#ep-talk")
    refused.wait_for_selector("#ep-error-text:has-text('place is taken; try again')")
    until_status(refused, "idle", "Microphone off.")
    assert refused.inner_text("#ep-talk") == "Start talking"
