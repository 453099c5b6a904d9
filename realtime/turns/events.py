"""The events of the turn machine: what the floor is told, and what it makes of frames, scores and words.

Read `machine.py` for where each leads.
"""

from dataclasses import dataclass

from realtime.turns.observations import (
    AnswerFinished,
    AnswerRequested,
    CancelRequested,
    Closed,
    ConversationCleared,
    KeyPressed,
    KeyReleased,
    NothingSaid,
    SpeechCleared,
    SpeechStarted,
    SpeechStopped,
    TextAdded,
    TextSubmitted,
)


@dataclass(frozen=True, slots=True)
class SpeechOverProtected:
    """Speech was confirmed at `sample` over an answer that may not be interrupted; it began at `onset_sample`."""

    onset_sample: int
    sample: int


@dataclass(frozen=True, slots=True)
class SilenceElapsed:
    """The silence after the last speech is long enough, at `sample`, to be the end of the turn.

    Attributes:
        speaker: who spoke last.
        sample: where the turn is taken to have ended.
        waited_samples: since the last voiced sample, or since the last answer ended, if that was later.
    """

    speaker: str
    sample: int
    waited_samples: int


@dataclass(frozen=True, slots=True)
class SaidToOthers:
    """The silence is the end of a turn, as with `SilenceElapsed`, whose words are not meant for the assistant."""

    speaker: str
    sample: int


@dataclass(frozen=True, slots=True)
class TurnTooLong:
    """The speaker's turn has reached the longest length at `sample`; it is kept, and the speaker goes on."""

    speaker: str
    sample: int


@dataclass(frozen=True, slots=True)
class SpeakerJoined:
    """Another speaker began to speak, at `onset_sample`, while somebody has the floor."""

    speaker: str
    onset_sample: int


@dataclass(frozen=True, slots=True)
class SpeakerFinished:
    """A speaker has been silent long enough for a whole turn, while another one speaks."""

    speaker: str


@dataclass(frozen=True, slots=True)
class SoundEnded:
    """The sound over the answer has ended, and its words or its sound will say whether it was a turn."""


@dataclass(frozen=True, slots=True)
class InterruptionConfirmed:
    """The sound over the answer is a turn."""


@dataclass(frozen=True, slots=True)
class InterruptionDismissed:
    """The sound over the answer was no turn: a cough, or an "mm-hm"."""


@dataclass(frozen=True, slots=True)
class KeyReleasedInVain:
    """The key was let go at `sample`, and nothing had been said or typed."""

    sample: int


@dataclass(frozen=True, slots=True)
class KeyReleasedBeside:
    """The key was let go at `sample`, while another speaker speaks: that one has the floor now."""

    sample: int


@dataclass(frozen=True, slots=True)
class AnswerOwed:
    """A turn that was committed beside another one has not been answered, and the other one proved to be none."""


@dataclass(frozen=True, slots=True)
class DetectionStopped:
    """Speech and silence begin and end no turns any more: those under way end at `sample`."""

    sample: int


TurnEvent = (
    SpeechStarted
    | SpeechStopped
    | SpeechOverProtected
    | SilenceElapsed
    | SaidToOthers
    | TurnTooLong
    | SpeakerJoined
    | SpeakerFinished
    | SoundEnded
    | InterruptionConfirmed
    | InterruptionDismissed
    | KeyPressed
    | KeyReleased
    | KeyReleasedInVain
    | KeyReleasedBeside
    | AnswerOwed
    | DetectionStopped
    | TextSubmitted
    | TextAdded
    | AnswerRequested
    | SpeechCleared
    | AnswerFinished
    | NothingSaid
    | CancelRequested
    | ConversationCleared
    | Closed
)
