"""The tap that measures a session: what goes in and comes out becomes numbers for `/metrics`.

It is called for every chunk of audio and every word of an answer; it looks at the type of each, and leaves most alone.
Read `instruments.py` for what it feeds.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from models.errors import ModelError
from models.types import SAMPLE_RATE_HZ, GenerationStats, ModelInfo, VoiceInfo
from realtime.events import (
    ErrorReported,
    MessageAdded,
    MessageTranscribed,
    ResponseCommitted,
    ResponseCreated,
    ResponseDone,
    ResponseRetracted,
    SessionEvent,
    TranscriptionFailed,
    UserSpeechDiscarded,
)
from realtime.inbox import Generated, InboxItem
from realtime.metrics import SessionMetrics
from realtime.telemetry.counts import SessionCounts
from realtime.telemetry.instruments import Instruments
from realtime.turns.actions import Action, CommitTurn
from realtime.turns.events import SilenceElapsed
from realtime.turns.observations import Observation
from realtime.turns.options import FloorOptions

if TYPE_CHECKING:
    from realtime.session import SessionOptions

MAX_AWAITED_WORDS = 32  # messages; of more the oldest is not waited for, for it may be that nobody writes them down


class SessionMeter:
    """Measures one session.

    Args:
        instruments: of the process.
        totals: of the process.
        counts: what the session counts itself.
    """

    def __init__(self, instruments: Instruments, totals: SessionCounts, counts: SessionMetrics) -> None:
        self._instruments = instruments
        self._totals = totals
        self._counts = counts
        self._now_s = 0.0
        self._counts_since_s: float | None = None  # the answer under way, once it is no longer provisional
        self._without_words_since_s: dict[str, float] = {}  # spoken messages, by id
        self._takes: dict[type, Callable[[Any], None]] = {
            ErrorReported: lambda event: instruments.errors[event.error_type].inc(),
            MessageAdded: self._take_message,
            MessageTranscribed: self._take_words,
            ResponseCommitted: self._take_commitment,
            ResponseCreated: self._take_beginning,
            ResponseDone: self._take_answer,
            ResponseRetracted: self._take_retraction,
            TranscriptionFailed: self._take_silent_ears,
            UserSpeechDiscarded: lambda event: instruments.discarded[event.reason].inc(),
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
        """Counts with the session; who it is, is nobody's business."""
        self._totals.begin(self._counts)

    def take_item(self, item: InboxItem, now_s: float) -> None:
        """Takes note of the time, and of what a generation cost or why it failed."""
        self._now_s = now_s
        if type(item) is Generated:
            event = item.event
            if isinstance(event, GenerationStats):
                self._instruments.prompt_tokens.inc(event.prompt_tokens)
                self._instruments.cached_tokens.inc(event.cached_tokens)
                self._instruments.completion_tokens.inc(event.completion_tokens)
            elif isinstance(event, ModelError):
                self._instruments.model_failures.labels(type(event).__name__).inc()

    def take_decision(self, observation: Observation, actions: tuple[Action, ...]) -> None:
        """Takes note of how long a turn was waited for."""
        for action in actions:
            if isinstance(action, CommitTurn):
                self._take_turn(action)

    def take_event(self, event: SessionEvent) -> None:
        """Takes note of those that are counted or timed."""
        if (take := self._takes.get(type(event))) is not None:
            take(event)

    async def close(self) -> None:
        """Keeps what the session has come to."""
        self._totals.end(self._counts)

    def _take_turn(self, commit: CommitTurn) -> None:
        cause = commit.cause
        if isinstance(cause, SilenceElapsed) and cause.speaker == commit.turn.speaker:
            self._instruments.turn_wait.observe(cause.waited_samples / SAMPLE_RATE_HZ)

    def _take_message(self, event: MessageAdded) -> None:
        if event.role == "user" and event.audio_s:
            if len(self._without_words_since_s) >= MAX_AWAITED_WORDS:
                del self._without_words_since_s[next(iter(self._without_words_since_s))]
            self._without_words_since_s[event.item_id] = self._now_s

    def _take_words(self, event: MessageTranscribed) -> None:
        since_s = self._without_words_since_s.pop(event.item_id, None)
        if since_s is not None:
            self._instruments.caption_wait.observe(self._now_s - since_s)

    def _take_silent_ears(self, event: TranscriptionFailed) -> None:
        self._without_words_since_s.pop(event.item_id, None)

    def _take_beginning(self, event: ResponseCreated) -> None:
        self._counts_since_s = None if event.provisional else self._now_s

    def _take_commitment(self, _: ResponseCommitted) -> None:
        self._counts_since_s = self._now_s

    def _take_retraction(self, _: ResponseRetracted) -> None:
        self._counts_since_s = None

    def _take_answer(self, event: ResponseDone) -> None:
        instruments = self._instruments
        instruments.answers[event.status].inc()
        if self._counts_since_s is not None:
            instruments.answer_duration.observe(self._now_s - self._counts_since_s)
            self._counts_since_s = None
        if event.response_latency_s is not None:
            instruments.response_latency.observe(event.response_latency_s)
        if event.ttft_s is not None:
            instruments.first_token.observe(event.ttft_s)
        for step, histogram in instruments.steps.items():
            if (since_s := getattr(event.timing, f"{step}_s")) is not None:
                histogram.observe(since_s)
