"""The end-of-turn score of a pause: asked for at its first silent frames, counting from a fixed place in the samples.

The scorer runs on a thread, while it is not known yet whether the silence will be a pause. However soon it is done, its
score takes effect `score_at_s` after the pause was noticed, and if it is late the session waits for it there: so the
same audio is always decided alike. A scorer that fails leaves the decision to silence. Read `endpointing.py` for what
becomes of the score.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from models.types import Samples
from realtime.inbox import Recorder
from realtime.metrics import SessionMetrics
from realtime.turns.endpointing import EndOfTurnScorer

logger = logging.getLogger(__name__)

SCORE_TIMEOUT_S = 1.0  # ten times what a score takes; beyond it silence alone decides
N_THREADS = 2  # that score, for all sessions: in the common pool a score would wait behind what hears whole clips

_threads = ThreadPoolExecutor(N_THREADS, thread_name_prefix="end-of-turn")


@dataclass(slots=True)
class _Pending:
    """A score on its way."""

    samples: Samples
    future: asyncio.Future[float]
    due_sample: int | None = None  # None: the silence is no pause yet


class PauseScoring:
    """Scores one pause at a time.

    Args:
        scorer: judges turns; None: no pause is scored.
        delay_samples: from the pause to where its score takes effect.
        metrics: where failures are counted.
        recorder: is told each score that took effect.
    """

    def __init__(
        self,
        scorer: EndOfTurnScorer | None,
        *,
        delay_samples: int,
        metrics: SessionMetrics,
        recorder: Recorder | None,
    ) -> None:
        self._scorer = scorer
        self._delay_samples = delay_samples
        self._metrics = metrics
        self._recorder = recorder
        self._pending: _Pending | None = None
        self._score: float | None = None

    @property
    def score(self) -> float | None:
        """Of the present pause; None: not scored, or not yet."""
        return self._score

    @property
    def is_pending(self) -> bool:
        """Whether a pause's score is still to take effect; until then nothing ends the turn."""
        return self._pending is not None and self._pending.due_sample is not None

    def is_due(self, sample: int) -> bool:
        """Whether the score takes effect at this position."""
        due_sample = None if self._pending is None else self._pending.due_sample
        return due_sample is not None and sample >= due_sample

    def start(self, samples: Samples) -> None:
        """Begins to score a silence that may become a pause.

        Args:
            samples: the turn so far, (n_samples,) at 16 kHz.
        """
        self.drop()
        if self._scorer is not None:
            future = asyncio.get_running_loop().run_in_executor(_threads, self._scorer.score, samples)
            future.add_done_callback(lambda future: future.cancelled() or future.exception())  # perhaps nobody asks
            self._pending = _Pending(samples, future)

    def expect(self, samples: Samples | None, sample: int) -> None:
        """The silence is a pause: its score will count.

        Args:
            samples: the turn so far, to be scored if no score is on its way; None if nothing was heard.
            sample: where the pause was noticed.
        """
        self._score = None
        if self._pending is None and samples is not None:
            self.start(samples)
        if self._pending is not None:
            self._pending.due_sample = sample + self._delay_samples

    async def take(self) -> float | None:
        """Waits for the score and lets it take effect; None if it failed."""
        pending, self._pending = self._pending, None
        assert pending is not None
        try:
            self._score = await asyncio.wait_for(pending.future, SCORE_TIMEOUT_S)
            if not 0 <= self._score <= 1:
                raise ValueError(f"the score {self._score} is no probability")
        except Exception as error:
            self._score = None
            self._metrics.scorer_failures += 1
            logger.warning("end of turn not scored: %s %s", type(error).__name__, error)
        if self._recorder is not None:
            self._recorder.note_score(pending.samples, self._score)
        return self._score

    def drop(self) -> None:
        """Forgets a score nobody waits for any more."""
        if self._pending is not None:
            self._pending.future.cancel()
            self._pending = None
