"""What a person does while there is no connection yet, or none just now; the server is scripted."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenScripted
from tests.browser.scripted import ScriptedSession

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

FRAGILE = """
  const Scripted = WebSocket;
  window.WebSocket = class extends Scripted {
    constructor() {
      if (window.isCut) throw new Error("no network");
      super();
    }
    say(event) {
      if (event.type !== "session.created" || !window.isSlow) return super.say(event);
      window.letIn = () => super.say(event);
    }
  };
"""


def cut(page: Page) -> None:
    page.evaluate("() => { window.isCut = true; server.onclose(); }")
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "reconnecting")


def mend(page: Page) -> None:
    page.evaluate("() => { window.isCut = false; greeting.resumed = true; dispatchEvent(new Event('online')); }")
    expect(page.locator("#ep-status")).not_to_have_attribute("data-state", "reconnecting")


def connecting(open_scripted: OpenScripted) -> tuple[Page, ScriptedSession]:
    page, session = open_scripted(script=f"{FRAGILE} window.isSlow = true;")
    return page, session


def test_what_is_typed_while_the_first_message_waits_stays(open_scripted: OpenScripted) -> None:
    page, session = connecting(open_scripted)
    page.fill("#ep-text", "One.")
    page.press("#ep-text", "Enter")
    page.wait_for_function("() => window.letIn")
    page.keyboard.type(" Two.")
    page.press("#ep-text", "Enter")  # the first one is still on its way
    page.evaluate("letIn()")
    expect(page.locator("#ep-text")).to_have_value(" Two.")
    assert [m["item"]["content"][0]["text"] for m in session.sent("conversation.item.create")] == ["One."]


def test_talking_can_be_stopped_and_started_while_it_connects(open_scripted: OpenScripted) -> None:
    page, _ = connecting(open_scripted)
    talk = page.locator("#ep-talk")
    for state in ("on", "", "on", ""):
        talk.click()
        expect(talk).to_have_class(state)
        expect(page.locator("#ep-status")).to_have_attribute("data-state", "connecting")
    page.wait_for_function("() => window.letIn")
    page.evaluate("letIn()")
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "idle")
    talk.click()
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "listening")


def test_what_was_chosen_in_a_gap_holds_after_it(open_scripted: OpenScripted) -> None:
    page, session = open_scripted(script=FRAGILE)
    session.open()
    cut(page)
    page.click("#ep-protect")
    page.click("#ep-push")
    mend(page)
    assert session.sent("session.update")[0]["session"] == {
        "muted": False,
        "protect_answer": True,
        "turn_detection": None,
    }


def test_a_key_that_is_let_go_in_a_gap_is_let_go_for_the_server(open_scripted: OpenScripted) -> None:
    page, session = open_scripted(script=FRAGILE)
    session.open()
    page.click("#ep-push")
    page.keyboard.down("Space")
    expect(page.locator("#ep-hold")).to_have_class(re.compile("on"))
    cut(page)
    page.keyboard.up("Space")
    mend(page)
    assert session.sent("push_to_talk.release")


def test_a_page_that_is_left_while_the_browser_asks_does_not_listen_later(open_scripted: OpenScripted) -> None:
    asking = """const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await real(wanted);
        await new Promise((resolve) => (window.allow = resolve));
        return (window.stream = stream);
      };"""
    page, _ = open_scripted(script=asking)
    page.click("#ep-talk")
    page.wait_for_function("() => window.allow")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    page.evaluate("allow()")
    page.wait_for_function("() => window.stream?.getTracks().every(({ readyState }) => readyState === 'ended')")
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "idle")


def test_a_message_after_coming_back_does_not_wait_for_the_connection_that_was_left(
    open_scripted: OpenScripted,
) -> None:
    page, session = connecting(open_scripted)
    page.click("#ep-talk")
    page.wait_for_function("() => window.letIn")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    page.evaluate("window.isSlow = false")
    session.open()


def test_nothing_that_is_asked_for_in_a_gap_is_lost_without_a_word(open_scripted: OpenScripted) -> None:
    page, session = open_scripted(script=FRAGILE)
    session.open()
    session.user_types("u1", "Helo.")
    session.answer(1, "Hi.", asked="u1")
    cut(page)
    error = page.locator("#ep-error-text")
    page.click("[data-action=edit]")
    page.fill(".ep-editor textarea", "Hello.")
    page.click(".ep-editor .primary")
    expect(error).to_contain_text("no connection just now")
    expect(page.locator(".ep-editor textarea")).to_have_value("Hello.")
    page.click("#ep-error-close")
    page.click("#ep-new")
    expect(error).to_contain_text("no connection just now")
    expect(page.locator(".ep-item")).to_have_count(2)
    mend(page)
    page.fill(".ep-editor textarea", "x" * 20_001)
    page.click(".ep-editor .primary")
    expect(error).to_contain_text("20,001 characters")
    assert not session.sent("conversation.item.truncate_after")


def test_a_microphone_that_is_unplugged_ends_no_answer(open_scripted: OpenScripted) -> None:
    script = """const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (wanted) => (window.stream = await real(wanted));"""
    page, session = open_scripted(script=script)
    page.click("#ep-talk")
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "listening")
    session.floor("responding")
    session.begin_answer(1, "One, two,", asked="u1", provisional=False)
    page.evaluate("stream.getTracks()[0].dispatchEvent(new Event('ended'))")
    expect(page.locator("#ep-error-text")).to_contain_text("unplugged")
    expect(page.locator("#ep-status-text")).to_have_text("Answering.")
    expect(page.locator("#ep-stop")).to_be_visible()
    expect(page.locator("#ep-talk")).not_to_have_class("on")


def test_a_message_that_a_server_took_to_its_grave_is_given_back(open_scripted: OpenScripted) -> None:
    page, session = open_scripted(script=FRAGILE)
    session.open()
    session.user_types("u1", "hello")
    for text in ("Seen.", "Never seen."):
        page.fill("#ep-text", text)
        page.click("#ep-send")
    session.user_types("u2", "Seen.")
    cut(page)
    page.fill("#ep-text", "Being typed.")
    mend(page)
    expect(page.locator("#ep-text")).to_have_value("Being typed.")  # a session that goes on is sent it again
    session.resume(resumed=False)
    expect(page.locator("#ep-text")).to_have_value("Never seen.\nBeing typed.")
    expect(page.locator("#ep-error-text")).to_contain_text("send it once more")
    session.resume(resumed=False)
    expect(page.locator("#ep-text")).to_have_value("Never seen.\nBeing typed.")
