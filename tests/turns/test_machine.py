"""Every (state, event) pair, and what holds over any sequence of events."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.turns import actions, events, observations
from realtime.turns.events import TurnEvent
from realtime.turns.machine import TRANSITIONS, IllegalTransition, TurnMachine, TurnState

EVENT_TYPES = get_args(TurnEvent)
EXAMPLES: dict[str, TurnEvent] = {
    "SpeechStarted": observations.SpeechStarted(0, 10),
    "SpeechStopped": observations.SpeechStopped(20, 30),
    "SpeechOverProtected": events.SpeechOverProtected(0, 10),
    "SilenceElapsed": events.SilenceElapsed("user", 40, 20),
    "SaidToOthers": events.SaidToOthers("user", 40),
    "TurnTooLong": events.TurnTooLong("user", 40),
    "SpeakerJoined": events.SpeakerJoined("other", 40),
    "SpeakerFinished": events.SpeakerFinished("other"),
    "SoundEnded": events.SoundEnded(),
    "InterruptionConfirmed": events.InterruptionConfirmed(),
    "InterruptionDismissed": events.InterruptionDismissed(),
    "KeyPressed": observations.KeyPressed(40),
    "KeyReleased": observations.KeyReleased(50),
    "KeyReleasedInVain": events.KeyReleasedInVain(50),
    "KeyReleasedBeside": events.KeyReleasedBeside(50),
    "AnswerOwed": events.AnswerOwed(),
    "DetectionStopped": events.DetectionStopped(50),
    "TextSubmitted": observations.TextSubmitted("hello"),
    "TextAdded": observations.TextAdded("hello"),
    "AnswerRequested": observations.AnswerRequested(50, ends_speech=True),
    "SpeechCleared": observations.SpeechCleared(),
    "AnswerFinished": observations.AnswerFinished(),
    "NothingSaid": observations.NothingSaid(),
    "CancelRequested": observations.CancelRequested(),
    "ConversationCleared": observations.ConversationCleared(),
    "Closed": observations.Closed(),
}
ANSWERING = ["SpeechStarted", "SpeechStopped", "SilenceElapsed"]
ROUTES = {
    "LISTENING": [],
    "USER_SPEAKING": ["SpeechStarted"],
    "KEY_HELD": ["KeyPressed"],
    "PAUSED": ["SpeechStarted", "SpeechStopped"],
    "RESPONDING": ANSWERING,
    "INTERRUPTED": [*ANSWERING, "SpeechStarted"],
    "JUDGING": [*ANSWERING, "SpeechStarted", "SoundEnded"],
    "OVERLAPPING": [*ANSWERING, "SpeechOverProtected"],
    "OVERLAP_JUDGING": [*ANSWERING, "SpeechOverProtected", "SoundEnded"],
    "WAITING": [*ANSWERING, "SpeechOverProtected", "InterruptionConfirmed"],
    "CLOSED": ["Closed"],
}

# Where each event leads from each state; a dot cannot happen.
# L listening, U user speaking, K key held, P paused, R responding, I interrupted, J judging, O overlapping,
# G overlap judging, W waiting, C closed.
TARGETS = """
                       L U K P R I J O G W C
SpeechStarted          U . . U I . . . . . .
SpeechStopped          . P . . . . . . . . .
SpeechOverProtected    . . . . O . . . . . .
SilenceElapsed         . . . R . . . . . . .
SaidToOthers           . . . L . . . . . . .
TurnTooLong            . U K . . . . . . . .
SpeakerJoined          . U K U . . . . . W .
SpeakerFinished        . U K . . . . . . . .
SoundEnded             . . . . . J . G . . .
InterruptionConfirmed  . . . . . U U W W . .
InterruptionDismissed  . . . . . R R R R . .
KeyPressed             K K . K K K K K K K .
KeyReleased            . . R . . . . . . . .
KeyReleasedInVain      . . L . . . . . . . .
KeyReleasedBeside      . . U . . . . . . . .
AnswerOwed             R . . . . . . . . . .
DetectionStopped       L R . R R R R R R W .
TextSubmitted          R U K R R U U U U U .
TextAdded              . . . P . . . . . . .
AnswerRequested        . R . R . . . . . . .
SpeechCleared          . U K L . I R O R R .
AnswerFinished         . . . P L . . U U U .
NothingSaid            . . . L L . . U U U .
CancelRequested        L U K L L U U U U U .
ConversationCleared    L L K L L L L L L L .
Closed                 C C C C C C C C C C C
"""
LETTERS = dict(
    zip(
        "LUKPRIJOGWC",
        (
            TurnState.LISTENING,
            TurnState.USER_SPEAKING,
            TurnState.KEY_HELD,
            TurnState.PAUSED,
            TurnState.RESPONDING,
            TurnState.INTERRUPTED,
            TurnState.JUDGING,
            TurnState.OVERLAPPING,
            TurnState.OVERLAP_JUDGING,
            TurnState.WAITING,
            TurnState.CLOSED,
        ),
        strict=True,
    )
)
HEAD, *ROWS = [line.split() for line in TARGETS.strip().splitlines()]
PAIRS = [(letter, name, target) for name, *targets in ROWS for letter, target in zip(HEAD, targets, strict=True)]


def machine_in(state: TurnState) -> TurnMachine:
    """A machine led to the state through events alone."""
    machine = TurnMachine()
    for name in ROUTES[state.name]:
        machine.handle(EXAMPLES[name])
    assert machine.state is state
    return machine


@pytest.mark.parametrize(("letter", "event_name", "target"), PAIRS)
def test_every_pair_of_state_and_event(letter: str, event_name: str, target: str) -> None:
    state = LETTERS[letter]
    machine = machine_in(state)
    if target == ".":
        with pytest.raises(IllegalTransition, match=f"{event_name} while {state.value}"):
            machine.handle(EXAMPLES[event_name])
        assert machine.state is state
    else:
        machine.handle(EXAMPLES[event_name])
        assert machine.state is LETTERS[target]


def test_no_pair_is_left_out() -> None:
    assert [LETTERS[letter] for letter in HEAD] == list(TurnState)
    assert sorted(name for name, *_ in ROWS) == sorted(event_type.__name__ for event_type in EVENT_TYPES)


@pytest.mark.parametrize("state", [state for state in TurnState if state is not TurnState.CLOSED])
@pytest.mark.parametrize("name", ["Closed", "ConversationCleared", "TextSubmitted", "CancelRequested"])
def test_a_client_may_type_cancel_clear_and_leave_at_any_time(state: TurnState, name: str) -> None:
    assert (state, type(EXAMPLES[name])) in TRANSITIONS


@pytest.mark.no_cover
@given(st.lists(st.sampled_from(sorted(EXAMPLES)), max_size=60))
@settings(max_examples=500)
def test_answers_and_turns_stay_in_balance(names: list[str]) -> None:
    """Never two answers at once, none left open, a turn committed or discarded once."""
    machine = TurnMachine()
    answering = provisional = turn_open = False
    for name in [*names, "Closed"]:
        before = machine.state
        try:
            kinds = machine.handle(EXAMPLES[name])
        except IllegalTransition:
            continue
        for kind in kinds:
            if kind in (actions.StartProvisional, actions.StartResponse):
                assert not answering
                answering, provisional = True, kind is actions.StartProvisional
            elif kind is actions.RetractResponse:
                assert answering and provisional
                answering = False
            elif kind is actions.CommitResponse:
                assert answering and provisional
                provisional = False
            elif kind in (actions.StoreResponse, actions.InterruptResponse):
                assert answering and not provisional
                answering = False
            elif kind in (actions.PauseResponse, actions.ResumeResponse, actions.JudgeSound):
                assert answering and not provisional
            elif kind is actions.OpenTurn:
                joins = name in ("SpeakerJoined", "KeyPressed")  # whose turn may be open already
                assert not turn_open or joins
                turn_open = True
            elif kind is actions.CommitTurn and name in ("SpeakerFinished", "KeyReleasedBeside"):
                assert turn_open, "of the other one, too"
            elif kind in (actions.CommitTurn, actions.DiscardTurn):
                assert turn_open or (kind is actions.CommitTurn and "Text" in name)
                turn_open = False
        assert (machine.state is TurnState.CLOSED) == (name == "Closed") or before is TurnState.CLOSED
    assert not answering
    assert not turn_open
