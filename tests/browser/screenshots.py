"""Pictures of every view at three widths, light and dark: `make screenshots` puts them into assets/screenshots/.

The server is real and serves the page; what the session says is scripted (`views.py`), so that the same picture comes
out every time. The README's first picture, `readme.webp`, is filmed: a real conversation with the default model, which
must have been fetched (`make weights`). The card that other sites show is made here too.
"""

import io
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aioice.ice
import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from app import default_cache_dir
from models.loading import LoadOptions
from models.registry import load_model
from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ
from realtime.doors import page as page_door
from realtime.hearing.files import read_audio_file
from realtime.session import SessionOptions
from tests.browser.conftest import ARGUMENTS, chromium_path, write_microphone
from tests.browser.scripted import MODERN, ScriptedSession, greeting
from tests.browser.views import VIEWS
from tests.conftest import silence
from tests.servers import serving

ASSETS = Path(__file__).parents[2] / "assets"
SIZES = {1440: 900, 768: 1024, 390: 844}
SHOWN = ("idle", "listening", "speaking", "provisional", "answering", "interrupted", "settings", "details", "waterfall")
SCHEMES = ("light", "dark")
QUALITY = 64  # of WebP; text stays sharp
SETTLE_MS = 700  # for the ring to have something to show
CREATED = MODERN | {"model": "pocket", "description": "The embedded default: it runs offline on two cores."}
FILM_SIZE = ViewportSize(width=920, height=540)
FRAME_S = 0.12
AFTER_S = 2.5  # of the speech, in which the answer comes
HELD_S = 2.0  # the last picture
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


def film(page: Page, duration_s: float) -> tuple[list[Image.Image], list[int]]:
    """Gives what the page shows from now on, and for how many milliseconds each picture stands."""
    frames, begins_s = [], []
    began_s = time.monotonic()
    while (now_s := time.monotonic() - began_s) < duration_s:
        frames.append(picture(page))
        begins_s.append(now_s)
        page.wait_for_timeout(max(0.0, FRAME_S - (time.monotonic() - began_s - now_s)) * 1000)
    ends_s = [*begins_s[1:], duration_s + HELD_S]
    return frames, [round(1000 * (end_s - begin_s)) for begin_s, end_s in zip(begins_s, ends_s, strict=True)]


def take_animation(chromium: Chromium, recording: Path, target: Path) -> None:
    """Makes the moving picture of the README: a real conversation with the default model, at its own speed."""
    clip = read_audio_file(ASSETS / "clips" / "hesitation.ogg").samples
    write_microphone(recording, np.concatenate([silence(1), clip, silence(30)]))
    model = load_model("pocket", LoadOptions(cache_dir=default_cache_dir()))
    with serving(model, SessionOptions()) as port:
        browser = chromium(f"{recording}%noloop")
        context = browser.new_context(viewport=FILM_SIZE, color_scheme="light", permissions=["microphone"])
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("body[data-ready]")
        page.click("#ep-talk")
        frames, durations_ms = film(page, 1 + len(clip) / SAMPLE_RATE_HZ + AFTER_S)
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


def main() -> None:
    """Takes all pictures."""
    folder = ASSETS / "screenshots"
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        recording = Path(scratch) / "microphone.wav"

        def chromium(microphone: str) -> Browser:
            fake = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}")
            return playwright.chromium.launch(executable_path=chromium_path(), args=[*ARGUMENTS, *fake])

        write_microphone(recording, read_audio_file(ASSETS / "clips" / "question_story.ogg").samples)
        with serving(ScriptedModel([["Hello."]])) as port:
            browser, address = chromium(str(recording)), f"http://127.0.0.1:{port}/"
            take_views(browser, address, folder)
            take_card(browser, address, Path(page_door.__file__).parent / "card.png")
            browser.close()
        take_animation(chromium, recording, ASSETS / "readme.webp")
    files = list(folder.glob("*.webp"))
    print(f"{len(files)} pictures, {sum(file.stat().st_size for file in files) / 1e6:.2f} MB")
    print(f"readme.webp, {(ASSETS / 'readme.webp').stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    aioice.ice.get_host_addresses = lambda *_, **__: ["127.0.0.1"]  # there may be no other network
    main()
