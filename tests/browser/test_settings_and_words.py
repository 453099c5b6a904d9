"""Settings that are kept and sent, answers that are read aloud, and words in every language; the server is scripted."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from realtime.doors import page as page_door
from realtime.doors.page import VIEWS
from tests.browser.conftest import OpenScripted
from tests.browser.scripted import MODERN, ScriptedSession

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

FILES = Path(page_door.__file__).parent
LANGUAGES = {file.name.split(".")[1]: json.loads(file.read_text("utf-8")) for file in FILES.glob("words.*.json")}
OFFERING = MODERN | {
    "models": ["small", "large"],
    "model": "small",
    "voices": [{"name": "ann", "language": "en", "description": "Ann, calm"}],
}
# A browser that reads aloud: what it was told to say, until it is told to be silent or a test says that it has spoken.
VOICES = """
  window.said = [];
  window.speaking = [];
  Object.defineProperty(window, "speechSynthesis", {value: Object.assign(new EventTarget(), {
    getVoices: () => [{name: "Robot", lang: "en-GB"}],
    speak(utterance) { said.push(utterance.text); speaking.push(utterance); },
    cancel() { const cut = speaking; window.speaking = []; cut.forEach((u) => u.onerror?.({error: "canceled"})); },
  })});
  window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
  window.spoken = () => speaking.shift().onend();
"""


def updates(session: ScriptedSession) -> dict[str, object]:
    """What the server has been told last of every setting."""
    told: dict[str, object] = {}
    for message in session.sent("session.update"):
        told |= message["session"]
    return told


def test_settings_take_effect_and_are_kept(open_scripted: OpenScripted) -> None:
    page, session = open_scripted(OFFERING)
    session.open()
    page.click("#ep-settings-open")
    page.select_option("#ep-preset", "brief")
    assert "one short sentence" in str(updates(session)["instructions"])
    page.fill("#ep-instructions", "Be a pirate.")
    page.locator("#ep-instructions").blur()
    expect(page.locator("#ep-preset")).to_have_value("own")
    page.fill("[data-preference=temperature]", "0.7")
    page.fill("[data-preference=max_output_tokens]", "99")
    page.select_option("[data-preference=patience]", "high")
    page.select_option("#ep-models", "large")
    page.uncheck("[data-preference=captions]")
    page.check("input[value=server]")
    page.select_option("#ep-server-voice", "ann")
    assert updates(session) == {
        "muted": False,
        "protect_answer": False,
        "turn_detection": {},
        "instructions": "Be a pirate.",
        "temperature": 0.7,
        "max_output_tokens": 99,
        "patience": "high",
        "model": "large",
        "captions": False,
        "spoken": True,
        "voice": "ann",
    }
    page.reload()
    page.wait_for_selector("body[data-ready]")
    session.open()
    assert updates(session)["instructions"] == "Be a pirate."
    page.click("#ep-settings-open")
    expect(page.locator("#ep-instructions")).to_have_value("Be a pirate.")
    expect(page.locator("[data-preference=temperature]")).to_have_value("0.7")


def test_a_number_out_of_range_is_not_sent(open_scripted: OpenScripted) -> None:
    page, session = open_scripted()
    session.open()
    page.click("#ep-settings-open")
    page.fill("[data-preference=temperature]", "9")
    page.locator("[data-preference=temperature]").blur()
    assert "temperature" not in updates(session)


def test_a_choice_that_is_taken_back_gives_the_servers_own_again(open_scripted: OpenScripted) -> None:
    page, session = open_scripted()
    session.open()
    session.say("session.updated", muted=False, protect_answer=False, turn_detection=True, temperature=0.25)
    page.click("#ep-settings-open")
    temperature = page.locator("[data-preference=temperature]")
    expect(temperature).to_have_attribute("placeholder", "0.25")
    for typed, told in (("1", 1), ("", 0.25)):
        temperature.fill(typed)
        temperature.blur()
        assert updates(session)["temperature"] == told


def test_each_choice_is_sent_by_itself(open_scripted: OpenScripted) -> None:
    _, session = open_scripted(script="localStorage.earpiece = JSON.stringify({max_output_tokens: 4096});")
    session.open()
    sent = [set(message["session"]) for message in session.sent("session.update")]
    assert {"max_output_tokens"} in sent
    assert sent[0] == {"muted", "protect_answer", "turn_detection"}


def test_another_microphone_is_taken_while_one_is_on(open_scripted: OpenScripted) -> None:
    page, _ = open_scripted()
    page.evaluate("""() => {
      const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      window.asked = [];
      navigator.mediaDevices.getUserMedia = (wanted) => { asked.push(wanted.audio); return real(wanted); };
    }""")
    page.click("#ep-talk")
    expect(page.locator("#ep-talk")).to_have_class("on")
    page.click("#ep-settings-open")
    page.wait_for_function("() => document.querySelectorAll('#ep-microphone option').length > 1")
    page.locator("#ep-microphone").select_option(index=1)
    page.uncheck("[data-preference=noise_suppression]")
    page.wait_for_function("() => asked.length === 3")
    asked = page.evaluate("asked")
    assert [wanted["noiseSuppression"] for wanted in asked] == [True, True, False]
    assert asked[1]["deviceId"]["ideal"]
    expect(page.locator("#ep-talk")).to_have_class("on")


def aloud(open_scripted: OpenScripted) -> tuple[Page, ScriptedSession]:
    page, session = open_scripted(script=VOICES)
    page.click("#ep-settings-open")
    page.check("input[value=browser]")
    page.keyboard.press("Escape")
    session.open()
    session.floor("responding")
    session.say("response.created", response_id="resp_1", item_id="u1", provisional=True)
    session.say("response.output_text.delta", response_id="resp_1", delta="One. Two. Three", provisional=True)
    assert page.evaluate("said") == [], "nothing that may be taken back is read aloud"
    session.say("response.committed", response_id="resp_1")
    return page, session


def test_an_answer_is_read_aloud_sentence_by_sentence(open_scripted: OpenScripted) -> None:
    page, session = aloud(open_scripted)
    assert page.evaluate("said") == ["One.", "Two."]
    session.finish(1, "One. Two. Three")
    session.floor("listening")
    assert page.evaluate("said") == ["One.", "Two.", "Three"]
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "answering")
    expect(page.locator("#ep-announcer > p")).to_have_count(0)  # it is heard already
    for _ in range(3):
        page.evaluate("spoken()")
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "idle")


def test_speech_over_an_answer_that_is_read_aloud_stops_it_at_once(open_scripted: OpenScripted) -> None:
    page, session = aloud(open_scripted)
    page.evaluate("spoken()")
    session.floor("interrupted")
    assert page.evaluate("speaking.length") == 0
    session.say("response.resumed", response_id="resp_1")
    assert page.evaluate("said") == ["One.", "Two.", "Two."], "it goes on with the sentence that was cut"
    session.floor("interrupted")
    session.finish(1, "One. Two.", status="cancelled")
    session.say("response.resumed", response_id="resp_1")
    assert page.evaluate("speaking.length") == 0
    assert len(page.evaluate("said")) == 3


def test_the_stop_button_ends_reading_after_the_text_is_done(open_scripted: OpenScripted) -> None:
    page, session = aloud(open_scripted)
    session.finish(1, "One. Two. Three")
    session.floor("listening")
    page.click("#ep-stop")
    assert page.evaluate("speaking.length") == 0
    expect(page.locator("#ep-stop")).to_be_hidden()


def test_the_server_s_sound_is_played_and_cut(open_scripted: OpenScripted) -> None:
    page, session = open_scripted(OFFERING)
    session.open()
    session.say("output_audio_buffer.started", response_id="resp_1")
    session.say("response.output_audio.delta", response_id="resp_1", delta="AAAA" * 8000)
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "answering")
    session.say("output_audio_buffer.cleared", response_id="resp_1")
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "idle")


def test_the_end_of_the_server_s_sound_is_shown(open_scripted: OpenScripted) -> None:
    page, session = open_scripted(OFFERING)
    session.open()
    session.say("response.output_audio.delta", response_id="resp_1", delta="AAAA" * 4000)
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "answering")
    expect(page.locator("#ep-status")).to_have_attribute("data-state", "idle")


def test_another_language_is_spoken_in_the_drawers_too(open_scripted: OpenScripted) -> None:
    page, session = open_scripted()
    session.open()
    session.window()
    session.metrics()
    page.click("#ep-settings-open")
    page.select_option("#ep-language", "de")
    expect(page.locator("#ep-microphone option").first).to_have_text("Das des Systems")
    expect(page.locator("#ep-memory")).to_contain_text("als Ton")
    expect(page.locator("#ep-metrics")).to_contain_text("Ins Wort gefallen")


def test_a_voice_with_a_long_description_fits_into_the_drawer(open_scripted: OpenScripted) -> None:
    voice = {"name": "ann", "language": "en", "description": "Ann, calm, " * 20}
    page, session = open_scripted(OFFERING | {"voices": [voice]})
    session.open()
    page.click("#ep-settings-open")
    page.check("input[value=server]")
    assert page.locator("#ep-settings").evaluate("(e) => e.scrollWidth <= e.clientWidth")


def test_the_page_speaks_the_browsers_language_and_another(open_scripted: OpenScripted) -> None:
    page, _ = open_scripted(locale="de-AT")
    expect(page.locator("#ep-status-text")).to_have_text("Mikrofon aus.")
    expect(page.locator("#ep-text")).to_have_attribute("placeholder", "Oder hier schreiben")
    page.click("#ep-settings-open")
    page.select_option("#ep-language", "en")
    expect(page.locator("#ep-settings-title")).to_have_text("Settings")
    page.reload()
    expect(page.locator("#ep-status-text")).to_have_text("Microphone off.")


def test_every_language_has_every_word() -> None:
    english = LANGUAGES["en"]
    values = re.compile(r"\{\w+\}")
    for language, words in LANGUAGES.items():
        assert words.keys() == english.keys(), language
        assert {key: sorted(values.findall(words[key])) for key in words} == {
            key: sorted(values.findall(english[key])) for key in english
        }, language


def test_every_word_is_used_and_every_used_word_exists() -> None:
    source = "".join(file.read_text("utf-8") for file in FILES.iterdir() if file.suffix in (".js", ".html", ".py"))
    html = "".join(file.read_text("utf-8") for file in FILES.glob("*.html"))
    scripts = "".join(file.read_text("utf-8") for file in FILES.glob("*.js"))
    named = set(re.findall(r'data-words[\w-]*="([\w.]+)"', html)) | set(re.findall(r'words\("([\w.]+)"', scripts))
    assert named <= LANGUAGES["en"].keys()
    prefixes = {match[1] for match in re.finditer(r"`([a-z]+\.(?:[a-z]+\.)?)\$\{", source)}
    for key in LANGUAGES["en"]:
        assert key in source or any(key.startswith(prefix) for prefix in prefixes), f"{key} is not used"


def test_there_are_no_words_in_the_html() -> None:
    for name in VIEWS.values():
        html = (FILES / name).read_text("utf-8")
        texts = [text.strip() for text in re.findall(r">([^<>]+)<", html)]
        assert [text for text in texts if text and text not in ("{title}",)] == [], name
