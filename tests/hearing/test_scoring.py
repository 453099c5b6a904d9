"""Scores come back through the inbox, whatever the scorer does."""

import asyncio
import threading

import numpy as np
import pytest

from models.types import AudioClip, Samples, Transcript
from realtime.hearing import scoring as scoring_module
from realtime.hearing.scoring import PauseScoring
from realtime.turns.address import judge_address
from realtime.turns.observations import PauseScored

TURN = AudioClip(np.ones(1600, np.float32))


class Scorer:
    """Gives one score, or raises, once it is let go."""

    def __init__(self, score: float | Exception) -> None:
        self._score = score
        self.go = threading.Event()

    def score(self, samples: Samples) -> float:
        self.go.wait(10)
        if isinstance(self._score, Exception):
            raise self._score
        return self._score


async def test_a_score_arrives_with_its_number() -> None:
    arrived: asyncio.Queue[PauseScored] = asyncio.Queue()
    scorer = Scorer(0.7)
    scoring = PauseScoring(scorer, "Ann", arrived.put_nowait)
    scoring.start(TURN, 3)
    assert scoring.is_running
    scorer.go.set()
    assert await asyncio.wait_for(arrived.get(), 10) == PauseScored("Ann", 3, 0.7)


@pytest.mark.parametrize("score", [RuntimeError("broken"), float("nan"), 1.5, -0.1])
async def test_a_scorer_that_fails_gives_none(score: float | Exception) -> None:
    arrived: asyncio.Queue[PauseScored] = asyncio.Queue()
    scorer = Scorer(score)
    scorer.go.set()
    PauseScoring(scorer, "Ann", arrived.put_nowait).start(TURN, 1)
    assert await asyncio.wait_for(arrived.get(), 10) == PauseScored("Ann", 1, None)


async def test_a_score_that_was_given_up_does_not_arrive() -> None:
    arrived: asyncio.Queue[PauseScored] = asyncio.Queue()
    slow, scorer = Scorer(0.1), Scorer(0.9)
    scoring = PauseScoring(slow, "Ann", arrived.put_nowait)
    scoring.start(TURN, 1)
    await asyncio.sleep(0)
    scoring.stop()
    slow.go.set()
    scorer.go.set()
    PauseScoring(scorer, "Bob", arrived.put_nowait).start(TURN, 2)
    assert (await asyncio.wait_for(arrived.get(), 10)).speaker == "Bob"
    assert arrived.empty()


async def test_ears_that_hang_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(clip: AudioClip) -> Transcript:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(scoring_module, "WORDS_LIMIT_S", 0.05)
    arrived: asyncio.Queue[PauseScored] = asyncio.Queue()
    scorer = Scorer(0.7)
    scorer.go.set()
    PauseScoring(scorer, "Ann", arrived.put_nowait, transcribe=hang).start(TURN, 1)
    assert await asyncio.wait_for(arrived.get(), 10) == PauseScored("Ann", 1, 0.7)


@pytest.mark.parametrize(
    ("transcript", "is_known"),
    [(Transcript("What time is it?"), True), (Transcript("Quelle heure", is_foreign=True), False), (None, False)],
)
async def test_whom_words_are_for_comes_with_the_score(transcript: Transcript | None, is_known: bool) -> None:
    async def transcribe(clip: AudioClip) -> Transcript:
        if transcript is None:
            raise RuntimeError("deaf")
        return transcript

    arrived: asyncio.Queue[PauseScored] = asyncio.Queue()
    scorer = Scorer(0.5)
    scorer.go.set()
    PauseScoring(scorer, "Ann", arrived.put_nowait, transcribe=transcribe).start(TURN, 1)
    scored = await asyncio.wait_for(arrived.get(), 10)
    assert (scored.address is not None) == is_known
    assert not is_known or scored.address == judge_address("What time is it?")


@pytest.mark.parametrize(
    ("whole", "end", "asks"),
    [
        ("We are forty people, which is the larger plan.", "What does the larger plan cost?", True),
        ("We are forty people.", "We work from home.", False),
        ("What does it cost?", None, True),
        ("We are forty people.", None, False),
    ],
)
async def test_a_question_behind_a_telling_is_heard_by_itself(whole: str, end: str | None, asks: bool) -> None:
    last = None if end is None else AudioClip(np.ones(800, np.float32))

    async def transcribe(clip: AudioClip) -> Transcript:
        return Transcript(end if clip is last and end is not None else whole)

    arrived: asyncio.Queue[PauseScored] = asyncio.Queue()
    scorer = Scorer(0.5)
    scorer.go.set()
    PauseScoring(scorer, "Ann", arrived.put_nowait, transcribe=transcribe).start(TURN, 1, last=last)
    assert (await asyncio.wait_for(arrived.get(), 10)).asks is asks
