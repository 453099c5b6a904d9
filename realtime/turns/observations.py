"""What the floor is told. All positions are counted in samples of the speaker's audio.

A detector says what it found in each frame; a scorer and a model say what they make of what was said; the user presses,
types and sets. Some of these are events of the turn machine as they are, from others `floor.py` makes them.
Read `machine.py` next.
"""

from dataclasses import dataclass
from typing import Literal

Patience = Literal["low", "normal", "high"]  # at pauses
Address = Literal["always", "when-asked"]  # whether what seems to be said to others is answered, too

DEFAULT_SPEAKER = "user"  # where a session has one


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech was confirmed at `sample`; it began at `onset_sample`."""

    onset_sample: int
    sample: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Silence is long enough at `sample` to be a pause; the last voiced sample is before `offset_sample`."""

    offset_sample: int
    sample: int


@dataclass(frozen=True, slots=True)
class DetectedFrame:
    """One frame of a speaker's audio after detection.

    Attributes:
        end_sample: position just after the frame.
        event: what the frame decided, if anything.
        silence_samples: since the last voiced frame; 0 in speech.
        speaker: whose audio it is.
    """

    end_sample: int
    event: SpeechStarted | SpeechStopped | None
    silence_samples: int
    speaker: str = DEFAULT_SPEAKER


@dataclass(frozen=True, slots=True)
class PauseScored:
    """What was made of a pause, by sound and by words.

    Attributes:
        speaker: whose pause it is.
        number: of the score, among this speaker's.
        probability: that the turn is complete; None: the scorer failed.
        asks_to_wait: the speaker said "hold on", or the like.
        address: how probable it is that the words are meant for the assistant; None: they are not known.
        asks: whether the words ask something that is to be answered; None: they are not known.
    """

    speaker: str
    number: int
    probability: float | None
    asks_to_wait: bool = False
    address: float | None = None
    asks: bool | None = None


@dataclass(frozen=True, slots=True)
class SoundJudged:
    """What ears and scorer make of the n-th sound over an answer that was to be judged.

    Attributes:
        number: of the sound.
        text: None: nobody writes it down, ears failed, or it is in a language that they do not know.
        least_probability: of its words; 1 where the ears do not say how sure they are.
        backchannel_probability: that it sounds like an "mm-hm" or a noise, and not like a turn; None: no scorer, or it
            failed.
    """

    number: int
    text: str | None
    least_probability: float = 1.0
    backchannel_probability: float | None = None


@dataclass(frozen=True, slots=True)
class NothingSaid:
    """There are no words in the turn that the present answer is for."""


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """The user holds the push-to-talk key down from `sample` on."""

    sample: int


@dataclass(frozen=True, slots=True)
class KeyReleased:
    """The user let the push-to-talk key go at `sample`."""

    sample: int


@dataclass(frozen=True, slots=True)
class TextSubmitted:
    """The user typed `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class TextAdded:
    """The user typed `text`: part of the turn under way, or of the next one, and not yet to be answered."""

    text: str


@dataclass(frozen=True, slots=True)
class AnswerRequested:
    """The user wants an answer now, at `sample`.

    Attributes:
        ends_speech: what is being said ends here; otherwise its end is awaited.
    """

    sample: int
    ends_speech: bool


@dataclass(frozen=True, slots=True)
class SpeechCleared:
    """What has been said, and not been answered, is to be dropped; whoever goes on begins a turn there."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The user asked for the answer to stop."""


@dataclass(frozen=True, slots=True)
class ConversationCleared:
    """The user asked for a new conversation."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The client has gone, or the server ends the session for a `reason`."""

    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesChanged:
    """The user changed how turns are taken; None leaves a rule as it is.

    Attributes:
        protect_answer: speech does not stop the answer under way, or the next one.
        turn_detection: turns begin and end by speech and silence; otherwise by push-to-talk and typing alone.
        patience: how long pauses are waited at.
        address: whether what seems to be said to others is answered.
    """

    protect_answer: bool | None = None
    turn_detection: bool | None = None
    patience: Patience | None = None
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class LoadChanged:
    """Whether there is now room for work that may prove to be in vain."""

    allows_speculation: bool


@dataclass(frozen=True, slots=True)
class AnswerFinished:
    """The model has generated the whole answer, or failed."""


Observation = (
    DetectedFrame
    | PauseScored
    | SoundJudged
    | NothingSaid
    | KeyPressed
    | KeyReleased
    | TextSubmitted
    | TextAdded
    | AnswerRequested
    | SpeechCleared
    | CancelRequested
    | ConversationCleared
    | Closed
    | RulesChanged
    | LoadChanged
    | AnswerFinished
)
