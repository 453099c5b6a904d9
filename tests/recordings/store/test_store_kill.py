"""Whenever a process is killed, its store opens, what was confirmed is in it, and the sound is there."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

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
    """What a session had said when it was killed."""

    conversation: str
    n_turns: int = 0
    n_samples: int = 0


class Victims:
    """Sessions in processes of their own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._children: list[int] = []
        self._confirmed: dict[str, Confirmed] = {}

    def begin(self, place: Place, sounds: Path, n_sessions: int) -> None:
        """Lets sessions begin, and waits until they have."""
        assert self._process.stdin is not None
        print(place.address, sounds, n_sessions, sep="\t", file=self._process.stdin, flush=True)
        while len(self._children) < n_sessions or len(self._confirmed) < n_sessions:
            self._read()

    def until_turns(self, n_turns: int) -> None:
        """Waits until each session has had so many turns."""
        while any(confirmed.n_turns < n_turns for confirmed in self._confirmed.values()):
            self._read()

    def kill(self) -> list[Confirmed]:
        """Kills them, and gives what each had said by then."""
        for child in self._children:
            os.kill(child, signal.SIGKILL)
        while self._read():
            pass
        confirmed = list(self._confirmed.values())
        self._children, self._confirmed = [], {}
        return confirmed

    def _read(self) -> bool:
        assert self._process.stdout is not None
        match self._process.stdout.readline().split():
            case ["child", child]:
                self._children.append(int(child))
            case ["begun", conversation]:
                self._confirmed[conversation] = Confirmed(conversation)
            case ["confirmed", conversation, n_turns, n_samples]:
                self._confirmed[conversation] = Confirmed(conversation, int(n_turns), int(n_samples))
            case ["dead"]:
                return False
            case other:
                raise AssertionError(f"a session said {other}")
        return True


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    """What makes sessions that can be killed."""
    command = [sys.executable, "-m", "tests.recordings.store.victim"]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield Victims(process)
        finally:
            process.kill()


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


def test_two_processes_make_and_write_one_store(place: Place, victims: Victims) -> None:
    victims.begin(place, place.sounds or Path(f"{place.address}-audio"), 2)
    victims.until_turns(3)
    both = victims.kill()
    store = place.open()
    assert len(list_conversations(store)) == 2
    for confirmed in both:
        check(store, confirmed)
    store.close()


def test_nothing_confirmed_is_lost_when_the_process_is_killed(place: Place, victims: Victims) -> None:
    moments, kind = random.Random(1), place.address.partition(":")[0].partition("+")[0]
    store = place.open()
    killed: list[Confirmed] = []
    for _ in range(N_KILLS.get(kind, N_KILLS["sqlite"])):
        victims.begin(place, store.sounds, 1)
        time.sleep(moments.uniform(0, LONGEST_S))  # the moment is the subject
        killed += victims.kill()
        check(store, killed[-1])
        store.close()
        store = place.open()
    if store.is_sqlite:
        with store.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        with store.writing() as connection:
            connection.exec_driver_sql("INSERT INTO word_index(word_index, rank) VALUES ('integrity-check', 1)")
    assert sum(confirmed.n_turns for confirmed in killed) >= 5, "some sessions had come to a turn"
    n_answers = sum(head.n_messages // 2 for head in list_conversations(store))
    assert len(search(store, "kumquat number")) == min(100, n_answers)
    store.close()
