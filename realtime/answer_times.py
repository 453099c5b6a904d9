"""When the steps of one answer were done, on the wall clock. For people to look at: nothing is decided by it.

Read `answer.py` for the steps.
"""

from dataclasses import dataclass

from models.types import GenerationStats
from realtime.events import ResponseTiming


@dataclass(slots=True, kw_only=True)
class AnswerTimes:
    """The wall times of one answer; None: not yet, or never.

    Attributes:
        last_voiced_s: of the last voiced sample of what is answered; None if that was typed.
        noticed_s: a pause was noticed.
        first_provisional_s: the first word came while the answer was provisional.
        committed_s: the answer counted.
        first_delta_s: the first word came.
        first_audio_s: the first sound was sent.
    """

    last_voiced_s: float | None = None
    noticed_s: float | None = None
    first_provisional_s: float | None = None
    committed_s: float | None = None
    first_delta_s: float | None = None
    first_audio_s: float | None = None

    def note_delta(self, now_s: float, *, provisional: bool) -> None:
        """A word came."""
        if self.first_delta_s is None:
            self.first_delta_s = now_s
            self.first_provisional_s = now_s if provisional else None

    @property
    def latency_s(self) -> float | None:
        """From the last voiced sample to the first word."""
        return self._since(self.first_delta_s)

    def timing(self, done_s: float, stats: GenerationStats | None) -> ResponseTiming:
        """Gives all of it as the client is told.

        Args:
            done_s: the answer ended.
            stats: of the generation that said all of it; None if there was none.
        """
        return ResponseTiming(
            pause_noticed_s=self._since(self.noticed_s),
            prefill_s=self._since(self._prefilled_s(stats)),
            first_provisional_s=self._since(self.first_provisional_s),
            committed_s=self._since(self.committed_s),
            first_token_s=self._since(self.first_delta_s),
            first_audio_s=self._since(self.first_audio_s),
            done_s=self._since(done_s),
        )

    def _prefilled_s(self, stats: GenerationStats | None) -> float | None:
        """When the prompt was computed: so long before the first word."""
        if stats is None or stats.ttft_s is None or stats.prefill_s is None or self.first_delta_s is None:
            return None
        return self.first_delta_s - (stats.ttft_s - stats.prefill_s)

    def _since(self, at_s: float | None) -> float | None:
        return None if at_s is None or self.last_voiced_s is None else round(at_s - self.last_voiced_s, 4)
