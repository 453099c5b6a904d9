"""Every (state, event) pair, and what holds over any sequence of events."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.turns.machine import (
    TRANSITIONS,
    Action,
    CancelRequested,
    Closed,
    ConversationCleared,
    EndOfTurnScored,
    IllegalTransition,
    InterruptionConfirmed,
    InterruptionDismissed,
    PushToTalkPressed,
    SilenceElapsed,
    SpeechOverProtected,
    SpeechStarted,
    SpeechStopped,
    TextSubmitted,
    TurnEvent,
    TurnMachine,
    TurnState,
    TurnTooLong,
)

EVENT_TYPES = get_args(TurnEvent)

ROUTES: dict[TurnState, list[TurnEvent]] = {
    TurnState.LISTENING: [],
    TurnState.USER_SPEAKING: [SpeechStarted(0, 1)],
    TurnState.PAUSED: [SpeechStarted(0, 1), SpeechStopped(2, 3)],
    TurnState.RESPONDING: [SpeechStarted(0, 1), SpeechStopped(2, 3), SilenceElapsed(4)],
    TurnState.INTERRUPTED: [SpeechStarted(0, 1), SpeechStopped(2, 3), SilenceElapsed(4), SpeechStarted(5, 6)],
    TurnState.OVERLAPPING: [SpeechStarted(0, 1), SpeechStopped(2, 3), SilenceElapsed(4), SpeechOverProtected(5, 6)],
    TurnState.CLOSED: [Closed()],
}


def example(event_type: type[TurnEvent]) -> TurnEvent:
    """An event of the type, with any field values."""
    if event_type in (SpeechStarted, SpeechStopped, SpeechOverProtected):
        return event_type(10, 20)
    if event_type is EndOfTurnScored:
        return EndOfTurnScored(10, 0.9)
    if event_type is TextSubmitted:
        return TextSubmitted("hello")
    if event_type in (SilenceElapsed, TurnTooLong, InterruptionConfirmed, InterruptionDismissed):
        return event_type(10)
    return event_type()


def machine_in(state: TurnState) -> TurnMachine:
    """A machine led to the state through events alone."""
    machine = TurnMachine()
    for event in ROUTES[state]:
        machine.handle(event)
    assert machine.state is state
    return machine


# Where each event leads from each state, by first letters; a dot cannot happen.
TARGETS = """
                       LISTENING USER_SPEAKING PAUSED RESPONDING INTERRUPTED OVERLAPPING CLOSED
SpeechStarted          U         .             U      I          .           .           .
SpeechStopped          L         P             .      R          .           .           .
SpeechOverProtected    .         .             .      O          .           .           .
EndOfTurnScored        .         .             P      .          .           .           .
SilenceElapsed         .         .             R      .          .           .           .
TurnTooLong            .         U             .      .          .           .           .
InterruptionConfirmed  .         .             .      .          U           O           .
InterruptionDismissed  .         .             .      .          R           R           .
PushToTalkPressed      U         U             U      U          U           U           .
PushToTalkReleased     L         R             R      R          I           O           .
TextSubmitted          R         U             R      R          U           U           .
ResponseFinished       .         .             P      L          .           U           .
NothingHeard           .         L             L      L          .           U           .
CancelRequested        L         U             L      L          U           U           .
ConversationCleared    L         L             L      L          L           L           .
Closed                 C         C             C      C          C           C           C
"""
HEAD, *ROWS = [line.split() for line in TARGETS.strip().splitlines()]
PAIRS = [(state, name, target) for name, *targets in ROWS for state, target in zip(HEAD, targets, strict=True)]


@pytest.mark.parametrize(("state_name", "event_name", "target"), PAIRS)
def test_every_pair_of_state_and_event(state_name: str, event_name: str, target: str) -> None:
    state = TurnState[state_name]
    machine = machine_in(state)
    event = example(next(event_type for event_type in EVENT_TYPES if event_type.__name__ == event_name))
    if target == ".":
        with pytest.raises(IllegalTransition, match=f"{event_name} while {state.value}"):
            machine.handle(event)
        assert machine.state is state
    else:
        machine.handle(event)
        assert machine.state.name[0] == target


def test_no_pair_is_left_out() -> None:
    assert [state.name for state in TurnState] == HEAD
    assert sorted(name for name, *_ in ROWS) == sorted(event_type.__name__ for event_type in EVENT_TYPES)


@pytest.mark.parametrize("state", [state for state in TurnState if state is not TurnState.CLOSED])
@pytest.mark.parametrize("event_type", [Closed, ConversationCleared, TextSubmitted, PushToTalkPressed, CancelRequested])
def test_a_client_may_type_press_cancel_clear_and_leave_at_any_time(
    state: TurnState, event_type: type[TurnEvent]
) -> None:
    assert (state, event_type) in TRANSITIONS


@given(st.lists(st.sampled_from([example(event_type) for event_type in EVENT_TYPES]), max_size=60))
def test_answers_and_turns_stay_in_balance(events: list[TurnEvent]) -> None:
    """Never two answers at once, none left open, a turn committed or discarded once."""
    machine = TurnMachine()
    answering = provisional = turn_open = False
    for event in [*events, Closed()]:
        try:
            actions = machine.handle(event)
        except IllegalTransition:
            continue
        for action in actions:
            match action:
                case Action.START_PROVISIONAL | Action.START_RESPONSE:
                    assert not answering
                    answering, provisional = True, action is Action.START_PROVISIONAL
                case Action.RETRACT_RESPONSE:
                    assert answering and provisional
                    answering = False
                case Action.COMMIT_RESPONSE:
                    assert answering and provisional
                    provisional = False
                case Action.STORE_RESPONSE | Action.END_INTERRUPTED:
                    assert answering and not provisional
                    answering = False
                case Action.OPEN_TURN:
                    assert not turn_open
                    turn_open = True
                case Action.COMMIT_TURN | Action.DISCARD_TURN:
                    turn_open = False
                case Action.PAUSE_RESPONSE | Action.RESUME_RESPONSE:
                    assert answering and not provisional
                case Action.ADD_TEXT | Action.CLEAR_CONVERSATION:
                    pass
    assert machine.state is TurnState.CLOSED
    assert not answering
    assert not turn_open
