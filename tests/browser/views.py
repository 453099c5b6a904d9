"""The views of the page, by name: what leads to each. For the pictures, and for the tests that look at every state."""

from collections.abc import Callable

from playwright.sync_api import Page

from tests.browser.scripted import TIMING, ScriptedSession

QUESTION = "What is the capital of France, and which river runs through it?"
ANSWER = "The capital of France is Paris. The Seine runs through it."
RECIPE = """Here is a way to do it in **three steps**:

1. Read the numbers into a list.
2. Sort it.
3. Take the middle, or the mean of the two in the middle.

```python
def median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) / 2
```

It works for an *even* number of values, too, because `~middle` counts from the end."""
STORY = "Once upon a time there was a dragon who lived above the clouds. Every evening he looked down at the town and"


def idle(page: Page, session: ScriptedSession) -> None:
    """Before anything was said."""


def _begun(page: Page, session: ScriptedSession) -> None:
    page.click("#ep-talk")
    page.wait_for_selector("body[data-transport=WebSocket]")
    session.say("conversation.cleared")
    session.window()


def listening(page: Page, session: ScriptedSession) -> None:
    """After an exchange, with the microphone on."""
    _begun(page, session)
    session.user_says("u1", QUESTION)
    session.answer(1, ANSWER, asked="u1", timing=TIMING)


def speaking(page: Page, session: ScriptedSession) -> None:
    """The user's words come while they are spoken."""
    listening(page, session)
    session.floor("user_speaking")
    session.say("input_audio_buffer.speech_started", item_id="u2", audio_start_ms=9000)
    prefix = "conversation.item.input_audio_transcription"
    session.say(f"{prefix}.delta", item_id="u2", delta="And how many people", draft="live in")


def provisional(page: Page, session: ScriptedSession) -> None:
    """An early answer that may be taken back."""
    speaking(page, session)
    prefix = "conversation.item.input_audio_transcription"
    session.say(f"{prefix}.delta", item_id="u2", delta=" live in that city", draft="")
    session.floor("paused")
    session.begin_answer(2, "About two million people live in Paris", asked="u2", provisional=True)


def thinking(page: Page, session: ScriptedSession) -> None:
    """A turn has ended, and no word of the answer is there yet."""
    listening(page, session)
    session.user_says("u2", "How do I compute a median in Python?")
    session.floor("responding")
    session.say("response.created", response_id="resp_2", item_id="u2", provisional=False)


def answering(page: Page, session: ScriptedSession) -> None:
    """An answer with Markdown that was laid out, and another one under way."""
    _begun(page, session)
    session.user_says("u1", "How do I compute a median in Python?")
    session.answer(1, RECIPE, asked="u1", timing=TIMING)
    page.wait_for_selector(".ep-text.rendered")
    session.user_says("u2", "And where does the name come from?")
    session.floor("responding")
    session.begin_answer(2, "From the Latin word medianus, which means", asked="u2", provisional=False)


def interrupted(page: Page, session: ScriptedSession) -> None:
    """An answer that was cut by the user, and one that was cut by its length."""
    _begun(page, session)
    session.user_says("u1", "Tell me a long story.")
    session.answer(1, STORY, asked="u1", status="cancelled", timing=TIMING)
    session.user_says("u2", "Stop. A shorter one, please.")
    session.answer(2, "There was a dragon. He moved. The end, for now, because", asked="u2", status="incomplete")


def paused(page: Page, session: ScriptedSession) -> None:
    """Somebody makes a sound over an answer."""
    answering(page, session)
    session.floor("interrupted")


def muted(page: Page, session: ScriptedSession) -> None:
    """The microphone is on, and nothing is sent."""
    listening(page, session)
    page.click("#ep-mute")


def push_to_talk(page: Page, session: ScriptedSession) -> None:
    """The user is heard while the button is held."""
    listening(page, session)
    page.click("#ep-push")


def error(page: Page, session: ScriptedSession) -> None:
    """Something went wrong, and the page says what to do."""
    listening(page, session)
    session.say("error", error_type="server_error", message="The model gave nothing for 60 s; ask again.")


def earlier(page: Page, session: ScriptedSession) -> None:
    """The server has begun anew."""
    listening(page, session)
    page.evaluate("server.say(window.greeting)")
    session.user_types("u3", "Are you back?")


def waterfall(page: Page, session: ScriptedSession) -> None:
    """Where the time of an answer went."""
    listening(page, session)
    page.locator(".ep-timing > summary").last.click()


def details(page: Page, session: ScriptedSession) -> None:
    """The drawer with the numbers."""
    listening(page, session)
    session.metrics()
    page.click("#ep-details-open")


def settings(page: Page, session: ScriptedSession) -> None:
    """The drawer with the settings."""
    listening(page, session)
    page.click("#ep-settings-open")
    page.wait_for_function("() => document.querySelector('#ep-language').value")


View = Callable[[Page, ScriptedSession], None]
VIEWS: dict[str, View] = {
    view.__name__: view
    for view in (
        idle,
        listening,
        speaking,
        provisional,
        thinking,
        answering,
        interrupted,
        paused,
        muted,
        push_to_talk,
        error,
        earlier,
        waterfall,
        details,
        settings,
    )
}
