"""The work on recordings, killed at random moments: it goes on where it was, and nothing is there twice."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from realtime.recordings.store.database import open_store
from realtime.recordings.store.mixing import MixedSound
from realtime.recordings.store.reading import list_conversations, read_conversation

N_RECORDINGS = 6
LONGEST_S = 1.5  # until a kill; the whole work takes twice as long


def work_and_kill(process: "subprocess.Popen[str]", path: Path, moments: random.Random) -> tuple[list[str], int]:
    """Has one recording worked on, and the work killed until it is done; gives what was said, and how many kills."""
    assert process.stdin is not None and process.stdout is not None
    said, n_kills = list[str](), 0
    while "ready" not in said:
        print(path, file=process.stdin, flush=True)
        child = int(process.stdout.readline().split()[1])
        time.sleep(moments.uniform(0, LONGEST_S))  # the moment is the subject
        with suppress(ProcessLookupError):  # it was faster
            os.kill(child, signal.SIGKILL)
            n_kills += 1
        while (line := process.stdout.readline()) != "dead\n":
            said.append(line.strip())
    return said, n_kills


def check(path: Path, said: list[str]) -> None:
    store = open_store(str(path))
    (head,) = [head for head in list_conversations(store) if head.n_messages]
    stored = read_conversation(store, head.id)
    store.close()
    assert head.review is not None and head.review.state == "ready"
    shown = [message.shown for message in stored.said]
    assert {line.removeprefix("line ") for line in said if line.startswith("line ")} <= set(shown), (
        "what was told is there"
    )
    assert len(shown) == len(set(shown)) == 7, "and nothing of it twice"
    starts = [message.message.start_ms for message in stored.said]
    assert starts == sorted(set(starts))
    assert MixedSound(stored).n_samples == pytest.approx(31.2425 * 16_000, abs=100)
    assert [note.kind for note in stored.notes] == ["summary", "action_item"]


@pytest.mark.timeout(180)
def test_work_that_is_killed_again_and_again_is_done_in_the_end(tmp_path: Path) -> None:
    moments, n_kills = random.Random(1), 0
    command = [sys.executable, "-m", "tests.archive.listener"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        for number in range(N_RECORDINGS):
            said, killed = work_and_kill(process, tmp_path / f"{number}.db", moments)
            check(tmp_path / f"{number}.db", said)
            n_kills += killed
        process.kill()
    assert n_kills > 2 * N_RECORDINGS
