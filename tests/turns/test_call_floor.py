"""The floor of a call alone: what it asks for, told what two parties say, in a script of frames and scores."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.types import SAMPLE_RATE_HZ
from realtime.turns import actions
from realtime.turns.actions import Action
from realtime.turns.call_floor import ME, THEM, CallFloor
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.events import InterruptionConfirmed, SaidToOthers, SilenceElapsed
from realtime.turns.machine import TurnState
from realtime.turns.observations import (
    AnswerFinished,
    AnswerRequested,
    CancelRequested,
    Closed,
    ConversationCleared,
    KeyPressed,
    LoadChanged,
    NothingSaid,
    Observation,
    PauseScored,
    SpeechCleared,
    TextSubmitted,
)
from realtime.turns.options import FloorOptions
from tests.turns.test_floor import Voice, kinds, of

OPTIONS = FloorOptions(endpointing=EndpointingOptions(max_turn_s=5.0), pre_roll_s=0.3, speakers=(ME, THEM), kind="call")
SCORED = replace(OPTIONS, scores_pauses=True)


class Call:
    """Two voices and the floor between them; words that ask, or do not, are known at each scored pause."""

    def __init__(self, options: FloorOptions = SCORED, *, asks: bool | None = True) -> None:
        self.floor = CallFloor(options)
        self.asks = asks
        self.asked: list[Action] = []
        self.voices = {ME: Voice(ME), THEM: Voice(THEM)}

    def tell(self, *observations: Observation) -> "Call":
        """Tells the floor all of this, and scores what it wants scored."""
        for observation in observations:
            new = self.floor.observe(observation)
            self.asked += new
            for score in of(new, actions.ScoreTurn):
                probability = None if self.asks is None else 0.9
                self.tell(PauseScored(score.end.speaker, score.number, probability, asks=self.asks))
        return self

    def let(self, seconds: float, *speakers: str) -> "Call":
        """Lets these speak at the same time, and the others be silent."""
        for _ in range(round(seconds * SAMPLE_RATE_HZ / 512)):
            for name, voice in self.voices.items():
                self.tell(voice.frame(is_voiced=name in speakers))
        return self

    def kinds(self) -> list[str]:
        """What was asked for, without scores and work ahead."""
        left_out = ("ScoreTurn", "PrefillTurns", "AnnouncePause", "NoteMissingScore")
        return [kind for kind in kinds(self.asked) if kind not in left_out]

    def turns(self) -> list[tuple[str, int | None, int]]:
        """Each turn that was committed: whose, from where, to where."""
        return [(end.turn.speaker, end.turn.start_sample, end.end_sample) for end in of(self.asked, actions.CommitTurn)]


def test_a_question_of_theirs_has_a_suggestion_at_once_which_counts_at_the_end_of_the_turn() -> None:
    call = Call().let(0.5).let(2, THEM).let(0.3)
    assert call.kinds() == ["OpenTurn", "StartProvisional"], "at the pause"
    (provisional,) = of(call.asked, actions.StartProvisional)
    assert (provisional.speaker, [end.speaker for end in provisional.ends]) == (THEM, [THEM])
    call.let(1.0)
    assert call.kinds()[2:] == ["CommitTurn", "CommitResponse"]
    assert call.floor.state is TurnState.RESPONDING
    call.tell(AnswerFinished())
    assert call.kinds()[-1] == "StoreResponse"
    assert call.floor.state is TurnState.LISTENING


def test_a_suggestion_is_withdrawn_if_they_go_on_and_made_anew() -> None:
    call = Call().let(2, THEM).let(0.3).let(1, THEM).let(1)
    assert call.kinds() == [
        "OpenTurn",
        "StartProvisional",
        "RetractResponse",
        "StartProvisional",
        "CommitTurn",
        "CommitResponse",
    ]
    assert len(call.turns()) == 1


def test_a_suggestion_that_is_whole_early_is_kept_with_the_turn() -> None:
    call = Call().let(2, THEM).let(0.3).tell(AnswerFinished()).let(1)
    assert call.kinds()[-3:] == ["CommitTurn", "CommitResponse", "StoreResponse"]


def test_words_that_ask_nothing_have_no_suggestion() -> None:
    call = Call(asks=False).let(2, THEM).let(2).let(3, THEM).let(2)
    assert call.kinds() == ["OpenTurn", "CommitTurn"] * 2
    assert all(isinstance(end.cause, SaidToOthers) for end in of(call.asked, actions.CommitTurn))


def test_what_i_say_is_never_answered() -> None:
    call = Call().let(3, ME).let(2)
    assert call.kinds() == ["OpenTurn", "CommitTurn"]


@pytest.mark.parametrize("has_ended", [False, True])
def test_when_i_speak_the_suggestion_stays_and_grows_no_more(has_ended: bool) -> None:
    call = Call().let(2, THEM).let(1.2 if has_ended else 0.3).let(1, ME)
    assert call.kinds().count("CommitResponse") == 1
    assert "RetractResponse" not in call.kinds()
    (stopped,) = of(call.asked, actions.InterruptResponse)
    assert isinstance(stopped.cause, InterruptionConfirmed)
    assert [name for name, *_ in call.turns()] == [THEM], "who is answered has ended"
    call.let(2)
    assert [name for name, *_ in call.turns()] == [THEM, ME]


def test_a_short_sound_of_mine_stops_nothing() -> None:
    call = Call().let(2, THEM).let(1.2).let(0.3, ME).let(2)
    assert "InterruptResponse" not in call.kinds()
    assert [name for name, *_ in call.turns()] == [THEM, ME]


def test_a_question_that_i_am_answering_already_has_no_suggestion() -> None:
    call = Call().let(2, THEM).let(0.7, THEM, ME).let(2, ME).let(2)
    assert "StartProvisional" not in call.kinds()
    assert sorted(name for name, *_ in call.turns()) == [ME, THEM]


def test_both_who_speak_at_once_have_a_turn_of_their_own() -> None:
    call = Call(asks=False).let(1, THEM).let(1, ME, THEM).let(1, ME).let(2)
    assert sorted(name for name, *_ in call.turns()) == [ME, THEM]


def test_the_next_question_ends_the_suggestion_to_the_one_before() -> None:
    call = Call().let(2, THEM).let(1.2).let(2, THEM).let(1.2)
    made = [kind for kind in call.kinds() if "Response" in kind or "Provisional" in kind]
    assert made == ["StartProvisional", "CommitResponse", "InterruptResponse", "StartProvisional", "CommitResponse"]


def test_without_words_every_longer_turn_of_theirs_may_ask() -> None:
    call = Call(asks=None).let(2, THEM).let(3).let(0.5, THEM).let(3)
    assert call.kinds().count("StartProvisional") == 1
    unscored = Call(OPTIONS).let(2, THEM).let(2)
    assert unscored.kinds() == ["OpenTurn", "StartProvisional", "CommitTurn", "CommitResponse"]


def test_under_load_the_suggestion_begins_when_the_turn_has_ended() -> None:
    call = Call().tell(LoadChanged(allows_speculation=False)).let(2, THEM).let(2)
    assert call.kinds() == ["OpenTurn", "SkipProvisional", "CommitTurn", "StartResponse"]


def test_noise_that_has_no_words_becomes_no_turn_and_has_no_suggestion() -> None:
    call = Call().let(2, THEM).let(0.3).tell(NothingSaid()).let(2)
    assert call.kinds() == ["OpenTurn", "StartProvisional", "RetractResponse", "DiscardTurn"]


def test_a_long_turn_goes_on_in_the_next_message() -> None:
    call = Call(asks=False).let(8, THEM).let(2)
    first, second = call.turns()
    assert first[2] == second[1]


def test_what_i_type_is_answered_also_while_i_speak() -> None:
    call = Call().tell(TextSubmitted("What is our discount?"))
    assert call.kinds() == ["AddText", "CommitTurn", "StartResponse"]
    call = Call().let(1, ME).tell(TextSubmitted("What is our discount?")).let(1, ME).let(2)
    assert call.kinds()[:5] == ["OpenTurn", "AddText", "CommitTurn", "OpenTurn", "StartResponse"]
    assert len(call.turns()) == 2


def test_i_can_ask_for_a_suggestion() -> None:
    nothing_yet = Call().tell(AnswerRequested(0, ends_speech=False))
    assert nothing_yet.kinds() == ["Refuse"]
    after_a_turn = Call(asks=False).let(2, THEM).let(2).tell(AnswerRequested(0, ends_speech=False))
    assert after_a_turn.kinds()[-1] == "StartResponse"
    amid = Call(asks=False).let(2, THEM).tell(AnswerRequested(0, ends_speech=False)).let(1, THEM).let(2)
    assert amid.kinds() == ["OpenTurn", "CommitTurn", "OpenTurn", "StartResponse", "CommitTurn"]


def test_clearing_and_closing_leave_nothing_open() -> None:
    cleared = Call().let(2, THEM).let(0.1).let(0.15, ME).tell(ConversationCleared())
    assert cleared.kinds()[-4:] == ["RetractResponse", "DiscardTurn", "DiscardTurn", "ClearConversation"]
    closed = Call().let(2, THEM).let(1.2).tell(Closed())
    assert closed.kinds()[-1] == "InterruptResponse"
    assert closed.floor.state is TurnState.CLOSED
    assert closed.floor.observe(KeyPressed(0)) == ()


def test_a_suggestion_that_i_do_not_want_is_not_begun_again() -> None:
    call = Call().let(2, THEM).let(0.3).tell(CancelRequested()).let(2)
    assert call.kinds() == ["OpenTurn", "StartProvisional", "RetractResponse", "CommitTurn"]
    call.let(2, THEM).let(0.3)
    assert call.kinds()[-1] == "StartProvisional", "the next question has one"


def test_there_is_no_push_to_talk() -> None:
    (refusal,) = of(Call().tell(KeyPressed(0)).asked, actions.Refuse)
    assert "push-to-talk" in refusal.reason


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([(), (ME,), (THEM,), (ME, THEM)]), st.sampled_from([0.1, 0.3, 0.7, 1.5])),
        st.sampled_from(
            [
                AnswerFinished(),
                NothingSaid(),
                CancelRequested(),
                ConversationCleared(),
                SpeechCleared(),
                TextSubmitted("?"),
                AnswerRequested(0, ends_speech=False),
                LoadChanged(allows_speculation=False),
                LoadChanged(allows_speculation=True),
            ]
        ),
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@given(steps=steps, asks=st.sampled_from([True, False, None]))
def test_whatever_happens_turns_and_suggestions_are_in_order(
    steps: Iterable[Sequence[object] | Observation], asks: bool | None
) -> None:
    call = Call(asks=asks)
    for step in steps:
        if isinstance(step, tuple):
            call.let(step[1], *step[0])
        else:
            call.tell(step)  # type: ignore[arg-type]
    call.tell(Closed())
    _check_suggestions(call.asked)
    _check_turns(call.asked)


def _check_suggestions(asked: Iterable[Action]) -> None:
    """At most one suggestion at a time, and each ends in one way."""
    state = "none"
    for action in asked:
        match action:
            case actions.StartProvisional():
                assert state == "none"
                state = "provisional"
            case actions.StartResponse():
                assert state == "none"
                state = "committed"
            case actions.CommitResponse():
                assert state == "provisional"
                state = "committed"
            case actions.RetractResponse():
                assert state == "provisional"
                state = "none"
            case actions.InterruptResponse() | actions.StoreResponse():
                assert state == "committed"
                state = "none"
    assert state == "none"


def _check_turns(asked: Iterable[Action]) -> None:
    """Each turn is opened and ends once, and no audio is in two of them."""
    is_open, ends = {ME: False, THEM: False}, {ME: 0, THEM: 0}
    for action in asked:
        match action:
            case actions.OpenTurn(turn):
                assert not is_open[turn.speaker]
                is_open[turn.speaker] = True
                assert (turn.start_sample or 0) >= ends[turn.speaker]
            case actions.CommitTurn(turn, end_sample):
                assert is_open[turn.speaker] or turn.start_sample is None
                is_open[turn.speaker] = False
                if turn.start_sample is not None:
                    ends[turn.speaker] = max(ends[turn.speaker], end_sample)
            case actions.DiscardTurn(speaker):
                assert is_open[speaker]
                is_open[speaker] = False
    assert not any(is_open.values())


def test_a_wait_is_noted_for_turns_that_have_a_suggestion() -> None:
    (commit,) = of(Call().let(2, THEM).let(2).asked, actions.CommitTurn)
    assert isinstance(commit.cause, SilenceElapsed)
    assert 0 < commit.cause.waited_samples < SAMPLE_RATE_HZ
