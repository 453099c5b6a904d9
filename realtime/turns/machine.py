"""Who has the floor: a pure state machine, events in, actions out.

It knows no asyncio, no clock, no audio. Time reaches it as events whose positions are counted in samples, and the
session carries out its actions. The theory, in the order of a conversation:

- LISTENING. Nobody speaks.
- USER_SPEAKING. The detector heard an onset; the turn's audio is being kept.
- PAUSED. Speech stopped. Perhaps the turn has ended, perhaps the speaker is looking for a word: a provisional answer is
  started at once, retracted if speech resumes, and committed when the endpoint is confirmed.
- RESPONDING. The turn is the conversation's, and so is every word of the answer that has been delivered.
- INTERRUPTED. Somebody speaks over the answer, which falls silent within one decode step. If it proves to be a turn,
  the answer ends where it was; if it was a cough or an "mm-hm", the answer goes on from there.
- OVERLAPPING. Somebody speaks over an answer that is protected: it goes on, and what is said becomes the next turn.
- CLOSED. The end.

Whoever holds a push-to-talk key has the floor until it is released, whatever the detector hears.

`TRANSITIONS` is the whole of it. A pair it does not list raises `IllegalTransition`, which is our bug.
Read `session.py` for what carries the actions out.
"""

import enum
from dataclasses import dataclass


class TurnState(enum.Enum):
    """Who has the floor."""

    LISTENING = "listening"
    USER_SPEAKING = "user_speaking"
    PAUSED = "paused"
    RESPONDING = "responding"
    INTERRUPTED = "interrupted"
    OVERLAPPING = "overlapping"
    CLOSED = "closed"


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
class SpeechOverProtected:
    """Speech was confirmed at `sample` over an answer that may not be interrupted; it began at `onset_sample`."""

    onset_sample: int
    sample: int


@dataclass(frozen=True, slots=True)
class EndOfTurnScored:
    """From `sample` on it counts how probable it is that the turn is complete; None: the scorer failed."""

    sample: int
    probability: float | None


@dataclass(frozen=True, slots=True)
class SilenceElapsed:
    """The silence after the last speech is long enough, at `sample`, to be the end of the turn."""

    sample: int


@dataclass(frozen=True, slots=True)
class TurnTooLong:
    """The turn has reached the longest length at `sample`; what was said is kept and the speaker goes on."""

    sample: int


@dataclass(frozen=True, slots=True)
class InterruptionConfirmed:
    """The speech over the answer has lasted long enough, at `sample`, to be a turn."""

    sample: int


@dataclass(frozen=True, slots=True)
class InterruptionDismissed:
    """The sound over the answer, which had ended by `sample`, was no turn: a cough, or an "mm-hm"."""

    sample: int


@dataclass(frozen=True, slots=True)
class PushToTalkPressed:
    """The user holds the key down: what is heard from now on is a turn."""


@dataclass(frozen=True, slots=True)
class PushToTalkReleased:
    """The user has let the key go: the turn has ended."""


@dataclass(frozen=True, slots=True)
class TextSubmitted:
    """The user typed `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class ResponseFinished:
    """The model has generated the whole answer, or failed."""


@dataclass(frozen=True, slots=True)
class NothingHeard:
    """There were no words in the turn, which has ended: it was a noise, or a key pressed by mistake."""


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


TurnEvent = (
    SpeechStarted
    | SpeechStopped
    | SpeechOverProtected
    | EndOfTurnScored
    | SilenceElapsed
    | TurnTooLong
    | InterruptionConfirmed
    | InterruptionDismissed
    | PushToTalkPressed
    | PushToTalkReleased
    | TextSubmitted
    | ResponseFinished
    | NothingHeard
    | CancelRequested
    | ConversationCleared
    | Closed
)


class Action(enum.Enum):
    """What the session has to do, in the order given."""

    OPEN_TURN = "keep audio from the onset on"
    DISCARD_TURN = "drop the audio kept"
    ADD_TEXT = "add typed text to the turn"
    COMMIT_TURN = "make the turn a message of the conversation"
    START_PROVISIONAL = "start an answer to the turn so far, if the load allows"
    RETRACT_RESPONSE = "stop the provisional answer and withdraw its text"
    COMMIT_RESPONSE = "make the provisional answer the answer; start it if the load did not allow it before"
    START_RESPONSE = "start an answer to the conversation"
    PAUSE_RESPONSE = "stop generating, keep what was delivered"
    RESUME_RESPONSE = "go on where the answer stopped"
    END_INTERRUPTED = "stop, and store what was delivered, marked as interrupted"
    STORE_RESPONSE = "make the finished answer a message of the conversation"
    CLEAR_CONVERSATION = "forget everything that was said"


class IllegalTransition(Exception):
    """An event that cannot happen in this state; a bug in the session."""


_S, _A = TurnState, Action

TRANSITIONS: dict[tuple[TurnState, type[TurnEvent]], tuple[TurnState, tuple[Action, ...]]] = {
    (_S.LISTENING, SpeechStarted): (_S.USER_SPEAKING, (_A.OPEN_TURN,)),
    (_S.LISTENING, SpeechStopped): (_S.LISTENING, ()),  # the speech was before "new conversation"
    (_S.LISTENING, PushToTalkPressed): (_S.USER_SPEAKING, (_A.OPEN_TURN,)),
    (_S.LISTENING, PushToTalkReleased): (_S.LISTENING, ()),  # the turn was cleared, or detection switched off
    (_S.LISTENING, TextSubmitted): (_S.RESPONDING, (_A.ADD_TEXT, _A.COMMIT_TURN, _A.START_RESPONSE)),
    (_S.LISTENING, CancelRequested): (_S.LISTENING, ()),  # the answer finished on its way here
    (_S.LISTENING, ConversationCleared): (_S.LISTENING, (_A.CLEAR_CONVERSATION,)),
    (_S.LISTENING, Closed): (_S.CLOSED, ()),
    (_S.USER_SPEAKING, SpeechStopped): (_S.PAUSED, (_A.START_PROVISIONAL,)),
    (_S.USER_SPEAKING, TurnTooLong): (_S.USER_SPEAKING, (_A.COMMIT_TURN, _A.OPEN_TURN)),
    (_S.USER_SPEAKING, PushToTalkPressed): (_S.USER_SPEAKING, ()),
    (_S.USER_SPEAKING, PushToTalkReleased): (_S.RESPONDING, (_A.COMMIT_TURN, _A.START_RESPONSE)),
    (_S.USER_SPEAKING, NothingHeard): (_S.LISTENING, (_A.DISCARD_TURN,)),
    (_S.USER_SPEAKING, TextSubmitted): (_S.USER_SPEAKING, (_A.ADD_TEXT,)),
    (_S.USER_SPEAKING, CancelRequested): (_S.USER_SPEAKING, ()),
    (_S.USER_SPEAKING, ConversationCleared): (_S.LISTENING, (_A.DISCARD_TURN, _A.CLEAR_CONVERSATION)),
    (_S.USER_SPEAKING, Closed): (_S.CLOSED, (_A.DISCARD_TURN,)),
    (_S.PAUSED, SpeechStarted): (_S.USER_SPEAKING, (_A.RETRACT_RESPONSE,)),
    (_S.PAUSED, EndOfTurnScored): (_S.PAUSED, ()),  # it moves the endpoint, and is not one
    (_S.PAUSED, PushToTalkPressed): (_S.USER_SPEAKING, (_A.RETRACT_RESPONSE,)),
    (_S.PAUSED, PushToTalkReleased): (_S.RESPONDING, (_A.COMMIT_TURN, _A.COMMIT_RESPONSE)),
    (_S.PAUSED, SilenceElapsed): (_S.RESPONDING, (_A.COMMIT_TURN, _A.COMMIT_RESPONSE)),
    (_S.PAUSED, TextSubmitted): (
        _S.RESPONDING,
        (_A.RETRACT_RESPONSE, _A.ADD_TEXT, _A.COMMIT_TURN, _A.START_RESPONSE),
    ),
    (_S.PAUSED, ResponseFinished): (_S.PAUSED, ()),  # whole, but still provisional
    (_S.PAUSED, NothingHeard): (_S.LISTENING, (_A.RETRACT_RESPONSE, _A.DISCARD_TURN)),
    (_S.PAUSED, CancelRequested): (_S.LISTENING, (_A.RETRACT_RESPONSE, _A.COMMIT_TURN)),
    (_S.PAUSED, ConversationCleared): (
        _S.LISTENING,
        (_A.RETRACT_RESPONSE, _A.DISCARD_TURN, _A.CLEAR_CONVERSATION),
    ),
    (_S.PAUSED, Closed): (_S.CLOSED, (_A.RETRACT_RESPONSE, _A.DISCARD_TURN)),
    (_S.RESPONDING, SpeechStarted): (_S.INTERRUPTED, (_A.PAUSE_RESPONSE, _A.OPEN_TURN)),
    (_S.RESPONDING, SpeechStopped): (_S.RESPONDING, ()),  # the speech was before "new conversation"
    (_S.RESPONDING, SpeechOverProtected): (_S.OVERLAPPING, (_A.OPEN_TURN,)),
    (_S.RESPONDING, PushToTalkPressed): (_S.USER_SPEAKING, (_A.END_INTERRUPTED, _A.OPEN_TURN)),
    (_S.RESPONDING, PushToTalkReleased): (_S.RESPONDING, ()),
    (_S.RESPONDING, ResponseFinished): (_S.LISTENING, (_A.STORE_RESPONSE,)),
    (_S.RESPONDING, NothingHeard): (_S.LISTENING, (_A.END_INTERRUPTED,)),
    (_S.RESPONDING, TextSubmitted): (
        _S.RESPONDING,
        (_A.END_INTERRUPTED, _A.ADD_TEXT, _A.COMMIT_TURN, _A.START_RESPONSE),
    ),
    (_S.RESPONDING, CancelRequested): (_S.LISTENING, (_A.END_INTERRUPTED,)),
    (_S.RESPONDING, ConversationCleared): (_S.LISTENING, (_A.END_INTERRUPTED, _A.CLEAR_CONVERSATION)),
    (_S.RESPONDING, Closed): (_S.CLOSED, (_A.END_INTERRUPTED,)),
    (_S.INTERRUPTED, InterruptionConfirmed): (_S.USER_SPEAKING, (_A.END_INTERRUPTED,)),
    (_S.INTERRUPTED, InterruptionDismissed): (_S.RESPONDING, (_A.DISCARD_TURN, _A.RESUME_RESPONSE)),
    (_S.INTERRUPTED, PushToTalkPressed): (_S.USER_SPEAKING, (_A.END_INTERRUPTED,)),
    (_S.INTERRUPTED, PushToTalkReleased): (_S.INTERRUPTED, ()),
    (_S.INTERRUPTED, TextSubmitted): (_S.USER_SPEAKING, (_A.END_INTERRUPTED, _A.ADD_TEXT)),
    (_S.INTERRUPTED, CancelRequested): (_S.USER_SPEAKING, (_A.END_INTERRUPTED,)),
    (_S.INTERRUPTED, ConversationCleared): (
        _S.LISTENING,
        (_A.END_INTERRUPTED, _A.DISCARD_TURN, _A.CLEAR_CONVERSATION),
    ),
    (_S.INTERRUPTED, Closed): (_S.CLOSED, (_A.END_INTERRUPTED, _A.DISCARD_TURN)),
    (_S.OVERLAPPING, InterruptionConfirmed): (_S.OVERLAPPING, ()),
    (_S.OVERLAPPING, InterruptionDismissed): (_S.RESPONDING, (_A.DISCARD_TURN,)),
    (_S.OVERLAPPING, ResponseFinished): (_S.USER_SPEAKING, (_A.STORE_RESPONSE,)),
    (_S.OVERLAPPING, NothingHeard): (_S.USER_SPEAKING, (_A.END_INTERRUPTED,)),
    (_S.OVERLAPPING, PushToTalkPressed): (_S.USER_SPEAKING, (_A.END_INTERRUPTED,)),
    (_S.OVERLAPPING, PushToTalkReleased): (_S.OVERLAPPING, ()),
    (_S.OVERLAPPING, TextSubmitted): (_S.USER_SPEAKING, (_A.END_INTERRUPTED, _A.ADD_TEXT)),
    (_S.OVERLAPPING, CancelRequested): (_S.USER_SPEAKING, (_A.END_INTERRUPTED,)),
    (_S.OVERLAPPING, ConversationCleared): (
        _S.LISTENING,
        (_A.END_INTERRUPTED, _A.DISCARD_TURN, _A.CLEAR_CONVERSATION),
    ),
    (_S.OVERLAPPING, Closed): (_S.CLOSED, (_A.END_INTERRUPTED, _A.DISCARD_TURN)),
    (_S.CLOSED, Closed): (_S.CLOSED, ()),
}


class TurnMachine:
    """Holds the state and nothing else."""

    def __init__(self) -> None:
        self._state = TurnState.LISTENING

    @property
    def state(self) -> TurnState:
        """Who has the floor now."""
        return self._state

    def handle(self, event: TurnEvent) -> tuple[Action, ...]:
        """Moves to the next state.

        Returns:
            The actions to carry out, in order.

        Raises:
            IllegalTransition: the event cannot happen in this state; the state is unchanged.
        """
        try:
            self._state, actions = TRANSITIONS[self._state, type(event)]
        except KeyError:
            raise IllegalTransition(f"{type(event).__name__} while {self._state.value}") from None
        return actions
