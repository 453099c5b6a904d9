"""The page for everybody: every view passes axe, the keyboard does everything, a screen reader is told enough."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenScripted
from tests.browser.scripted import TIMING
from tests.browser.views import VIEWS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

NARROW = {"width": 360, "height": 640}
TOO_WIDE = """[...document.querySelectorAll('body *')]
  .filter((e) => !e.closest('pre, svg') && e.getBoundingClientRect().right > 361)
  .map((e) => e.outerHTML.slice(0, 80))"""
MOVING = """document.getAnimations()
  .filter((a) => a.playState === 'running' && !(a instanceof CSSTransition)).length"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", VIEWS)
def test_axe_finds_nothing(open_scripted: OpenScripted, name: str, scheme: str) -> None:
    page, session = open_scripted(color_scheme=scheme, reduced_motion="reduce")
    VIEWS[name](page, session)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("name", ["answering", "push_to_talk", "settings", "waterfall"])
def test_nothing_is_wider_than_a_small_telephone(open_scripted: OpenScripted, name: str) -> None:
    page, session = open_scripted(viewport=NARROW, reduced_motion="reduce")
    VIEWS[name](page, session)
    assert page.evaluate(TOO_WIDE) == []


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def focused(page: Page) -> str:
    name: str = page.evaluate("document.activeElement.id || document.activeElement.dataset.action")
    return name


def tab_to(page: Page, name: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page) == name:
            return
    pytest.fail(f"{name} cannot be reached with the keyboard")


def test_a_conversation_by_keyboard_alone(open_scripted: OpenScripted) -> None:
    page, session = open_scripted()
    tab_to(page, "ep-talk")
    press(page, "Enter")
    expect(page.locator("#ep-talk")).to_have_class("on")
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "listening")
    assert focused(page) == "ep-talk", "the button keeps the focus"
    tab_to(page, "ep-text")
    page.keyboard.type("one")
    press(page, "Shift+Enter")
    page.keyboard.type("two")
    press(page, "Enter")
    (created,) = session.sent("conversation.item.create")
    assert created["item"]["content"] == [{"type": "input_text", "text": "one\ntwo"}]
    session.user_types("u1", "one\ntwo")
    session.say("response.created", response_id="resp_1", item_id="u1", provisional=False)
    press(page, "Escape")
    assert len(session.sent("response.cancel")) == 1
    session.finish(1, "")
    session.answer(2, "Three.", asked="u1", timing=TIMING)
    tab_to(page, "edit")
    press(page, "Enter")
    page.keyboard.type(" more")
    press(page, "Enter")
    assert session.sent("conversation.item.create")[-1]["item"]["content"][0]["text"] == "one\ntwo more"
    assert focused(page) == "ep-text", "the focus does not go with the message"
    tab_to(page, "ep-settings-open")
    press(page, "Enter")
    expect(page.locator("#ep-settings")).to_be_visible()
    press(page, "Escape")
    assert focused(page) == "ep-settings-open"


def test_space_talks_only_where_it_does_nothing_else(open_scripted: OpenScripted) -> None:
    page, session = open_scripted()
    page.focus("#ep-push")
    press(page, "Space")
    assert focused(page) == "ep-hold"
    page.keyboard.down("Space")
    page.wait_for_function("() => window.server?.sent.some(({type}) => type === 'push_to_talk.press')")
    page.keyboard.up("Space")
    assert len(session.sent("push_to_talk.release")) == 1
    page.focus("#ep-mute")
    press(page, "Space")
    expect(page.locator("#ep-mute")).to_have_attribute("aria-pressed", "true")
    page.focus("#ep-text")
    press(page, "Space")
    assert len(session.sent("push_to_talk.press")) == 1


def test_a_screen_reader_is_told_whole_committed_sentences_once(open_scripted: OpenScripted) -> None:
    page, session = open_scripted()
    session.open()
    told = page.locator("#ep-announcer > p")

    def early(number: int, *words: str) -> None:
        session.say("response.created", response_id=f"resp_{number}", item_id="u1", provisional=True)
        for word in words:
            session.say("response.output_text.delta", response_id=f"resp_{number}", delta=word, provisional=True)

    early(1, "This is ", "taken back. ", "All of it.")
    session.say("response.retracted", response_id="resp_1")
    early(2, "It is **Paris**. ", "The Sei")
    expect(told).to_have_count(0)
    session.say("response.committed", response_id="resp_2")
    expect(told).to_have_text(["It is Paris."])
    session.say("response.output_text.delta", response_id="resp_2", delta="ne runs there", provisional=False)
    expect(told).to_have_count(1)
    session.finish(2, "It is **Paris**. The Seine runs there")
    expect(told).to_have_text(["It is Paris.", "The Seine runs there"])
    assert page.locator("[aria-live]").count() == 1


def test_with_little_motion_nothing_moves(open_scripted: OpenScripted) -> None:
    page, session = open_scripted(reduced_motion="reduce")
    VIEWS["thinking"](page, session)
    running = (
        "document.getAnimations().filter((a) => a.playState === 'running' && !(a instanceof CSSTransition)).length"
    )
    assert page.evaluate(running) == 0
