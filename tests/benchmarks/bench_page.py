"""What one word of an answer costs the page's main thread, late in a long conversation.

A real Chromium shows a conversation of 200 turns, and the next answer streams into it word by word; the time of each is
from the event to the end of the layout that it needs. The baseline is the same in an empty conversation. The goal is a
p95 below 4 ms: a quarter of a frame at 60 Hz. Run `python -m tests.benchmarks.bench_page`.
"""

import json

import numpy as np
from playwright.sync_api import Page, sync_playwright

from models.scripted import ScriptedModel
from tests.browser.conftest import ARGUMENTS, chromium_path
from tests.browser.scripted import MODERN, TIMING, ScriptedSession, greeting
from tests.browser.views import ANSWER, QUESTION, RECIPE
from tests.servers import serving

TURNS = 200
N_WORDS = 400
WARM_UP = 50
STREAM = """async ([words, warmUp]) => {
  const log = document.getElementById("ep-log"), costs = [];
  const say = (event) => server.say(event);
  say({type: "response.created", response_id: "resp_last", item_id: "u", provisional: false});
  for (let n = 0; n < words; n += 1) {
    await new Promise(requestAnimationFrame);
    const began = performance.now();
    say({type: "response.output_text.delta", response_id: "resp_last", delta: `word${n} `, provisional: false});
    log.scrollTop = log.scrollHeight; // has the layout made now, as the page does in its next frame
    if (n >= warmUp) costs.push(performance.now() - began);
  }
  return costs;
}"""


def fill(session: ScriptedSession, turns: int) -> None:
    """A conversation in which every fourth answer has a list and code."""
    for number in range(turns):
        session.user_says(f"u{number}", QUESTION)
        session.answer(number, RECIPE if number % 4 == 0 else ANSWER, asked=f"u{number}", timing=TIMING)


def measure(page: Page, turns: int) -> dict[str, float]:
    """Gives p50, p95 and the worst of the cost of a word, in milliseconds."""
    session = ScriptedSession(page)
    session.open()
    fill(session, turns)
    page.wait_for_timeout(1000)  # for the last Markdown to be laid out
    costs = np.array(page.evaluate(STREAM, [N_WORDS, WARM_UP]))
    return {"p50_ms": float(np.quantile(costs, 0.5)), "p95_ms": float(np.quantile(costs, 0.95)), "max_ms": costs.max()}


def main() -> None:
    """Prints a table, then one JSON line."""
    results = {}
    with serving(ScriptedModel([["Hello."]])) as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=[*ARGUMENTS])
        for turns in (0, TURNS):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.add_init_script(greeting(MODERN))
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_selector("body[data-ready]")
            results[turns] = measure(page, turns)
            page.close()
        browser.close()
    print(f"{'turns':>6} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8}")
    for turns, result in results.items():
        print(f"{turns:>6} {result['p50_ms']:>8.2f} {result['p95_ms']:>8.2f} {result['max_ms']:>8.2f}")
    print(json.dumps({"benchmark": "page", "words": N_WORDS - WARM_UP, "by_turns": results}))


if __name__ == "__main__":
    main()
