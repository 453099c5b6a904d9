"""What a floor decides by. Read `floor.py` for the decisions."""

from dataclasses import dataclass
from typing import Literal

from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.observations import DEFAULT_SPEAKER, Address

MAX_TEXT_CHARACTERS = 20_000  # typed for one answer: ten pages


SessionKind = Literal["conversation", "call"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorOptions:
    """What a floor decides by.

    Attributes:
        endpointing: when a turn has ended, and what a sound over an answer is.
        pre_roll_s: audio kept before an onset.
        speakers: their names; keys and typed text are the first one's.
        scores_pauses: a scorer says how complete a turn sounds; otherwise silence alone decides.
        transcribes_sounds: the words of a short sound over an answer can be written down.
        scores_sounds: a scorer says whether such a sound is a turn by how it sounds.
        address: whether what seems to be said to others is answered.
        kind: "call": two parties speak to each other, and nobody is answered (`call_floor.py`).
    """

    endpointing: EndpointingOptions
    pre_roll_s: float
    speakers: tuple[str, ...] = (DEFAULT_SPEAKER,)
    scores_pauses: bool = False
    transcribes_sounds: bool = False
    scores_sounds: bool = False
    address: Address = "always"
    kind: SessionKind = "conversation"

    def __post_init__(self) -> None:
        if not self.speakers or len(set(self.speakers)) < len(self.speakers):
            raise ValueError(f"the speakers are {self.speakers}; there must be one at least, each with another name")
