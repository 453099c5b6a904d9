"""How long to wait, after speech stopped, before the turn counts as ended.

Only silence decides here. Read `vad.py` for how silence is heard, `turns.py` for what happens then.
"""

from dataclasses import dataclass

from models.types import SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointingOptions:
    """When a turn has ended.

    Attributes:
        silence_s: this much silence ends a turn. People pause up to about half a second inside a turn (Heldner and
            Edlund, 2010); OpenAI's server VAD waits 0.5 s, LiveKit 0.3-0.5 s at least.
        max_turn_s: a longer turn is kept as one message and goes on in the next.
        min_interruption_s: a sound over an answer shorter than this is taken for a cough, and the answer goes on.
    """

    silence_s: float = 0.6
    max_turn_s: float = 60.0
    min_interruption_s: float = 0.25

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
