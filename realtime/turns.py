"""Who has the floor: a pure state machine, events in, actions out.

It knows no asyncio, no clock, no audio. Time reaches it as events whose positions are counted in samples, and the
session carries out its actions. The theory, in the order of a conversation:

- LISTENING. Nobody speaks.
- USER_SPEAKING. The detector heard an onset; the turn's audio is being kept.
- PAUSED. Speech stopped. Perhaps the turn has ended, perhaps the speaker is looking for a word: a provisional answer is
  started at once, retracted if speech resumes, and committed when the endpoint is confirmed.
- RESPONDING. The turn is the conversation's, and so is every word of the answer that has been delivered.
- INTERRUPTED. Somebody speaks over the answer, which falls silent within one decode step. If it proves to be a turn,
  the answer ends where it was; if it was a cough, the answer goes on from there.
- CLOSED. The end.

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
    """The sound over the answer ended, at `sample`, too early to be a turn."""

    sample: int


@dataclass(frozen=True, slots=True)
class TextSubmitted:
    """The user typed `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class ResponseFinished:
    """The model has generated the whole answer, or failed."""


@dataclass(frozen=True, slots=True)
class NothingHeard:
    """The model found no words in the turn, which has ended: it was a noise."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The user asked for the answer to stop."""


@dataclass(frozen=True, slots=True)
class ConversationCleared:
    """The user asked for a new conversation."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The client has gone."""


TurnEvent = (
    SpeechStarted
    | SpeechStopped
    | SilenceElapsed
    | TurnTooLong
    | InterruptionConfirmed
    | InterruptionDismissed
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
    START_PROVISIONAL = "start an answer to the turn so far"
    RETRACT_RESPONSE = "stop the provisional answer and withdraw its text"
    COMMIT_RESPONSE = "make the provisional answer the answer"
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
    (_S.LISTENING, TextSubmitted): (_S.RESPONDING, (_A.ADD_TEXT, _A.COMMIT_TURN, _A.START_RESPONSE)),
    (_S.LISTENING, CancelRequested): (_S.LISTENING, ()),  # the answer finished on its way here
    (_S.LISTENING, ConversationCleared): (_S.LISTENING, (_A.CLEAR_CONVERSATION,)),
    (_S.LISTENING, Closed): (_S.CLOSED, ()),
    (_S.USER_SPEAKING, SpeechStopped): (_S.PAUSED, (_A.START_PROVISIONAL,)),
    (_S.USER_SPEAKING, TurnTooLong): (_S.USER_SPEAKING, (_A.COMMIT_TURN, _A.OPEN_TURN)),
    (_S.USER_SPEAKING, TextSubmitted): (_S.USER_SPEAKING, (_A.ADD_TEXT,)),
    (_S.USER_SPEAKING, CancelRequested): (_S.USER_SPEAKING, ()),
    (_S.USER_SPEAKING, ConversationCleared): (_S.LISTENING, (_A.DISCARD_TURN, _A.CLEAR_CONVERSATION)),
    (_S.USER_SPEAKING, Closed): (_S.CLOSED, (_A.DISCARD_TURN,)),
    (_S.PAUSED, SpeechStarted): (_S.USER_SPEAKING, (_A.RETRACT_RESPONSE,)),
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
    (_S.INTERRUPTED, TextSubmitted): (_S.USER_SPEAKING, (_A.END_INTERRUPTED, _A.ADD_TEXT)),
    (_S.INTERRUPTED, CancelRequested): (_S.USER_SPEAKING, (_A.END_INTERRUPTED,)),
    (_S.INTERRUPTED, ConversationCleared): (
        _S.LISTENING,
        (_A.END_INTERRUPTED, _A.DISCARD_TURN, _A.CLEAR_CONVERSATION),
    ),
    (_S.INTERRUPTED, Closed): (_S.CLOSED, (_A.END_INTERRUPTED, _A.DISCARD_TURN)),
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
