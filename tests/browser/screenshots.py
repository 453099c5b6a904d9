"""Pictures of every view at three widths, light and dark: `make screenshots` puts them into assets/screenshots/.

The server is real and serves the page; what the session says is scripted (`views.py`), so that the same picture comes
out every time. The README's first picture, `readme.webp`, is filmed: a real conversation with a real model at its own
speed, so film on a machine that does nothing else. The card that other sites show is made here too.
"""

import argparse
import io
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import aioice.ice
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from app import default_cache_dir
from models.loading import LoadOptions
from models.registry import load_model
from models.scripted import ScriptedModel
from realtime.doors import page as page_door
from realtime.hearing.files import read_audio_file
from realtime.recordings.store.database import open_store
from realtime.recordings.store.writer import StoreWriter
from realtime.session import SessionOptions
from tests.browser.conftest import ARGUMENTS, chromium_path, write_microphone
from tests.browser.kept_meeting import keep_meeting
from tests.browser.scripted import MODERN, ScriptedSession, greeting
from tests.browser.views import VIEWS
from tests.conftest import silence
from tests.servers import serving

ASSETS = Path(__file__).parents[2] / "assets"
SIZES = {1440: 900, 768: 1024, 390: 844}
SHOWN = ("idle", "listening", "speaking", "provisional", "answering", "interrupted", "settings", "details", "waterfall")
PARTS = ("views", "recordings", "film")
SCHEMES = ("light", "dark")
QUALITY = 64  # of WebP; text stays sharp
SETTLE_MS = 700  # for the ring to have something to show
CREATED = MODERN | {"model": "pocket", "description": "The embedded default: it runs offline on two cores."}
FILM_SIZE = ViewportSize(width=920, height=540)
FRAME_S = 0.12
HELD_MS = 2500  # the last picture
FILMED = ("question_capital", "question_river")
FILM_QUALITY = 50
CARD_SIZE = (1200, 630)

Chromium = Callable[[str], Browser]  # with a recording as its microphone


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


def take_recordings(browser: Browser, scratch: Path, folder: Path) -> None:
    """Takes the picture of the view of recordings, with a meeting that was made up."""
    store = open_store(str(scratch / "kept.db"))
    keep_meeting(store)
    with serving(ScriptedModel([["Hello."]]), store=StoreWriter(store)) as port:
        for width in SIZES:
            for scheme in SCHEMES:
                with opened(browser, f"http://127.0.0.1:{port}/recordings", width, scheme) as page:
                    page.click("#ep-list button")
                    page.wait_for_timeout(SETTLE_MS)
                    target = folder / f"recordings-{width}-{scheme}.webp"
                    picture(page).save(target, quality=QUALITY, method=6)


def film(page: Page, n_answers: int) -> tuple[list[Image.Image], list[int]]:
    """Gives what the page shows until so many answers are done, and for how many milliseconds each picture stands."""
    frames, begins_s = [], []
    while page.locator(".ep-item.assistant.completed").count() < n_answers:
        begins_s.append(time.monotonic())
        frames.append(picture(page))
        page.wait_for_timeout(max(0.0, FRAME_S - (time.monotonic() - begins_s[-1])) * 1000)
    begins_s.append(time.monotonic())
    frames.append(picture(page))
    return frames, [*(round(1000 * (end_s - begin_s)) for begin_s, end_s in itertools.pairwise(begins_s)), HELD_MS]


def take_film(chromium: Chromium, model_name: str, recording: Path, target: Path) -> None:
    """Films a conversation of two questions."""
    questions = [read_audio_file(ASSETS / "clips" / f"{name}.ogg").samples for name in FILMED]
    pauses = [silence(1), silence(2.5), silence(60)]
    write_microphone(recording, np.concatenate([pauses[0], questions[0], pauses[1], questions[1], pauses[2]]))
    model = load_model(model_name, LoadOptions(cache_dir=default_cache_dir()))
    with serving(model, SessionOptions()) as port:
        browser = chromium(f"{recording}%noloop")
        context = browser.new_context(viewport=FILM_SIZE, color_scheme="light", permissions=["microphone"])
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("body[data-ready]")
        page.click("#ep-talk")
        frames, durations_ms = film(page, len(questions))
        browser.close()
    frames[0].save(
        target,
        save_all=True,
        append_images=frames[1:],
        duration=durations_ms,
        loop=0,
        quality=FILM_QUALITY,
        method=6,
        minimize_size=True,
    )


def take_card(browser: Browser, address: str, target: Path) -> None:
    """Makes the picture that other sites show beside a link."""
    with opened(browser, address, CARD_SIZE[0], "light") as page:
        VIEWS["listening"](page, ScriptedSession(page))
        page.wait_for_timeout(SETTLE_MS)
        picture(page).quantize(64).save(target, optimize=True)


def main(parts: Sequence[str], model_name: str) -> None:
    """Takes the pictures.

    Args:
        parts: which of PARTS are made anew.
        model_name: who answers in the film.
    """
    folder = ASSETS / "screenshots"
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        recording = Path(scratch) / "microphone.wav"

        def chromium(microphone: str) -> Browser:
            fake = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}")
            return playwright.chromium.launch(executable_path=chromium_path(), args=[*ARGUMENTS, *fake])

        write_microphone(recording, read_audio_file(ASSETS / "clips" / "question_story.ogg").samples)
        if "views" in parts:
            model = ScriptedModel([["Hello."]])
            model.info = replace(model.info, name=CREATED["model"], description=CREATED["description"])
            with serving(model) as port:
                browser, address = chromium(str(recording)), f"http://127.0.0.1:{port}/"
                take_views(browser, address, folder)
                take_card(browser, address, Path(page_door.__file__).parent / "card.png")
                browser.close()
        if "recordings" in parts:
            browser = chromium(str(recording))
            take_recordings(browser, Path(scratch), folder)
            browser.close()
        if "film" in parts:
            take_film(chromium, model_name, recording, ASSETS / "readme.webp")
    files = list(folder.glob("*.webp"))
    print(f"{len(files)} pictures, {sum(file.stat().st_size for file in files) / 1e6:.2f} MB")
    print(f"readme.webp, {(ASSETS / 'readme.webp').stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    aioice.ice.get_host_addresses = lambda *_, **__: ["127.0.0.1"]  # there may be no other network
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pocket", help="who answers in the film (default: %(default)s)")
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"of {', '.join(PARTS)} (default: all)")
    given = parser.parse_args()
    main(given.parts, given.model)
