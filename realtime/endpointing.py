"""How long to wait, after speech stopped, before the turn counts as ended.

Only silence decides here. Read `vad.py` for how silence is heard, `turns.py` for what happens then.
"""

from dataclasses import dataclass
from typing import Protocol

from models.types import SAMPLE_RATE_HZ, Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointingOptions:
    """When a turn has ended.

    Attributes:
        silence_s: this much silence ends a turn. People pause up to about half a second inside a turn (Heldner and
            Edlund, 2010); OpenAI's server VAD waits 0.5 s, LiveKit 0.3-0.5 s at least.
        max_turn_s: a longer turn is kept as one message and goes on in the next.
        min_interruption_s: a sound over an answer shorter than this is taken for a cough, and the answer goes on.
        max_backchannel_s: speech over an answer longer than this is a turn; shorter speech may be an "mm-hm".
        score_at_s: after the pause was detected, on the sample clock, an end-of-turn score takes effect.
    """

    silence_s: float = 0.6
    max_turn_s: float = 180.0
    min_interruption_s: float = 0.25
    max_backchannel_s: float = 0.8
    score_at_s: float = 0.1

    def __post_init__(self) -> None:
        if self.silence_s < 0:
            raise ValueError(f"silence_s is {self.silence_s}; it must not be negative")
        if self.max_turn_s <= 1:
            raise ValueError(f"max_turn_s is {self.max_turn_s}; it must be more than 1 s")

    @property
    def silence_samples(self) -> int:
        """`silence_s` on the sample clock."""
        return round(self.silence_s * SAMPLE_RATE_HZ)

    @property
    def max_turn_samples(self) -> int:
        """`max_turn_s` on the sample clock."""
        return round(self.max_turn_s * SAMPLE_RATE_HZ)

    @property
    def min_interruption_samples(self) -> int:
        """`min_interruption_s` on the sample clock."""
        return round(self.min_interruption_s * SAMPLE_RATE_HZ)

    @property
    def max_backchannel_samples(self) -> int:
        """`max_backchannel_s` on the sample clock."""
        return round(self.max_backchannel_s * SAMPLE_RATE_HZ)

    @property
    def score_at_samples(self) -> int:
        """`score_at_s` on the sample clock."""
        return round(self.score_at_s * SAMPLE_RATE_HZ)


class EndOfTurnScorer(Protocol):
    """Judges whether a turn is complete."""

    def score(self, samples: Samples) -> float:
        """Gives the probability that the turn (n_samples,) at 16 kHz, up to its present pause, is complete."""
        ...


class Endpointing:
    """The decision rule of one session: silence alone."""

    def __init__(self, options: EndpointingOptions) -> None:
        self._options = options

    def wait_samples(self, score: float | None) -> int:
        """Gives the silence since the last voiced sample after which the turn is committed; None: not scored."""
        return self._options.silence_samples

    def observe_hold(self, pause_samples: int) -> None:
        """Notes that the speaker went on after this pause."""

    def observe_cut_in(self) -> None:
        """Notes that a committed answer was talked over at once."""
