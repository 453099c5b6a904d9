"""Who has the floor: a pure state machine, events in, actions out.

It knows no asyncio, no clock, no audio. Time reaches it as events whose positions are counted in samples. The theory,
in the order of a conversation:

- LISTENING. Nobody speaks.
- USER_SPEAKING. The detector found speech; the turn's audio is being kept.
- KEY_HELD. The user holds the push-to-talk key, and has the floor until it is released, whatever is detected.
- PAUSED. Speech stopped. Perhaps the turn has ended, perhaps the speaker is looking for a word: a provisional answer is
  started at once, retracted if speech resumes, and committed when the endpoint is confirmed. It is retracted, too,
  where the turn was meant for somebody else: that turn is remembered, and not answered.
- RESPONDING. The turn is the conversation's, and so is every word of the answer that has been delivered.
- INTERRUPTED. Somebody makes a sound over the answer, which falls silent within one decode step. If the sound proves to
  be a turn, the answer ends where it was; if it was a cough or an "mm-hm", the answer goes on from there.
- JUDGING. That sound has ended, and is being judged: its words are written down, how it sounds is scored, or both.
- OVERLAPPING. Somebody makes a sound over an answer that is protected: the answer goes on.
- OVERLAP_JUDGING. That sound has ended, and is being judged.
- WAITING. The sound over the protected answer is a turn, and comes next.
- CLOSED. The end.

Several speakers may share the floor: who speaks beside the one who has it keeps a turn too, and is answered when all
are silent.

`TRANSITIONS` is the whole of it. A pair it does not list raises `IllegalTransition`, which is our bug.
Read `floor.py` for what makes events of observations, and actions of the kinds that the table names.
"""

import enum

from realtime.turns.actions import (
    Action,
    AddText,
    AnnouncePause,
    ClearConversation,
    CommitResponse,
    CommitTurn,
    DiscardTurn,
    InterruptResponse,
    JudgeSound,
    OpenTurn,
    PauseResponse,
    ResumeResponse,
    RetractResponse,
    StartProvisional,
    StartResponse,
    StoreResponse,
)
from realtime.turns.events import (
    AnswerOwed,
    DetectionStopped,
    InterruptionConfirmed,
    InterruptionDismissed,
    KeyReleasedBeside,
    KeyReleasedInVain,
    SaidToOthers,
    SilenceElapsed,
    SoundEnded,
    SpeakerFinished,
    SpeakerJoined,
    SpeechOverProtected,
    TurnEvent,
    TurnTooLong,
)
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


class TurnState(enum.Enum):
    """Who has the floor."""

    LISTENING = "listening"
    USER_SPEAKING = "user_speaking"
    KEY_HELD = "key_held"
    PAUSED = "paused"
    RESPONDING = "responding"
    INTERRUPTED = "interrupted"
    JUDGING = "judging"
    OVERLAPPING = "overlapping"
    OVERLAP_JUDGING = "overlap_judging"
    WAITING = "waiting"
    CLOSED = "closed"


class IllegalTransition(Exception):
    """An event that cannot happen in this state; a bug in the floor."""


_S = TurnState
_TYPED = (AddText, CommitTurn, StartResponse)
_FORGET = (DiscardTurn, ClearConversation)
_AFRESH = (DiscardTurn, OpenTurn)

TRANSITIONS: dict[tuple[TurnState, type[TurnEvent]], tuple[TurnState, tuple[type[Action], ...]]] = {
    (_S.LISTENING, SpeechStarted): (_S.USER_SPEAKING, (OpenTurn,)),
    (_S.LISTENING, DetectionStopped): (_S.LISTENING, ()),
    (_S.LISTENING, KeyPressed): (_S.KEY_HELD, (OpenTurn,)),
    (_S.LISTENING, TextSubmitted): (_S.RESPONDING, _TYPED),
    (_S.LISTENING, AnswerOwed): (_S.RESPONDING, (StartResponse,)),
    (_S.LISTENING, CancelRequested): (_S.LISTENING, ()),  # the answer finished on its way here
    (_S.LISTENING, ConversationCleared): (_S.LISTENING, (ClearConversation,)),
    (_S.LISTENING, Closed): (_S.CLOSED, ()),
    (_S.USER_SPEAKING, SpeechStopped): (_S.PAUSED, (AnnouncePause, StartProvisional)),
    (_S.USER_SPEAKING, TurnTooLong): (_S.USER_SPEAKING, (CommitTurn, OpenTurn)),
    (_S.USER_SPEAKING, SpeakerJoined): (_S.USER_SPEAKING, (OpenTurn,)),
    (_S.USER_SPEAKING, SpeakerFinished): (_S.USER_SPEAKING, (AnnouncePause, CommitTurn)),
    (_S.USER_SPEAKING, DetectionStopped): (_S.RESPONDING, (CommitTurn, StartResponse)),
    (_S.USER_SPEAKING, KeyPressed): (_S.KEY_HELD, (OpenTurn,)),
    (_S.USER_SPEAKING, TextSubmitted): (_S.USER_SPEAKING, (AddText,)),
    (_S.USER_SPEAKING, AnswerRequested): (_S.RESPONDING, (AnnouncePause, CommitTurn, StartResponse)),
    (_S.USER_SPEAKING, SpeechCleared): (_S.USER_SPEAKING, _AFRESH),
    (_S.USER_SPEAKING, CancelRequested): (_S.USER_SPEAKING, ()),
    (_S.USER_SPEAKING, ConversationCleared): (_S.LISTENING, _FORGET),
    (_S.USER_SPEAKING, Closed): (_S.CLOSED, (DiscardTurn,)),
    (_S.KEY_HELD, TurnTooLong): (_S.KEY_HELD, (CommitTurn, OpenTurn)),
    (_S.KEY_HELD, SpeakerJoined): (_S.KEY_HELD, (OpenTurn,)),
    (_S.KEY_HELD, SpeakerFinished): (_S.KEY_HELD, (AnnouncePause, CommitTurn)),
    (_S.KEY_HELD, KeyReleased): (_S.RESPONDING, (AnnouncePause, CommitTurn, StartResponse)),
    (_S.KEY_HELD, KeyReleasedInVain): (_S.LISTENING, (AnnouncePause, DiscardTurn)),
    (_S.KEY_HELD, KeyReleasedBeside): (_S.USER_SPEAKING, (AnnouncePause, CommitTurn)),
    (_S.KEY_HELD, TextSubmitted): (_S.KEY_HELD, (AddText,)),
    (_S.KEY_HELD, SpeechCleared): (_S.KEY_HELD, _AFRESH),
    (_S.KEY_HELD, CancelRequested): (_S.KEY_HELD, ()),
    (_S.KEY_HELD, ConversationCleared): (_S.KEY_HELD, (*_FORGET, OpenTurn)),  # what comes now belongs to the new one
    (_S.KEY_HELD, Closed): (_S.CLOSED, (DiscardTurn,)),
    (_S.PAUSED, SpeechStarted): (_S.USER_SPEAKING, (RetractResponse,)),
    (_S.PAUSED, SpeakerJoined): (_S.USER_SPEAKING, (RetractResponse, OpenTurn)),
    (_S.PAUSED, SilenceElapsed): (_S.RESPONDING, (CommitTurn, CommitResponse)),
    (_S.PAUSED, SaidToOthers): (_S.LISTENING, (RetractResponse, CommitTurn)),
    (_S.PAUSED, DetectionStopped): (_S.RESPONDING, (CommitTurn, CommitResponse)),
    (_S.PAUSED, KeyPressed): (_S.KEY_HELD, (RetractResponse, OpenTurn)),
    (_S.PAUSED, TextSubmitted): (_S.RESPONDING, (RetractResponse, *_TYPED)),
    (_S.PAUSED, TextAdded): (_S.PAUSED, (RetractResponse, AddText, StartProvisional)),
    (_S.PAUSED, AnswerRequested): (_S.RESPONDING, (CommitTurn, CommitResponse)),
    (_S.PAUSED, SpeechCleared): (_S.LISTENING, (RetractResponse, DiscardTurn)),
    (_S.PAUSED, AnswerFinished): (_S.PAUSED, ()),  # whole, but still provisional
    (_S.PAUSED, NothingSaid): (_S.LISTENING, (RetractResponse, DiscardTurn)),
    (_S.PAUSED, CancelRequested): (_S.LISTENING, (RetractResponse, CommitTurn)),
    (_S.PAUSED, ConversationCleared): (_S.LISTENING, (RetractResponse, *_FORGET)),
    (_S.PAUSED, Closed): (_S.CLOSED, (RetractResponse, DiscardTurn)),
    (_S.RESPONDING, SpeechStarted): (_S.INTERRUPTED, (PauseResponse, OpenTurn)),
    (_S.RESPONDING, SpeechOverProtected): (_S.OVERLAPPING, (OpenTurn,)),
    (_S.RESPONDING, DetectionStopped): (_S.RESPONDING, ()),
    (_S.RESPONDING, KeyPressed): (_S.KEY_HELD, (InterruptResponse, OpenTurn)),
    (_S.RESPONDING, TextSubmitted): (_S.RESPONDING, (InterruptResponse, *_TYPED)),
    (_S.RESPONDING, AnswerFinished): (_S.LISTENING, (StoreResponse,)),
    (_S.RESPONDING, NothingSaid): (_S.LISTENING, (InterruptResponse,)),
    (_S.RESPONDING, CancelRequested): (_S.LISTENING, (InterruptResponse,)),
    (_S.RESPONDING, ConversationCleared): (_S.LISTENING, (InterruptResponse, ClearConversation)),
    (_S.RESPONDING, Closed): (_S.CLOSED, (InterruptResponse,)),
    (_S.INTERRUPTED, InterruptionConfirmed): (_S.USER_SPEAKING, (InterruptResponse,)),
    (_S.INTERRUPTED, InterruptionDismissed): (_S.RESPONDING, (DiscardTurn, ResumeResponse)),
    (_S.INTERRUPTED, SoundEnded): (_S.JUDGING, (JudgeSound,)),
    (_S.INTERRUPTED, DetectionStopped): (_S.RESPONDING, (DiscardTurn, ResumeResponse)),
    (_S.INTERRUPTED, KeyPressed): (_S.KEY_HELD, (InterruptResponse, OpenTurn)),
    (_S.INTERRUPTED, TextSubmitted): (_S.USER_SPEAKING, (InterruptResponse, AddText)),
    (_S.INTERRUPTED, SpeechCleared): (_S.INTERRUPTED, _AFRESH),
    (_S.INTERRUPTED, CancelRequested): (_S.USER_SPEAKING, (InterruptResponse,)),
    (_S.INTERRUPTED, ConversationCleared): (_S.LISTENING, (InterruptResponse, *_FORGET)),
    (_S.INTERRUPTED, Closed): (_S.CLOSED, (InterruptResponse, DiscardTurn)),
    (_S.JUDGING, InterruptionConfirmed): (_S.USER_SPEAKING, (InterruptResponse,)),
    (_S.JUDGING, InterruptionDismissed): (_S.RESPONDING, (DiscardTurn, ResumeResponse)),
    (_S.JUDGING, DetectionStopped): (_S.RESPONDING, (DiscardTurn, ResumeResponse)),
    (_S.JUDGING, KeyPressed): (_S.KEY_HELD, (InterruptResponse, OpenTurn)),
    (_S.JUDGING, TextSubmitted): (_S.USER_SPEAKING, (InterruptResponse, AddText)),
    (_S.JUDGING, SpeechCleared): (_S.RESPONDING, (DiscardTurn, ResumeResponse)),
    (_S.JUDGING, CancelRequested): (_S.USER_SPEAKING, (InterruptResponse,)),
    (_S.JUDGING, ConversationCleared): (_S.LISTENING, (InterruptResponse, *_FORGET)),
    (_S.JUDGING, Closed): (_S.CLOSED, (InterruptResponse, DiscardTurn)),
    (_S.OVERLAPPING, InterruptionConfirmed): (_S.WAITING, ()),
    (_S.OVERLAPPING, InterruptionDismissed): (_S.RESPONDING, (DiscardTurn,)),
    (_S.OVERLAPPING, SoundEnded): (_S.OVERLAP_JUDGING, (JudgeSound,)),
    (_S.OVERLAPPING, DetectionStopped): (_S.RESPONDING, (DiscardTurn,)),
    (_S.OVERLAPPING, KeyPressed): (_S.KEY_HELD, (InterruptResponse, OpenTurn)),
    (_S.OVERLAPPING, TextSubmitted): (_S.USER_SPEAKING, (InterruptResponse, AddText)),
    (_S.OVERLAPPING, SpeechCleared): (_S.OVERLAPPING, _AFRESH),
    (_S.OVERLAPPING, AnswerFinished): (_S.USER_SPEAKING, (StoreResponse,)),
    (_S.OVERLAPPING, NothingSaid): (_S.USER_SPEAKING, (InterruptResponse,)),
    (_S.OVERLAPPING, CancelRequested): (_S.USER_SPEAKING, (InterruptResponse,)),
    (_S.OVERLAPPING, ConversationCleared): (_S.LISTENING, (InterruptResponse, *_FORGET)),
    (_S.OVERLAPPING, Closed): (_S.CLOSED, (InterruptResponse, DiscardTurn)),
    (_S.OVERLAP_JUDGING, InterruptionConfirmed): (_S.WAITING, ()),
    (_S.OVERLAP_JUDGING, InterruptionDismissed): (_S.RESPONDING, (DiscardTurn,)),
    (_S.OVERLAP_JUDGING, DetectionStopped): (_S.RESPONDING, (DiscardTurn,)),
    (_S.OVERLAP_JUDGING, KeyPressed): (_S.KEY_HELD, (InterruptResponse, OpenTurn)),
    (_S.OVERLAP_JUDGING, TextSubmitted): (_S.USER_SPEAKING, (InterruptResponse, AddText)),
    (_S.OVERLAP_JUDGING, SpeechCleared): (_S.RESPONDING, (DiscardTurn,)),
    (_S.OVERLAP_JUDGING, AnswerFinished): (_S.USER_SPEAKING, (StoreResponse,)),
    (_S.OVERLAP_JUDGING, NothingSaid): (_S.USER_SPEAKING, (InterruptResponse,)),
    (_S.OVERLAP_JUDGING, CancelRequested): (_S.USER_SPEAKING, (InterruptResponse,)),
    (_S.OVERLAP_JUDGING, ConversationCleared): (_S.LISTENING, (InterruptResponse, *_FORGET)),
    (_S.OVERLAP_JUDGING, Closed): (_S.CLOSED, (InterruptResponse, DiscardTurn)),
    (_S.WAITING, SpeakerJoined): (_S.WAITING, (OpenTurn,)),
    (_S.WAITING, DetectionStopped): (_S.WAITING, ()),  # the turn is known already
    (_S.WAITING, KeyPressed): (_S.KEY_HELD, (InterruptResponse, OpenTurn)),
    (_S.WAITING, TextSubmitted): (_S.USER_SPEAKING, (InterruptResponse, AddText)),
    (_S.WAITING, SpeechCleared): (_S.RESPONDING, (DiscardTurn,)),
    (_S.WAITING, AnswerFinished): (_S.USER_SPEAKING, (StoreResponse,)),
    (_S.WAITING, NothingSaid): (_S.USER_SPEAKING, (InterruptResponse,)),
    (_S.WAITING, CancelRequested): (_S.USER_SPEAKING, (InterruptResponse,)),
    (_S.WAITING, ConversationCleared): (_S.LISTENING, (InterruptResponse, *_FORGET)),
    (_S.WAITING, Closed): (_S.CLOSED, (InterruptResponse, DiscardTurn)),
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

    def handle(self, event: TurnEvent) -> tuple[type[Action], ...]:
        """Moves to the next state.

        Returns:
            The kinds of actions to carry out, in order.

        Raises:
            IllegalTransition: the event cannot happen in this state; the state is unchanged.
        """
        try:
            self._state, kinds = TRANSITIONS[self._state, type(event)]
        except KeyError:
            raise IllegalTransition(f"{type(event).__name__} while {self._state.value}") from None
        return kinds
