"""The floor alone: what it asks for, told what happened in a script of frames, keys, words and scores."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.types import SAMPLE_RATE_HZ
from realtime.turns import actions
from realtime.turns.actions import Action
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.events import SaidToOthers, SilenceElapsed
from realtime.turns.floor import HEAD_START_SAMPLES, Floor
from realtime.turns.machine import TurnState
from realtime.turns.observations import (
    Address,
    AnswerFinished,
    AnswerRequested,
    CancelRequested,
    Closed,
    ConversationCleared,
    DetectedFrame,
    KeyPressed,
    KeyReleased,
    LoadChanged,
    NothingSaid,
    Observation,
    PauseScored,
    RulesChanged,
    SoundJudged,
    SpeechCleared,
    SpeechStarted,
    SpeechStopped,
    TextAdded,
    TextSubmitted,
)
from realtime.turns.options import FloorOptions

T = TypeVar("T", bound=Action)

FRAME_SAMPLES = 512
MIN_SPEECH_FRAMES, PAUSE_FRAMES = 3, 6
OPTIONS = FloorOptions(endpointing=EndpointingOptions(max_turn_s=5.0), pre_roll_s=0.3)
CLOSED, FINISHED, NOTHING = Closed(), AnswerFinished(), NothingSaid()
CLEARED, CANCELLED = ConversationCleared(), CancelRequested()


class Voice:
    """Makes the frames of one speaker as a detector would: speech after three voiced frames, a pause after six."""

    def __init__(self, speaker: str = "user") -> None:
        self.speaker = speaker
        self.sample = 0
        self._n_voiced = self._n_silent = 0
        self._onset_sample = self._last_voiced_sample = 0
        self._is_speaking = False

    def frame(self, *, is_voiced: bool) -> DetectedFrame:
        """The next frame."""
        start, self.sample = self.sample, self.sample + FRAME_SAMPLES
        self._n_voiced, self._n_silent = (self._n_voiced + 1, 0) if is_voiced else (0, self._n_silent + 1)
        if is_voiced:
            self._last_voiced_sample = self.sample
            self._onset_sample = start if self._n_voiced == 1 and not self._is_speaking else self._onset_sample
        event: SpeechStarted | SpeechStopped | None = None
        if not self._is_speaking and self._n_voiced == MIN_SPEECH_FRAMES:
            self._is_speaking, event = True, SpeechStarted(self._onset_sample, self.sample)
        elif self._is_speaking and self._n_silent == PAUSE_FRAMES:
            self._is_speaking, event = False, SpeechStopped(self._last_voiced_sample, self.sample)
        return DetectedFrame(self.sample, event, self.sample - self._last_voiced_sample, self.speaker)

    def speak(self, seconds: float) -> list[Observation]:
        """Frames of speech."""
        return [self.frame(is_voiced=True) for _ in range(round(seconds * SAMPLE_RATE_HZ / FRAME_SAMPLES))]

    def rest(self, seconds: float) -> list[Observation]:
        """Frames of silence."""
        return [self.frame(is_voiced=False) for _ in range(round(seconds * SAMPLE_RATE_HZ / FRAME_SAMPLES))]


def told(floor: Floor, observations: Iterable[Observation]) -> list[Action]:
    """What the floor asks for, told all of this."""
    return [action for observation in observations for action in floor.observe(observation)]


def kinds(asked: Sequence[Action]) -> list[str]:
    return [type(action).__name__ for action in asked]


def of(asked: Sequence[Action], kind: type[T]) -> list[T]:
    return [action for action in asked if isinstance(action, kind)]


def test_a_turn_is_prefilled_answered_provisionally_and_committed() -> None:
    voice, floor = Voice(), Floor(OPTIONS)
    asked = told(floor, [*voice.rest(0.5), *voice.speak(1), *voice.rest(1)])
    assert kinds(asked) == [
        "OpenTurn",
        "PrefillTurns",
        "AnnouncePause",
        "StartProvisional",
        "CommitTurn",
        "CommitResponse",
    ]
    turn = of(asked, actions.OpenTurn)[0].turn
    (commit,) = of(asked, actions.CommitTurn)
    assert turn.start_sample == turn.onset_sample - round(0.3 * SAMPLE_RATE_HZ)
    assert isinstance(commit.cause, SilenceElapsed)
    assert commit.cause.waited_samples == pytest.approx(0.6 * SAMPLE_RATE_HZ, abs=FRAME_SAMPLES)
    (provisional,) = of(asked, actions.StartProvisional)
    assert commit.end_sample == provisional.ends[0].end_sample, "what was answered is what is kept"
    assert commit.end_sample - provisional.last_voiced_sample >= HEAD_START_SAMPLES
    assert floor.state is TurnState.RESPONDING


def test_a_speaker_who_goes_on_has_the_answer_retracted_and_the_turn_whole() -> None:
    voice, floor = Voice(), Floor(OPTIONS)
    asked = told(floor, [*voice.speak(1), *voice.rest(0.4), *voice.speak(1), *voice.rest(1)])
    assert kinds(asked).count("RetractResponse") == 1
    (commit,) = of(asked, actions.CommitTurn)
    assert commit.end_sample - (commit.turn.start_sample or 0) == pytest.approx(2.46 * SAMPLE_RATE_HZ, rel=0.02)


def test_an_answer_that_was_whole_while_provisional_is_stored_with_the_turn() -> None:
    voice, floor = Voice(), Floor(OPTIONS)
    asked = told(floor, [*voice.speak(1), *voice.rest(0.3), FINISHED, *voice.rest(1)])
    assert kinds(asked)[-3:] == ["CommitTurn", "CommitResponse", "StoreResponse"]
    assert floor.state is TurnState.LISTENING


# ---- Scores ----


def test_a_score_counts_at_its_place_and_not_before_and_is_waited_for() -> None:
    options = replace(OPTIONS, scores_pauses=True)
    ends = []
    for arrives_after_s in (0.0, 0.1, 0.6, 2.0, 9.0):
        voice, floor = Voice(), Floor(options)
        asked = told(floor, [*voice.speak(1), *voice.rest(0.1)])
        (score,) = of(asked, actions.ScoreTurn)
        asked += told(floor, voice.rest(arrives_after_s))
        asked += told(floor, [PauseScored("user", score.number, 0.99), *voice.rest(4)])
        (commit,) = of(asked, actions.CommitTurn)
        assert isinstance(commit.cause, SilenceElapsed)
        ends.append(commit.cause.waited_samples / SAMPLE_RATE_HZ)
        assert bool(of(asked, actions.NoteMissingScore)) == (arrives_after_s > 1.5)
    early, at_once, late, missed, never = ends
    assert early == at_once < 0.4, "surely complete"
    assert 0.6 < late < 0.8, "when it came"
    assert missed == never == pytest.approx(0.19 + 0.03 + 1.0, abs=0.1), "without it silence decides"


def test_a_failed_score_leaves_the_decision_to_silence() -> None:
    voice, floor = Voice(), Floor(replace(OPTIONS, scores_pauses=True))
    asked = told(floor, [*voice.speak(1), *voice.rest(0.1)])
    asked += told(floor, [PauseScored("user", of(asked, actions.ScoreTurn)[0].number, None), *voice.rest(1)])
    assert of(asked, actions.NoteMissingScore)
    (commit,) = of(asked, actions.CommitTurn)
    assert isinstance(commit.cause, SilenceElapsed)
    assert commit.cause.waited_samples == pytest.approx(0.6 * SAMPLE_RATE_HZ, abs=FRAME_SAMPLES)


def test_a_score_of_a_pause_that_was_none_is_ignored() -> None:
    voice, floor = Voice(), Floor(replace(OPTIONS, scores_pauses=True))
    asked = told(floor, [*voice.speak(1), *voice.rest(0.1), *voice.speak(1), *voice.rest(0.1)])
    first, second = of(asked, actions.ScoreTurn)
    asked = told(floor, [PauseScored("user", first.number, 0.999), *voice.rest(0.5)])
    assert not of(asked, actions.CommitTurn), "the second score is waited for"
    asked = told(floor, [PauseScored("user", second.number, 0.999), *voice.rest(0.1)])
    assert of(asked, actions.CommitTurn)


def test_a_pause_that_was_asked_for_teaches_nothing() -> None:
    waits = []
    for asks_to_wait, pause_s in ((True, 0.1), (True, 8.0), (False, 0.1)):
        voice, floor = Voice(), Floor(replace(OPTIONS, endpointing=EndpointingOptions(), scores_pauses=True))
        for _ in range(3 if asks_to_wait else 0):
            asked = told(floor, [*voice.speak(0.5), *voice.rest(0.3)])
            number = of(asked, actions.ScoreTurn)[-1].number
            told(floor, [PauseScored("user", number, 0.9, asks_to_wait=True), *voice.rest(pause_s)])
        asked = told(floor, [*voice.speak(0.5), *voice.rest(0.1)])
        asked += told(floor, [PauseScored("user", of(asked, actions.ScoreTurn)[-1].number, 0.5), *voice.rest(2)])
        (commit,) = of(asked, actions.CommitTurn)
        assert isinstance(commit.cause, SilenceElapsed)
        waits.append(commit.cause.waited_samples)
    assert len(set(waits)) == 1


# ---- Words for others ----


WHEN_ASKED = replace(OPTIONS, scores_pauses=True, address="when-asked")


def said(floor: Floor, voice: Voice, address: float | None) -> list[Action]:
    """What the floor asks for when somebody says a whole turn whose words are judged so."""
    asked = told(floor, [*voice.speak(1), *voice.rest(0.1)])
    number = of(asked, actions.ScoreTurn)[-1].number
    return asked + told(floor, [PauseScored("user", number, 0.99, address=address), *voice.rest(1)])


def test_what_is_said_to_others_is_kept_and_not_answered() -> None:
    voice, floor = Voice(), Floor(WHEN_ASKED)
    asked = said(floor, voice, 0.1)
    assert kinds(asked)[-3:] == ["StartProvisional", "RetractResponse", "CommitTurn"]
    (commit,) = of(asked, actions.CommitTurn)
    assert isinstance(commit.cause, SaidToOthers)
    assert floor.state is TurnState.LISTENING
    assert kinds(said(floor, voice, 0.9))[-2:] == ["CommitTurn", "CommitResponse"], "the next one is for us"


@pytest.mark.parametrize("address", [None, 0.5, 1.0])
def test_what_may_be_for_the_assistant_is_answered(address: float | None) -> None:
    assert of(said(Floor(WHEN_ASKED), Voice(), address), actions.CommitResponse)


def test_always_means_whatever_the_words_are() -> None:
    assert of(said(Floor(replace(WHEN_ASKED, address="always")), Voice(), 0.0), actions.CommitResponse)


def test_what_follows_an_answer_is_more_likely_for_the_assistant() -> None:
    doubtful = 0.3
    for gap_s, is_answered in ((1.0, True), (20.0, False)):
        voice, floor = Voice(), Floor(WHEN_ASKED)
        said(floor, voice, 1.0)
        told(floor, [FINISHED, *voice.rest(gap_s)])
        assert bool(of(said(floor, voice, doubtful), actions.CommitResponse)) == is_answered


def test_a_turn_with_typed_text_is_answered() -> None:
    voice, floor = Voice(), Floor(WHEN_ASKED)
    told(floor, [TextAdded("What does this mean?")])
    assert of(said(floor, voice, 0.0), actions.CommitResponse)


def test_who_asks_for_an_answer_to_what_seemed_to_be_for_others_gets_it_once() -> None:
    for between, is_answered in ((), True), ((CANCELLED,), False), ((CLEARED,), False):
        voice, floor = Voice(), Floor(WHEN_ASKED)
        said(floor, voice, 0.0)
        told(floor, between)
        asked = told(floor, [AnswerRequested(voice.sample, ends_speech=False)])
        assert kinds(asked) == (["StartResponse"] if is_answered else ["Refuse"])
    voice, floor = Voice(), Floor(WHEN_ASKED)
    said(floor, voice, 0.0)
    asked = told(floor, [AnswerRequested(voice.sample, ends_speech=True)])
    assert kinds(asked) == ["Refuse"], "there is no speech that could end"
    voice, floor = Voice(), Floor(WHEN_ASKED)
    said(floor, voice, 0.0)
    asked = told(floor, [AnswerRequested(voice.sample, ends_speech=False), FINISHED])
    assert kinds(asked) == ["StartResponse", "StoreResponse"]
    assert kinds(told(floor, [AnswerRequested(voice.sample, ends_speech=False)])) == ["Refuse"]


def test_the_rule_can_be_changed_in_between() -> None:
    voice, floor = Voice(), Floor(WHEN_ASKED)
    told(floor, [RulesChanged(address="always")])
    assert of(said(floor, voice, 0.0), actions.CommitResponse)
    told(floor, [FINISHED, *voice.rest(20), RulesChanged(address="when-asked")])
    assert not of(said(floor, voice, 0.0), actions.CommitResponse)


@pytest.mark.parametrize("rest_s", [0.4, 2.0])
def test_what_another_has_said_beside_it_is_answered(rest_s: float) -> None:
    """Whose turn ended beside, before or with the last one, is answered though that one is for others."""
    me, them, floor = Voice("me"), Voice("them"), Floor(replace(WHEN_ASKED, speakers=("me", "them")))
    mine, theirs = [*me.speak(2), *me.rest(rest_s)], [*them.rest(1), *them.speak(0.9 + rest_s), *them.rest(0.1)]
    asked = told(floor, together(mine, theirs[: len(mine)]))
    if not of(asked, actions.ScoreTurn):
        asked += told(floor, together(me.rest(0.1), them.rest(0.1)))
    (score,) = (score for score in of(asked, actions.ScoreTurn) if score.end.speaker == "them")
    asked += told(floor, [PauseScored("them", score.number, 0.99, address=0.0)])
    asked += told(floor, together(me.rest(1), them.rest(1)))
    assert [commit.turn.speaker for commit in of(asked, actions.CommitTurn)] == ["me", "them"]
    assert floor.state is TurnState.RESPONDING


# ---- Sounds over an answer ----


def answering(floor: Floor, voice: Voice) -> list[Action]:
    """Leads to an answer under way."""
    return told(floor, [*voice.speak(0.5), *voice.rest(3)])


def test_a_cough_lets_the_answer_go_on_and_a_turn_ends_it() -> None:
    voice, floor = Voice(), Floor(OPTIONS)
    answering(floor, voice)
    assert kinds(told(floor, [*voice.speak(0.16), *voice.rest(0.3)])) == [
        "PauseResponse",
        "OpenTurn",
        "DiscardTurn",
        "ResumeResponse",
    ]
    assert kinds(told(floor, voice.speak(0.5))) == ["PauseResponse", "OpenTurn", "InterruptResponse"]
    assert floor.state is TurnState.USER_SPEAKING


@pytest.mark.parametrize(("words", "goes_on"), [("Mm-hm.", True), ("", True), ("Stop!", False), (None, False)])
def test_the_words_of_a_short_sound_decide(words: str | None, goes_on: bool) -> None:
    voice, floor = Voice(), Floor(replace(OPTIONS, transcribes_sounds=True))
    answering(floor, voice)
    asked = told(floor, [*voice.speak(0.5), *voice.rest(0.3)])
    (transcribe,) = of(asked, actions.JudgeSound)
    assert floor.state is TurnState.JUDGING
    assert told(floor, [SoundJudged(transcribe.number + 1, "Stop!")]) == [], "of another sound"
    asked = told(floor, [SoundJudged(transcribe.number, words)])
    assert kinds(asked)[0] == ("DiscardTurn" if goes_on else "InterruptResponse")
    assert floor.state is (TurnState.RESPONDING if goes_on else TurnState.PAUSED)


@pytest.mark.parametrize(("probability", "goes_on"), [(0.99, True), (0.01, False), (None, False)])
def test_how_a_short_sound_is_decides_where_there_are_no_words(probability: float | None, goes_on: bool) -> None:
    voice, floor = Voice(), Floor(replace(OPTIONS, scores_sounds=True))
    answering(floor, voice)
    (judge,) = of(told(floor, [*voice.speak(0.5), *voice.rest(0.3)]), actions.JudgeSound)
    asked = told(floor, [SoundJudged(judge.number, None, backchannel_probability=probability)])
    assert kinds(asked)[0] == ("DiscardTurn" if goes_on else "InterruptResponse")


def test_what_is_said_over_a_protected_answer_comes_next() -> None:
    voice, floor = Voice(), Floor(OPTIONS)
    told(floor, [RulesChanged(protect_answer=True)])
    answering(floor, voice)
    assert kinds(told(floor, [*voice.speak(1), *voice.rest(5)])) == ["OpenTurn"]
    assert floor.state is TurnState.WAITING
    asked = told(floor, [FINISHED, *voice.rest(0.1)])
    assert kinds(asked) == [
        "StoreResponse",
        "EndProtection",
        "AnnouncePause",
        "StartProvisional",
        "CommitTurn",
        "CommitResponse",
    ]
    (commit,) = of(asked, actions.CommitTurn)
    assert commit.end_sample - (commit.turn.start_sample or 0) < 2 * SAMPLE_RATE_HZ, "the silence after it is not kept"


def test_detection_switched_off_keeps_what_waits_behind_a_protected_answer() -> None:
    voice, floor = Voice(), Floor(OPTIONS)
    told(floor, [RulesChanged(protect_answer=True)])
    answering(floor, voice)
    told(floor, [*voice.speak(1), RulesChanged(turn_detection=False), *voice.rest(1)])
    asked = told(floor, [FINISHED])
    assert kinds(asked) == ["StoreResponse", "EndProtection", "CommitTurn", "StartResponse"]
    (commit,) = of(asked, actions.CommitTurn)
    assert commit.end_sample - (commit.turn.start_sample or 0) < 1.5 * SAMPLE_RATE_HZ, "up to the switch"


# ---- Keys, text, settings ----


def test_the_key_has_the_floor_until_it_is_released() -> None:
    voice, floor = Voice(), Floor(OPTIONS)
    told(floor, voice.rest(0.5))
    pressed, released = KeyPressed(voice.sample + 7), KeyReleased(voice.sample + 30_007)
    asked = told(floor, [pressed, pressed, *voice.speak(0.5), *voice.rest(1)])
    assert kinds(asked) == ["OpenTurn"], "a silence ends nothing, and keys repeat"
    asked += told(floor, [released, released])
    (commit,) = of(asked, actions.CommitTurn)
    assert (commit.turn.start_sample, commit.end_sample) == (pressed.sample, released.sample)


def test_a_key_pressed_in_vain_opens_and_drops_a_turn() -> None:
    voice, floor = Voice(), Floor(OPTIONS)
    asked = told(floor, [KeyPressed(0), *voice.rest(1), KeyReleased(voice.sample)])
    assert kinds(asked) == ["OpenTurn", "AnnouncePause", "DiscardTurn"]
    assert floor.state is TurnState.LISTENING


def test_a_new_conversation_under_the_key_begins_the_turn_anew() -> None:
    voice, floor = Voice(), Floor(OPTIONS)
    asked = told(floor, [KeyPressed(0), *voice.speak(0.5), CLEARED, *voice.speak(0.5), KeyReleased(voice.sample)])
    assert floor.state is TurnState.RESPONDING
    (commit,) = of(asked, actions.CommitTurn)
    assert commit.turn.start_sample == pytest.approx(0.5 * SAMPLE_RATE_HZ, abs=FRAME_SAMPLES)


@pytest.mark.parametrize("ending", [RulesChanged(turn_detection=False), CANCELLED, None])
def test_a_turn_without_words_is_dropped_however_it_ends(ending: Observation | None) -> None:
    voice, floor = Voice(), Floor(OPTIONS)
    asked = told(floor, [*voice.speak(0.5), *voice.rest(0.3), NOTHING])
    asked += told(floor, [ending] if ending else voice.rest(1))
    assert kinds(asked)[-2:] == ["RetractResponse", "DiscardTurn"]
    assert not of(asked, actions.CommitTurn)
    assert floor.state is TurnState.LISTENING


def test_where_the_load_forbids_it_no_answer_is_provisional() -> None:
    voice, floor = Voice(), Floor(OPTIONS)
    asked = told(floor, [LoadChanged(False), *voice.speak(0.5), *voice.rest(1)])
    assert kinds(asked) == ["OpenTurn", "AnnouncePause", "SkipProvisional", "CommitTurn", "StartResponse"]
    (start,) = of(asked, actions.StartResponse)
    assert start.last_voiced_sample == pytest.approx(0.5 * SAMPLE_RATE_HZ, abs=FRAME_SAMPLES)


def test_a_turn_that_is_too_long_is_kept_in_parts_without_a_gap() -> None:
    voice, floor = Voice(), Floor(OPTIONS)
    commits = of(told(floor, [*voice.speak(12), *voice.rest(1)]), actions.CommitTurn)
    assert len(commits) == 3
    for before, after in itertools.pairwise(commits):
        assert after.turn.start_sample == before.end_sample
        assert after.turn.continues


# ---- Several speakers ----

TWO = replace(OPTIONS, speakers=("me", "them"))


def together(first: Sequence[Observation], second: Sequence[Observation]) -> list[Observation]:
    """The frames of two speakers, in turns."""
    assert len(first) == len(second)
    return [frame for pair in zip(first, second, strict=True) for frame in pair]


def test_two_who_overlap_have_a_turn_each_and_one_answer() -> None:
    me, them, floor = Voice("me"), Voice("them"), Floor(TWO)
    asked = told(
        floor,
        together(
            [*me.speak(2), *me.rest(2.5), *me.rest(1.5)],
            [*them.rest(1), *them.speak(3.5), *them.rest(1.5)],
        ),
    )
    commits = of(asked, actions.CommitTurn)
    assert [commit.turn.speaker for commit in commits] == ["me", "them"]
    assert commits[0].end_sample == pytest.approx(2.06 * SAMPLE_RATE_HZ, abs=2 * FRAME_SAMPLES)
    assert commits[1].end_sample == pytest.approx(4.56 * SAMPLE_RATE_HZ, abs=2 * FRAME_SAMPLES)
    assert kinds(asked).count("StartProvisional") == 1, "nobody is answered while somebody speaks"
    assert floor.state is TurnState.RESPONDING


def test_two_who_end_together_are_answered_together() -> None:
    me, them, floor = Voice("me"), Voice("them"), Floor(TWO)
    asked = told(floor, together([*me.speak(2), *me.rest(1.2)], [*them.rest(0.5), *them.speak(1.6), *them.rest(1.1)]))
    (provisional,) = of(asked, actions.StartProvisional)
    assert [end.speaker for end in provisional.ends] == ["me", "them"]
    assert [commit.turn.speaker for commit in of(asked, actions.CommitTurn)] == ["me", "them"]


def test_somebody_who_speaks_in_a_pause_of_another_takes_the_answer_back() -> None:
    me, them, floor = Voice("me"), Voice("them"), Floor(TWO)
    mine = [*me.speak(1), *me.rest(0.4)]
    told(floor, together(mine, [them.frame(is_voiced=False) for _ in mine]))
    assert floor.state is TurnState.PAUSED
    asked = told(floor, together(me.rest(0.5), them.speak(0.5)))
    assert kinds(asked)[:2] == ["RetractResponse", "OpenTurn"]
    asked += told(floor, together(me.rest(1), them.rest(1)))
    assert [commit.turn.speaker for commit in of(asked, actions.CommitTurn)] == ["me", "them"]


def test_of_a_pause_in_which_another_speaks_no_score_is_missed() -> None:
    me, them, floor = Voice("me"), Voice("them"), Floor(replace(TWO, scores_pauses=True))
    asked = told(floor, together([*me.speak(1), *me.rest(0.25)], [*them.rest(1.15), *them.speak(0.1)]))
    assert of(asked, actions.RetractResponse)
    asked += told(floor, together(me.rest(2), them.rest(2)))
    assert {score.end.speaker for score in of(asked, actions.ScoreTurn)} == {"me", "them"}
    assert len(of(asked, actions.NoteMissingScore)) == 1, "theirs alone was waited for"


def test_who_speaks_when_the_key_is_released_has_the_floor_and_loses_nothing() -> None:
    me, them, floor = Voice("me"), Voice("them"), Floor(TWO)
    asked = told(floor, [KeyPressed(0), *together(me.speak(1), them.speak(1)), KeyReleased(me.sample)])
    assert [commit.turn.speaker for commit in of(asked, actions.CommitTurn)] == ["me"]
    assert floor.state is TurnState.USER_SPEAKING
    asked = told(floor, together(me.rest(2), them.speak(2)) + together(me.rest(1), them.rest(1)))
    (theirs,) = of(asked, actions.CommitTurn)
    assert theirs.end_sample - (theirs.turn.start_sample or 0) > 3 * SAMPLE_RATE_HZ
    assert floor.state is TurnState.RESPONDING


def test_a_question_beside_a_silent_key_is_answered() -> None:
    me, them, floor = Voice("me"), Voice("them"), Floor(TWO)
    told(floor, [KeyPressed(0), *together(me.rest(3), [*them.speak(1.5), *them.rest(1.5)])])
    asked = told(floor, [KeyReleased(me.sample)])
    assert kinds(asked) == ["AnnouncePause", "DiscardTurn", "StartResponse"]


@pytest.mark.parametrize("may_speculate", [True, False])
def test_a_noise_beside_a_question_does_not_take_its_answer(may_speculate: bool) -> None:
    me, them, floor = Voice("me"), Voice("them"), Floor(TWO)
    told(floor, [LoadChanged(may_speculate)])
    theirs = [*them.rest(1.8), *them.speak(1.2), *them.rest(0.6)]
    mine = [*me.speak(2), *(me.frame(is_voiced=False) for _ in theirs)]
    told(floor, together(mine[: len(theirs)], theirs))
    told(floor, [NOTHING])
    told(floor, together(me.rest(1), them.rest(1)))
    asked = told(floor, [NOTHING])
    assert asked == [], "the answer is to the question before"
    assert floor.state is TurnState.RESPONDING


def test_speech_joins_what_the_same_speaker_has_typed() -> None:
    me, them, floor = Voice("me"), Voice("them"), Floor(TWO)
    told(floor, together(me.rest(1), them.speak(1)))
    asked = told(floor, [TextSubmitted("and this"), *together(me.speak(1), them.speak(1))])
    assert [action.turn.speaker for action in of(asked, actions.OpenTurn)] == ["me"]


# ---- Anything ----


def check_balance(asked: Sequence[Action], state: TurnState) -> None:
    """Never two answers at once, none left open; turns committed or discarded once, and without overlap."""
    answer: str | None = None
    open_turns: dict[str, actions.Turn] = {}
    given: dict[str, int] = {}
    for action in asked:
        match action:
            case actions.StartProvisional() | actions.StartResponse():
                assert answer is None
                answer = "provisional" if isinstance(action, actions.StartProvisional) else "committed"
            case actions.RetractResponse():
                assert answer == "provisional"
                answer = None
            case actions.CommitResponse():
                assert answer == "provisional"
                answer = "committed"
            case actions.PauseResponse():
                assert answer == "committed"
                answer = "paused"
            case actions.ResumeResponse():
                assert answer == "paused"
                answer = "committed"
            case actions.StoreResponse():
                assert answer == "committed"
                answer = None
            case actions.InterruptResponse():
                assert answer in ("committed", "paused")
                answer = None
            case actions.OpenTurn(turn):
                before = open_turns.get(turn.speaker)
                assert before is None or before.start_sample is None, "only what was typed goes on as speech"
                open_turns[turn.speaker] = turn
                assert (turn.start_sample or 0) >= given.get(turn.speaker, 0), "a sample is in two turns"
            case actions.AddText(speaker):
                open_turns.setdefault(speaker, actions.Turn(speaker=speaker, start_sample=None))
            case actions.DiscardTurn(speaker):
                del open_turns[speaker]
            case actions.CommitTurn(turn, end_sample):
                del open_turns[turn.speaker]
                if turn.start_sample is not None:
                    assert end_sample >= turn.start_sample
                    given[turn.speaker] = end_sample
            case actions.ScoreTurn(end) | actions.JudgeSound(end):
                assert end.speaker in open_turns
            case _:
                pass
    if state is TurnState.CLOSED:
        assert answer is None
        assert not open_turns


STEPS = st.one_of(
    st.tuples(st.just("speak"), st.sampled_from([2, 4, 10, 30, 50])),
    st.tuples(st.just("rest"), st.integers(1, 25)),
    st.tuples(st.just("score"), st.sampled_from([0.01, 0.5, 0.99])),
    st.tuples(st.just("words"), st.sampled_from(["", "Stop.", "Mm-hm."])),
    st.tuples(st.just("sound"), st.sampled_from([0.01, 0.99])),
    st.tuples(
        st.sampled_from(
            ["finish", "nothing", "press", "release", "type", "cancel", "clear", "other speaks", "hold on"]
        ),
        st.just(0),
    ),
    st.tuples(st.sampled_from(["add text", "ask", "commit", "clear speech"]), st.just(0)),
    st.tuples(st.sampled_from(["protect", "detect", "light"]), st.booleans()),
)


@pytest.mark.no_cover
@given(st.lists(STEPS, min_size=4, max_size=25), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=1500, deadline=None)
def test_whatever_happens_stays_in_balance(
    script: list[tuple[str, object]], pauses: bool, sounds: bool, transcribes: bool
) -> None:
    address: Address = "when-asked" if pauses else "always"
    endpointing = EndpointingOptions(max_turn_s=1.5, max_wait_s=1.0)  # so that short scripts reach both
    options = replace(TWO, endpointing=endpointing, address=address)
    floor = Floor(replace(options, scores_pauses=pauses, scores_sounds=sounds, transcribes_sounds=transcribes))
    me, them = Voice("me"), Voice("them")
    asked: list[Action] = []
    others = 0
    for step in script:
        match step:
            case ("speak" | "rest" as what, int(n_frames)):
                frames: list[Observation] = []
                for _ in range(n_frames):
                    frames += [me.frame(is_voiced=what == "speak"), them.frame(is_voiced=others > 0)]
                    others -= 1
                asked += told(floor, frames)
            case ("other speaks", _):
                others = 30
            case ("score", float(probability)):
                numbers = [score.number for score in of(asked, actions.ScoreTurn)]
                asked += told(
                    floor, [PauseScored("me", number, probability, address=probability) for number in numbers[-1:]]
                )
            case ("hold on", _):
                numbers = [score.number for score in of(asked, actions.ScoreTurn) if score.end.speaker == "me"]
                asked += told(floor, [PauseScored("me", number, 0.9, asks_to_wait=True) for number in numbers[-1:]])
            case ("words", str(text)):
                asked += told(floor, [SoundJudged(len(of(asked, actions.JudgeSound)), text)])
            case ("sound", float(probability)):
                number = len(of(asked, actions.JudgeSound))
                asked += told(floor, [SoundJudged(number, None, backchannel_probability=probability)])
            case _:
                asked += told(floor, [command_of(*step, me.sample, asked)])
    asked += told(floor, [CLOSED, CLOSED, *me.speak(0.1)])
    check_balance(asked, floor.state)
    assert floor.state is TurnState.CLOSED


def command_of(name: str, value: object, sample: int, asked: Sequence[Action]) -> Observation:
    match name:
        case "finish" | "nothing":
            is_running = [kind for kind in kinds(asked) if kind.endswith(("Provisional", "Response"))][-1:] not in (
                [],
                ["RetractResponse"],
                ["StoreResponse"],
                ["InterruptResponse"],
                ["PauseResponse"],
                ["SkipProvisional"],
            )
            return LoadChanged(True) if not is_running else FINISHED if name == "finish" else NOTHING
        case "press":
            return KeyPressed(sample)
        case "release":
            return KeyReleased(sample)
        case "type":
            return TextSubmitted("typed")
        case "add text":
            return TextAdded("added")
        case "ask" | "commit":
            return AnswerRequested(sample, ends_speech=name == "commit")
        case "clear speech":
            return SpeechCleared()
        case "cancel":
            return CANCELLED
        case "clear":
            return CLEARED
        case "protect":
            return RulesChanged(protect_answer=bool(value))
        case "detect":
            return RulesChanged(turn_detection=bool(value))
        case _:
            return LoadChanged(bool(value))
