"""Pictures of every view at three widths, light and dark: `make screenshots` puts them into assets/screenshots/.

The server is real and serves the page; what the session says is scripted (`views.py`), so that the same picture comes
out every time. `readme.webp`, the README's first picture, is made here too, and the card that other sites show.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from models.scripted import ScriptedModel
from realtime.doors import page as page_door
from realtime.hearing.files import read_audio_file
from tests.browser.conftest import ARGUMENTS, chromium_path, write_microphone
from tests.browser.scripted import MODERN, ScriptedSession, greeting
from tests.browser.views import VIEWS
from tests.servers import serving

ASSETS = Path(__file__).parents[2] / "assets"
SIZES = {1440: 900, 768: 1024, 390: 844}
SHOWN = ("idle", "listening", "speaking", "provisional", "answering", "interrupted", "settings", "details", "waterfall")
SCHEMES = ("light", "dark")
QUALITY = 64  # of WebP; text stays sharp
SETTLE_MS = 700  # for the ring to have something to show
CREATED = MODERN | {"model": "pocket", "description": "The embedded default: it runs offline on two cores."}
FRAME_MS = 130  # of the animation
HELD_FRAMES = 12  # at its end
CARD_SIZE = (1200, 630)


@contextmanager
def opened(browser: Browser, address: str, width: int, scheme: str) -> Iterator[Page]:
    """Opens the page in a window of its own."""
    context = browser.new_context(
        viewport={"width": width, "height": SIZES.get(width, CARD_SIZE[1])},
        color_scheme="dark" if scheme == "dark" else "light",
        permissions=["microphone"],
    )
    try:
        page = context.new_page()
        page.add_init_script(greeting(CREATED))
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        yield page
    finally:
        context.close()


def picture(page: Page) -> Image.Image:
    """Gives what the page shows now."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def take_views(browser: Browser, address: str, folder: Path) -> None:
    """Takes the picture of every view."""
    folder.mkdir(exist_ok=True)
    for name in SHOWN:
        for width in SIZES:
            for scheme in SCHEMES:
                with opened(browser, address, width, scheme) as page:
                    VIEWS[name](page, ScriptedSession(page))
                    page.wait_for_timeout(SETTLE_MS)
                    target = folder / f"{name}-{width}-{scheme}.webp"
                    picture(page).save(target, quality=QUALITY, method=6)


def scenes(page: Page, session: ScriptedSession) -> Iterator[None]:
    """An early answer that is taken back, and one that stays; yields where a frame is to be taken."""
    prefix = "conversation.item.input_audio_transcription"
    page.click("#ep-talk")
    page.wait_for_selector("#ep-talk.on")
    session.say("conversation.cleared")
    session.floor("user_speaking")
    session.say("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
    for words in ("What is", " the capital", " of France"):
        session.say(f"{prefix}.delta", item_id="u1", delta=words, draft="")
        yield
        yield
    session.floor("paused")
    yield from early_answer(session, 1, "Paris is the capital of France.")
    session.floor("user_speaking")
    session.say("response.retracted", response_id="resp_1")
    for words in (" and", " which river", " runs through it?"):
        session.say(f"{prefix}.delta", item_id="u1", delta=words, draft="")
        yield
        yield
    session.floor("paused")
    answer = "Paris is the capital, and the Seine runs through it."
    yield from early_answer(session, 2, answer)
    session.floor("responding")
    session.user_says("u1", "What is the capital of France and which river runs through it?", 4.6)
    session.say("response.committed", response_id="resp_2")
    yield
    session.finish(2, answer, response_latency_s=0.36)
    session.floor("listening")
    for _ in range(HELD_FRAMES):
        yield


def early_answer(session: ScriptedSession, number: int, text: str) -> Iterator[None]:
    """A provisional answer, word by word."""
    session.say("response.created", response_id=f"resp_{number}", item_id="u1", provisional=True)
    yield
    for word in text.split(" "):
        session.say("response.output_text.delta", response_id=f"resp_{number}", delta=f"{word} ", provisional=True)
        yield


def take_animation(browser: Browser, address: str, target: Path) -> None:
    """Makes the moving picture of the README."""
    with opened(browser, address, 980, "light") as page:
        frames = []
        for _ in scenes(page, ScriptedSession(page)):
            page.wait_for_timeout(FRAME_MS // 2)
            frames.append(picture(page))
    frames[0].save(
        target,
        save_all=True,
        append_images=frames[1:],
        duration=FRAME_MS,
        loop=0,
        quality=QUALITY,
        method=6,
        minimize_size=True,
    )


def take_card(browser: Browser, address: str, target: Path) -> None:
    """Makes the picture that other sites show beside a link."""
    with opened(browser, address, CARD_SIZE[0], "light") as page:
        VIEWS["listening"](page, ScriptedSession(page))
        page.wait_for_timeout(SETTLE_MS)
        picture(page).quantize(64).save(target, optimize=True)


def report(files: Sequence[Path]) -> None:
    """Prints how much there is of it."""
    print(f"{len(files)} pictures, {sum(file.stat().st_size for file in files) / 1e6:.2f} MB")  # noqa: T201


def main() -> None:
    """Takes all pictures."""
    clip = read_audio_file(ASSETS / "clips" / "question_story.ogg").samples
    recording = ASSETS / "screenshots" / "microphone.wav"
    recording.parent.mkdir(exist_ok=True)
    write_microphone(recording, np.tile(clip, 20))
    arguments = [
        *ARGUMENTS,
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={recording}",
    ]
    with serving(ScriptedModel([["Hello."]])) as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        address = f"http://127.0.0.1:{port}/"
        take_views(browser, address, ASSETS / "screenshots")
        take_animation(browser, address, ASSETS / "readme.webp")
        take_card(browser, address, Path(page_door.__file__).parent / "card.png")
        browser.close()
    recording.unlink()
    report([*(ASSETS / "screenshots").glob("*.webp"), ASSETS / "readme.webp"])


if __name__ == "__main__":
    main()
