"""The view of calls: my microphone and the sound of another tab, captions by speaker, and what I could say."""

import base64
import io
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from app import default_cache_dir
from models.cascade.needed_ears import load_needed_ears
from models.ears.beside import ModelWithEars
from models.loading import LoadOptions
from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, Samples
from tests.servers import serving

pytestmark = pytest.mark.browser

OTHER_PARTY = "the other party"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
    f"--auto-select-tab-capture-source-by-title={OTHER_PARTY}",
)
# With Chromium's fake microphone the sound of tabs is fake, too. So the page is given a stream that plays a recording.
MICROPHONE = """
navigator.mediaDevices.getUserMedia = async () => {
  const context = new AudioContext();
  const source = context.createBufferSource();
  const recording = Uint8Array.from(atob("%s"), (character) => character.charCodeAt(0)).buffer;
  source.buffer = await context.decodeAudioData(recording);
  const microphone = context.createMediaStreamDestination();
  source.connect(microphone);
  window.speak = () => source.start();
  return microphone.stream;
};
"""


def wav(samples: Samples) -> str:
    """A WAV file in base64."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return base64.b64encode(content.getvalue()).decode()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    ears = load_needed_ears(ScriptedModel.info, LoadOptions(cache_dir=default_cache_dir()))
    with serving(ModelWithEars(ScriptedModel([["It ", "is ", "Paris."]]), ears)) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def context(chromium: str) -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=[*ARGUMENTS], ignore_default_args=["--mute-audio"]
        )
        yield browser.new_context(viewport={"width": 1100, "height": 800}, locale="en-GB")
        browser.close()


def open_calls(context: BrowserContext, address: str, *, script: str = "") -> Page:
    page = context.new_page()
    if script:
        page.add_init_script(script)
    page.goto(f"{address}calls")
    page.wait_for_selector("body[data-ready]")
    return page


def test_a_call_with_another_tab(
    context: BrowserContext, address: str, speech: Callable[[str], Samples], tmp_path: Path
) -> None:
    question = np.concatenate((speech("question_capital"), np.zeros(SAMPLE_RATE_HZ, np.float32)))
    other = tmp_path / "other.html"
    other.write_text(f'<title>{OTHER_PARTY}</title><audio src="data:audio/wav;base64,{wav(question)}"></audio>')
    party = context.new_page()
    party.goto(other.as_uri())
    page = open_calls(context, address, script=MICROPHONE % wav(question))
    page.fill("#ep-context", "I am a guide in Paris.")
    page.click("#ep-call")
    page.wait_for_selector("body[data-call=open]")

    party.evaluate("document.querySelector('audio').play()")
    theirs = page.locator(".ep-item.user[data-speaker=them]")
    expect(theirs).to_contain_text("capital of France", timeout=30_000)
    expect(theirs).to_contain_text("They")
    expect(page.locator("#ep-suggestion-text")).to_have_text("It is Paris.", timeout=30_000)
    expect(page.locator("#ep-suggestion")).to_have_attribute("data-state", "done")

    page.evaluate("speak()")
    mine = page.locator(".ep-item.user[data-speaker=me]")
    expect(mine).to_contain_text("capital of France", timeout=30_000)
    expect(page.locator(".ep-item.assistant")).to_have_count(1), "what I say is not answered"
    assert page.evaluate("document.querySelectorAll('.ep-item.user').length") == 2

    page.click("#ep-pause")
    expect(page.locator("#ep-call-state-text")).to_have_text("Paused: nobody is listened to")
    page.click("#ep-call")
    expect(page.locator("#ep-call-text")).to_have_text("Start the call")
    expect(page.locator("#ep-suggestion-text")).to_have_text("It is Paris."), "it stays readable"


def test_notes_are_shown_edited_and_removed(context: BrowserContext, address: str) -> None:
    page = open_calls(context, address)
    span = {"start_s": 61.0, "end_s": 64.5, "speaker": "me"}
    task = {"id": "n1", "kind": "action_item", "text": "Send the offer", "owner": "me", "deadline": "Friday"}
    event = {"type": "call.notes.updated", "notes": [task | {"is_done": False, "spans": [span]}]}
    page.evaluate(
        """async (event) => {
      const notes = await import("/page/call_notes.js");
      window.sent = [];
      notes.bindNotes((command) => window.sent.push(command));
      notes.notesEvents["call.notes.updated"](event);
      window.asMarkdown = notes.callNotesAsMarkdown;
    }""",
        event,
    )
    row = page.locator("#ep-notes li")
    expect(row).to_contain_text("1:01–1:04")
    assert page.evaluate("asMarkdown()") == "## Action items\n\n- [ ] Send the offer (me, Friday)\n"
    row.get_by_label("Action item", exact=True).fill("Send it")
    row.get_by_label("Who").fill("Anna")
    row.get_by_label("Done").check()
    row.get_by_label("Remove this note").click()
    assert page.evaluate("sent") == [
        {"type": "call.note.update", "note": {"id": "n1", "text": "Send it"}},
        {"type": "call.note.update", "note": {"id": "n1", "owner": "Anna"}},
        {"type": "call.note.update", "note": {"id": "n1", "is_done": True}},
        {"type": "call.note.delete", "id": "n1"},
    ]


def test_the_others_get_their_names(context: BrowserContext, address: str) -> None:
    page = open_calls(context, address)
    page.evaluate(
        """async () => {
      const log = await import("/page/log.js");
      const speakers = await import("/page/call_speakers.js");
      window.sent = [];
      speakers.bindSpeakers((command) => window.sent.push(command));
      window.tell = (type, item_id, speaker) => speakers.speakerEvents[type]({ item_id, speaker });
      log.record("item_1", "user");
      tell("conversation.item.created", "item_1", "them");
      tell("call.speaker.told", "item_1", "speaker 2");
      tell("call.speaker.told", "nothing", "speaker 1");
    }"""
    )
    who = page.get_by_label("Who this speaker is: speaker 2")
    expect(who).to_have_value("speaker 2")
    who.fill(" Anna ")
    who.press("Enter")
    assert page.evaluate("sent") == [{"type": "call.speaker.name", "speaker": "speaker 2", "name": "Anna"}]
    page.evaluate("tell('call.speaker.told', 'item_1', 'Anna')")
    expect(page.get_by_label("Who this speaker is: Anna")).to_have_value("Anna")


def test_without_the_sound_of_a_tab_the_person_is_told_what_to_do(context: BrowserContext, address: str) -> None:
    no_sound = (
        """navigator.mediaDevices.getDisplayMedia = async () => document.createElement("canvas").captureStream();"""
    )
    page = open_calls(context, address, script=no_sound)
    page.click("#ep-call")
    expect(page.locator("#ep-error-text")).to_contain_text("tick that its sound is shared")
    expect(page.locator("#ep-call-text")).to_have_text("Start the call")
    refused = (
        """navigator.mediaDevices.getDisplayMedia = async () => { throw new DOMException("no", "NotAllowedError"); };"""
    )
    page = open_calls(context, address, script=refused)
    page.click("#ep-call")
    expect(page.locator("#ep-error-text")).to_contain_text("Allow it, then start again")
    page = open_calls(context, address, script="delete MediaDevices.prototype.getDisplayMedia;")
    page.click("#ep-call")
    expect(page.locator("#ep-error-text")).to_contain_text("cannot share the sound of a tab")


def test_what_i_want_to_be_helped_with_is_kept_and_both_views_lead_to_each_other(
    context: BrowserContext, address: str
) -> None:
    page = open_calls(context, address)
    page.fill("#ep-context", "I sell bicycles.")
    page.click("nav a >> text=Talk")
    expect(page.locator("#ep-talk-text")).to_have_text("Start talking")
    expect(page.locator("nav a[aria-current=page]")).to_have_text("Talk")
    page.click("nav a >> text=Calls")
    expect(page.locator("#ep-context")).to_have_value("I sell bicycles.")


def test_it_speaks_german_and_fits_a_phone(chromium: str, address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS])
        narrow = browser.new_context(viewport={"width": 390, "height": 780}, locale="de-DE")
        page = open_calls(narrow, address)
        expect(page.locator("#ep-call-text")).to_have_text("Anruf beginnen")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        browser.close()
