"""What follows from a transition of the turn machine: actions of the kinds that its table names, with their data.

It holds the speakers and who of them has the floor, and whether there is an answer. All positions are counted in
samples. Read `floor.py` for when a transition happens, `actions.py` for what is asked for.
"""

import itertools
from collections.abc import Sequence

from models.types import SAMPLE_RATE_HZ
from realtime.turns.actions import (
    Action,
    AddText,
    AnnouncePause,
    ClearConversation,
    CommitResponse,
    CommitTurn,
    DiscardTurn,
    EndProtection,
    InterruptResponse,
    JudgeSound,
    OpenTurn,
    PauseResponse,
    PrefillTurns,
    ResumeResponse,
    RetractResponse,
    ScoreTurn,
    SkipProvisional,
    StartProvisional,
    StartResponse,
    StoreResponse,
    TurnEnd,
)
from realtime.turns.events import (
    DetectionStopped,
    KeyReleasedBeside,
    KeyReleasedInVain,
    SaidToOthers,
    SilenceElapsed,
    SpeakerFinished,
    SpeakerJoined,
    SpeechOverProtected,
    TurnEvent,
    TurnTooLong,
)
from realtime.turns.observations import (
    AnswerRequested,
    CancelRequested,
    KeyPressed,
    KeyReleased,
    Patience,
    SpeechCleared,
    SpeechStarted,
    SpeechStopped,
    TextAdded,
    TextSubmitted,
)
from realtime.turns.options import FloorOptions
from realtime.turns.speaker import Speaker


class Consequences:
    """Makes the actions of one session's floor.

    Args:
        options: what the floor decides by.

    Attributes:
        speakers: by name.
        holder: who has the floor, or had it last.
        sample: end of the newest frame.
        protect_answer: speech leaves the answer under way, or the next one, alone.
        may_speculate: the load allows work that may prove to be in vain.
        owes_answer: turns of other speakers wait for the answer, too, or for the next one.
        n_sounds: how many sounds over answers have been given to be judged.
        typed: what waits for the turn that it is part of.
    """

    def __init__(self, options: FloorOptions) -> None:
        pre_roll_samples = round(options.pre_roll_s * SAMPLE_RATE_HZ)
        self.speakers = {name: Speaker(name, options.endpointing, pre_roll_samples) for name in options.speakers}
        self.holder = self._user = self.speakers[options.speakers[0]]
        self.sample = 0
        self.protect_answer = False
        self.may_speculate = True
        self.owes_answer = False
        self.n_sounds = 0
        self.typed: list[str] = []
        self._numbers = itertools.count()
        self._openings: dict[str, int] = {}  # whose turn was opened as the how-manieth
        self._scores_pauses = options.scores_pauses
        self._max_turn_samples = options.endpointing.max_turn_samples
        self._has_answer = False

    @property
    def n_open_turns(self) -> int:
        """How many speakers have a turn under way."""
        return len(self._open_turns())

    @property
    def unopened_sample(self) -> int | None:
        """Where a turn would begin with what the user has said while no turn was opened; None: nothing."""
        start_sample = self._user.unopened_sample
        return None if start_sample is None else max(start_sample, self._user.sample - self._max_turn_samples)

    def set_patience(self, patience: Patience) -> None:
        """Waits so long at everybody's pauses."""
        for speaker in self.speakers.values():
            speaker.endpointing.wanted = patience

    def drop_unopened(self) -> None:
        """Forgets what was said while no turn was opened."""
        for speaker in self.speakers.values():
            speaker.drop_unopened()

    def take_typed(self) -> list[str]:
        """Gives what waits for its turn, and keeps it no longer."""
        typed, self.typed = self.typed, []
        return typed

    def speaks_beside(self) -> Speaker | None:
        """Who speaks beside whoever has the floor."""
        others = (speaker for speaker in self._open_turns() if speaker is not self.holder)
        return next((speaker for speaker in others if speaker.is_speaking), None)

    def pass_floor(self, other: Speaker) -> None:
        """Gives the floor to another speaker. The first one's turn ends here, unless that speaker goes on."""
        self.holder.end_sample = self.holder.end.end_sample
        self.holder.score.drop()
        self.holder = other

    def end_open_turns(self) -> None:
        """Ends all turns where they are: what comes now is not listened to."""
        for speaker in self._open_turns():
            speaker.end_sample = speaker.end.end_sample

    def has_nothing_since_key(self) -> bool:
        """Whether nobody has spoken or typed since the key was pressed."""
        turn, user = self._user.turn, self._user
        assert turn is not None and turn.start_sample is not None
        has_voice = user.last_voiced_sample > turn.start_sample
        return not (has_voice or user.has_text or self.typed or turn.continues) and self.n_open_turns == 1

    def prepare_answer(self) -> Sequence[Action]:
        """Lets scorer and model have the turn at its first silent frames, so that they are ready if it has ended."""
        prefill = [PrefillTurns(self._ends())] if self.may_speculate else []
        return [*prefill, *self._score()]

    def act(self, kind: type[Action], cause: TurnEvent) -> Sequence[Action]:
        """Makes the actions of one kind; none where there is nothing to do."""
        if kind is OpenTurn:
            opened = self._open_turn(cause)
            self._openings |= {action.turn.speaker: next(self._numbers) for action in opened}
            return opened
        if kind is CommitTurn:
            return [*self._join_typed(cause), *self._commit_turns(cause)]
        if kind is DiscardTurn:
            return [DiscardTurn(speaker.leave().speaker, cause) for speaker in self._open_turns()]
        if kind is AddText:
            assert isinstance(cause, TextSubmitted | TextAdded)
            return self._add_text("\n".join([*self.take_typed(), cause.text]))
        if kind is AnnouncePause:
            return self._announce_pauses(cause)
        if kind is JudgeSound:
            return self._judge_sound()
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
            self.owes_answer, self.typed = False, []
            self.drop_unopened()
            for speaker in self.speakers.values():
                speaker.note_commit(None)
            return [ClearConversation()]
        return [PauseResponse() if kind is PauseResponse else ResumeResponse()]

    # Turns.

    def _open_turns(self) -> list[Speaker]:
        """Who has a turn under way, in the order in which they began."""
        begun = [speaker for speaker in self.speakers.values() if speaker.turn is not None]
        return sorted(begun, key=lambda speaker: self._openings[speaker.name])

    def _ends(self) -> tuple[TurnEnd, ...]:
        return tuple(speaker.end for speaker in self._open_turns())

    def _spoken_turns(self) -> list[Speaker]:
        """Those of the open turns that have audio."""
        begun = self._open_turns()
        return [speaker for speaker in begun if speaker.turn is not None and speaker.turn.start_sample is not None]

    def _announce_pauses(self, cause: TurnEvent) -> Sequence[Action]:
        match cause:
            case SpeakerFinished(name):
                return [AnnouncePause(name, self.speakers[name].last_voiced_sample)]
            case SpeechStopped(offset_sample):
                others = [speaker for speaker in self._spoken_turns() if speaker is not self.holder]
                beside = [AnnouncePause(other.name, other.last_voiced_sample) for other in others]
                return [*beside, AnnouncePause(self.holder.name, offset_sample)]
            case AnswerRequested():
                return [AnnouncePause(speaker.name, speaker.end.end_sample) for speaker in self._spoken_turns()]
            case _:
                return [AnnouncePause(self._user.name, _offset_of(cause))]

    def _open_turn(self, cause: TurnEvent) -> Sequence[OpenTurn]:
        match cause:
            case SpeechStarted(onset_sample) | SpeechOverProtected(onset_sample):
                return [OpenTurn(self.holder.open_at_onset(onset_sample))]
            case SpeakerJoined(name, onset_sample):
                joined = self.speakers[name]
                is_open = joined.turn is not None and joined.turn.start_sample is not None
                return [] if is_open else [OpenTurn(joined.open_at_onset(onset_sample))]
            case TurnTooLong(name):
                return [OpenTurn(self.speakers[name].open_next_part())]
            case KeyPressed(sample):
                return self._open_by_key(sample)
            case SpeechCleared():
                return [OpenTurn(self.holder.open_at(self.holder.sample))]
            case _:  # a new conversation while the key is held
                return self._open_by_key(self._user.sample)

    def _open_by_key(self, sample: int) -> Sequence[OpenTurn]:
        user = self.holder = self._user
        if user.turn is None or user.turn.start_sample is None:
            return [OpenTurn(user.open_at(sample))]
        user.end_sample = None  # what was said before belongs to it
        return []

    def _commit_turns(self, cause: TurnEvent) -> Sequence[Action]:
        if isinstance(cause, TurnTooLong | SpeakerFinished):
            ending = [self.speakers[cause.speaker]]
        elif isinstance(cause, KeyReleasedBeside):
            ending = [self._user]
        else:
            ending = self._open_turns()
        self.owes_answer = self._owes_answer_after(cause, len(ending))
        actions = []
        for speaker in ending:
            end_sample = speaker.end.end_sample
            match cause:
                case TurnTooLong(_, sample):
                    end_sample = sample
                case KeyReleased(sample) | KeyReleasedBeside(sample) if speaker is self._user:
                    end_sample = sample
            turn = speaker.commit(end_sample)
            if turn.cut_in_after_samples is not None:
                speaker.endpointing.observe_cut_in(turn.cut_in_after_samples)
            if isinstance(cause, SilenceElapsed | SaidToOthers) and speaker is self.holder:
                speaker.endpointing.observe_end(speaker.score.value)
            speaker.score.drop()
            actions.append(CommitTurn(turn, end_sample, cause))
        if isinstance(cause, KeyReleasedBeside):
            self.holder = self.speaks_beside() or self.holder
        return actions

    def _owes_answer_after(self, cause: TurnEvent, n_ending: int) -> bool:
        match cause:
            case CancelRequested() | SaidToOthers():
                return False
            case SpeakerFinished() | KeyReleasedBeside():
                return True
            case _:
                return self.owes_answer or n_ending > 1

    def _join_typed(self, cause: TurnEvent) -> Sequence[Action]:
        """Makes what was typed part of the turn that is ending, unless it is another speaker's alone."""
        is_beside = isinstance(cause, TurnTooLong | SpeakerFinished) and cause.speaker != self._user.name
        return [] if is_beside or not self.typed else self._add_text("\n".join(self.take_typed()))

    def _add_text(self, text: str) -> Sequence[Action]:
        if self._user.turn is None:
            self._openings[self._user.name] = next(self._numbers)
        self._user.add_text()
        return [AddText(self._user.name, text)]

    def _judge_sound(self) -> Sequence[Action]:
        end = self.holder.end
        self.holder.end_sample = end.end_sample
        self.n_sounds += 1
        return [JudgeSound(end, self.n_sounds)]

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
        typed = self._join_typed(cause)
        assert isinstance(holder.speech, SpeechStopped), "only a pause has a provisional answer"
        return [*scoring, *typed, StartProvisional(self._ends(), holder.name, holder.speech.offset_sample)]

    def _retract_response(self) -> Sequence[Action]:
        self.holder.score.drop()
        had_answer, self._has_answer = self._has_answer, False
        return [RetractResponse()] if had_answer else []

    def _start_response(self, cause: TurnEvent) -> Sequence[Action]:
        self._has_answer = True
        match cause, self.holder.speech:
            case KeyReleased(sample), _:
                return [StartResponse(self.holder.name, sample)]  # the wait begins where the key is let go
            case ((SilenceElapsed() | DetectionStopped() | AnswerRequested()), SpeechStopped(offset_sample)):
                return [StartResponse(self.holder.name, offset_sample)]
            case ((DetectionStopped(sample) | AnswerRequested(sample)), _):
                return [StartResponse(self.holder.name, sample)]
            case _:
                return [StartResponse(self._user.name, None)]

    def _end_answer(self) -> Sequence[Action]:
        self._has_answer = self.owes_answer = False
        for speaker in self.speakers.values():
            speaker.answer_end_sample = speaker.sample
        was_protected, self.protect_answer = self.protect_answer, False
        return [EndProtection()] if was_protected else []


def _offset_of(cause: TurnEvent | None) -> int:
    """Where the speech stopped."""
    match cause:
        case SpeechStopped(offset_sample):
            return offset_sample
        case KeyReleased(sample) | KeyReleasedInVain(sample) | KeyReleasedBeside(sample):
            return sample
        case _:
            raise AssertionError(f"{cause} does not say where speech stopped")
