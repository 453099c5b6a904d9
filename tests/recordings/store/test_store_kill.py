"""Whenever a process is killed, its store opens, what was confirmed is in it, and the sound is there."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.types import SAMPLE_RATE_HZ
from realtime.recordings.store.database import Store
from realtime.recordings.store.reading import list_conversations, read_conversation, search
from tests.recordings.store.conftest import Place
from tests.recordings.store.keeping import samples_of
from tests.recordings.store.victim import answer

N_KILLS = {"sqlite": 50, "postgresql": 20}
LONGEST_S = 0.3  # of a session; in real time it would be a quarter of a minute
MAX_LOST_S = 1.0


@dataclass(slots=True)
class Confirmed:
    """What a killed session had said."""

    conversation: str = ""
    n_turns: int = 0
    n_samples: int = 0


@contextmanager
def victims(place: Place, sounds: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.recordings.store.victim", place.address, str(sounds)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def kill_one(process: subprocess.Popen[str], after_s: float) -> Confirmed:
    """Lets one session begin, kills it, and gives what it had said by then."""
    assert process.stdin is not None and process.stdout is not None
    print("go", file=process.stdin, flush=True)
    child, confirmed = int(process.stdout.readline().split()[1]), Confirmed()
    confirmed.conversation = process.stdout.readline().split()[1]
    time.sleep(after_s)  # the moment is the subject
    os.kill(child, signal.SIGKILL)
    while (line := process.stdout.readline()) != "dead\n":
        kind, *numbers = line.split()
        assert kind == "confirmed", line
        confirmed.n_turns, confirmed.n_samples = map(int, numbers)
    return confirmed


def check(store: Store, confirmed: Confirmed) -> None:
    if confirmed.conversation not in [head.id for head in list_conversations(store)]:
        assert not confirmed.n_turns, "it was killed before anything was confirmed"
        return
    found = read_conversation(store, confirmed.conversation)
    assert found.head.ended_s is None
    shown = [said.shown for said in found.said]
    expected = [words for number in range(confirmed.n_turns + 1) for words in ("What is a quince?", answer(number))]
    assert shown[: 2 * confirmed.n_turns] == expected[: 2 * confirmed.n_turns]
    answers = [said.answer is not None for said in found.said if said.message.role == "assistant"]
    assert all(answers), "an answer and how it went are one transaction"
    heard = sum(len(samples_of(sound.path)) for sound in found.sounds if sound.path.exists())
    assert heard >= confirmed.n_samples - MAX_LOST_S * SAMPLE_RATE_HZ


def test_nothing_confirmed_is_lost_when_the_process_is_killed(place: Place, tmp_path: Path) -> None:
    moments, kind = random.Random(1), place.address.partition(":")[0].partition("+")[0]
    store = place.open()
    killed: list[Confirmed] = []
    with victims(place, place.sounds or store.sounds) as process:
        for _ in range(N_KILLS.get(kind, N_KILLS["sqlite"])):
            killed.append(kill_one(process, moments.uniform(0, LONGEST_S)))
            check(store, killed[-1])
            store.close()
            store = place.open()
    if store.is_sqlite:
        with store.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        with store.writing() as connection:
            connection.exec_driver_sql("INSERT INTO word_index(word_index, rank) VALUES ('integrity-check', 1)")
    n_turns = sum(confirmed.n_turns for confirmed in killed)
    assert n_turns >= 5, "some sessions had come to a turn"
    assert len(search(store, "kumquat number")) == min(100, sum(h.n_messages // 2 for h in list_conversations(store)))
    store.close()
    print(f"{len(killed)} sessions killed, {n_turns} turns confirmed")
