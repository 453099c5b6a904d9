"""What the page shows of a conversation, and what a person can do with it; the server is scripted."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import OpenScripted
from tests.browser.scripted import MODERN, PLAIN, TIMING, ScriptedSession
from tests.browser.views import RECIPE, VIEWS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

IS_AT_END = """() => {
  const log = document.getElementById("ep-log");
  return log.scrollHeight - log.scrollTop - log.clientHeight < 5;
}"""
HOSTILE = "<img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script> **bold** [x](javascript:alert(1))"
WORDS = "conversation.item.input_audio_transcription"


def begun(open_scripted: OpenScripted, created: dict[str, object] = MODERN) -> tuple[Page, ScriptedSession]:
    page, session = open_scripted(created)
    session.open()
    return page, session


def test_an_early_answer_without_a_word_has_no_bubble(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    answers, thinking = page.locator(".ep-item.assistant"), page.locator("#ep-thinking")
    session.floor("paused")
    session.say("response.created", response_id="resp_1", item_id="u1", provisional=True)
    expect(thinking).to_be_visible()
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "thinking")
    session.say("response.retracted", response_id="resp_1")
    expect(thinking).to_be_hidden()
    expect(answers).to_have_count(0)
    session.say("response.created", response_id="resp_2", item_id="u1", provisional=True)
    session.say("response.output_text.delta", response_id="resp_2", delta="Well", provisional=True)
    expect(thinking).to_be_hidden()
    expect(answers).to_have_class(re.compile("provisional"))
    session.say("response.retracted", response_id="resp_2")
    expect(answers).to_have_class(re.compile("retracted"))
    expect(answers).to_have_count(0)


@pytest.mark.parametrize(
    ("status", "stop_reason", "mark"),
    [
        ("cancelled", None, "interrupted here"),
        ("incomplete", "length", "cut at the length limit"),
        ("completed", "length", "cut at the length limit"),
        ("failed", None, "the answer failed here"),
    ],
)
def test_an_answer_is_marked_where_it_was_cut(
    open_scripted: OpenScripted, status: str, stop_reason: str | None, mark: str
) -> None:
    page, session = begun(open_scripted)
    session.answer(1, "One, *two*, three", status=status, stop_reason=stop_reason)
    expect(page.locator(".ep-item.assistant em")).to_have_text("two")
    expect(page.locator(".ep-item.assistant p > .ep-cut")).to_have_text(mark)


def test_markdown_is_laid_out_and_can_be_copied(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    session.answer(1, RECIPE)
    answer = page.locator(".ep-item.assistant")
    expect(answer.locator("strong")).to_have_text("three steps")
    expect(answer.locator("li")).to_have_count(3)
    answer.locator("[data-action=copy-code]").click()
    assert page.evaluate("navigator.clipboard.readText()").startswith("def median(")
    answer.locator("[data-action=copy]").click()
    assert page.evaluate("navigator.clipboard.readText()") == RECIPE


def test_what_was_said_to_others_is_shown_as_heard_and_not_answered(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    session.say("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
    session.say("conversation.item.created", item_id="u1", role="user", text="", audio_s=1.5, is_addressed=False)
    session.say(f"{WORDS}.completed", item_id="u1", transcript="She told us so.", logprobs=None, is_foreign=False)
    item = page.locator(".ep-item.user.unaddressed")
    expect(item.locator(".ep-text")).to_have_text("She told us so.")
    expect(item.locator(".ep-note[data-name=address]")).to_have_text("not said to Earpiece, so not answered")
    session.user_says("u2", "What is the capital of Norway?")
    expect(item).to_have_count(1)


def test_html_is_shown_as_text_wherever_it_comes_from(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted, MODERN | {"model": HOSTILE, "description": HOSTILE})
    session.user_types("u1", HOSTILE)
    session.user_says("u2", HOSTILE)
    session.say("conversation.item.created", item_id="u3", role="user", text="", audio_s=2, file_name="<b>x</b>.wav")
    session.say(f"{WORDS}.delta", item_id="u3", delta=HOSTILE, draft=HOSTILE)
    session.answer(1, HOSTILE)
    session.say("error", error_type="server_error", message=HOSTILE)
    expect(page.locator(".ep-item.assistant strong")).to_have_text("bold")
    expect(page.locator(".ep-item .ep-note").last).to_contain_text("<b>x</b>.wav")
    expect(page.locator("#ep-error-text")).to_have_text(HOSTILE)
    for tag in ("img", ".ep-item script", ".ep-item b", "a[href^=javascript]"):
        expect(page.locator(tag)).to_have_count(0)
    assert page.evaluate("window.hacked") is None


def test_other_scripts_and_emoji_keep_their_direction(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    session.user_types("u1", "מה בירת צרפת? 👩🏽‍🚀")
    session.answer(1, "פריז 🗼")
    for text in page.locator(".ep-item .ep-text").all():
        expect(text).to_have_css("direction", "rtl")


def test_a_turn_whose_words_never_come_says_so(open_scripted: OpenScripted) -> None:
    page, session = open_scripted()
    page.clock.install()
    session.open()
    session.say("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
    session.say("conversation.item.created", item_id="u1", role="user", text="", audio_s=2.4)
    bubble = page.locator(".ep-item.user > .ep-text")
    expect(bubble).to_have_text("…")
    page.clock.fast_forward(21_000)
    expect(bubble).to_have_text("(spoken; its words were not written down)")
    session.say(f"{WORDS}.completed", item_id="u1", transcript="Late.", logprobs=None, is_foreign=False)
    expect(bubble).to_have_text("Late.")
    session.resume(caption_languages=None)
    session.say("conversation.item.created", item_id="u2", role="user", text="", audio_s=1)
    expect(bubble.nth(1)).to_have_text("(spoken; its words were not written down)")


def test_a_long_message_has_a_box_of_its_own(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    session.user_types("u1", "word " * 3000)
    height = page.locator(".ep-item.user > .ep-text").evaluate("(e) => e.clientHeight")
    assert height < 300


def test_a_message_is_edited_and_sent_again(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    session.user_types("u1", "What is the capital of Frnace?")
    session.answer(1, "Paris.", asked="u1")
    page.click("[data-action=edit]")
    page.fill(".ep-editor textarea", "What is the capital of France?")
    page.click(".ep-editor .primary")
    assert session.sent("conversation.item.truncate_after") == [
        {"type": "conversation.item.truncate_after", "item_id": "u1"}
    ]
    assert session.sent("conversation.item.create")[-1]["item"]["content"][0]["text"].endswith("France?")
    for item_id in ("u1", "answer_1"):
        session.say("conversation.item.deleted", item_id=item_id)
    expect(page.locator(".ep-item")).to_have_count(0)


def test_the_last_question_is_asked_again(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    session.user_says("u1", "Who was that?")
    session.answer(1, "Nobody.", asked="u1")
    session.user_says("u2", "Really?")
    session.answer(2, "Yes.", asked="u2")
    expect(page.locator("[data-action=retry]:visible")).to_have_count(1)
    page.locator("[data-action=retry]:visible").click()
    assert session.sent("conversation.item.truncate_after")[0]["item_id"] == "u2"
    assert session.sent("conversation.item.create")[-1]["item"]["content"][0]["text"] == "Really?"


def test_an_answer_from_a_file_is_asked_for_again(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    session.user_types("u1", "Really?")
    session.say("conversation.item.created", item_id="a1", role="assistant", text="Yes.", audio_s=0)
    page.click("[data-action=retry]")
    assert session.sent("conversation.item.truncate_after")[0]["item_id"] == "u1"


def test_without_captions_nobody_waits_for_words(open_scripted: OpenScripted) -> None:
    page, session = open_scripted(script="localStorage.earpiece = JSON.stringify({captions: false});")
    session.open()
    session.say("conversation.item.created", item_id="u1", role="user", text="", audio_s=2)
    expect(page.locator(".ep-item.user > .ep-text")).to_contain_text("words were not written down")


def test_what_was_typed_into_a_spoken_message_stays_in_it(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    session.say("conversation.item.created", item_id="u1", role="user", text="Typed.", audio_s=2)
    session.say(f"{WORDS}.completed", item_id="u1", transcript="Said.", logprobs=None, is_foreign=False)
    page.click("[data-action=edit]")
    expect(page.locator(".ep-editor textarea")).to_have_value("Said.\nTyped.")


def test_a_browser_that_does_not_copy_is_named(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    session.answer(1, "Yes.")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.click("[data-action=copy]")
    expect(page.locator("#ep-error-text")).to_contain_text("did not let this page copy")


def test_two_quick_clicks_do_not_play_a_message_twice(open_scripted: OpenScripted) -> None:
    page, session = open_scripted(
        script="""const Real = AudioContext; window.contexts = 0;
      window.AudioContext = class extends Real { constructor(options) { super(options); contexts += 1; } };"""
    )
    session.open()
    page.route("**/conversation/audio/**", lambda route: route.abort())
    session.user_says("u1", "Hello.")
    page.evaluate("() => { const play = document.querySelector('[data-action=play]'); play.click(); play.click(); }")
    expect(page.locator("#ep-error-text")).to_have_text("The server cannot be reached.")
    expect(page.locator("[data-action=play]")).to_have_attribute("aria-label", "Play what you said")
    assert page.evaluate("contexts") == 0


def test_a_question_without_ears_cannot_be_asked_again(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted, MODERN | {"caption_languages": None})
    session.say("conversation.item.created", item_id="u1", role="user", text="", audio_s=2)
    session.answer(1, "Nobody knows.", asked="u1")
    page.locator("[data-action=retry]").click()
    expect(page.locator("#ep-error-text")).to_contain_text("Say it again")
    assert session.sent("conversation.item.truncate_after") == []


def test_sound_that_the_server_has_no_more_is_named(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    asked = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=404, json={"message": "it has gone"})

    page.route("**/conversation/audio/**", refuse)
    session.user_says("u1", "Hello.")
    page.click("[data-action=play]")
    expect(page.locator("#ep-error-text")).to_contain_text("has left the memory")
    assert asked[0].endswith("conversation/audio/u1?session=secret")
    expect(page.locator("[data-action=play]")).to_have_count(0)


def test_an_older_server_is_asked_for_nothing_it_does_not_know(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted, PLAIN)
    session.user_says("u1", "Hello.")
    session.answer(1, "Hi.", asked="u1")
    assert page.locator("[data-action]").evaluate_all("(all) => all.map((e) => e.dataset.action)") == ["copy", "copy"]
    (update,) = session.sent("session.update")
    assert set(update["session"]) == {"muted", "protect_answer", "turn_detection"}
    page.click("#ep-settings-open")
    expect(page.locator("#ep-instructions")).to_be_hidden()


def test_a_server_that_begins_anew_leaves_the_old_conversation_to_be_read(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    session.user_types("u1", "Hello.")
    session.answer(1, "Hi.", asked="u1")
    session.resume()
    expect(page.locator(".ep-divider")).to_have_count(0)
    session.resume(resumed=False)
    expect(page.locator(".ep-divider")).to_contain_text("begun anew")
    expect(page.locator(".ep-item.earlier")).to_have_count(2)
    expect(page.locator("[data-action=edit], [data-action=retry]")).to_have_count(0)
    page.locator("[data-action=copy]").last.click()
    assert page.evaluate("navigator.clipboard.readText()") == "Hi."
    session.user_types("u1", "Again.")
    expect(page.locator(".ep-item")).to_have_count(3)


@pytest.mark.parametrize(
    ("muted", "microphone", "words"),
    [
        (False, True, "Answering. Speak to interrupt."),
        (True, True, "Answering."),
        (False, False, "Answering."),
    ],
)
def test_the_status_promises_only_what_is_true(
    open_scripted: OpenScripted, muted: bool, microphone: bool, words: str
) -> None:
    page, session = open_scripted()
    if microphone:
        page.click("#ep-talk")
        expect(page.locator("#ep-status")).to_have_attribute("data-state", "listening")
    else:
        session.open()
    if muted:
        page.click("#ep-mute")
    session.floor("responding")
    expect(page.locator("#ep-status-text")).to_have_text(words)
    session.say("session.updated", muted=muted, protect_answer=True, turn_detection=True)
    for state in ("overlapping", "overlap_judging", "waiting"):
        session.floor(state)
        expect(page.locator("#ep-status-text")).to_contain_text("Answering")


def test_sending_goes_to_the_end_and_reading_stays(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    for number in range(30):
        session.answer(number, f"Answer {number}. " * 20)
    page.wait_for_function(IS_AT_END)
    page.locator("#ep-log").evaluate("(e) => e.scrollTo(0, 0)")
    expect(page.locator("#ep-latest")).to_be_visible()
    session.answer(30, "A new one.")
    page.wait_for_function("() => document.getElementById('ep-log').scrollTop === 0")
    page.fill("#ep-text", "Hello.")
    page.press("#ep-text", "Enter")
    session.user_types("u1", "Hello.")
    page.wait_for_function(IS_AT_END)
    expect(page.locator("#ep-latest")).to_be_hidden()


def test_a_message_that_is_too_long_stays_in_the_box(open_scripted: OpenScripted) -> None:
    page, session = begun(open_scripted)
    page.fill("#ep-text", "🙂" * 20_000)
    expect(page.locator("#ep-limit")).to_be_hidden()
    page.fill("#ep-text", "x" * 70_000)
    expect(page.locator("#ep-limit")).to_contain_text("70,000 characters; at most 20,000 fit")
    page.click("#ep-send")
    expect(page.locator("#ep-error-text")).to_contain_text("stays in the box")
    assert len(page.input_value("#ep-text")) == 70_000
    assert len(session.sent("conversation.item.create")) == 1


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_page_that_comes_back_from_the_browsers_cache_begins_anew(
    open_scripted: OpenScripted, *, is_connected: bool
) -> None:
    page, session = open_scripted()
    page.click("#ep-talk")
    if is_connected:
        expect(page.locator("body")).to_have_attribute("data-transport", "WebSocket")
        session.floor("responding")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    expect(page.locator("#ep-status-text")).to_have_text("Microphone off.")
    expect(page.locator("#ep-talk")).not_to_have_class("on")
    page.evaluate("window.server = undefined")
    session.open()


def test_waterfall_memory_and_numbers_are_true(open_scripted: OpenScripted) -> None:
    page, session = open_scripted()
    VIEWS["waterfall"](page, session)
    bars = page.locator(".ep-waterfall li")
    expect(bars).to_have_count(6)  # no sound: no row for it
    expect(bars.last).to_contain_text("1.24")
    assert bars.last.locator("i").evaluate("(e) => e.style.marginInlineStart") == f"{100 * 0.36 / 1.24:.4f}%"
    session.metrics(cut_ins=2)
    page.click("#ep-details-open")
    tokens = page.locator("#ep-memory .ep-meter").first.locator("i")
    assert tokens.evaluate_all("(all) => all.map((e) => e.style.width)")[:2] == ["4%", "6%"]
    assert [place for place, bar in enumerate(tokens.all()) if "leaving" in bar.get_attribute("class")] == [2, 3]
    expect(page.locator("#ep-metrics")).to_contain_text("2 of 12 turns")
    expect(page.locator("#ep-metrics")).to_contain_text("360")
    assert TIMING["first_token_s"] == 0.36
