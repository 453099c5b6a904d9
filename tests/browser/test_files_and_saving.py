"""Files that are added to a conversation, and conversations that are saved and opened again; the server is scripted."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import OpenScripted
from tests.browser.scripted import MODERN, PLAIN, TIMING

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]


def error(page: Page, words: str) -> None:
    expect(page.locator("#ep-error-text")).to_contain_text(words)


def test_a_text_file_goes_with_the_next_message(open_scripted: OpenScripted, tmp_path: Path) -> None:
    page, session = open_scripted()
    notes = tmp_path / "<i>notes.md"
    notes.write_text("# Tuesday\nBuy milk.\n", encoding="utf-8")
    other = tmp_path / "other.txt"
    other.write_text("not this one")
    page.set_input_files("#ep-file", [notes, other])
    chips = page.locator("#ep-attached > li")
    expect(chips).to_have_count(2)
    expect(chips.first).to_contain_text("<i>notes.md")
    chips.last.get_by_role("button").click()
    page.fill("#ep-text", "What do I need?")
    page.click("#ep-send")
    expect(chips).to_have_count(0)
    (created,) = session.sent("conversation.item.create")
    texts = [part["text"] for part in created["item"]["content"]]
    assert texts == ["<i>notes.md:\n\n# Tuesday\nBuy milk.", "What do I need?"]


def test_a_file_can_be_dropped_while_somebody_speaks(open_scripted: OpenScripted) -> None:
    page, session = open_scripted()
    page.click("#ep-talk")
    page.wait_for_selector("body[data-transport=WebSocket]")
    session.floor("user_speaking")
    page.evaluate("""() => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File(["Milk, eggs"], "list.txt", {type: "text/plain"}));
      const log = document.getElementById("ep-log"), init = {dataTransfer, bubbles: true, cancelable: true};
      for (const type of ["dragenter", "dragover", "drop"]) log.dispatchEvent(new DragEvent(type, init));
    }""")
    expect(page.locator("#ep-attached > li")).to_contain_text("list.txt")
    page.press("#ep-text", "Enter")
    page.wait_for_function("() => server.sent.some(({type}) => type === 'conversation.item.create')")
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "speaking")


def test_what_is_too_large_is_refused_before_it_is_read(open_scripted: OpenScripted, tmp_path: Path) -> None:
    page, _ = open_scripted()
    for name, size, words in (
        ("film.mp4", 500_000_000, "film.mp4 is larger than 25"),
        ("book.txt", 500_000_000, "book.txt is too long for a message: at most 20,000 characters fit"),
        ("disk.iso", 10, "disk.iso is neither text nor a recording"),
    ):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)  # takes no room
        page.set_input_files("#ep-file", tmp_path / name)
        error(page, words)
    expect(page.locator("#ep-attached > li")).to_have_count(0)


def test_text_and_file_together_are_measured(open_scripted: OpenScripted, tmp_path: Path) -> None:
    page, _ = open_scripted()
    (tmp_path / "long.txt").write_text("x" * 19_000)
    page.set_input_files("#ep-file", tmp_path / "long.txt")
    page.fill("#ep-text", "y" * 2000)
    page.click("#ep-send")
    error(page, "characters; at most 20,000 fit")
    expect(page.locator("#ep-attached > li")).to_have_count(1)
    assert page.input_value("#ep-text") == "y" * 2000


def test_a_recording_is_sent_to_the_server(open_scripted: OpenScripted, tmp_path: Path) -> None:
    page, session = open_scripted()
    recording = tmp_path / "voice memo.ogg"
    recording.write_bytes(b"OggS and so on")
    asked: list[tuple[str, bytes | None]] = []
    answers = [(200, {}), (415, {"message": "it holds no audio"})]

    def answer(route: Route) -> None:
        asked.append((route.request.url, route.request.post_data_buffer))
        status, body = answers.pop(0)
        route.fulfill(status=status, json=body)

    page.route("**/conversation/audio?*", answer)
    page.set_input_files("#ep-file", recording)
    page.wait_for_function("() => window.server?.sent.length")
    session.say("conversation.item.created", item_id="u1", role="user", text="", audio_s=3, file_name=recording.name)
    expect(page.locator(".ep-item.user .ep-note")).to_have_text("from voice memo.ogg, 3.0\u00a0s")
    page.set_input_files("#ep-file", recording)
    error(page, "voice memo.ogg was not taken: it holds no audio")
    assert "session=secret" in asked[0][0]
    assert asked[0][1] == b"OggS and so on"


def test_a_server_that_takes_no_recordings_is_named(open_scripted: OpenScripted, tmp_path: Path) -> None:
    page, _ = open_scripted(PLAIN)
    (tmp_path / "memo.wav").write_bytes(b"RIFF")
    page.set_input_files("#ep-file", tmp_path / "memo.wav")
    error(page, "This server takes no recordings")


def saved(page: Page, button: str) -> str:
    page.click("#ep-settings-open")
    with page.expect_download() as download:
        page.click(button)
    page.keyboard.press("Escape")
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_a_conversation_is_saved_and_opened_again(open_scripted: OpenScripted, tmp_path: Path) -> None:
    page, session = open_scripted()
    session.open()
    session.user_says("u1", "What is the capital of France?")
    session.answer(1, "It is **Paris**.", asked="u1", timing=TIMING)
    session.user_types("u2", "And 🇩🇪 <b>Germany</b>?")
    session.answer(2, "Ber", asked="u2", status="cancelled")
    content = json.loads(saved(page, "#ep-save-json"))
    assert [(item["role"], item["text"]) for item in content["items"]] == [
        ("user", "What is the capital of France?"),
        ("assistant", "It is **Paris**."),
        ("user", "And 🇩🇪 <b>Germany</b>?"),
        ("assistant", "Ber"),
    ]
    assert content["items"][0]["audio_s"] == 2.4
    assert content["items"][3]["interrupted"] is True
    markdown = saved(page, "#ep-save-markdown")
    assert "**You**\n\nWhat is the capital of France?" in markdown
    assert "Ber *(interrupted here)*" in markdown

    file = tmp_path / "saved.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    page, session = open_scripted()
    page.click("#ep-settings-open")
    page.set_input_files("#ep-saved", file)
    page.wait_for_function("() => window.server?.sent.some(({type}) => type === 'conversation.import')")
    (imported,) = session.sent("conversation.import")
    session.say("conversation.cleared")
    for number, item in enumerate(imported["items"]):
        session.say("conversation.item.created", item_id=f"i{number}", audio_s=0, **item)
    expect(page.locator(".ep-item .ep-text")).to_have_text(
        ["What is the capital of France?", "It is Paris.", "And 🇩🇪 <b>Germany</b>?", "Ber"]
    )
    again = json.loads(saved(page, "#ep-save-json"))
    assert [(item["role"], item["text"]) for item in again["items"]] == [
        (item["role"], item["text"]) for item in content["items"]
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("not json", "is not a conversation that this page has saved"),
        ('{"items": [{"role": "system", "text": "x"}]}', "is not a conversation that this page has saved"),
        ('{"items": []}', "There is no message in"),
        ("null", "is not a conversation that this page has saved"),
    ],
)
def test_a_file_that_is_no_conversation_is_refused(
    open_scripted: OpenScripted, tmp_path: Path, content: str, words: str
) -> None:
    page, _ = open_scripted()
    (tmp_path / "saved.json").write_text(content)
    page.click("#ep-settings-open")
    page.set_input_files("#ep-saved", tmp_path / "saved.json")
    error(page, words)
    assert page.evaluate("window.server") is None


def test_nothing_cannot_be_saved(open_scripted: OpenScripted) -> None:
    page, _ = open_scripted(MODERN)
    page.click("#ep-settings-open")
    page.click("#ep-save-json")
    error(page, "There is nothing to save yet")
