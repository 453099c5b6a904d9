"""What the floor asks for, with all that is needed to do it: nobody has to know which event it came from.

`cause` is the event of the turn machine that led to an action, where the way it is done depends on it.
Read `floor.py` for how actions are made, `dialogue.py` for how they are carried out.
"""

from dataclasses import dataclass

from realtime.turns.events import TurnEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Where a turn of one speaker begins.

    Attributes:
        speaker: whose it is.
        start_sample: where its audio begins; None: it is typed, and has none.
        onset_sample: where its first voice is; 0 where it began otherwise than with a voice.
        continues: the turn before was too long, and is this one's beginning.
        cut_in_after_samples: if it began within a second of the commit that ended the turn before, the silence
            between the two. That turn had not been complete: the answer cut in.
    """

    speaker: str
    start_sample: int | None
    onset_sample: int = 0
    continues: bool = False
    cut_in_after_samples: int | None = None


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """Up to where a speaker's open turn is taken."""

    speaker: str
    end_sample: int


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """Keep this turn's audio."""

    turn: Turn


@dataclass(frozen=True, slots=True)
class DiscardTurn:
    """Drop a speaker's open turn.

    Attributes:
        speaker: whose it is.
        cause: the machine's event for which it is dropped.
    """

    speaker: str
    cause: TurnEvent


@dataclass(frozen=True, slots=True)
class AddText:
    """Add typed text to a speaker's turn; open one without audio if there is none."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class ScoreTurn:
    """Begin to score how complete the turn is; this is the speaker's n-th score."""

    end: TurnEnd
    number: int


@dataclass(frozen=True, slots=True)
class NoteMissingScore:
    """Count a pause that was not scored in time, or could not be."""


@dataclass(frozen=True, slots=True)
class PrefillTurns:
    """Let the model compute the open turns, which may just be ending."""

    ends: tuple[TurnEnd, ...]


@dataclass(frozen=True, slots=True)
class AnnouncePause:
    """Tell the client that a speaker has paused; the last voiced sample is before `offset_sample`."""

    speaker: str
    offset_sample: int


@dataclass(frozen=True, slots=True)
class CommitTurn:
    """Make a turn a message of the conversation.

    Attributes:
        turn: which one.
        end_sample: where its audio ends.
        cause: the machine's event that ended it.
    """

    turn: Turn
    end_sample: int
    cause: TurnEvent


@dataclass(frozen=True, slots=True)
class StartProvisional:
    """Start an answer to the open turns, which may go on."""

    ends: tuple[TurnEnd, ...]
    speaker: str
    last_voiced_sample: int


@dataclass(frozen=True, slots=True)
class SkipProvisional:
    """Count a pause at which the load allows no provisional answer."""


@dataclass(frozen=True, slots=True)
class RetractResponse:
    """Stop the provisional answer and withdraw its text."""


@dataclass(frozen=True, slots=True)
class CommitResponse:
    """Make the provisional answer the answer."""


@dataclass(frozen=True, slots=True)
class StartResponse:
    """Start an answer to the conversation.

    Attributes:
        speaker: who spoke last.
        last_voiced_sample: of that speaker; None if the question was typed.
    """

    speaker: str
    last_voiced_sample: int | None


@dataclass(frozen=True, slots=True)
class PauseResponse:
    """Stop generating, keep what was delivered."""


@dataclass(frozen=True, slots=True)
class ResumeResponse:
    """Go on where the answer stopped."""


@dataclass(frozen=True, slots=True)
class JudgeSound:
    """Have the sound over the answer judged, by its words, by how it sounds, or both; this is the n-th."""

    end: TurnEnd
    number: int


@dataclass(frozen=True, slots=True)
class InterruptResponse:
    """Stop the answer, and store what was delivered, marked as interrupted.

    Attributes:
        cause: the machine's event that stopped it.
    """

    cause: TurnEvent


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """Make the finished answer a message of the conversation."""


@dataclass(frozen=True, slots=True)
class EndProtection:
    """Tell the client that answers can be interrupted again."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell the client why what it asked for is not done."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClearConversation:
    """Forget everything that was said."""


Action = (
    OpenTurn
    | DiscardTurn
    | AddText
    | ScoreTurn
    | NoteMissingScore
    | PrefillTurns
    | AnnouncePause
    | CommitTurn
    | StartProvisional
    | SkipProvisional
    | RetractResponse
    | CommitResponse
    | StartResponse
    | PauseResponse
    | ResumeResponse
    | JudgeSound
    | InterruptResponse
    | StoreResponse
    | EndProtection
    | Refuse
    | ClearConversation
)
