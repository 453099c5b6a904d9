"""Scores pauses by sound and by words, and sounds over answers, off the event loop: neither it nor an answer waits.

The sound is judged on threads of its own, and the ears write down the turn so far; what comes of both is put into the
session's inbox as a `PauseScored`. Words that come late are left out, and so are ears that fail, and ears that may have
written another language than English. A scorer that fails is
logged, and its score is None. Read `turns/completeness.py` for how words and sound are joined, `turns/address.py` for
whom words are meant for, `turns/request.py` for which words ask something, `turns/speaker.py` and
`turns/interruption.py` for where a score counts.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from models.base import AudioLanguageModel, Transcriber
from models.types import AudioClip, Samples, Transcript
from realtime.turns.address import judge_address
from realtime.turns.completeness import judge
from realtime.turns.endpointing import EndOfTurnScorer
from realtime.turns.interruption import BackchannelScorer
from realtime.turns.observations import PauseScored
from realtime.turns.request import asks_something

logger = logging.getLogger(__name__)

N_THREADS = 2  # for all sessions: in the common pool a score would wait behind what encodes whole clips
WORDS_LIMIT_S = 0.8  # of wall time: later, a score would not count any more

JUDGED_LANGUAGES = ("en",)  # ears that know more do not say which one they wrote

_threads = ThreadPoolExecutor(N_THREADS, thread_name_prefix="end-of-turn")


def ears_at_pauses(model: AudioLanguageModel) -> Transcriber | None:
    """The ears whose words can be judged: those that know English and nothing else; None if there are none."""
    ears = model.transcriber if model.has_ears else None
    return ears if ears is not None and ears.languages == JUDGED_LANGUAGES else None


class PauseScoring:
    """Scores the pauses of one speaker, one at a time.

    Args:
        scorer: judges how complete a turn sounds.
        speaker: names the speaker in the results.
        put: takes each result, on the event loop.
        transcribe: writes a clip down; None: sound alone is judged.
    """

    def __init__(
        self,
        scorer: EndOfTurnScorer,
        speaker: str,
        put: Callable[[PauseScored], object],
        *,
        transcribe: Callable[[AudioClip], Awaitable[Transcript]] | None = None,
    ) -> None:
        self._scorer = scorer
        self._speaker = speaker
        self._put = put
        self._transcribe = transcribe
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a score is on its way."""
        return self._task is not None and not self._task.done()

    def start(self, clip: AudioClip, number: int, *, asked: str = "", last: AudioClip | None = None) -> None:
        """Begins to score a pause; gives up the score before.

        Args:
            clip: the turn so far.
            number: of the score.
            asked: what the assistant said last.
            last: the end of the turn, which is looked at by itself if the whole asks nothing.
        """
        self.stop()
        self._task = asyncio.get_running_loop().create_task(self._score(clip, number, asked, last))

    def stop(self) -> None:
        """Gives up the score that is on its way."""
        if self._task is not None:
            self._task.cancel()

    async def _score(self, clip: AudioClip, number: int, asked: str, last: AudioClip | None) -> None:
        words = asyncio.get_running_loop().create_task(self._words_of(clip))
        try:
            sound = await _run(self._scorer, clip.samples, "end of turn")
            if sound is None:
                self._put(PauseScored(self._speaker, number, None))
                return
            transcript = await words
            found = judge(sound, transcript, asked)
            address = asks = None
            if transcript is not None and not transcript.is_foreign:
                address = judge_address(transcript.text, asked=asked)
                asks = asks_something(transcript.text) or await self._asks(last)
            scored = PauseScored(self._speaker, number, found.probability, found.asks_to_wait, address, asks)
            self._put(scored)
        finally:
            words.cancel()

    async def _asks(self, clip: AudioClip | None) -> bool:
        transcript = None if clip is None else await self._words_of(clip)
        return transcript is not None and not transcript.is_foreign and asks_something(transcript.text)

    async def _words_of(self, clip: AudioClip) -> Transcript | None:
        if self._transcribe is None:
            return None
        try:
            async with asyncio.timeout(WORDS_LIMIT_S):
                return await self._transcribe(clip)
        except Exception as error:
            logger.info("a pause is judged by its sound alone: %s %s", type(error).__name__, error)
            return None


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
