"""The view of recordings: a file is brought, listened to, and read; what is clicked is played from the right second."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from realtime.doors.keys import KeyFile, add_key
from realtime.recordings.store.database import open_store
from realtime.recordings.store.writer import StoreWriter
from tests.archive.bringing import SAID, Secretary
from tests.conftest import CLIPS
from tests.servers import serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required")
MEETING = CLIPS / "meeting.ogg"
PLAYS = (
    "() => { const {paused, currentTime} = document.querySelector('#ep-player'); return !paused && currentTime > 0; }"
)
STOPS = "() => document.querySelector('#ep-player').paused"
AT = "document.querySelector('#ep-player').currentTime"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = StoreWriter(open_store(str(tmp_path_factory.mktemp("store") / "kept.db")))
    with serving(Secretary(), store=store, max_upload_bytes=1_000_000) as port:
        yield f"http://127.0.0.1:{port}/recordings"


@pytest.fixture(scope="module")
def contexts(chromium: str) -> Iterator[Callable[..., BrowserContext]]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS])
        yield browser.new_context
        browser.close()


@pytest.fixture
def page(contexts: Callable[..., BrowserContext], address: str) -> Iterator[Page]:
    context = contexts(locale="en-US")
    page = open_view(context, address)
    yield page
    assert page.errors == []  # type: ignore[attr-defined]
    context.close()


def open_view(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.errors = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.errors.append(str(error)))  # type: ignore[attr-defined]
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    return page


def bring(page: Page) -> None:
    """Sends the meeting, and waits until the work on it is done."""
    page.set_input_files("#ep-file", MEETING)
    expect(page.locator("#ep-notes-list li")).to_have_count(3, timeout=30_000)
    expect(page.locator("#ep-work")).to_be_hidden()


def delete(page: Page) -> None:
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#ep-delete")
    expect(page.locator("#ep-one")).to_be_hidden()


def test_a_recording_is_brought_and_a_click_plays_the_right_second(page: Page) -> None:
    page.fill("#ep-about", "A garden party")
    bring(page)
    expect(page.locator("#ep-lines li")).to_have_count(len(SAID))
    expect(page.locator("#ep-about-shown")).to_have_text("A garden party")
    expect(page.locator("#ep-uploads li")).to_have_count(0)
    expect(page.locator(".ep-lane").first.locator("rect")).to_have_count(len(SAID))
    expect(page.locator("#ep-list button[aria-current]")).to_contain_text("meeting.ogg")
    task = page.locator("#ep-notes-list li", has=page.locator("input[type=checkbox]"))
    task.locator("[data-action=play]").click()
    page.wait_for_function(PLAYS)
    assert 4.0 < page.evaluate(AT) < 6.0, "the second line begins at 4.08 s"
    expect(page.locator("#ep-lines li.current")).to_contain_text("tents")
    page.wait_for_function(STOPS, timeout=15_000)
    assert 9.7 < page.evaluate(AT) < 10.5, "and ends at 9.74 s"
    page.locator("#ep-lines li").nth(4).locator("button").click()
    page.wait_for_function(f"() => {AT} > 19.2 && {AT} < 21")
    page.locator(".ep-lane svg").first.click(position={"x": 2, "y": 10})
    page.wait_for_function(f"() => {AT} < 3")
    delete(page)
    expect(page.locator("#ep-list li")).to_have_count(0)


def test_notes_and_names_are_changed_for_good(page: Page, address: str) -> None:
    bring(page)
    task = page.locator("#ep-notes-list li", has=page.locator("input[type=checkbox]"))
    task.locator("[data-field=owner]").fill("Ben")
    task.locator("[data-field=owner]").press("Enter")
    task.locator("input[type=checkbox]").check()
    expect(task).to_have_class("done")
    page.locator("#ep-notes-list li", has_text="").nth(1).locator("[data-action=remove]").click()
    expect(page.locator("#ep-notes-list li")).to_have_count(2)
    page.fill("#ep-name", "Garden party")
    page.press("#ep-name", "Enter")
    expect(page.locator("#ep-list button[aria-current]")).to_contain_text("Garden party")
    page.reload()
    expect(page.locator("#ep-name")).to_have_value("Garden party")
    expect(page.locator("#ep-notes-list [data-field=owner]")).to_have_value("Ben")
    expect(page.locator("#ep-notes-list li")).to_have_count(2)
    delete(page)


def test_words_are_found_and_questions_answered(page: Page) -> None:
    bring(page)
    page.fill("#ep-search", "july party")
    expect(page.locator("#ep-found li")).to_have_count(2)
    page.locator("#ep-found button").last.click()
    page.wait_for_function(PLAYS)
    assert 10.0 < page.evaluate(AT) < 12.0
    page.fill("#ep-search", "quince")
    expect(page.locator("#ep-found")).to_have_text("Nothing was found.")
    page.fill("#ep-search", "")
    expect(page.locator("#ep-list li")).to_have_count(1)
    page.fill("#ep-question", "What was ordered?")
    page.click("#ep-ask button.primary")
    expect(page.locator("#ep-answer-text")).to_have_text("It was about tents; 0 clips.")
    page.locator("#ep-answer-places button").click()
    page.wait_for_function(f"() => {AT} >= 4 && {AT} < 6")
    page.locator("#ep-notes-list [data-action=ask]").last.click()
    expect(page.locator("#ep-about-note-text")).to_have_text("Order the tents.")
    page.fill("#ep-question", "By when?")
    page.press("#ep-question", "Enter")
    expect(page.locator("#ep-answer-text")).to_have_text("It was about tents; 1 clips.")
    delete(page)


def test_what_goes_wrong_is_said(page: Page, tmp_path: Path) -> None:
    large, letter = tmp_path / "large.wav", tmp_path / "letter.wav"
    large.write_bytes(bytes(1_000_001))
    letter.write_bytes(b"Dear aunt, I am well. " * 50)
    page.set_input_files("#ep-file", large)
    expect(page.locator("#ep-error-text")).to_have_text(
        "large.wav is larger than 1\u00a0MB, which is the most that this server takes."
    )
    page.set_input_files("#ep-file", letter)
    expect(page.locator("#ep-work-text")).to_contain_text("This did not work: ")
    expect(page.locator("#ep-player")).to_be_hidden()
    expect(page.locator("#ep-retry")).to_be_hidden()
    page.route("**/archive?*", lambda route: route.abort())
    page.set_input_files("#ep-file", MEETING)
    expect(page.locator("#ep-error-text")).to_contain_text("meeting.ogg was not sent")
    page.unroute("**/archive?*")
    delete(page)


def test_every_form_can_be_downloaded(page: Page) -> None:
    bring(page)
    names = []
    for number in range(6):
        page.click(".ep-download summary") if number == 0 else None
        with page.expect_download() as download:
            page.locator("#ep-download-list a").nth(number).click()
        names.append(download.value.suggested_filename)
    assert names == [f"meeting.{suffix}" for suffix in ("md", "json", "srt", "vtt", "wav", "zip")]
    delete(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_for_everybody_and_fits_a_phone(
    contexts: Callable[..., BrowserContext], address: str, scheme: str
) -> None:
    context = contexts(color_scheme=scheme, locale="de-DE", viewport={"width": 360, "height": 740})
    page = open_view(context, address)
    for is_full in (False, True):
        if is_full:
            bring(page)
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator("#ep-choose")).to_have_text("Aufnahme bringen")
    delete(page)
    context.close()


def test_each_person_sees_their_own(contexts: Callable[..., BrowserContext], tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    anna, ben = add_key(keys, "anna"), add_key(keys, "ben")
    with serving(Secretary(), keys=KeyFile(keys)) as port:
        for key in (anna, ben):
            context = contexts(locale="en-US")
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{port}/recordings")
            page.fill("input[type=password]", key)
            page.click("button.primary")
            page.wait_for_selector("body[data-ready]")
            expect(page.locator("#ep-list li")).to_have_count(0)
            expect(page.locator("#ep-temporary")).to_be_visible(), "there is no store"
            if key == anna:
                bring(page)
            context.close()


def test_visitors_of_an_open_server_see_their_own(contexts: Callable[..., BrowserContext]) -> None:
    with serving(Secretary(), trusted_proxies=("127.0.0.1",)) as port:
        for is_first in (True, False):
            context = contexts(locale="en-US")
            page = open_view(context, f"http://127.0.0.1:{port}/recordings")
            expect(page.locator("#ep-list li")).to_have_count(0)
            if is_first:
                bring(page)
                page.goto(f"http://127.0.0.1:{port}/")
                page.click("nav a >> text=Recordings")
                expect(page.locator("#ep-list li")).to_have_count(1)
            context.close()
