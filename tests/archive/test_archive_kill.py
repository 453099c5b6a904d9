"""The work on a recording, killed at random moments: it goes on where it was, and nothing is there twice."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from realtime.recordings.store.database import open_store
from realtime.recordings.store.mixing import MixedSound
from realtime.recordings.store.reading import list_conversations, read_conversation

N_KILLS = 15
LONGEST_S = 1.5  # until a kill; the work takes about as long


@pytest.mark.timeout(180)
def test_work_that_is_killed_again_and_again_is_done_in_the_end(tmp_path: Path) -> None:
    path, moments = tmp_path / "kept.db", random.Random(1)
    command = [sys.executable, "-m", "tests.archive.listener"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        said: list[str] = []
        for number in range(N_KILLS + 1):
            print(path, file=process.stdin, flush=True)
            child = int(process.stdout.readline().split()[1])
            if number < N_KILLS:
                time.sleep(moments.uniform(0, LONGEST_S))  # the moment is the subject
                os.kill(child, signal.SIGKILL)
            while (line := process.stdout.readline()) != "dead\n":
                said.append(line.strip())
        process.kill()
    told = [line.removeprefix("line ") for line in said if line.startswith("line ")]
    store = open_store(str(path))
    (head,) = [head for head in list_conversations(store) if head.n_messages]
    stored = read_conversation(store, head.id)
    store.close()
    assert head.review is not None and head.review.state == "ready" and "ready" in said
    shown = [message.shown for message in stored.said]
    assert set(told) <= set(shown), "every line that was told is there"
    assert len(shown) == 7 and len(set(shown)) == 7, "and none of them twice"
    starts = [message.message.start_ms for message in stored.said]
    assert starts == sorted(set(starts))
    assert MixedSound(stored).n_samples == pytest.approx(31.2425 * 16_000, abs=100)
    assert [note.kind for note in stored.notes] == ["summary", "action_item"]
