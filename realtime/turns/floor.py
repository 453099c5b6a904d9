"""Decides who has the floor: observations in, actions out, without I/O.

The machine's table says what can follow what; this module says when. It makes the machine's events out of frames,
scores and words (`Floor`), and actions out of the kinds that the table names (`_Consequences`). It knows no asyncio, no
clock, no model and no audio, so a recorded conversation can be decided again by a loop over its observations.

Who has the floor is one speaker. Others who speak at the same time keep turns of their own beside: such a turn is
committed when its speaker has been silent long enough, and all are answered together once nobody speaks.
Read `endpointing.py` and `interruption.py` for how long to wait and what a sound is, `session.py` for what carries the
actions out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.types import SAMPLE_RATE_HZ
from realtime.turns.actions import (
    Action,
    AddText,
    ClearConversation,
    CommitResponse,
    CommitTurn,
    DiscardTurn,
    EndProtection,
    InterruptResponse,
    NoteMissingScore,
    OpenTurn,
    PauseResponse,
    PauseTurn,
    PrefillTurns,
    ResumeResponse,
    RetractResponse,
    ScoreTurn,
    SkipProvisional,
    StartProvisional,
    StartResponse,
    StoreResponse,
    TranscribeSound,
    TurnEnd,
)
from realtime.turns.endpointing import EndpointingOptions
from realtime.turns.events import (
    DetectionStopped,
    InterruptionConfirmed,
    InterruptionDismissed,
    KeyReleasedInVain,
    SilenceElapsed,
    SoundEnded,
    SpeakerFinished,
    SpeakerJoined,
    SpeechOverProtected,
    TurnEvent,
    TurnTooLong,
)
from realtime.turns.interruption import Verdict, is_backchannel, judge_by_length
from realtime.turns.machine import TRANSITIONS, TurnMachine, TurnState
from realtime.turns.observations import (
    DEFAULT_SPEAKER,
    AnswerFinished,
    CancelRequested,
    DetectedFrame,
    KeyPressed,
    KeyReleased,
    LoadChanged,
    NothingSaid,
    Observation,
    PauseScored,
    RulesChanged,
    SoundTranscribed,
    SpeechStarted,
    SpeechStopped,
)
from realtime.turns.speaker import Speaker

HEAD_START_SAMPLES = SAMPLE_RATE_HZ * 60 // 1000  # two frames: half become pauses, half are the closure of a "p" or "t"

_BEING_JUDGED = (TurnState.INTERRUPTED, TurnState.OVERLAPPING, TurnState.JUDGING, TurnState.OVERLAP_JUDGING)
_TURN_OPEN = (TurnState.USER_SPEAKING, TurnState.KEY_HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorOptions:
    """What a floor decides by.

    Attributes:
        endpointing: when a turn has ended, and what a sound over an answer is.
        pre_roll_s: audio kept before an onset.
        speakers: their names; keys and typed text are the first one's.
        scores_pauses: a scorer says how complete a turn sounds; otherwise silence alone decides.
        transcribes_sounds: the words of a short sound over an answer can be written down.
    """

    endpointing: EndpointingOptions
    pre_roll_s: float
    speakers: tuple[str, ...] = (DEFAULT_SPEAKER,)
    scores_pauses: bool = False
    transcribes_sounds: bool = False

    def __post_init__(self) -> None:
        if not self.speakers or len(set(self.speakers)) < len(self.speakers):
            raise ValueError(f"the speakers are {self.speakers}; there must be one at least, each with another name")


class Floor:
    """Who has the floor of one session.

    Args:
        options: what it decides by.
    """

    def __init__(self, options: FloorOptions) -> None:
        self._options = options.endpointing
        self._transcribes_sounds = options.transcribes_sounds
        self._machine = TurnMachine()
        self._then = _Consequences(options)
        self._turn_detection = True
        self._answer_is_whole = False
        self._nothing_said = False
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
            case SoundTranscribed():
                self._judge_words(observation)
            case LoadChanged():
                self._then.may_speculate = observation.allows_speculation
            case RulesChanged():
                self._change_rules(observation)
            case KeyPressed() | KeyReleased():
                self._take_key(observation)
            case NothingSaid():
                self._take_nothing_said()
            case AnswerFinished():
                self._answer_is_whole = True
                self._feed_if_possible(observation)
            case CancelRequested() if self._nothing_said_in_pause:
                self._feed(NothingSaid())  # else an empty turn would stay
            case _:
                self._feed(observation)

    # The machine.

    def _feed(self, event: TurnEvent) -> None:
        """Moves the machine on, and further where what follows is known already."""
        for kind in self._machine.handle(event):
            self._actions += self._then.act(kind, event)
            if kind in (StartProvisional, StartResponse, PauseResponse):
                self._answer_is_whole = self._nothing_said = False
        holder = self._then.holder
        if self.state is TurnState.RESPONDING and self._answer_is_whole:
            self._feed(AnswerFinished())  # it had finished while it was still provisional
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
        if isinstance(key, KeyReleased) and self._then.has_nothing_since_key():
            self._feed(KeyReleasedInVain(key.sample))
        else:
            self._feed(key)

    def _take_nothing_said(self) -> None:
        if self.state is TurnState.PAUSED:
            self._nothing_said = self._then.n_open_turns == 1  # others may have said something
        else:
            self._feed_if_possible(NothingSaid())

    def _change_rules(self, change: RulesChanged) -> None:
        if change.protect_answer is not None:
            self._then.protect_answer = change.protect_answer
        if change.turn_detection is not None:
            self._turn_detection = change.turn_detection
        if change.turn_detection is False and self.state is not TurnState.KEY_HELD:
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
        if self.state is TurnState.PAUSED and speaker.score.is_missed(frame.end_sample):
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
            if state is TurnState.PAUSED and speaker is self._then.holder and isinstance(before, SpeechStopped):
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
                self._then.holder = speaker
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
        wait_samples = speaker.endpointing.wait_samples(speaker.score.value)
        if speaker is not self._then.holder or speaker.score.is_pending or frame.silence_samples < wait_samples:
            return
        if self._nothing_said:
            self._feed(NothingSaid())
            return
        waited_samples = min(frame.silence_samples, frame.end_sample - self._then.answer_end_sample)
        speaker.note_commit(frame)
        self._feed(SilenceElapsed(speaker.name, frame.end_sample, waited_samples))

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
                can_ask=self._transcribes_sounds,
            )
        match verdict:
            case Verdict.TURN:
                self._feed(InterruptionConfirmed())
            case Verdict.NO_TURN:
                self._feed(InterruptionDismissed())
            case Verdict.ASK:
                self._feed(SoundEnded())

    def _judge_words(self, transcribed: SoundTranscribed) -> None:
        is_awaited = self.state in (TurnState.JUDGING, TurnState.OVERLAP_JUDGING)
        if not is_awaited or transcribed.number != self._then.n_sounds:
            return
        if transcribed.text is not None and is_backchannel(transcribed.text):
            self._feed(InterruptionDismissed())
        else:
            self._feed(InterruptionConfirmed())


class _Consequences:
    """What follows from a transition: actions of the kinds that the table names, with their data.

    Attributes:
        speakers: by name.
        holder: who has the floor, or had it last.
        sample: end of the newest frame.
        answer_end_sample: where the last answer ended.
        protect_answer: speech leaves the answer under way, or the next one, alone.
        may_speculate: the load allows work that may prove to be in vain.
        n_sounds: how many sounds over answers have been given to be written down.
    """

    def __init__(self, options: FloorOptions) -> None:
        pre_roll_samples = round(options.pre_roll_s * SAMPLE_RATE_HZ)
        self.speakers = {name: Speaker(name, options.endpointing, pre_roll_samples) for name in options.speakers}
        self.holder = self._user = self.speakers[options.speakers[0]]
        self.sample = 0
        self.answer_end_sample = 0
        self.protect_answer = False
        self.may_speculate = True
        self.n_sounds = 0
        self._scores_pauses = options.scores_pauses
        self._has_answer = False

    @property
    def n_open_turns(self) -> int:
        """How many speakers have a turn under way."""
        return len(self._open_turns())

    def speaks_beside(self) -> Speaker | None:
        """Who speaks beside whoever has the floor."""
        others = (speaker for speaker in self._open_turns() if speaker is not self.holder)
        return next((speaker for speaker in others if speaker.is_speaking), None)

    def pass_floor(self, other: Speaker) -> None:
        """Gives the floor to another speaker; the turn of who had it ends where it is, unless that one goes on."""
        self.holder.end_sample = self.holder.end.end_sample
        self.holder.score.drop()
        self.holder = other

    def has_nothing_since_key(self) -> bool:
        """Whether nobody has spoken or typed since the key was pressed."""
        turn, user = self._user.turn, self._user
        assert turn is not None and turn.start_sample is not None
        has_voice = user.last_voiced_sample > turn.start_sample
        return not (has_voice or user.has_text or turn.continues) and self.n_open_turns == 1

    def prepare_answer(self) -> Sequence[Action]:
        """Lets scorer and model have the turn at its first silent frames, so that they are ready if it has ended."""
        prefill = [PrefillTurns(self._ends())] if self.may_speculate else []
        return [*prefill, *self._score()]

    def act(self, kind: type[Action], cause: TurnEvent) -> Sequence[Action]:
        """Makes the actions of one kind; none where there is nothing to do."""
        if kind is OpenTurn:
            return self._open_turn(cause)
        if kind is CommitTurn:
            return self._commit_turns(cause)
        if kind is DiscardTurn:
            return [DiscardTurn(speaker.discard().speaker) for speaker in self._open_turns()]
        if kind is AddText:
            return self._add_text(cause)
        if kind is PauseTurn:
            return [PauseTurn(self.holder.name, _offset_of(cause))]
        if kind is TranscribeSound:
            return self._transcribe_sound()
        return self._act_on_answer(kind, cause)

    def _act_on_answer(self, kind: type[Action], cause: TurnEvent) -> Sequence[Action]:
        if kind is StartProvisional:
            return self._start_provisional(cause)
        if kind is RetractResponse:
            return self._retract_response()
        if kind is CommitResponse and self._has_answer:
            return [CommitResponse()]
        if kind in (CommitResponse, StartResponse):
            return self._start_response(cause)
        if kind is InterruptResponse:
            return [InterruptResponse(cause), *self._end_answer()]
        if kind is StoreResponse:
            return [StoreResponse(), *self._end_answer()]
        if kind is ClearConversation:
            for speaker in self.speakers.values():
                speaker.note_commit(None)
            return [ClearConversation()]
        return [PauseResponse() if kind is PauseResponse else ResumeResponse()]

    # Turns.

    def _open_turns(self) -> list[Speaker]:
        """Who has a turn under way, in the order in which they began; what is only typed comes last."""
        begun = [(speaker.turn.start_sample, speaker) for speaker in self.speakers.values() if speaker.turn is not None]
        spoken = sorted((pair for pair in begun if pair[0] is not None), key=lambda pair: pair[0] or 0)
        return [speaker for _, speaker in (*spoken, *(pair for pair in begun if pair[0] is None))]

    def _ends(self) -> tuple[TurnEnd, ...]:
        return tuple(speaker.end for speaker in self._open_turns())

    def _open_turn(self, cause: TurnEvent) -> Sequence[Action]:
        match cause:
            case SpeechStarted(onset_sample) | SpeechOverProtected(onset_sample):
                return [OpenTurn(self.holder.open_at_onset(onset_sample))]
            case SpeakerJoined(name, onset_sample):
                joined = self.speakers[name]
                return [] if joined.turn is not None else [OpenTurn(joined.open_at_onset(onset_sample))]
            case TurnTooLong(name):
                return [OpenTurn(self.speakers[name].open_next_part())]
            case KeyPressed(sample):
                return self._open_by_key(sample)
            case _:  # a new conversation while the key is held
                return self._open_by_key(self._user.sample)

    def _open_by_key(self, sample: int) -> Sequence[Action]:
        user = self.holder = self._user
        if user.turn is None or user.turn.start_sample is None:
            return [OpenTurn(user.open_at(sample))]
        user.end_sample = None  # what was said before belongs to it
        return []

    def _commit_turns(self, cause: TurnEvent) -> Sequence[Action]:
        if isinstance(cause, TurnTooLong | SpeakerFinished):
            ending = [self.speakers[cause.speaker]]
        else:
            ending = self._open_turns()
        actions = []
        for speaker in ending:
            end_sample = speaker.end.end_sample
            if isinstance(cause, TurnTooLong) or (isinstance(cause, KeyReleased) and speaker is self._user):
                end_sample = cause.sample
            turn = speaker.commit(end_sample)
            if turn.cut_in_after_samples is not None:
                speaker.endpointing.observe_cut_in(turn.cut_in_after_samples)
            if isinstance(cause, SilenceElapsed) and speaker is self.holder:
                speaker.endpointing.observe_end(speaker.score.value)
            speaker.score.drop()
            actions.append(CommitTurn(turn, end_sample, cause))
        return actions

    def _add_text(self, cause: TurnEvent) -> Sequence[Action]:
        self._user.add_text()
        return [AddText(self._user.name, getattr(cause, "text", ""))]

    def _transcribe_sound(self) -> Sequence[Action]:
        end = self.holder.end
        self.holder.end_sample = end.end_sample
        self.n_sounds += 1
        return [TranscribeSound(end, self.n_sounds)]

    def _score(self) -> Sequence[Action]:
        turn = self.holder.turn
        if not self._scores_pauses or turn is None or turn.start_sample is None:
            return []
        return [ScoreTurn(self.holder.end, self.holder.score.ask())]

    # Answers.

    def _start_provisional(self, cause: TurnEvent) -> Sequence[Action]:
        holder = self.holder
        holder.end_sample = holder.end.end_sample
        scoring = [] if holder.score.is_asked else self._score()
        holder.score.expect(holder.sample)
        if not self.may_speculate:
            return [*scoring, SkipProvisional()]
        self._has_answer = True
        return [*scoring, StartProvisional(self._ends(), holder.name, _offset_of(cause))]

    def _retract_response(self) -> Sequence[Action]:
        self.holder.score.drop()
        had_answer, self._has_answer = self._has_answer, False
        return [RetractResponse()] if had_answer else []

    def _start_response(self, cause: TurnEvent) -> Sequence[Action]:
        self._has_answer = True
        match cause, self.holder.speech:
            case KeyReleased(sample), _:
                return [StartResponse(self.holder.name, sample)]  # the wait begins where the key is let go
            case ((SilenceElapsed() | DetectionStopped()), SpeechStopped(offset_sample)):
                return [StartResponse(self.holder.name, offset_sample)]
            case DetectionStopped(sample), _:
                return [StartResponse(self.holder.name, sample)]
            case _:
                return [StartResponse(self._user.name, None)]

    def _end_answer(self) -> Sequence[Action]:
        self._has_answer = False
        self.answer_end_sample = self.sample
        was_protected, self.protect_answer = self.protect_answer, False
        return [EndProtection()] if was_protected else []


def _offset_of(cause: TurnEvent | None) -> int:
    """Where the speech stopped."""
    match cause:
        case SpeechStopped(offset_sample):
            return offset_sample
        case KeyReleased(sample) | KeyReleasedInVain(sample):
            return sample
        case _:
            raise AssertionError(f"{cause} does not say where speech stopped")
