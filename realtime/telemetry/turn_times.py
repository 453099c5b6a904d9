"""The tap that notes when the steps of each turn were done, for spans: times and counts, and no words.

A turn begins when its speech is noticed, and ends with its answer; one that is not answered, when it became a message.
All times are the session's wall clock. Read `tracing.py` for what becomes of them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from models.types import SAMPLE_RATE_HZ, ModelInfo, VoiceInfo
from realtime.events import (
    AudioCleared,
    AudioStarted,
    AudioStopped,
    MessageAdded,
    ResponseCommitted,
    ResponseCreated,
    ResponseDelta,
    ResponseDone,
    ResponseRetracted,
    ResponseStatus,
    SessionEvent,
    UserSpeechDiscarded,
    UserSpeechStarted,
)
from realtime.inbox import InboxItem
from realtime.turns.actions import Action, CommitTurn
from realtime.turns.events import SilenceElapsed
from realtime.turns.observations import Observation
from realtime.turns.options import FloorOptions

if TYPE_CHECKING:
    from realtime.session import SessionOptions

MAX_OPEN_TURNS = 64  # of several speakers, or parts of a long one; of more the oldest is forgotten
MAX_GENERATIONS = 16  # of one turn that is gone on with again and again


@dataclass(slots=True, kw_only=True)
class GenerationTimes:
    """One answer to a turn, or to the beginning of it.

    Attributes:
        began_s: the model was asked.
        prefilled_s: the prompt was computed.
        first_word_s: its first word came.
        last_word_s: its last word so far.
        ended_s: it was over, or taken back.
        status: how it ended.
        stop_reason: why the model ended it.
        prompt_tokens: length of the prompt.
        cached_tokens: how much of it was in the prefix cache.
        completion_tokens: length of the answer.
    """

    began_s: float
    prefilled_s: float | None = None
    first_word_s: float | None = None
    last_word_s: float | None = None
    ended_s: float | None = None
    status: ResponseStatus | Literal["retracted"] = "cancelled"
    stop_reason: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True, kw_only=True)
class TurnTimes:
    """One turn, and what was answered.

    Attributes:
        began_s: its speech was noticed, or it was typed.
        audio_s: seconds of audio in it; 0: typed.
        is_addressed: it was meant for the assistant.
        last_voiced_s: its last voiced sample was spoken.
        committed_s: it had ended, and became a message.
        speaking_s: the sound of its answer began to be played.
        silent_s: that sound ended.
        response_latency_s: its last voiced sample to the first word sent.
        generations: answers, those that were taken back among them.
        ended_s: it was over.
    """

    began_s: float
    audio_s: float = 0.0
    is_addressed: bool = True
    last_voiced_s: float | None = None
    committed_s: float | None = None
    speaking_s: float | None = None
    silent_s: float | None = None
    response_latency_s: float | None = None
    generations: list[GenerationTimes] = field(default_factory=list)
    ended_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnReport:
    """A turn that is over, and whose it was.

    Attributes:
        session_id: names the session.
        model: that answers in it.
        times: of the turn.
        epoch_s: the Unix time at 0 of the clock of these times.
    """

    session_id: str
    model: str
    times: TurnTimes
    epoch_s: float


class TurnWatch:
    """Notes the turns of one session.

    Args:
        report: takes each turn that is over.
    """

    def __init__(self, report: Callable[[TurnReport], None]) -> None:
        self._report = report
        self._session_id = self._model = ""
        self._now_s = 0.0
        self._turns: dict[str, TurnTimes] = {}  # that are not over, by their message
        self._commits: list[CommitTurn] = []  # whose messages are to be added next
        self._answered: tuple[str, TurnTimes] | None = None  # by the answer under way, and its message
        self._generation: GenerationTimes | None = None
        self._takes: dict[type, Callable[[Any], None]] = {
            ResponseDelta: self._take_word,
            UserSpeechStarted: lambda event: self._open(event.item_id),
            UserSpeechDiscarded: self._take_noise,
            MessageAdded: self._take_message,
            ResponseCreated: self._take_beginning,
            ResponseCommitted: self._take_commitment,
            ResponseRetracted: self._take_retraction,
            AudioStarted: self._take_sound,
            AudioStopped: self._take_silence,
            AudioCleared: self._take_silence,
            ResponseDone: self._take_end,
        }

    def start(
        self,
        session_id: str,
        model: ModelInfo,
        options: "SessionOptions",
        floor: FloorOptions,
        *,
        caption_languages: tuple[str, ...] | None,
        voices: tuple[VoiceInfo, ...],
    ) -> None:
        """Takes note of the session and its model."""
        self._session_id, self._model = session_id, model.name

    def take_item(self, item: InboxItem, now_s: float) -> None:
        """Takes note of the time."""
        self._now_s = now_s

    def take_decision(self, observation: Observation, actions: tuple[Action, ...]) -> None:
        """Takes note of the turns that have ended."""
        for action in actions:
            if isinstance(action, CommitTurn):
                self._commits.append(action)

    def take_event(self, event: SessionEvent) -> None:
        """Takes note of the steps of turns and answers."""
        if (take := self._takes.get(type(event))) is not None:
            take(event)

    async def close(self) -> None:
        """Reports the turns that were not over when the session ended."""
        if self._generation is not None:
            self._generation.ended_s = self._now_s
        for turn in self._turns.values():
            if turn.committed_s is not None:
                self._end(turn, self._now_s if turn.generations else turn.committed_s)
        self._turns.clear()

    def _open(self, item_id: str) -> None:
        if len(self._turns) >= MAX_OPEN_TURNS:
            del self._turns[next(iter(self._turns))]
        self._turns.setdefault(item_id, TurnTimes(began_s=self._now_s))

    def _take_noise(self, event: UserSpeechDiscarded) -> None:
        self._turns.pop(event.item_id, None)

    def _take_message(self, event: MessageAdded) -> None:
        if event.role != "user" or not self._commits:
            return  # an answer, or what was said in another conversation
        commit = self._commits.pop(0)
        self._open(event.item_id)
        turn = self._turns[event.item_id]
        turn.audio_s, turn.is_addressed, turn.committed_s = event.audio_s, event.is_addressed, self._now_s
        if isinstance(commit.cause, SilenceElapsed):
            turn.last_voiced_s = self._now_s - commit.cause.waited_samples / SAMPLE_RATE_HZ
        if not event.is_addressed:
            del self._turns[event.item_id]
            self._end(turn, self._now_s)

    def _take_beginning(self, event: ResponseCreated) -> None:
        self._open(event.item_id)
        turn = self._turns[event.item_id]
        self._answered, self._generation = (event.item_id, turn), GenerationTimes(began_s=self._now_s)
        if len(turn.generations) < MAX_GENERATIONS:
            turn.generations.append(self._generation)

    def _take_word(self, _: ResponseDelta) -> None:
        if (generation := self._generation) is not None:
            generation.last_word_s = self._now_s
            if generation.first_word_s is None:
                generation.first_word_s = self._now_s

    def _take_commitment(self, _: ResponseCommitted) -> None:
        if self._answered is not None and self._answered[1].committed_s is None:
            self._answered[1].committed_s = self._now_s

    def _take_retraction(self, _: ResponseRetracted) -> None:
        if (generation := self._generation) is not None:
            generation.ended_s, generation.status = self._now_s, "retracted"
        self._answered = self._generation = None

    def _take_sound(self, _: AudioStarted) -> None:
        if self._answered is not None and self._answered[1].speaking_s is None:
            self._answered[1].speaking_s = self._now_s

    def _take_silence(self, _: AudioStopped | AudioCleared) -> None:
        if self._answered is not None:
            self._answered[1].silent_s = self._now_s

    def _take_end(self, event: ResponseDone) -> None:
        if self._answered is None or self._generation is None:
            return
        (item_id, turn), generation, timing = self._answered, self._generation, event.timing
        self._answered = self._generation = None
        if timing.done_s is not None:
            turn.last_voiced_s = self._now_s - timing.done_s
            if timing.prefill_s is not None:
                generation.prefilled_s = turn.last_voiced_s + timing.prefill_s
        generation.ended_s, generation.status = self._now_s, event.status
        generation.stop_reason = event.stop_reason
        generation.prompt_tokens, generation.cached_tokens = event.prompt_tokens, event.cached_tokens
        generation.completion_tokens = event.completion_tokens
        turn.response_latency_s = event.response_latency_s
        self._turns.pop(item_id, None)
        self._end_those_without_answer()
        self._end(turn, self._now_s)

    def _end_those_without_answer(self) -> None:
        """Reports the turns of others, and the parts of a long one, that the same answer was for."""
        for item_id, turn in tuple(self._turns.items()):
            if turn.committed_s is not None and not turn.generations:
                del self._turns[item_id]
                self._end(turn, turn.committed_s)

    def _end(self, turn: TurnTimes, ended_s: float) -> None:
        turn.ended_s = ended_s
        epoch_s = time.time() - self._now_s
        self._report(TurnReport(session_id=self._session_id, model=self._model, times=turn, epoch_s=epoch_s))
