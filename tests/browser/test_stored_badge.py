"""Whoever talks sees that the conversation is stored, and when it is not any more."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenScripted
from tests.browser.scripted import MODERN

pytestmark = pytest.mark.browser

WIDE, NARROW = {"width": 1000, "height": 760}, {"width": 390, "height": 780}


@pytest.mark.parametrize(
    ("viewport", "locale", "words"),
    [(WIDE, "en-GB", "This conversation is stored"), (NARROW, "de-DE", "Dieses Gespräch wird gespeichert")],
)
def test_a_conversation_that_is_stored_says_so(
    open_scripted: OpenScripted, viewport: dict[str, int], locale: str, words: str
) -> None:
    page, session = open_scripted(MODERN | {"stored": True}, viewport=viewport, locale=locale)
    badge = page.locator("#ep-stored")
    expect(badge).to_be_hidden()
    page.click("#ep-talk")
    expect(badge).to_have_text(words)
    expect(badge).to_be_in_viewport(ratio=1)
    session.say("session.storing_stopped", message="the disk is full")
    expect(badge).to_be_hidden()
    expect(page.locator("#ep-error-text")).to_have_text("the disk is full")


def test_a_conversation_that_is_not_stored_says_nothing(open_scripted: OpenScripted) -> None:
    page, _ = open_scripted(MODERN | {"stored": False})
    page.click("#ep-talk")
    page.wait_for_selector("body[data-transport=WebSocket]")
    expect(page.locator("#ep-stored")).to_be_hidden()
