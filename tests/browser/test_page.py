"""The page, as a person uses it: spoken and typed, over WebRTC and over its WebSocket."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from models.types import Samples
from tests.browser.conftest import OpenPage
from tests.conftest import CLIPS, silence

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

Speech = Callable[[str], Samples]
WAIT_MS = 45_000
COUNT_GROWTH = """
  window.growth = [];
  new MutationObserver(() => {
    const answers = document.querySelectorAll(".ep-item.assistant > .ep-text");
    const length = answers.length && answers[answers.length - 1].textContent.length;
    if (length && length !== growth[growth.length - 1]) growth.push(length);
  }).observe(document, {subtree: true, childList: true, characterData: true});
"""


LOUD_THEN_QUIET = """() => {
  const level = Number(document.getElementById("ep-ring").dataset.level);
  window.loudest = Math.max(window.loudest || 0, level);
  window.quiet = loudest > 40 && level < 10 ? (window.quiet || 0) + 1 : 0;
  return quiet > 20;
}"""


def answer(page: Page, number: int) -> object:
    return page.locator(".ep-item.assistant > .ep-text").nth(number)


def finished(page: Page, number: int) -> None:
    expect(page.locator(".ep-item.assistant.completed")).to_have_count(number, timeout=WAIT_MS)


def test_a_spoken_conversation(open_page: OpenPage, speech: Speech) -> None:
    page = open_page(silence(1), speech("question_capital"), silence(12), speech("question_river"), silence(15))
    page.evaluate(COUNT_GROWTH)
    page.click("#ep-talk")
    finished(page, 1)
    assert page.locator(".earpiece").get_attribute("data-transport") == "WebRTC"
    expect(page.locator(".ep-item.user").first).to_contain_text("capital of France")
    expect(answer(page, 0)).to_contain_text("Paris")
    assert len(page.evaluate("growth")) >= 5
    finished(page, 2)
    expect(page.locator(".ep-item.user").nth(1)).to_contain_text("river in that city")
    expect(answer(page, 1)).to_contain_text("Paris")  # the second question does not name it
    expect(page.locator("#ep-status-text")).to_contain_text("Listening")


def test_speech_over_a_long_answer_stops_it(open_page: OpenPage, speech: Speech) -> None:
    page = open_page(silence(1), speech("question_story"), silence(2.5), speech("interrupt_stop"), silence(20))
    page.click("#ep-talk")
    expect(page.locator(".ep-item.assistant.cancelled")).to_have_count(1, timeout=WAIT_MS)
    stopped = answer(page, 0).inner_text()
    finished(page, 1)
    assert answer(page, 0).inner_text() == stopped
    expect(answer(page, 1)).to_contain_text("Madrid")


def test_where_webrtc_cannot_be_had_a_websocket_carries_the_voice(open_page: OpenPage, speech: Speech) -> None:
    script = "window.RTCPeerConnection = class { constructor() { throw new Error('blocked by policy'); } };"
    page = open_page(silence(1), speech("question_capital"), silence(20), script=script)
    page.click("#ep-talk")
    finished(page, 1)
    assert page.locator(".earpiece").get_attribute("data-transport") == "WebSocket"
    expect(answer(page, 0)).to_contain_text("Paris")


def test_a_server_that_closes_at_once_is_named(open_page: OpenPage) -> None:
    script = """window.RTCPeerConnection = undefined;
      window.WebSocket = class {
        static OPEN = 1;
        constructor() { setTimeout(() => this.onclose(), 50); }
        close() {}
      };"""
    page = open_page(script=script)
    for _ in range(2):
        page.fill("#ep-text", "hello")
        page.click("#ep-send")
        expect(page.locator("#ep-error")).to_contain_text("The server closed the connection", timeout=WAIT_MS)
        expect(page.locator("#ep-status-text")).to_have_text("Microphone off.")
        assert page.input_value("#ep-text") == "hello", "what was not sent is kept"


def test_without_a_microphone_the_page_says_so_and_typing_goes_on(open_page: OpenPage) -> None:
    page = open_page()
    page.click("#ep-talk")
    expect(page.locator("#ep-error")).to_contain_text("You can also type", timeout=WAIT_MS)
    page.fill("#ep-text", "What is the capital of France?")
    page.press("#ep-text", "Enter")
    finished(page, 1)
    expect(answer(page, 0)).to_contain_text("Paris")
    expect(page.locator("#ep-error")).to_be_hidden()


def test_stop_and_new_conversation(open_page: OpenPage) -> None:
    page = open_page()
    page.fill("#ep-text", "Please tell me a long story about a dragon and a princess.")
    page.click("#ep-send")
    expect(answer(page, 0)).to_contain_text("story", timeout=WAIT_MS)
    page.click("#ep-stop")
    expect(page.locator(".ep-item.assistant.cancelled")).to_have_count(1, timeout=WAIT_MS)
    expect(page.locator("#ep-status-text")).to_have_text("Microphone off.")
    page.click("#ep-new")
    expect(page.locator(".ep-item")).to_have_count(0, timeout=WAIT_MS)


def test_push_to_talk_by_key_and_by_button(open_page: OpenPage, speech: Speech) -> None:
    page = open_page(silence(2), speech("question_capital"), silence(3), speech("question_sky"), silence(60))
    page.click("#ep-push")
    expect(page.locator("#ep-hold")).to_be_visible()
    page.keyboard.down("Space")
    expect(page.locator(".ep-item.user.hearing")).to_have_count(1, timeout=WAIT_MS)
    expect(page.locator("#ep-ring")).not_to_have_attribute("data-level", "0", timeout=WAIT_MS)
    page.wait_for_function(LOUD_THEN_QUIET, timeout=WAIT_MS)
    page.keyboard.up("Space")
    finished(page, 1)
    expect(answer(page, 0)).to_contain_text("Paris")
    page.locator("#ep-hold").hover()
    page.mouse.down()
    expect(page.locator(".ep-item.user")).to_have_count(2, timeout=WAIT_MS)
    page.mouse.up()


def test_mute_protect_and_details(open_page: OpenPage, speech: Speech) -> None:
    page = open_page(silence(4), speech("question_capital"), silence(30))
    page.click("#ep-mute")
    page.click("#ep-talk")
    expect(page.locator("#ep-status-text")).to_contain_text("Muted", timeout=WAIT_MS)
    page.click("#ep-mute")
    page.click("#ep-protect")
    finished(page, 1)
    expect(page.locator("#ep-protect")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#ep-window-text")).to_contain_text("Memory")
    assert page.locator("#ep-window-bar > i.audio").count() == 1
    page.click("#ep-details-open")
    expect(page.locator("#ep-metrics")).to_contain_text("Wait for the end of a turn")


def test_what_was_said_is_played_and_what_was_typed_is_changed(open_page: OpenPage, speech: Speech) -> None:
    page = open_page(silence(1), speech("question_capital"), silence(60))
    page.click("#ep-talk")
    finished(page, 1)
    page.click("[data-action=play]")
    expect(page.locator("[data-action=play]")).to_have_attribute("aria-label", "Stop playing")
    expect(page.locator("[data-action=play]")).to_have_attribute("aria-label", "Play what you said", timeout=WAIT_MS)
    expect(page.locator("#ep-error")).to_be_hidden()
    expect(page.locator(".ep-timing > summary")).to_contain_text("first word after")
    page.fill("#ep-text", "What is the capital of Italy?")
    page.press("#ep-text", "Enter")
    finished(page, 2)
    page.locator("[data-action=edit]").last.click()
    page.fill(".ep-editor textarea", "What is the capital of Germany?")
    page.keyboard.press("Enter")
    expect(answer(page, 1)).to_contain_text("Berlin", timeout=WAIT_MS)
    finished(page, 2)
    page.locator("[data-action=retry]:visible").click()
    expect(page.locator(".ep-item.retracted")).not_to_have_count(0)
    finished(page, 2)
    expect(answer(page, 1)).to_contain_text("Berlin")


def test_a_recording_is_answered_and_a_saved_conversation_goes_on(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page()
    page.set_input_files("#ep-file", CLIPS / "question_capital.ogg")
    finished(page, 1)
    expect(answer(page, 0)).to_contain_text("Paris")
    expect(page.locator(".ep-item.user .ep-note")).to_contain_text("from question_capital.ogg")
    saved = tmp_path / "saved.json"
    items = [{"role": "user", "text": "My name is Ada."}, {"role": "assistant", "text": "Hello, **Ada**."}]
    saved.write_text(json.dumps({"items": items}))
    page.click("#ep-settings-open")
    page.set_input_files("#ep-saved", saved)
    expect(page.locator(".ep-item .ep-text")).to_have_text(["My name is Ada.", "Hello, Ada."], timeout=WAIT_MS)
    page.fill("#ep-text", "What is the capital of France?")
    page.press("#ep-text", "Enter")
    expect(answer(page, 1)).not_to_be_empty(timeout=WAIT_MS)


def test_the_first_visit_is_light(open_page: OpenPage) -> None:
    page = open_page()
    loaded = page.evaluate("performance.getEntries().map((e) => e.transferSize || 0).reduce((a, b) => a + b)")
    assert 20_000 < loaded < 1_500_000
    address = page.url
    head = page.locator("head")
    expect(page).to_have_title("Earpiece")
    assert head.locator("meta[property='og:url']").get_attribute("content") == address
    image = head.locator("meta[property='og:image']").get_attribute("content")
    assert image == f"{address}page/card.png"
    assert page.request.get(image).headers["content-type"] == "image/png"
    icon = page.request.get(address + head.locator("link[rel=icon]").get_attribute("href"))
    assert icon.headers["content-type"] == "image/svg+xml"


def test_without_scripts_the_page_says_what_it_needs(open_page: OpenPage) -> None:
    page = open_page()
    html = page.request.get(page.url).text()
    assert "Earpiece needs JavaScript" in html.split("<noscript>")[1].split("</noscript>")[0]


def test_the_page_says_what_answers(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.locator("#ep-model")).to_have_text("pocket-tiny")
    page.click("#ep-model")
    expect(page.locator("#ep-about")).to_contain_text("SmolLM2-135M")


SCRIPTED_SERVER = """
  window.RTCPeerConnection = undefined;
  window.WebSocket = class {
    static OPEN = 1;
    readyState = 1;
    constructor() { window.server = this; setTimeout(() => this.onopen()); }
    send(text) {
      const {event} = JSON.parse(text);
      if (event === "start") this.say({type: "session.created", model: "m", description: "d"});
      if (event === "ping") this.say({event: "pong"});
    }
    say(event) { this.onmessage({data: JSON.stringify(event)}); }
    close() {}
  };
"""


def test_the_page_shows_what_the_server_says(open_page: OpenPage) -> None:
    page = open_page(script=SCRIPTED_SERVER)

    def say(wire_type: str, **fields: object) -> None:
        page.evaluate("event => server.say(event)", {"type": wire_type} | fields)

    page.fill("#ep-text", "hello")
    page.click("#ep-send")
    expect(page.locator("#ep-model")).to_have_text("m")
    for state, kind in (
        ("user_speaking", "speaking"),
        ("paused", "thinking"),
        ("responding", "answering"),
        ("interrupted", "interrupted"),
        ("judging", "interrupted"),
        ("overlapping", "answering"),
        ("overlap_judging", "answering"),
        ("waiting", "answering"),
        ("key_held", "held"),
        ("responding_in_some_new_way", "answering"),
        ("a_state_nobody_knows", "idle"),
        ("listening", "idle"),
    ):
        say("floor.changed", state=state)
        expect(page.locator("#ep-status")).to_have_attribute("data-state", kind)
    say("conversation.item.created", item_id="one", role="user", text="Hello", audio_s=0)
    say("conversation.item.created", item_id="two", role="user", text="(noise)", audio_s=1)
    say("event.nobody.knows", item_id="two")
    expect(page.locator(".ep-item")).to_have_count(2)
    say("conversation.item.deleted", item_id="two")
    expect(page.locator(".ep-item")).to_have_count(1)
    say("session.ended", reason="the server is going down; try again")
    page.evaluate("server.onclose()")
    expect(page.locator("#ep-error")).to_have_text("The session has ended: the server is going down; try again.")


def test_the_words_of_a_turn_grow_and_those_in_doubt_are_marked(open_page: OpenPage) -> None:
    page = open_page(script=SCRIPTED_SERVER)

    def say(kind: str, **fields: object) -> None:
        wire_type = f"conversation.item.input_audio_transcription.{kind}" if "." not in kind else kind
        page.evaluate("event => server.say(event)", {"type": wire_type, "item_id": "one"} | fields)

    page.fill("#ep-text", "hello")
    page.click("#ep-send")
    expect(page.locator("#ep-model")).to_have_text("m")
    expect(page.locator("#ep-hint")).to_be_hidden()
    bubble = page.locator(".ep-item.user > .ep-text").first
    say("delta", delta="", draft="lost")
    expect(page.locator(".ep-item")).to_have_count(0)
    say("input_audio_buffer.speech_started", audio_start_ms=0)
    expect(bubble).to_have_text("…")
    say("delta", delta="", draft="What's the")
    expect(bubble.locator(".ep-draft")).to_have_text("What's the")
    say("delta", delta="What's", draft="the <b>capital")
    say("delta", delta=" the", draft="")
    expect(bubble.locator(".ep-agreed")).to_have_text("What's the")
    expect(bubble.locator(".ep-draft")).to_have_text("")
    say("conversation.item.created", role="user", text="And why?", audio_s=1)
    words = [("What's", -0.1), (" the", -0.2), (" Capitol?", -1.2)]
    say(
        "completed",
        transcript="What's the Capitol?",
        logprobs=[{"token": token, "logprob": logprob, "bytes": []} for token, logprob in words],
    )
    expect(bubble).to_have_text("What's the Capitol?")
    expect(bubble.locator(".ep-unsure")).to_have_text("Capitol?")
    expect(bubble.locator(".ep-unsure")).to_have_attribute("title", "not sure")
    expect(page.locator(".ep-item.user > .ep-typed")).to_have_text("And why?")
    say("completed", transcript="", is_foreign=True)
    expect(bubble).to_have_text("(another language)")
    say("session.created", model="m", description="d", resumed=True, caption_languages=["en"])
    say("completed", transcript="", is_foreign=True)
    expect(bubble).to_have_text("(another language than English)")
    say("completed", transcript="", is_foreign=False)
    expect(bubble).to_have_text("(no words were understood)")
    say("failed", error={"message": "they hang"})
    expect(page.locator(".ep-item.user .ep-note").last).to_contain_text("no caption")
    say("session.created", model="m", description="d", resumed=True, caption_languages=None)
    expect(page.locator("#ep-hint")).to_contain_text("No captions: ears are switched off")


COLLECT_DRAFTS = """
  window.drafts = [];
  new MutationObserver(() => {
    const words = document.querySelector(".ep-item.user.hearing .ep-agreed")?.textContent;
    if (words && words !== drafts[drafts.length - 1]) drafts.push(words);
  }).observe(document, {subtree: true, childList: true, characterData: true});
"""


def test_the_words_come_while_they_are_spoken(open_page: OpenPage, speech: Speech) -> None:
    page = open_page(silence(1), speech("question_story"), silence(20))
    page.evaluate(COLLECT_DRAFTS)
    page.click("#ep-talk")
    expect(page.locator(".ep-item.assistant > .ep-text").first).not_to_be_empty(timeout=WAIT_MS)
    drafts = page.evaluate("drafts")
    said = page.locator(".ep-item.user > .ep-text").first.inner_text()
    assert drafts, "some words were shown before the turn had ended"
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(drafts))
    assert "story" in said


FRAGILE_CONNECTION = """
  const Real = RTCPeerConnection, later = setTimeout;
  window.RTCPeerConnection = class extends Real {
    constructor(options) { super(options); window.peer = this; window.peers = (window.peers || 0) + 1; }
    get connectionState() { return window.shown || super.connectionState; }
  };
  window.setTimeout = (call, ms) => later(call, ms === 2000 ? 300 : ms);
"""


def test_a_connection_that_recovers_goes_on(open_page: OpenPage) -> None:
    page = open_page(script=FRAGILE_CONNECTION)

    def show(state: str) -> None:
        page.evaluate("state => { window.shown = state; peer.onconnectionstatechange(); }", state)

    page.fill("#ep-text", "What is the capital of France?")
    page.click("#ep-send")
    finished(page, 1)
    assert page.locator(".earpiece").get_attribute("data-transport") == "WebRTC"
    show("disconnected")
    show("connected")
    page.fill("#ep-text", "What is the capital of Germany?")
    page.click("#ep-send")
    finished(page, 2)
    expect(page.locator("#ep-error")).to_be_hidden()
    show("disconnected")
    page.wait_for_function("() => peers === 2", timeout=WAIT_MS)
    page.evaluate("window.shown = ''")
    expect(page.locator("#ep-status-text")).to_have_text("Microphone off.", timeout=WAIT_MS)
    page.fill("#ep-text", "What is the capital of Italy?")
    page.click("#ep-send")
    finished(page, 3)
    expect(page.locator(".ep-divider")).to_have_count(0)  # it is the same conversation
