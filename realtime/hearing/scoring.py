"""Scores turns, and sounds over answers, on threads, so that the event loop and the answer do not wait.

What comes of it is put into the session's inbox, of a turn as a `PauseScored`. A scorer that fails is logged, and its
score is None. Read `turns/speaker.py` and `turns/interruption.py` for where a score counts.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from models.types import Samples
from realtime.turns.endpointing import EndOfTurnScorer
from realtime.turns.interruption import BackchannelScorer
from realtime.turns.observations import PauseScored

logger = logging.getLogger(__name__)

N_THREADS = 2  # for all sessions: in the common pool a score would wait behind what encodes whole clips

_threads = ThreadPoolExecutor(N_THREADS, thread_name_prefix="end-of-turn")


class PauseScoring:
    """Scores the pauses of one speaker, one at a time.

    Args:
        scorer: judges turns.
        speaker: names the speaker in the results.
        put: takes each result, on the event loop.
    """

    def __init__(self, scorer: EndOfTurnScorer, speaker: str, put: Callable[[PauseScored], object]) -> None:
        self._scorer = scorer
        self._speaker = speaker
        self._put = put
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a score is on its way."""
        return self._task is not None and not self._task.done()

    def start(self, samples: Samples, number: int) -> None:
        """Begins to score the turn so far, (n_samples,) at 16 kHz; gives up the score before."""
        self.stop()
        self._task = asyncio.get_running_loop().create_task(self._score(samples, number))

    def stop(self) -> None:
        """Gives up the score that is on its way."""
        if self._task is not None:
            self._task.cancel()

    async def _score(self, samples: Samples, number: int) -> None:
        self._put(PauseScored(self._speaker, number, await _run(self._scorer, samples, "end of turn")))


async def score_sound(scorer: BackchannelScorer, samples: Samples) -> float | None:
    """Scores a sound over an answer, (n_samples,) at 16 kHz; None: the scorer failed."""
    return await _run(scorer, samples, "sound over the answer")


async def _run(scorer: EndOfTurnScorer | BackchannelScorer, samples: Samples, what: str) -> float | None:
    try:
        probability = await asyncio.get_running_loop().run_in_executor(_threads, scorer.score, samples)
        if not 0 <= probability <= 1:
            raise ValueError(f"the score {probability} is no probability")
    except Exception as error:
        logger.warning("%s not scored: %s %s", what, type(error).__name__, error)
        return None
    return probability
