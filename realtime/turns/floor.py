"""Decides who has the floor: observations in, actions out, without I/O.

The machine's table says what can follow what; this module says when. It makes the machine's events out of frames,
scores and words; `consequences.py` makes the actions. It knows no asyncio, no clock, no model and no audio, so a
recorded conversation can be decided again by a loop over its observations.

Who has the floor is one speaker. Others who speak at the same time keep turns of their own beside: such a turn is
committed when its speaker has been silent long enough, and all are answered together once nobody speaks.
Read `endpointing.py` and `interruption.py` for how long to wait and what a sound is, `dialogue.py` for what carries the
actions out.
"""

from models.types import SAMPLE_RATE_HZ
from realtime.turns.actions import (
    Action,
    NoteMissingScore,
    PauseResponse,
    Refuse,
    StartProvisional,
    StartResponse,
)
from realtime.turns.address import is_addressed
from realtime.turns.consequences import Consequences
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
from realtime.turns.interruption import Verdict, judge_by_length, leaves_turn
from realtime.turns.machine import TRANSITIONS, TurnMachine, TurnState
from realtime.turns.observations import (
    AnswerFinished,
    AnswerRequested,
    CancelRequested,
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
from realtime.turns.options import MAX_TEXT_CHARACTERS, FloorOptions
from realtime.turns.speaker import Speaker

HEAD_START_SAMPLES = SAMPLE_RATE_HZ * 60 // 1000  # two frames: half become pauses, half are the closure of a "p" or "t"

_BEING_JUDGED = (TurnState.INTERRUPTED, TurnState.OVERLAPPING, TurnState.JUDGING, TurnState.OVERLAP_JUDGING)
_TURN_OPEN = (TurnState.USER_SPEAKING, TurnState.KEY_HELD)


class Floor:
    """Who has the floor of one session.

    Args:
        options: what it decides by.
    """

    def __init__(self, options: FloorOptions) -> None:
        self._options = options.endpointing
        self._is_scored = options.scores_sounds
        self._can_ask = options.transcribes_sounds or options.scores_sounds
        self._machine = TurnMachine()
        self._then = Consequences(options)
        self._turn_detection = True
        self._address = options.address
        self._answer_is_whole = False
        self._nothing_said = False
        self._is_unanswered = False  # the last turn, because it was for others; who asks for its answer gets it
        self._was_committed = False  # by the last request: the next one may ask for the answer that is coming already
        self._actions: list[Action] = []

    @property
    def state(self) -> TurnState:
        """Who has the floor now."""
        return self._machine.state

    @property
    def turn_detection(self) -> bool:
        """Whether turns begin and end by speech and silence."""
        return self._turn_detection

    @property
    def protect_answer(self) -> bool:
        """Whether speech leaves the answer under way, or the next one, alone."""
        return self._then.protect_answer

    @property
    def unopened_sample(self) -> int | None:
        """Where the user's speech begins for which no turn was opened, because detection is switched off."""
        return None if self._turn_detection else self._then.unopened_sample

    def observe(self, observation: Observation) -> tuple[Action, ...]:
        """Takes what happened, in the order in which it happened.

        Returns:
            What is to be done, in order.

        Raises:
            IllegalTransition: never, unless this module has a defect.
        """
        self._actions = []
        if self.state is not TurnState.CLOSED:
            self._take(observation)
        return tuple(self._actions)

    def _take(self, observation: Observation) -> None:
        match observation:
            case DetectedFrame():
                self._take_frame(observation)
            case PauseScored():
                self._then.speakers[observation.speaker].score.take(observation)
            case SoundJudged():
                self._take_judgement(observation)
            case LoadChanged():
                self._then.may_speculate = observation.allows_speculation
            case RulesChanged():
                self._change_rules(observation)
            case KeyPressed() | KeyReleased():
                self._take_key(observation)
            case TextAdded() | AnswerRequested() | SpeechCleared():
                self._take_request(observation)
            case NothingSaid():
                self._take_nothing_said()
            case AnswerFinished():
                self._answer_is_whole = True
                self._feed_if_possible(observation)
            case CancelRequested() if self._nothing_said_in_pause:
                self._feed(NothingSaid())  # else an empty turn would stay
            case _:
                self._is_unanswered = False  # it may be gone with the conversation, or with what is cancelled
                self._feed(observation)

    # The machine.

    def _feed(self, event: TurnEvent) -> None:
        """Moves the machine on, and further where what follows is known already."""
        for kind in self._machine.handle(event):
            self._actions += self._then.act(kind, event)
            if kind in (StartProvisional, StartResponse, PauseResponse):
                self._answer_is_whole = self._nothing_said = self._is_unanswered = False
        holder = self._then.holder
        if self.state is TurnState.RESPONDING and self._answer_is_whole:
            self._feed(AnswerFinished())  # it had finished while it was still provisional
        elif self.state is TurnState.LISTENING and self._then.owes_answer:
            self._feed(AnswerOwed())
        elif self.state in (TurnState.USER_SPEAKING, TurnState.PAUSED) and not self._turn_detection:
            self._feed(DetectionStopped(holder.sample))
        elif self.state is TurnState.USER_SPEAKING and isinstance(holder.speech, SpeechStopped):
            self._let_pause(holder.speech)  # the speech had paused before it was known to be a turn

    def _feed_if_possible(self, event: TurnEvent) -> None:
        if (self.state, type(event)) in TRANSITIONS:
            self._feed(event)

    def _take_key(self, key: KeyPressed | KeyReleased) -> None:
        is_held = self.state is TurnState.KEY_HELD
        if isinstance(key, KeyPressed) == is_held:
            return  # keys repeat
        if isinstance(key, KeyPressed):
            self._feed(key)
        elif self._then.speaks_beside() is not None:
            self._feed(KeyReleasedBeside(key.sample))
        elif self._then.has_nothing_since_key():
            self._feed(KeyReleasedInVain(key.sample))
        else:
            self._feed(key)

    def _take_request(self, request: TextAdded | AnswerRequested | SpeechCleared) -> None:
        match request:
            case TextAdded() if self.state is TurnState.PAUSED:
                self._feed(request)
            case TextAdded(text) if sum(map(len, self._then.typed)) + len(text) > MAX_TEXT_CHARACTERS:
                self._refuse(f"at most {MAX_TEXT_CHARACTERS} characters may be typed for one answer; ask for it")
            case TextAdded(text):
                self._then.typed.append(text)  # it waits for the end of the turn that it is part of
            case AnswerRequested():
                self._answer_now(request)
            case SpeechCleared():
                self._then.drop_unopened()
                self._feed_if_possible(request)

    def _answer_now(self, request: AnswerRequested) -> None:
        means_committed, self._was_committed = self._was_committed and not request.ends_speech, request.ends_speech
        if request.ends_speech and self.state in _BEING_JUDGED:
            self._feed(InterruptionConfirmed())
        if self._then.typed and self.state not in _TURN_OPEN and not request.ends_speech:
            self._feed(TextSubmitted("\n".join(self._then.take_typed())))
            return
        match self.state:
            case TurnState.KEY_HELD if request.ends_speech:
                self._take_key(KeyReleased(request.sample))
            case TurnState.USER_SPEAKING if request.ends_speech:
                self._feed(request)
            case TurnState.PAUSED:
                self._feed(NothingSaid() if self._nothing_said else request)
            case TurnState.WAITING if request.ends_speech:
                self._then.end_open_turns()
            case TurnState.LISTENING | TurnState.RESPONDING if not means_committed:
                self._answer_unopened(request)

    def _answer_unopened(self, request: AnswerRequested) -> None:
        """Answers what was said while detection is switched off, as if the key had been held."""
        start_sample = self.unopened_sample
        if start_sample is not None:
            self._feed(KeyPressed(start_sample))
            self._take_key(KeyReleased(request.sample))
        elif self._is_unanswered and not request.ends_speech:
            self._feed(AnswerOwed())
        elif self.state is TurnState.LISTENING:
            self._refuse("there is nothing to answer since the last one; speak or type")

    def _refuse(self, reason: str) -> None:
        self._actions.append(Refuse(reason))

    def _take_nothing_said(self) -> None:
        if self.state is TurnState.PAUSED:
            self._nothing_said = self._then.n_open_turns == 1  # others may have said something
        elif not self._then.owes_answer:
            self._feed_if_possible(NothingSaid())

    def _change_rules(self, change: RulesChanged) -> None:
        if change.protect_answer is not None:
            self._then.protect_answer = change.protect_answer
        if change.patience is not None:
            self._then.set_patience(change.patience)
        if change.address is not None:
            self._address = change.address
        if change.turn_detection is not None:
            self._turn_detection = change.turn_detection
            self._then.drop_unopened()
        if change.turn_detection is False and self.state is TurnState.WAITING:
            self._then.end_open_turns()
        elif change.turn_detection is False and self.state is not TurnState.KEY_HELD:
            self._feed(NothingSaid() if self._nothing_said_in_pause else DetectionStopped(self._then.sample))

    @property
    def _nothing_said_in_pause(self) -> bool:
        return self._nothing_said and self.state is TurnState.PAUSED

    # Frames.

    def _take_frame(self, frame: DetectedFrame) -> None:
        speaker = self._then.speakers[frame.speaker]
        before = speaker.speech
        speaker.take(frame)
        self._then.sample = max(self._then.sample, frame.end_sample)
        if self.state is TurnState.PAUSED and speaker.score.settle(frame.end_sample):
            self._actions.append(NoteMissingScore())
        is_by_key = self.state is TurnState.KEY_HELD and speaker is self._then.holder
        if self._turn_detection and not is_by_key:
            self._judge_frame(frame, speaker, before)
        if self.state in _TURN_OPEN and speaker.n_samples >= self._options.max_turn_samples:
            self._feed(TurnTooLong(speaker.name, frame.end_sample))

    def _judge_frame(
        self, frame: DetectedFrame, speaker: Speaker, before: SpeechStarted | SpeechStopped | None
    ) -> None:
        event, state = frame.event, self.state
        if state in (TurnState.LISTENING, TurnState.RESPONDING):
            if isinstance(event, SpeechStarted):
                self._begin(speaker, event)
        elif state in _BEING_JUDGED:
            self._judge_sound(speaker, event)
        elif isinstance(event, SpeechStarted):
            is_pause = state is TurnState.PAUSED and speaker is self._then.holder
            if is_pause and isinstance(before, SpeechStopped) and not speaker.score.asks_to_wait:
                speaker.endpointing.observe_hold(event.onset_sample - before.offset_sample, speaker.score.value)
            self._resume(speaker, event)
        elif state is TurnState.PAUSED:
            self._judge_silence(frame, speaker)
        elif speaker.turn is not None:
            self._follow_turn(frame, speaker)

    def _begin(self, speaker: Speaker, event: SpeechStarted) -> None:
        self._then.holder = speaker
        if self.state is TurnState.RESPONDING and self._then.protect_answer:
            self._feed(SpeechOverProtected(event.onset_sample, event.sample))
        else:
            self._feed(event)

    def _resume(self, speaker: Speaker, event: SpeechStarted) -> None:
        """Somebody speaks (again) while a turn is open."""
        if speaker is not self._then.holder:
            if self.state is TurnState.PAUSED:
                self._then.pass_floor(speaker)
            self._feed(SpeakerJoined(speaker.name, event.onset_sample))
        elif self.state is TurnState.PAUSED:
            self._feed(event)
        speaker.end_sample = None

    def _follow_turn(self, frame: DetectedFrame, speaker: Speaker) -> None:
        """A turn goes on, pauses, or may just be ending."""
        is_holder = speaker is self._then.holder
        if self.state is TurnState.WAITING:
            if isinstance(frame.event, SpeechStopped):
                speaker.end_sample = frame.end_sample  # what was said ends here, not when the answer has ended
        elif is_holder and isinstance(frame.event, SpeechStopped):
            self._let_pause(frame.event)
        elif not is_holder and frame.silence_samples >= speaker.endpointing.wait_samples(None):
            self._feed(SpeakerFinished(speaker.name))
        elif not frame.silence_samples:
            speaker.end_sample = None
            speaker.score.drop()
        elif speaker.end_sample is None and frame.silence_samples >= HEAD_START_SAMPLES:
            speaker.end_sample = frame.end_sample
            if is_holder and self._then.speaks_beside() is None:
                self._actions += self._then.prepare_answer()

    def _let_pause(self, event: SpeechStopped) -> None:
        """The speech of whoever has the floor has paused: another one who speaks has it now, or nobody."""
        other = self._then.speaks_beside()
        if other is None:
            self._feed(event)
        else:
            self._then.pass_floor(other)

    def _judge_silence(self, frame: DetectedFrame, speaker: Speaker) -> None:
        wait_samples = speaker.endpointing.wait_samples(speaker.score.value, asks_to_wait=speaker.score.asks_to_wait)
        if speaker is not self._then.holder or speaker.score.is_pending or frame.silence_samples < wait_samples:
            return
        if self._nothing_said:
            self._feed(NothingSaid())
            return
        waited_samples = min(frame.silence_samples, frame.end_sample - speaker.answer_end_sample)
        speaker.note_commit(frame)
        if self._is_for_others(speaker):
            self._feed(SaidToOthers(speaker.name, frame.end_sample))
            self._is_unanswered = True
        else:
            self._feed(SilenceElapsed(speaker.name, frame.end_sample, waited_samples))

    def _is_for_others(self, speaker: Speaker) -> bool:
        """Whether the turn is to be left unanswered; never with what was typed, or said beside it and not judged."""
        if self._address == "always" or speaker.has_text or self._then.typed:
            return False
        if self._then.owes_answer or self._then.n_open_turns > 1:
            return False
        return not is_addressed(speaker.score.address, follows_answer=speaker.follows_answer)

    # Sounds over an answer.

    def _judge_sound(self, speaker: Speaker, event: SpeechStarted | SpeechStopped | None) -> None:
        if speaker is not self._then.holder:
            if isinstance(event, SpeechStarted):  # two who speak have something to say
                self._feed(InterruptionConfirmed())
                self._feed(SpeakerJoined(speaker.name, event.onset_sample))
            return
        if isinstance(event, SpeechStarted):
            speaker.end_sample = None  # after a pause: there is more of it, and it is no "mm-hm"
            self._feed(InterruptionConfirmed())
            return
        assert speaker.turn is not None
        verdict = None
        if self.state in (TurnState.INTERRUPTED, TurnState.OVERLAPPING):
            verdict = judge_by_length(
                speaker.last_voiced_sample - speaker.turn.onset_sample,
                self._options,
                ended=not speaker.is_speaking,
                can_ask=self._can_ask,
                is_scored=self._is_scored,
            )
        match verdict:
            case Verdict.TURN:
                self._feed(InterruptionConfirmed())
            case Verdict.NO_TURN:
                self._feed(InterruptionDismissed())
            case Verdict.ASK:
                self._feed(SoundEnded())

    def _take_judgement(self, judged: SoundJudged) -> None:
        is_awaited = self.state in (TurnState.JUDGING, TurnState.OVERLAP_JUDGING)
        if is_awaited and judged.number == self._then.n_sounds:
            self._feed(InterruptionDismissed() if leaves_turn(judged) else InterruptionConfirmed())
