"""Decides what is done in a call between two people: observations in, actions out, without I/O, as `floor.py` does.

Nobody is answered in a call. Each party has turns of its own, which may overlap, and each becomes a message. When
*they* pause after words that ask something, a suggestion for *me* is begun at once, as a provisional answer is: it is
committed when their turn has ended, and withdrawn if they go on. When *I* begin to speak it stays as it is and grows no
more; a short "mm-hm" of mine leaves it alone. Where the words are not known, every longer turn of theirs may ask.
Read `request.py` for which words ask, `speaker.py` for one party's side, `dialogue.py` for what does the actions.
"""

from models.types import SAMPLE_RATE_HZ
from realtime.turns.actions import (
    Action,
    AddText,
    AnnouncePause,
    ClearConversation,
    CommitTurn,
    DiscardTurn,
    NoteMissingScore,
    OpenTurn,
    PrefillTurns,
    Refuse,
    ScoreTurn,
    SkipProvisional,
)
from realtime.turns.events import InterruptionConfirmed, SaidToOthers, SilenceElapsed, TurnEvent, TurnTooLong
from realtime.turns.machine import TurnState
from realtime.turns.observations import (
    AnswerFinished,
    AnswerRequested,
    CancelRequested,
    Closed,
    ConversationCleared,
    DetectedFrame,
    KeyPressed,
    LoadChanged,
    NothingSaid,
    Observation,
    PauseScored,
    RulesChanged,
    SpeechCleared,
    SpeechStarted,
    SpeechStopped,
    TextAdded,
    TextSubmitted,
)
from realtime.turns.options import FloorOptions
from realtime.turns.speaker import Speaker
from realtime.turns.suggestion import Suggestion

ME, THEM = "me", "them"
HEAD_START_SAMPLES = SAMPLE_RATE_HZ * 60 // 1000  # of silence, after which scorer and model are given the turn
MY_TURN_SAMPLES = SAMPLE_RATE_HZ * 500 // 1000  # of my speech; less may be an "mm-hm"; chosen, not measured
MAY_ASK_SAMPLES = SAMPLE_RATE_HZ * 3 // 2  # of their speech, where the words are not known


class CallFloor:
    """Who speaks in a call, and when a suggestion is made.

    Args:
        options: what it decides by; its speakers are `ME` and `THEM`.
    """

    protect_answer = False  # a call knows neither of these two rules of a conversation
    turn_detection = True
    unopened_sample = None

    def __init__(self, options: FloorOptions) -> None:
        pre_roll_samples = round(options.pre_roll_s * SAMPLE_RATE_HZ)
        self._parties = {name: Speaker(name, options.endpointing, pre_roll_samples) for name in options.speakers}
        self._me, self._them = self._parties[ME], self._parties[THEM]
        self._scores_pauses = options.scores_pauses
        self._max_turn_samples = options.endpointing.max_turn_samples
        self._may_speculate = True
        self._is_closed = False
        self._suggestion = Suggestion()
        self._is_skipped = False  # there is none to this pause, because the load allows none
        self._is_declined = False  # ... because I want none
        self._nothing_said = False
        self._was_said = False  # something, in the call so far
        self._actions: list[Action] = []

    @property
    def state(self) -> TurnState:
        """What goes on, in the words of the turn machine."""
        parties = self._parties.values()
        if self._is_closed:
            return TurnState.CLOSED
        if any(party.turn is not None and party.is_speaking for party in parties):
            return TurnState.USER_SPEAKING
        if any(party.turn is not None for party in parties):
            return TurnState.PAUSED
        return TurnState.RESPONDING if self._suggestion.is_under_way else TurnState.LISTENING

    def observe(self, observation: Observation) -> tuple[Action, ...]:
        """Takes what happened, in the order in which it happened.

        Returns:
            What is to be done, in order.
        """
        self._actions = []
        if not self._is_closed:
            self._take(observation)
        return tuple(self._actions)

    def _take(self, observation: Observation) -> None:
        match observation:
            case DetectedFrame():
                self._take_frame(observation)
            case PauseScored():
                self._parties[observation.speaker].score.take(observation)
            case LoadChanged():
                self._may_speculate = observation.allows_speculation
            case RulesChanged(patience=patience) if patience is not None:
                for party in self._parties.values():
                    party.endpointing.wanted = patience
            case AnswerFinished():
                self._actions += self._suggestion.finish()
            case NothingSaid():
                self._take_nothing_said()
            case _:
                self._take_request(observation)

    def _take_request(self, request: Observation) -> None:
        match request:
            case TextSubmitted(text) | TextAdded(text):
                self._ask(text)
            case AnswerRequested():
                self._suggest_now(request)
            case CancelRequested():
                self._actions += self._suggestion.stop(request)
                self._is_declined = True
            case SpeechCleared():
                self._discard_turns(request)
            case ConversationCleared():
                self._actions += self._suggestion.stop(request)
                self._discard_turns(request)
                self._actions.append(ClearConversation())
            case KeyPressed():
                self._actions.append(Refuse("a call has no push-to-talk; both parties are listened to all the time"))
            case Closed():
                self._actions += self._suggestion.stop(request)
                self._discard_turns(request)
                self._is_closed = True

    # Frames.

    def _take_frame(self, frame: DetectedFrame) -> None:
        party = self._parties[frame.speaker]
        before = party.speech
        party.take(frame)
        match frame.event:
            case SpeechStarted(onset_sample):
                self._begin_or_go_on(party, onset_sample, before)
            case SpeechStopped(offset_sample) if party.turn is not None:
                self._pause(party, offset_sample)
        if party.turn is None:
            return
        if party.is_speaking:
            self._follow_speech(party, frame)
        elif party.score.settle(frame.end_sample):
            self._actions.append(NoteMissingScore())
        if isinstance(party.speech, SpeechStopped):
            self._follow_pause(party, frame)
        if party.n_samples >= self._max_turn_samples:
            self._cut(party, TurnTooLong(party.name, frame.end_sample))

    def _begin_or_go_on(self, party: Speaker, onset_sample: int, before: SpeechStarted | SpeechStopped | None) -> None:
        if party.turn is None:
            self._actions.append(OpenTurn(party.open_at_onset(onset_sample)))
            return
        if isinstance(before, SpeechStopped) and not party.score.asks_to_wait:
            party.endpointing.observe_hold(onset_sample - before.offset_sample, party.score.value)
        party.end_sample = None
        party.score.drop()
        if party is self._them:
            self._retract()

    def _follow_speech(self, party: Speaker, frame: DetectedFrame) -> None:
        if frame.silence_samples >= HEAD_START_SAMPLES:
            self._prepare(party, frame)
        elif not frame.silence_samples:
            party.end_sample = None
            party.score.drop()
        if party is self._me and self._speaks_for_long(party):
            self._give_floor_to_me()

    def _prepare(self, party: Speaker, frame: DetectedFrame) -> None:
        """Lets scorer and model have the turn at its first silent frames."""
        if party.end_sample is not None:
            return
        party.end_sample = frame.end_sample
        if party is self._them and self._may_speculate and not self._suggestion.is_under_way:
            self._actions.append(PrefillTurns((party.end,)))
        self._score(party)

    def _score(self, party: Speaker) -> None:
        if self._scores_pauses:
            self._actions.append(ScoreTurn(party.end, party.score.ask()))

    def _pause(self, party: Speaker, offset_sample: int) -> None:
        self._actions.append(AnnouncePause(party.name, offset_sample))
        party.end_sample = party.end.end_sample
        if not party.score.is_asked:
            self._score(party)
        party.score.expect(party.sample)
        if party is self._them:
            self._is_skipped = self._is_declined = self._nothing_said = False

    def _follow_pause(self, party: Speaker, frame: DetectedFrame) -> None:
        if party.score.is_pending:
            return
        if party is self._them and self._asks() and not self._suggestion.is_provisional and not self._is_skipped:
            self._start_provisional()
        score = party.score
        if frame.silence_samples >= party.endpointing.wait_samples(score.value, asks_to_wait=score.asks_to_wait):
            party.note_commit(frame)
            self._end_turn(party, frame.end_sample, frame.silence_samples)

    def _cut(self, party: Speaker, cause: TurnEvent) -> None:
        """Makes a message of a turn so far; its speaker goes on in the next."""
        if party is self._them:
            self._retract()
        sample = party.sample
        self._actions.append(CommitTurn(party.commit(sample), sample, cause))
        self._actions.append(OpenTurn(party.open_next_part()))

    # Turns.

    def _end_turn(self, party: Speaker, sample: int, waited_samples: int) -> None:
        if party is self._them and self._nothing_said:
            self._retract()
            self._actions.append(DiscardTurn(party.leave().speaker, NothingSaid()))
            return
        is_answered = party is self._them and (self._suggestion.is_provisional or (self._asks() and self._is_skipped))
        cause: TurnEvent = SaidToOthers(party.name, sample)
        if is_answered:
            cause = SilenceElapsed(party.name, sample, waited_samples)
        self._commit(party, cause)
        if is_answered:
            self._keep_suggestion()

    def _commit(self, party: Speaker, cause: TurnEvent) -> None:
        end_sample, self._was_said = party.end.end_sample, True
        turn = party.commit(end_sample)
        if turn.cut_in_after_samples is not None:
            party.endpointing.observe_cut_in(turn.cut_in_after_samples)
        party.endpointing.observe_end(party.score.value)
        party.score.drop()
        self._actions.append(CommitTurn(turn, end_sample, cause))

    def _discard_turns(self, cause: TurnEvent) -> None:
        self._retract()
        for party in self._parties.values():
            if party.turn is not None:
                self._actions.append(DiscardTurn(party.leave().speaker, cause))
                party.score.drop()
            party.drop_unopened()

    def _speaks_for_long(self, party: Speaker) -> bool:
        """Whether what is being said is longer than an "mm-hm"."""
        if party.turn is None or not party.is_speaking:
            return False
        return party.last_voiced_sample - party.turn.onset_sample >= MY_TURN_SAMPLES

    def _give_floor_to_me(self) -> None:
        """I speak: a turn of theirs that may just be ending has ended, and the suggestion stays as it is."""
        if self._suggestion.is_provisional:
            waited_samples = self._them.sample - self._them.last_voiced_sample
            self._commit(self._them, SilenceElapsed(THEM, self._them.sample, waited_samples))
            self._keep_suggestion()
        self._actions += self._suggestion.stop(InterruptionConfirmed())

    # Suggestions.

    def _asks(self) -> bool:
        """Whether their turn, as far as it has come, asks something that I do not answer already."""
        turn = self._them.turn
        if turn is None or self._is_declined or self._speaks_for_long(self._me):
            return False
        if self._them.score.asks is None:
            return self._them.last_voiced_sample - turn.onset_sample >= MAY_ASK_SAMPLES
        return self._them.score.asks

    def _start_provisional(self) -> None:
        self._actions += self._suggestion.stop(InterruptionConfirmed())  # one to an earlier question
        if not self._may_speculate:
            self._is_skipped = True
            self._actions.append(SkipProvisional())
            return
        assert isinstance(self._them.speech, SpeechStopped), "only a pause has a suggestion"
        self._actions += self._suggestion.suggest(self._them.end, self._them.speech.offset_sample)

    def _keep_suggestion(self) -> None:
        """Their turn has ended: what was suggested counts; where the load allowed none, one is begun now."""
        self._is_skipped = False
        if self._suggestion.is_provisional:
            self._actions += self._suggestion.keep()
        else:
            self._actions += self._suggestion.start(THEM, self._them.last_voiced_sample)

    def _retract(self) -> None:
        """They go on: what was suggested to the words so far is withdrawn."""
        self._is_skipped = self._nothing_said = False
        self._actions += self._suggestion.retract()

    def _take_nothing_said(self) -> None:
        """The model found no words in the turn that it was to suggest something to."""
        if self._suggestion.is_provisional:
            self._nothing_said = True
        else:
            self._actions += self._suggestion.stop(NothingSaid())

    # What I ask for.

    def _ask(self, text: str) -> None:
        """I type: that is a question to the assistant, and is answered at once."""
        self._actions += self._suggestion.stop(InterruptionConfirmed())
        is_speaking = self._me.turn is not None
        self._me.add_text()
        self._actions.append(AddText(ME, text))
        if is_speaking:
            self._cut(self._me, TextSubmitted(text))
        else:
            turn = self._me.commit(self._me.sample)
            self._actions.append(CommitTurn(turn, self._me.sample, TextSubmitted(text)))
        self._actions += self._suggestion.start(ME, None)

    def _suggest_now(self, request: AnswerRequested) -> None:
        """I want a suggestion, whether anything was asked or not."""
        if self._suggestion.is_under_way:
            return
        if self._them.turn is not None and self._them.is_speaking:
            self._cut(self._them, request)
        elif self._them.turn is not None:
            self._commit(self._them, request)
        elif not self._was_said:
            self._actions.append(Refuse("nobody has said anything yet; a suggestion needs something to go by"))
            return
        self._actions += self._suggestion.start(THEM, self._them.last_voiced_sample)
