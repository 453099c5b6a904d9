"""The first broken inputs of every kind; `python -m tests.fuzz` tries more. The runner is tested, too."""

from pathlib import Path

import pytest

from tests.fuzz.runner import find_kinds, fuzz

CASES = {"files": 450, "protocol": 4500, "sdp": 3000}  # a count, so that a busy machine tries no fewer


@pytest.mark.parametrize(("name", "module"), find_kinds().items(), ids=find_kinds())
def test_broken_inputs_show_no_fault(name: str, module: str, tmp_path: Path) -> None:
    outcome = fuzz(module, cases=CASES[name], seed=1, folder=tmp_path)
    assert not outcome.failures, "\n\n".join(path.read_text() for path in sorted(tmp_path.glob("*.txt")))
    assert outcome.tried == CASES[name]


FAULTY = """
import os, signal
NAME = "faulty"
def make_case(rng): return bytes([rng.randrange(4)])
def check(case):
    if case == b"\\1":
        raise KeyError("of two: parts")
    assert case != b"\\2", "too long"
    if case == b"\\3":
        os.kill(os.getpid(), signal.SIGSEGV)
"""


def test_the_runner_finds_errors_and_crashes_and_keeps_their_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    (tmp_path / "cases").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    outcome = fuzz("faulty", cases=30, seed=1, folder=tmp_path / "cases")
    assert set(outcome.failures) == {"KeyError", "AssertionError", "crash"}
    kept = list((tmp_path / "cases").glob("*.case"))
    assert len(kept) == outcome.failures.total() < outcome.tried == 30
    assert {path.read_bytes() for path in kept} == {b"\1", b"\2", b"\3"}
