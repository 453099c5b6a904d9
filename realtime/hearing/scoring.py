"""Scores turns on threads, so that the event loop and the answer do not wait.

What comes of it is put into the session's inbox as a `PauseScored`. A scorer that fails is logged, and its score is
None. Read `turns/speaker.py` for where a score counts.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from models.types import Samples
from realtime.turns.endpointing import EndOfTurnScorer
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
        probability: float | None = None
        try:
            probability = await asyncio.get_running_loop().run_in_executor(_threads, self._scorer.score, samples)
            if not 0 <= probability <= 1:
                raise ValueError(f"the score {probability} is no probability")
        except Exception as error:
            probability = None
            logger.warning("end of turn not scored: %s %s", type(error).__name__, error)
        self._put(PauseScored(self._speaker, number, probability))
