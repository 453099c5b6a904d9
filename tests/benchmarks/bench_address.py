"""Whether what is said to others is left alone, and what is said to the assistant answered: `--address when-asked`.

Our detector, sound, ears and floor, on the sample clock; an answer takes two seconds, over which others may go on.
Said to others: meetings (AMI), a radio on which somebody reads (LibriSpeech), dialogues of two synthetic voices: how
many answers a minute each gets. Said to the assistant: commands (Picovoice), the questions of `answer_sheet.jsonl` by
several voices, and of those with more than one turn the last ones, which follow an answer: how many get none. Each with
`always` and with `when-asked`. DIR holds folders with a `manifest.jsonl` each.
Run: `python -m tests.benchmarks.bench_address --data DIR --kept FILE --json`.
"""

import argparse
import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from app import default_cache_dir
from models.types import SAMPLE_RATE_HZ, Samples
from realtime.hearing.files import read_audio_file
from realtime.hearing.speech import SpeechLog
from realtime.hearing.vad import SpeechDetector, VadOptions
from realtime.turns import actions
from realtime.turns.address import judge_address
from realtime.turns.completeness import judge
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.events import SaidToOthers
from realtime.turns.floor import Floor
from realtime.turns.machine import TurnState
from realtime.turns.observations import DEFAULT_SPEAKER, Address, AnswerFinished, PauseScored
from realtime.turns.options import FloorOptions
from tests.benchmarks.answer_sheet import read_sheet
from tests.benchmarks.bench_ears import choose
from tests.benchmarks.pauses import Listener
from tests.benchmarks.voices import COMMANDS as PROGRAMS
from tests.benchmarks.voices import Speakers

MEETINGS, READERS, COMMANDS = "ami_debug_6min", "libri_mini_train5", "picovoice_coffee_commands"
DIALOGUES = Path(__file__).with_name("address_dialogues.txt")
ANSWER_S = 2.0  # until an answer ends
AFTER_S = 4.0  # of silence behind what is said: longer than any wait
BETWEEN_S = (0.5, 0.9, 1.4)  # between the lines of a dialogue, by turns
NOISE_RMS = 1e-4  # of a quiet room


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a microphone hears.

    Attributes:
        kind: of scene.
        name: of this one.
        samples: float32 `(n_samples,)` at 16 kHz.
        asked_sample: from where on somebody speaks to the assistant; None: nobody does.
    """

    kind: str
    name: str
    samples: Samples
    asked_sample: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a turn: where it ended, its words, how they were judged, and whether it was answered."""

    end_sample: int
    text: str
    address: float | None
    is_answered: bool


class Room:
    """One conversation: a floor, and all that it is told."""

    def __init__(self, listener: Listener, address: Address) -> None:
        options = FloorOptions(
            endpointing=EndpointingOptions(), pre_roll_s=VadOptions().pre_roll_s, scores_pauses=True, address=address
        )
        self._floor = Floor(options)
        self._listener = listener
        self._speech = SpeechLog()
        self._start_sample = 0
        self._scored = PauseScored(DEFAULT_SPEAKER, 0, None)
        self._text = ""
        self._answer_end_sample = 0
        self.outcomes: list[Outcome] = []

    def play(self, scene: Scene) -> list[Outcome]:
        """Plays a scene, and gives what became of its turns."""
        for frame in SpeechDetector(VadOptions()).push(scene.samples):
            self._speech.add([frame])
            self._do(self._floor.observe(frame), scene)
            if self._floor.state is TurnState.RESPONDING and frame.end_sample >= self._answer_end_sample:
                self._do(self._floor.observe(AnswerFinished()), scene)
        self._listener.forget(scene.name)
        return self.outcomes

    def _do(self, asked: Sequence[actions.Action], scene: Scene) -> None:
        for action in asked:
            match action:
                case actions.OpenTurn(turn):
                    self._start_sample = turn.start_sample or 0
                case actions.ScoreTurn(end, number):
                    self._floor.observe(self._score(scene, end.end_sample, number))
                case actions.CommitTurn(_, end_sample, cause):
                    is_answered = not isinstance(cause, SaidToOthers)
                    self.outcomes.append(Outcome(end_sample, self._text, self._scored.address, is_answered))
                    self._answer_end_sample = end_sample + round(ANSWER_S * SAMPLE_RATE_HZ)

    def _score(self, scene: Scene, end_sample: int, number: int) -> PauseScored:
        heard = scene.samples[self._start_sample : end_sample]
        speech_s = self._speech.speech_s(self._start_sample, end_sample)
        transcript = self._listener.written(heard, speech_s, scene.name).transcript
        found = judge(self._listener.sound(heard).head, transcript, "")
        address = None if transcript.is_foreign else judge_address(transcript.text)
        self._text = transcript.text
        self._scored = PauseScored(DEFAULT_SPEAKER, number, found.probability, found.asks_to_wait, address)
        return self._scored


def quiet(seconds: float) -> Samples:
    """A quiet room."""
    n_samples = round(seconds * SAMPLE_RATE_HZ)
    return np.random.default_rng(n_samples).normal(0, NOISE_RMS, n_samples).astype(np.float32)


def of_folder(data: Path, folder: str, kind: str, count: int, seed: int) -> Iterator[Scene]:
    """Clips of a folder, each a scene."""
    for row in choose(data / folder, count, seed):
        samples = np.concatenate((quiet(1.0), read_audio_file(row["path"]).samples, quiet(AFTER_S)))
        yield Scene(kind, row["path"], samples, 0 if kind == "commands" else None)


async def of_dialogues(speakers: Speakers) -> list[Scene]:
    """Dialogues of two voices each."""
    scenes = []
    for number, dialogue in enumerate(DIALOGUES.read_text("utf-8").strip().split("\n\n")):
        parts = [quiet(1.0)]
        for at, line in enumerate(dialogue.splitlines()):
            voice = speakers.names[(2 * number + at % 2) % len(speakers.names)]
            parts += [await speakers.speak(line, voice), quiet(BETWEEN_S[at % len(BETWEEN_S)])]
        scenes.append(Scene("dialogues", f"dialogue {number}", np.concatenate((*parts, quiet(AFTER_S)))))
    return scenes


async def of_questions(speakers: Speakers, count: int, seed: int) -> list[Scene]:
    """Questions, and of some what follows their answer."""
    spoken = [question for question in read_sheet() if all(turn.spoken for turn in question.turns)]
    single = [question for question in spoken if len(question.turns) == 1]
    several = [question for question in spoken if len(question.turns) > 1]
    random.Random(seed).shuffle(single)
    scenes = []
    for number, question in enumerate([*single[:count], *several[:count]]):
        voice = speakers.names[number % len(speakers.names)]
        parts, asked_sample = [quiet(1.0)], 0
        for turn in question.turns:
            asked_sample = sum(map(len, parts))
            parts += [await speakers.speak(turn.spoken, voice), quiet(AFTER_S)]
        kind = "questions" if len(question.turns) == 1 else "follow-ups"
        scenes.append(Scene(kind, f"question {question.number}", np.concatenate(parts), asked_sample))
    return scenes


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_address", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of sets")
    parser.add_argument("--kept", type=Path, help="file of what sound and ears have given before")
    parser.add_argument("--count", type=int, default=40, help="clips of each set (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of clips (%(default)s)")
    parser.add_argument("--voices", nargs="+", default=list(PROGRAMS), help="who asks and talks (%(default)s)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="folder of weights")
    parser.add_argument("--show", action="store_true", help="print what was judged wrong")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    speakers = Speakers(options.voices, options.cache_dir)
    scenes = [
        *of_folder(options.data, MEETINGS, "meetings", 6, options.seed),
        *of_folder(options.data, COMMANDS, "commands", options.count, options.seed),
        *asyncio.run(of_dialogues(speakers)),
        *asyncio.run(of_questions(speakers, options.count, options.seed)),
        *of_folder(options.data, READERS, "radio", options.count // 2, options.seed),
    ]
    listener = Listener(options.cache_dir, options.kept)
    found: list[tuple[Scene, dict[Address, list[Outcome]]]] = []
    for scene in tqdm(scenes, unit="scene"):
        found.append((scene, {address: Room(listener, address).play(scene) for address in get_args(Address)}))
        listener.save()
    figures = {kind: summarize([pair for pair in found if pair[0].kind == kind]) for kind in KINDS}
    table = Table(title="answers a minute to what is said to others, and % of what is asked that gets none")
    columns = list(next(iter(figures.values())))
    for column in ("", *columns):
        table.add_column(column, justify="right" if column else "left")
    for kind, figure in figures.items():
        table.add_row(kind, *(f"{figure[column]:.1f}" for column in columns))
    Console().print(table)
    if options.show:
        show_wrong(found)
    if options.json:
        print(json.dumps(figures))


KINDS = ("meetings", "radio", "dialogues", "commands", "questions", "follow-ups")


def summarize(found: Sequence[tuple[Scene, dict[Address, list[Outcome]]]]) -> dict[str, float]:
    """The figures of one kind of scene."""
    minutes = sum(len(scene.samples) for scene, _ in found) / SAMPLE_RATE_HZ / 60
    figures: dict[str, float] = {"scenes": len(found), "minutes": minutes}
    for address in get_args(Address):
        if found[0][0].asked_sample is None:
            n_answers = sum(outcome.is_answered for _, outcomes in found for outcome in outcomes[address])
            figures[address] = n_answers / minutes
        else:
            figures[address] = 100 * sum(not _gets_answer(*pair, address) for pair in found) / len(found)
    return figures


def _gets_answer(scene: Scene, outcomes: dict[Address, list[Outcome]], address: Address) -> bool:
    assert scene.asked_sample is not None
    return any(outcome.is_answered and outcome.end_sample > scene.asked_sample for outcome in outcomes[address])


def show_wrong(found: Sequence[tuple[Scene, dict[Address, list[Outcome]]]]) -> None:
    """Prints the turns that were judged wrong."""
    for scene, outcomes in found:
        for outcome in outcomes["when-asked"]:
            if outcome.is_answered == (scene.asked_sample is None):
                print(f"{scene.kind}: {outcome.address} {outcome.text}")


if __name__ == "__main__":
    main()
