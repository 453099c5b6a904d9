"""A person logs in on the page, and out; a login that is over while the page is open is asked for over it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from models.scripted import ScriptedModel
from realtime.doors.keys import KeyFile, add_key
from tests.browser.conftest import ARGUMENTS
from tests.servers import serving

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def locked(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, str, str]]:
    """A browser, the address of a server that asks for keys, and a key."""
    path: Path = tmp_path_factory.mktemp("keys") / "earpiece.keys"
    key = add_key(path, "anna")
    with serving(ScriptedModel([["Hello."]]), keys=KeyFile(path)) as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser, f"http://127.0.0.1:{port}/", key
        browser.close()


@pytest.fixture
def visit(locked: tuple[Browser, str, str]) -> Iterator[tuple[Page, BrowserContext, str]]:
    """The page as a stranger sees it, its context, and a key."""
    browser, address, key = locked
    context = browser.new_context(viewport={"width": 360, "height": 680}, locale="de-DE")
    page, errors = context.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page, context, key
    context.close()
    assert not errors


def log_in(page: Page, key: str) -> None:
    page.fill("[name=key]", key)
    page.keyboard.press("Enter")


def test_a_person_logs_in_and_out(visit: tuple[Page, BrowserContext, str]) -> None:
    page, context, key = visit
    expect(page.get_by_label("Dein Schlüssel")).to_be_focused()
    expect(page.locator("#ep-talk")).to_have_count(0)
    log_in(page, "ep_wrong")
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("Diesen Schlüssel kennt der Server nicht")
    assert not Axe().run(page).response["violations"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    log_in(page, key)
    expect(page.locator("#ep-talk")).to_be_visible()
    (cookie,) = context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    assert page.evaluate("document.cookie") == "" and key not in page.evaluate("JSON.stringify({...localStorage})")
    page.wait_for_selector("body[data-ready]")
    page.click("#ep-settings-open")
    expect(page.locator("#ep-login-name")).to_have_text("Angemeldet als anna")
    page.click("#ep-logout")
    expect(page.get_by_label("Dein Schlüssel")).to_be_visible()
    assert context.cookies() == []


def test_a_login_that_is_over_is_asked_for_over_the_page(visit: tuple[Page, BrowserContext, str]) -> None:
    page, context, key = visit
    log_in(page, key)
    page.locator("#ep-talk").wait_for()
    page.wait_for_selector("body[data-ready]")
    context.clear_cookies()
    page.fill("#ep-text", "hello")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Wer ist da?")
    expect(dialog).to_be_visible()
    log_in(page, key)
    expect(dialog).to_have_count(0)
    expect(page.locator("#ep-text")).to_have_value("hello")
    page.click("#ep-send")
    expect(page.locator("#ep-items")).to_contain_text("Hello.")
