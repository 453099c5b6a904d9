"""How long to wait, after speech stopped, before the turn counts as ended.

Silence alone gives one wait for every pause. How complete the turn is, by its words and its sound, makes it shorter or
longer, and so does what the speaker's pauses have been like in the last turns. The rule is pure: no clock, no threads;
the session has the pause scored off the event loop and applies the score at a fixed sample, so that a recording replays
with the same decisions. Read `completeness.py` for the score, `floor.py` for what happens when the wait is over.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from models.types import SAMPLE_RATE_HZ, Samples
from realtime.turns.observations import Patience

MAX_WAIT_S = 3.0  # LiveKit's longest; nobody is silent for longer within a turn without having lost the thread
MAX_HELD_S = 10.0  # for who looks something up
WAIT_STEP_S = 0.02  # between the waits that are compared
SHORTEST_PAUSE_S = 0.2  # shorter silences are no pauses: the detector does not notice them
ASSUMED_PAUSES = 2  # what is assumed of a speaker weighs as much as so many pauses
PAUSE_SHARPNESS = 40  # a pause of 1 s also counts, in part, as one of 0.97 or 1.03 s
PATIENCE_STEP = 0.1  # of log-odds, for a turn that went on or ended though the score was sure that it would not
MAX_PATIENCE = 1.0
REMEMBERED = 0.8  # of what a turn has taught, after each later one: half of it after three
MIN_HALF_PAUSE_S = 1e-3
LEAST_DOUBT = 1e-6  # no score is surer

PATIENCE: dict[Patience, float] = {"low": 2 / 3, "normal": 1.0, "high": 2.0}  # times the wait: 0.4, 0.6 or 1.2 s


class EndOfTurnScorer(Protocol):
    """Hears whether a turn is complete."""

    def score(self, samples: Samples) -> float:
        """Probability in [0, 1] that the turn is complete.

        Thread-safe; blocks for about 100 ms, so it is called off the event loop.

        Args:
            samples: the turn and the beginning of its present silence, float32 `(n_samples,)` at 16 kHz.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointingOptions:
    """When a turn has ended.

    Attributes:
        silence_s: this much silence ends the turn of a speaker of whom nothing is known yet, not even a score. People
            pause up to about half a second inside a turn (Heldner and Edlund, 2010); OpenAI's server VAD waits 0.5 s,
            LiveKit 0.3-0.5 s at least.
        half_pause_s: half of the pauses within a new speaker's turns are assumed to be over so soon after 0.2 s. The
            less it is, the further apart are the waits for a high and for a low score.
        score_at_s: a score counts from this long after the pause was noticed, however soon it was computed.
        max_wait_s: no silence is waited for longer than this,
        max_held_s: unless the speaker asked to wait ("hold on"): then for this long.
        max_turn_s: a longer turn is kept as one message and goes on in the next.
        min_interruption_s: a sound over an answer shorter than this is taken for a cough, and the answer goes on.
        max_backchannel_s: speech over an answer longer than this is a turn; shorter speech may be an "mm-hm".
        min_scored_s: the first of these two where a scorer hears what the sound is: digits are as short as coughs.
        max_scored_s: the second one there: "okay, okay" and "oh, I see" are as long as commands.
    """

    silence_s: float = 0.6
    half_pause_s: float = 0.05
    score_at_s: float = 0.03
    max_wait_s: float = MAX_WAIT_S
    max_held_s: float = MAX_HELD_S
    max_turn_s: float = 180.0
    min_interruption_s: float = 0.25
    max_backchannel_s: float = 0.8
    min_scored_s: float = 0.12
    max_scored_s: float = 1.0

    def __post_init__(self) -> None:
        if self.max_turn_s <= 1:
            raise ValueError(f"max_turn_s is {self.max_turn_s}; it must be more than 1 s")
        if not 0 <= self.silence_s <= self.max_turn_s:
            raise ValueError(f"silence_s is {self.silence_s}; it must be from 0 to max_turn_s ({self.max_turn_s})")
        if not MIN_HALF_PAUSE_S <= self.half_pause_s < math.inf:
            raise ValueError(
                f"half_pause_s is {self.half_pause_s}; it must be at least {MIN_HALF_PAUSE_S:g}, and finite"
            )
        if self.score_at_s < 0:
            raise ValueError(f"score_at_s is {self.score_at_s}; it must not be negative")
        if not self.silence_s <= self.max_wait_s <= self.max_turn_s:
            raise ValueError(
                f"max_wait_s is {self.max_wait_s}; it must be from silence_s ({self.silence_s}) to max_turn_s "
                f"({self.max_turn_s})"
            )
        if not 0 <= self.max_held_s < math.inf:
            raise ValueError(f"max_held_s is {self.max_held_s}; it must not be negative, and be finite")

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

    def doubtful_samples(self, *, is_scored: bool) -> tuple[int, int]:
        """Between which lengths a sound over an answer may be a turn or none, with or without a scorer of sounds."""
        lengths_s = (self.min_interruption_s, self.max_backchannel_s)
        if is_scored:
            lengths_s = (min(lengths_s[0], self.min_scored_s), max(lengths_s[1], self.max_scored_s))
        return round(lengths_s[0] * SAMPLE_RATE_HZ), round(lengths_s[1] * SAMPLE_RATE_HZ)


@dataclass(frozen=True, slots=True)
class _Learnt:
    """What a speaker's turns have taught.

    Attributes:
        patience: log-odds that turns go on where the score says that they end.
        longer: for each wait that is compared, how many of the pauses were longer, float64 `(n_waits,)`.
        n_pauses: how many there were; older ones count less in both.
    """

    patience: float
    longer: np.ndarray
    n_pauses: float


class Endpointing:
    """Turns scores into waits for one speaker, and learns from that speaker's last turns.

    If the turn is complete with probability p, a wait w costs p w for waiting and (1 - p) c S(w) for cutting in, where
    S(w) is the share of the speaker's pauses that are longer and c what a cut-in is worth in seconds of waiting. The
    wait is where that is least.

    Long pauses within turns are rare, and not as rare as an exponential has them: S begins as h / (h + w - 0.2 s) with
    h the half pause, and c so that the wait for p = 0.5 is `silence_s`. So p = 0.05 waits more than 2 s and p = 0.95
    for next to nothing. The speaker's own pauses take its place one by one. The odds of p are the score's, divided by
    the speaker's patience: a turn that goes on makes it grow, one that ends makes it shrink, each by as much as the
    score had been wrong (logistic regression on line). All that has been learnt fades with each turn.

    Attributes:
        wanted: how patient the user wants it to be; stretches every wait.
    """

    def __init__(self, options: EndpointingOptions) -> None:
        self.wanted: Patience = "normal"
        self._options = options
        half_s, shortest_s = options.half_pause_s, min(SHORTEST_PAUSE_S, options.max_wait_s)
        self._cut_in_s = max(0.0, half_s + options.silence_s - SHORTEST_PAUSE_S) ** 2 / half_s
        self._waits_s = np.arange(shortest_s, options.max_wait_s + WAIT_STEP_S / 2, WAIT_STEP_S)
        self._assumed = half_s / (half_s + self._waits_s - shortest_s)
        self._learnt = self._before_end = _Learnt(0.0, np.zeros(len(self._waits_s)), 0.0)
        self._end_score: float | None = None  # of the last turn

    def wait_samples(self, score: float | None, *, asks_to_wait: bool = False) -> int:
        """Silence since the last voiced sample after which the turn is committed.

        Args:
            score: the probability that the turn is complete; None without a scorer, or before the score counts.
            asks_to_wait: the speaker did, in words.

        Returns:
            Samples; never more for a higher score, never beyond `max_wait_s` unless the speaker asks for it.
        """
        if asks_to_wait:
            return round(max(self._options.max_held_s, self._options.max_wait_s) * SAMPLE_RATE_HZ)
        complete, learnt = self._complete(score), self._learnt
        longer = (ASSUMED_PAUSES * self._assumed + learnt.longer) / (ASSUMED_PAUSES + learnt.n_pauses)
        costs = complete * self._waits_s + (1 - complete) * self._cut_in_s * longer
        wait_s = PATIENCE[self.wanted] * float(self._waits_s[costs.argmin()])
        return round(min(float(self._waits_s[-1]), max(float(self._waits_s[0]), wait_s)) * SAMPLE_RATE_HZ)

    def observe_hold(self, pause_samples: int, score: float | None) -> None:
        """Learns that the speaker went on after a pause that had this score, and for which nobody had asked."""
        self._learn(score, ended=False)
        pause_s = max(SHORTEST_PAUSE_S, pause_samples / SAMPLE_RATE_HZ)
        longer = self._learnt.longer + 1 / (1 + (self._waits_s / pause_s) ** PAUSE_SHARPNESS)
        self._learnt = replace(self._learnt, longer=longer, n_pauses=self._learnt.n_pauses + 1)

    def observe_end(self, score: float | None) -> None:
        """Learns that a turn was committed at a pause that had this score."""
        self._before_end, self._end_score = self._learnt, score
        self._learn(score, ended=True)
        self._learnt = _Learnt(
            self._learnt.patience * REMEMBERED, self._learnt.longer * REMEMBERED, self._learnt.n_pauses * REMEMBERED
        )

    def observe_cut_in(self, pause_samples: int) -> None:
        """Learns that the last committed turn was none: after a pause of this length the speaker went on."""
        self._learnt = self._before_end
        self.observe_hold(pause_samples, self._end_score)

    def _complete(self, score: float | None) -> float:
        """The probability that the turn of this speaker is complete."""
        probability = 0.5 if score is None else min(1 - LEAST_DOUBT, max(LEAST_DOUBT, score))
        return 1 / (1 + (1 - probability) / probability * math.exp(self._learnt.patience))

    def _learn(self, score: float | None, *, ended: bool) -> None:
        patience = self._learnt.patience + PATIENCE_STEP * (self._complete(score) - ended)
        self._learnt = replace(self._learnt, patience=min(MAX_PATIENCE, max(-MAX_PATIENCE, patience)))
