"""The voice that reads answers aloud: how soon it is heard, what it costs, and whether it is understood.

From the text of the first sentence to its first sound on the way to the client, in a whole session, when the sentence
comes at once and when it comes at 15 words a second; seconds of work for a second of speech; words wrong of 50
sentences that are read aloud and written down by Moonshine; memory; and the share of words that are read by more than
their spelling, of the transcripts in DIR if there is one. Run:
`python -m tests.benchmarks.bench_voice --data DIR --json`.
"""

import argparse
import asyncio
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soxr
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from app import default_cache_dir
from models.base import Transcriber, Voice
from models.ears.loading import load_ears
from models.scripted import ScriptedModel
from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, AudioClip
from models.voices.lexicon import Lexicon
from models.voices.loading import load_voice
from models.voices.names import VOICE_NAMES
from models.weights.fetching import find_weights
from models.weights.packages import KOKORO
from realtime.doors.playing import PERIOD_S
from realtime.playout import Playout
from realtime.session import Session, SessionOptions
from realtime.speaking import SpeakingOptions
from tests.benchmarks.bench_ears import n_wrong, normalize
from tests.benchmarks.manifests import read_manifest

TRANSCRIPTS = "libri_mini_train5"  # a folder in DIR
WORDS_PER_S = 15  # of a small model on two cores
SENTENCES = (
    "The capital of France is Paris.",
    "Water boils at one hundred degrees, but on a mountain it boils sooner.",
    "You can reach the station in ten minutes if you walk fast.",
    "I am sorry, I cannot see what you are holding.",
    "A whale is a mammal, although it lives in the sea.",
    "Please turn off the oven before you leave the house.",
    "The meeting was moved to Thursday afternoon.",
    "She bought three apples, two lemons and a loaf of bread.",
    "Your name is Anna, as you told me a moment ago.",
    "The first people walked on the moon in 1969.",
    "It takes about eight minutes for sunlight to reach the earth.",
    "No, I do not think that is a good idea.",
    "An octopus has three hearts and blue blood.",
    "The longest river in Europe is the Volga.",
    "Could you say that again, a little more slowly?",
    "Bread is made from flour, water, salt and yeast.",
    "The old bridge was closed after the storm.",
    "He has played the violin since he was a child.",
    "There are 25 students in the classroom today.",
    "Mix the butter with the sugar until it is soft.",
    "The library opens at nine and closes at six.",
    "Most birds can fly, but penguins cannot.",
    "I would take an umbrella, because it may rain.",
    "The doctor told him to drink more water.",
    "Gold is heavier than iron and does not rust.",
    "We could meet at the corner of the park.",
    "Her sister works as an engineer in Toronto.",
    "The train to London leaves in half an hour.",
    "A triangle has three sides and three angles.",
    "Cats sleep for most of the day.",
    "He forgot his password and had to ask for help.",
    "The recipe needs a spoonful of honey.",
    "Mount Everest is the highest mountain in the world.",
    "They have lived in the same village for years.",
    "Sound travels faster in water than in air.",
    "You asked me to remind you of the dentist.",
    "The film was long, yet nobody left the cinema.",
    "Seven times eight is fifty six.",
    "Plants make oxygen from water, air and light.",
    "The answer is in the second chapter of the book.",
    "My favourite season is autumn, when the leaves are red.",
    "That depends on how much time you have.",
    "Lightning is hotter than the surface of the sun.",
    "Close the window, please, it is getting cold.",
    "The museum is free for children under twelve.",
    "Honey never spoils if it is kept dry.",
    "Yesterday the price of oil fell by two percent.",
    "The computer restarts after each update.",
    "Good night, and sleep well.",
    "I have written down your shopping list.",
)


async def measure_first_sound(voice: Voice, sentence: str, words_per_s: float | None) -> float:
    """Seconds from the end of a sentence's text to its first sound on the way to the client."""
    words = re.findall(r"\s*\S+", f"{sentence} And this is what follows after it.")
    n_first = len(sentence.split())
    model = ScriptedModel([words], word_s=1 / words_per_s if words_per_s else 0.0)
    options = SessionOptions(speaking=SpeakingOptions(spoken=True))
    session = Session(model, options, voice=voice)
    running = asyncio.create_task(session.run())
    counting = asyncio.create_task(_text_complete(session, n_first))
    session.submit_text("Go on.")
    heard_s = await _first_sound(session.playout)
    complete_s = await counting
    await session.settled()  # or what follows would still be read while the next one is timed
    session.close()
    await running
    return heard_s - complete_s


async def _first_sound(playout: Playout) -> float:
    """When a connection is given the first sound."""
    while True:
        if len(playout.take(time.perf_counter())):
            return time.perf_counter()
        await asyncio.sleep(PERIOD_S)


async def _text_complete(session: Session, n_words: int) -> float:
    """When the n-th word of the answer was sent."""
    async for event in session.events():
        if type(event).__name__ == "ResponseDelta":
            n_words -= 1
            if n_words == 0:
                return time.perf_counter()
    raise AssertionError("the answer has more words")


async def measure_reading(voice: Voice, ears: Transcriber, name: str) -> dict[str, float]:
    """What one voice costs, and how many words of the sentences the ears wrote down wrong."""
    wrong, words, work_s, cpu_s, speech_s = 0, 0, 0.0, 0.0, 0.0
    for number, sentence in enumerate(tqdm(SENTENCES, desc=name)):
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        speech = await voice.speak(sentence, voice=name)
        work_s += time.perf_counter() - began_s
        cpu_s += time.process_time() - began_cpu_s
        speech_s += len(speech.samples) / VOICE_RATE_HZ
        clip = AudioClip(soxr.resample(speech.samples, VOICE_RATE_HZ, SAMPLE_RATE_HZ).astype(np.float32))
        written = await ears.transcribe(clip, dialogue=f"{name} {number}")
        expected = normalize(sentence)
        wrong += n_wrong(expected, normalize(written.text))
        words += len(expected)
    return {"words_wrong": wrong / words, "real_time_factor": work_s / speech_s, "cpu_factor": cpu_s / speech_s}


def measure_coverage(data: Path, cache_dir: Path) -> float:
    """The share of the words of transcripts that are read by more than their spelling."""
    lexicon = Lexicon(find_weights(KOKORO, cache_dir))
    rows = read_manifest(data / TRANSCRIPTS)
    words = [word for row in rows for word in re.findall(r"[a-z']+", row["transcript"].lower())]
    return sum(lexicon.knows(word) for word in words) / len(words)


def memory_mb() -> float:
    """Resident memory of this process."""
    return float(psutil.Process().memory_info().rss) / 2**20


async def measure(names: Sequence[str], n_first: int, data: Path | None) -> dict[str, Any]:
    """Everything, as the JSON line has it."""
    cache_dir = default_cache_dir()
    ears = load_ears("moonshine", cache_dir)
    assert ears is not None
    before_mb = memory_mb()
    voice = load_voice(cache_dir)
    report: dict[str, Any] = {"loaded_mb": round(memory_mb() - before_mb)}
    for label, words_per_s in (("at_once", None), ("streamed", WORDS_PER_S)):
        times_s = [await measure_first_sound(voice, sentence, words_per_s) for sentence in SENTENCES[:n_first]]
        quantiles = np.quantile(times_s, (0.5, 0.95))
        report[f"first_sound_{label}_s"] = {"p50": round(quantiles[0], 3), "p95": round(quantiles[1], 3)}
    report["voices"] = {name: await measure_reading(voice, ears, name) for name in names}
    report["with_work_mb"] = round(memory_mb() - before_mb)
    if data is not None:
        report["coverage"] = round(measure_coverage(data, cache_dir), 4)
    return report


def show(report: dict[str, Any]) -> None:
    """Prints the table."""
    table = Table("voice", "words wrong", "real-time factor", "CPU seconds a second")
    for name, row in report["voices"].items():
        table.add_row(name, *(f"{row[key]:.3f}" for key in ("words_wrong", "real_time_factor", "cpu_factor")))
    console = Console()
    console.print(table)
    for label in ("at_once", "streamed"):
        times = report[f"first_sound_{label}_s"]
        console.print(f"sentence {label}: first sound after {times['p50']:.2f} s (p50), {times['p95']:.2f} s (p95)")
    console.print(f"memory: {report['loaded_mb']} MB loaded, {report['with_work_mb']} MB after work")
    if "coverage" in report:
        console.print(f"words of {TRANSCRIPTS} read by more than their spelling: {report['coverage']:.2%}")


def main() -> None:
    """Measures, prints a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help=f"folder with {TRANSCRIPTS}")
    parser.add_argument("--voices", nargs="+", default=list(VOICE_NAMES), choices=VOICE_NAMES)
    parser.add_argument("--first", type=int, default=30, help="sentences whose first sound is timed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = asyncio.run(measure(options.voices, options.first, options.data))
    show(report)
    if options.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
