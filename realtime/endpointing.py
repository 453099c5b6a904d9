"""How long to wait, after speech stopped, before the turn counts as ended.

Silence alone gives one wait for every pause. A scorer that hears whether the turn is complete makes it shorter or
longer, and what a speaker's own pauses are like moves all of it. The rule is pure: no clock, no threads; the session
asks the scorer off the event loop and applies its answer at a fixed sample, so that a recording replays with the same
decisions. Read `end_of_turn.py` for the scorer, `vad.py` for how silence is heard, `turns.py` for what happens when the
wait is over.
"""

import math
from dataclasses import dataclass
from typing import Protocol

from models.types import SAMPLE_RATE_HZ, Samples

MAX_WAIT_S = 3.0  # LiveKit's longest; nobody is silent for longer within a turn without having lost the thread
CUT_SHARE = 0.05  # of a speaker's pauses that may outlast the wait on silence; the budget eot-bench compares at
ADAPTATION_STEP = 0.25  # of the logarithm of the wait: a pause too long adds 27 %, a pause short enough takes 1.2 %
LEAST_DOUBT = 1e-6  # no score is surer
MIN_ADAPTATION, MAX_ADAPTATION = 0.75, 2.0  # factors; the slowest speakers pause about twice as long as the median


class EndOfTurnScorer(Protocol):
    """Hears whether a turn is complete."""

    def score(self, samples: Samples) -> float:
        """Probability in [0, 1] that the turn is complete.

        Thread-safe; blocks for about 100 ms, so it is called off the event loop.

        Args:
            samples: the turn up to its present pause, float32 `(n_samples,)` at 16 kHz.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointingOptions:
    """When a turn has ended.

    Attributes:
        silence_s: this much silence ends a turn that nothing else is known of. People pause up to about half a second
            inside a turn (Heldner and Edlund, 2010); OpenAI's server VAD waits 0.5 s, LiveKit 0.3-0.5 s at least.
        mean_pause_s: of a speaker within a turn, which is how much a score counts: its log-odds times this are taken
            off `silence_s`; 0 leaves scores without effect.
        score_at_s: a score counts from this long after the pause was noticed, however soon it was computed.
        max_wait_s: no silence is waited for longer than this.
        max_turn_s: a longer turn is kept as one message and goes on in the next.
        min_interruption_s: a sound over an answer shorter than this is taken for a cough, and the answer goes on.
        max_backchannel_s: speech over an answer longer than this is a turn; shorter speech may be an "mm-hm".
    """

    silence_s: float = 0.6
    mean_pause_s: float = 0.3
    score_at_s: float = 0.1
    max_wait_s: float = MAX_WAIT_S
    max_turn_s: float = 180.0
    min_interruption_s: float = 0.25
    max_backchannel_s: float = 0.8

    def __post_init__(self) -> None:
        if self.silence_s < 0:
            raise ValueError(f"silence_s is {self.silence_s}; it must not be negative")
        if self.mean_pause_s < 0:
            raise ValueError(f"mean_pause_s is {self.mean_pause_s}; it must not be negative")
        if self.score_at_s < 0:
            raise ValueError(f"score_at_s is {self.score_at_s}; it must not be negative")
        if self.max_wait_s < self.silence_s:
            raise ValueError(f"max_wait_s is {self.max_wait_s}; it must be at least silence_s ({self.silence_s})")
        if self.max_turn_s <= 1:
            raise ValueError(f"max_turn_s is {self.max_turn_s}; it must be more than 1 s")

    @property
    def silence_samples(self) -> int:
        """`silence_s` on the sample clock."""
        return round(self.silence_s * SAMPLE_RATE_HZ)

    @property
    def score_at_samples(self) -> int:
        """`score_at_s` on the sample clock."""
        return round(self.score_at_s * SAMPLE_RATE_HZ)

    @property
    def max_wait_samples(self) -> int:
        """`max_wait_s` on the sample clock."""
        return round(self.max_wait_s * SAMPLE_RATE_HZ)

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


class Endpointing:
    """Turns scores into waits for one speaker, and learns from that speaker's pauses.

    If pauses within turns last t on average, exponentially distributed, and a turn is complete with probability p, then
    a wait w costs p w for waiting and (1 - p) c exp(-w / t) for cutting in, where c is what a cut-in is worth in
    seconds of waiting. That is least at w = t ln(c / t) - t ln(p / (1 - p)): `silence_s` less `mean_pause_s` times the
    log-odds.

    The wait on silence follows the quantile of the speaker's pauses that leaves `CUT_SHARE` of them longer: each pause
    that outlasts it raises it by much, each other one lowers it by little, so that the two balance at that share
    (stochastic approximation; Robbins and Monro, 1951).
    """

    def __init__(self, options: EndpointingOptions) -> None:
        self._options = options
        self._adaptation = 1.0

    def wait_samples(self, score: float | None) -> int:
        """Silence since the last voiced sample after which the turn is committed.

        Args:
            score: the probability that the turn is complete; None without a scorer, or before the score counts.

        Returns:
            Samples; never more for a higher score, never beyond `max_wait_s`.
        """
        options = self._options
        probability = 0.5 if score is None else min(1 - LEAST_DOUBT, max(LEAST_DOUBT, score))
        log_odds = math.log(probability / (1 - probability))
        wait_s = self._adaptation * (options.silence_s - options.mean_pause_s * log_odds)
        return round(min(options.max_wait_s, max(0.0, wait_s)) * SAMPLE_RATE_HZ)

    def observe_hold(self, pause_samples: int) -> None:
        """Learns that the speaker went on after a pause."""
        self._adapt(too_short=pause_samples > self.wait_samples(None))

    def observe_cut_in(self) -> None:
        """Learns that a committed answer was talked over at once: the pause was longer than the wait."""
        self._adapt(too_short=True)

    def _adapt(self, *, too_short: bool) -> None:
        step = ADAPTATION_STEP * (1 - CUT_SHARE if too_short else -CUT_SHARE)
        self._adaptation = min(MAX_ADAPTATION, max(MIN_ADAPTATION, self._adaptation * math.exp(step)))
