"""One person's conversation: the shell around the turn machine, and the only owner of what changes.

Everything that happens (audio, typed text, words from the model) comes through one inbox and is handled in order by
`run`. Audio goes through the detector frame by frame; detector and sample clock give the machine its events; the
machine gives actions; `_carry_out` does them. The model works in tasks of its own (`model_work.py`). No transport is
known here: it calls `push_audio`, `submit_text` and the like, none of which blocks or raises, and reads `events`.

What is decided depends on the order of the inbox alone: a score takes effect at a fixed place on the sample clock, and
wall time is read once an item, for metrics. So a recording of the inbox (`recording.py`) replays to the byte.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from models.base import AudioLanguageModel
from models.errors import GenerationFailed, InvalidPrompt, ModelError, PromptTooLong
from models.types import (
    SAMPLE_RATE_HZ,
    FinishReason,
    GenerationOptions,
    GenerationStats,
    Message,
    TextDelta,
    Transcription,
)
from realtime.conversation import Conversation, ConversationOptions
from realtime.events import (
    ConversationWasCleared,
    ErrorReported,
    ErrorType,
    FloorChanged,
    MessageAdded,
    MessageRemoved,
    MessageTranscribed,
    ResponseCommitted,
    ResponseCreated,
    ResponseDelta,
    ResponseDone,
    ResponseResumed,
    ResponseRetracted,
    ResponseStatus,
    SessionCreated,
    SessionEnded,
    SessionEvent,
    SessionUpdated,
    UserSpeechDiscarded,
    UserSpeechStarted,
    UserSpeechStopped,
    sample_to_ms,
)
from realtime.hearing.audio import AudioChunk
from realtime.hearing.intake import Intake
from realtime.hearing.scoring import PauseScoring
from realtime.hearing.user_turn import UserTurn
from realtime.hearing.vad import DetectedFrame, SpeechDetector, VadOptions
from realtime.inbox import (
    Generated,
    InboxItem,
    InterruptionHeard,
    MetricsRequested,
    Recorder,
    SettingsChanged,
    Summarised,
)
from realtime.load import AnswerLoad
from realtime.metrics import SessionMetrics
from realtime.model_work import ModelWork
from realtime.turns.endpointing import EndOfTurnScorer, Endpointing, EndpointingOptions
from realtime.turns.interruption import Verdict, is_backchannel, judge_by_length
from realtime.turns.machine import (
    Action,
    CancelRequested,
    Closed,
    ConversationCleared,
    EndOfTurnScored,
    InterruptionConfirmed,
    InterruptionDismissed,
    NothingHeard,
    PushToTalkPressed,
    PushToTalkReleased,
    ResponseFinished,
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

logger = logging.getLogger(__name__)

MAX_INBOX = 1024  # 20 s of 20 ms chunks; beyond it new audio is dropped and counted, and nothing else is
MAX_UNREAD_EVENTS = 4096  # a client that reads nothing for that long has gone; its session is closed
MAX_TEXT_CHARACTERS = 20_000  # of one typed message: ten pages
HEAD_START_SAMPLES = SAMPLE_RATE_HZ * 60 // 1000  # two frames: half become pauses, half are the closure of a "p" or "t"
CUT_IN_SAMPLES = 1 * SAMPLE_RATE_HZ  # who goes on within this time of the commit had not finished

_SOUND_OVER_ANSWER = (TurnState.INTERRUPTED, TurnState.OVERLAPPING)

_STATUS: dict[FinishReason, ResponseStatus] = {"stop": "completed", "length": "incomplete", "cancelled": "cancelled"}

_session_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Everything a session can be told."""

    vad: VadOptions = field(default_factory=VadOptions)
    endpointing: EndpointingOptions = field(default_factory=EndpointingOptions)
    conversation: ConversationOptions = field(default_factory=ConversationOptions)
    generation: GenerationOptions = field(default_factory=GenerationOptions)


@dataclass(slots=True)
class _Response:
    """The answer under way."""

    id: str
    prompt: tuple[Message, ...]
    provisional: bool
    last_voiced_s: float | None  # wall time
    sent: tuple[Message, ...] = ()  # what the model was given last: the prompt, and what it had said before a sound
    text: str = ""
    n_deltas: int = 0
    first_delta_s: float | None = None  # wall time
    heard_nothing: bool = False
    stats: GenerationStats | None = None
    error: ModelError | None = None

    @property
    def finished(self) -> bool:
        return self.stats is not None or self.error is not None

    def done(self, status: ResponseStatus) -> ResponseDone:
        """What the client is told of its end."""
        latency_s = None
        if self.first_delta_s is not None and self.last_voiced_s is not None:
            latency_s = round(self.first_delta_s - self.last_voiced_s, 4)
        stats = self.stats
        return ResponseDone(
            response_id=self.id,
            status=status,
            text=self.text,
            response_latency_s=latency_s,
            ttft_s=stats.ttft_s if stats else None,
            prompt_tokens=stats.prompt_tokens if stats else 0,
            cached_tokens=stats.cached_tokens if stats else 0,
            completion_tokens=stats.completion_tokens if stats else 0,
        )


class Session:
    """One dialogue between one client and one model.

    Args:
        model: answers; shared between sessions.
        options: of this session.
        id: names it; made up if not given.
        now: wall time in seconds, for metrics only.
        detector: finds speech; made from the options if not given.
        scorer: judges at pauses whether a turn is complete; without it silence alone decides.
        load: of the process, shared between sessions; without it the session counts only its own answers.
        recorder: is told all that a replay needs; closed with the session.
    """

    def __init__(
        self,
        model: AudioLanguageModel,
        options: SessionOptions | None = None,
        *,
        id: str | None = None,  # noqa: A002  # the wire's own word
        now: Callable[[], float] = time.perf_counter,
        detector: SpeechDetector | None = None,
        scorer: EndOfTurnScorer | None = None,
        load: AnswerLoad | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.id = id or f"sess_{next(_session_numbers)}"
        self.metrics = SessionMetrics()
        self._model = model
        self._options = options or SessionOptions()
        self._now = now
        self._detector = detector or SpeechDetector(self._options.vad)
        self._recorder = recorder
        self._machine = TurnMachine()
        self._shown_state = self._machine.state
        self._endpointing = Endpointing(self._options.endpointing)
        self._numbers = itertools.count(1)
        self._conversation = Conversation(self._options.conversation, new_id=lambda: self._new_id("item"))
        self._intake = Intake(self.metrics)
        self._scoring = PauseScoring(
            scorer,
            delay_samples=self._options.endpointing.score_at_samples,
            metrics=self.metrics,
            recorder=recorder,
        )
        self._inbox: asyncio.Queue[InboxItem] = asyncio.Queue()
        self._outbox: asyncio.Queue[SessionEvent | None] = asyncio.Queue(MAX_UNREAD_EVENTS)
        self._work = ModelWork(model, self.id, self._options.generation, load or AnswerLoad(), self._put)
        self._now_s = 0.0  # wall time that counts for the item being handled
        self._sample = 0  # end of the last frame detected
        self._last_voiced_sample = 0
        self._speech: SpeechStarted | SpeechStopped | None = None  # what the detector decided last
        self._turn: UserTurn | None = None
        self._turn_end_sample = 0  # end of the audio that has been given to a turn before
        self._answer_end_sample = 0  # where the last answer ended
        self._turn_voiced_s = 0.0  # wall time of the last voiced sample of the turn that paused last
        self._committed: DetectedFrame | None = None  # whose silence was last taken for the end of a turn
        self._response: _Response | None = None
        self._long_turn_id = ""  # of the last message that was cut off at the longest turn
        self._model_transcribes = False
        self._turn_detection = True
        self._protect_answer = False
        self._pushed = False
        self._overflowed = False
        self._idle = asyncio.Event()
        self._idle.set()

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{self.id.removeprefix('sess_')}_{next(self._numbers)}"

    # What a transport calls: none of these blocks or raises.

    def push_audio(self, chunk: AudioChunk) -> None:
        """Takes the next audio; drops and counts it if the session is 20 s behind."""
        if self._inbox.qsize() < MAX_INBOX:
            self._put(chunk if self._recorder is None else self._recorder.as_recorded(chunk))
        else:
            self.metrics.dropped_samples += len(chunk.samples)

    def submit_text(self, text: str) -> None:
        """Takes typed text as (part of) the user's turn; empty or endless text is reported to the client."""
        text = _whole_characters(text).strip()
        if not text:
            self.report(InvalidPrompt("the message is empty; type a question"))
        elif len(text) > MAX_TEXT_CHARACTERS:
            self.report(InvalidPrompt(f"the message has {len(text)} characters; at most {MAX_TEXT_CHARACTERS} fit"))
        else:
            self._put(TextSubmitted(text))

    def press_to_talk(self) -> None:
        """Begins a turn that lasts until `release_to_talk`, whatever is heard; stops even a protected answer."""
        self._put(PushToTalkPressed())

    def release_to_talk(self) -> None:
        """Ends that turn, and has it answered at once; a turn in which nobody spoke or typed is dropped."""
        self._put(PushToTalkReleased())

    def change_settings(
        self, *, muted: bool | None = None, protect_answer: bool | None = None, turn_detection: bool | None = None
    ) -> None:
        """Changes how the user is listened to; None leaves a setting as it is.

        Args:
            muted: audio is ignored, and its clock goes on.
            protect_answer: speech does not stop the answer under way, or the next one, but becomes the turn after it.
            turn_detection: False leaves turns to push-to-talk and typing.
        """
        self._put(SettingsChanged(muted=muted, protect_answer=protect_answer, turn_detection=turn_detection))

    def request_metrics(self) -> None:
        """Has the metrics sent now; they come after each answer anyway."""
        self._put(MetricsRequested())

    def cancel(self) -> None:
        """Stops the answer under way."""
        self._put(CancelRequested())

    def clear(self) -> None:
        """Begins a new conversation."""
        self._put(ConversationCleared())

    def report(self, error: ModelError) -> None:
        """Tells the client that something is wrong."""
        self._put(_report_of(error))

    def close(self, reason: str = "") -> None:
        """Ends the session; `run` returns and `events` ends.

        Args:
            reason: why, in a sentence for the client, if the client did not ask for it.
        """
        self._put(Closed(reason))

    async def events(self) -> AsyncIterator[SessionEvent]:
        """Yields what the client is to know, until the session has ended. For one reader."""
        while (event := await self._outbox.get()) is not None:
            yield event

    async def settled(self) -> None:
        """Waits until everything received has been handled and no answer is being generated."""
        await self._idle.wait()

    def _put(self, item: InboxItem) -> None:
        if self._machine.state is not TurnState.CLOSED:
            self._inbox.put_nowait(item)
            self._idle.clear()

    # The loop.

    async def run(self) -> None:
        """Handles everything that arrives until `close`; cancel it to end at once."""
        self.begin()
        try:
            while self._machine.state is not TurnState.CLOSED:
                await self.handle(await self._inbox.get())
                if self._inbox.empty() and not self._is_busy():
                    self._idle.set()
        except Exception:
            logger.exception("session %s ends on a bug", self.id)
            self._send(_report_of(GenerationFailed("the session failed; reconnect to begin a new one")))
            raise
        finally:
            await self.end()

    def begin(self) -> None:
        """Says what answers; the first part of `run`, which a replay calls itself."""
        info = self._model.info
        if self._recorder is not None:
            self._recorder.note_start(self.id, info)
        self._send(SessionCreated(session_id=self.id, model=info.name, description=info.description))
        self._work.prefill(self._conversation.messages)

    async def handle(self, item: InboxItem) -> None:
        """Does all that one item of the inbox calls for; the middle of `run`."""
        self._now_s = self._now()
        if self._recorder is not None:
            self._recorder.note_item(item, self._now_s)
        match item:
            case AudioChunk():
                await self._hear(item)
            case Generated():
                self._take(item)
            case InterruptionHeard():
                self._judge_words(item)
            case Summarised():
                self._take_summary(item)
            case SettingsChanged():
                self._change_settings(item)
            case MetricsRequested():
                self._send(self.metrics.report())
            case ErrorReported():
                self.metrics.rejected += 1
                self._send(item)
            case PushToTalkPressed() | PushToTalkReleased():
                self._push_to_talk(item)
            case _:
                self._feed(item)

    async def end(self) -> None:
        """Frees everything and lets `events` end, even if nobody has read it for long; the last part of `run`."""
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None  # what is settled now is no consequence of what was recorded
        try:
            self._feed(Closed())
        finally:
            await self._free()

    async def _free(self) -> None:
        self._idle.set()
        self._scoring.drop()
        if self._outbox.full():
            self._outbox.get_nowait()
        self._outbox.put_nowait(None)
        await self._work.close()

    def _is_busy(self) -> bool:
        if self._machine.state in _SOUND_OVER_ANSWER and self._turn is not None and self._turn.asked:
            return True
        if self._machine.state is TurnState.INTERRUPTED:
            return False  # the answer waits for the sound to end
        return self._response is not None and not self._response.finished

    def _send(self, event: SessionEvent) -> None:
        if self._recorder is not None:
            self._recorder.note_sent(event)
        try:
            self._outbox.put_nowait(event)
        except asyncio.QueueFull:
            if not self._overflowed:
                logger.warning("session %s: the client reads nothing; closing it", self.id)
                self._put(Closed())  # not at once: what is being carried out ends first
            self._overflowed = True

    # Audio in.

    async def _hear(self, chunk: AudioChunk) -> None:
        for frame in await self._detector.push_batched(self._intake.take(chunk, self._now_s)):
            self._sample = frame.end_sample
            if not frame.silence_samples:
                self._last_voiced_sample = frame.end_sample
            if self._scoring.is_due(frame.end_sample):
                self._feed(EndOfTurnScored(frame.end_sample, await self._scoring.take()))
            self._take_frame(frame)
        if self._turn is None or self._turn.start_sample is None:
            self._intake.drop_before(self._sample - self._pre_roll_samples - SAMPLE_RATE_HZ)
        self._prefill_finished_windows()

    @property
    def _pre_roll_samples(self) -> int:
        return round(self._options.vad.pre_roll_s * SAMPLE_RATE_HZ)

    def _take_frame(self, frame: DetectedFrame) -> None:
        """Gives the machine what one frame means in its present state."""
        state, event, before = self._machine.state, frame.event, self._speech
        self._speech = event or before
        if self._turn_detection and not self._pushed:
            if state in _SOUND_OVER_ANSWER:
                self._judge_sound(frame)
            elif isinstance(event, SpeechStarted) and state is TurnState.RESPONDING and self._protect_answer:
                self._feed(SpeechOverProtected(event.onset_sample, event.sample))
            elif event is not None:
                if state is TurnState.PAUSED and isinstance(event, SpeechStarted) and isinstance(before, SpeechStopped):
                    self._endpointing.observe_hold(event.onset_sample - before.offset_sample, self._scoring.score)
                self._feed(event)
            elif state is TurnState.PAUSED:
                self._judge_silence(frame)
            elif state is TurnState.USER_SPEAKING:
                self._listen_ahead(frame)
        turn, longest = self._turn, self._options.endpointing.max_turn_samples
        too_long = turn is not None and turn.n_samples(self._sample) >= longest
        if too_long and self._machine.state is TurnState.USER_SPEAKING:
            self._feed(TurnTooLong(frame.end_sample))

    def _listen_ahead(self, frame: DetectedFrame) -> None:
        """Lets model and scorer hear the turn at its first silent frames, so that they have when those become a pause.

        The turn's message is made here, of the audio so far, and is the same one then.
        """
        turn = self._turn
        assert turn is not None
        if not frame.silence_samples:
            turn.goes_on()
            self._scoring.drop()
        elif not turn.has_message and frame.silence_samples >= HEAD_START_SAMPLES:
            self._work.listen_ahead((*self._conversation.messages, turn.message(self._sample)))
            if turn.heard is not None:
                self._scoring.start(turn.heard)

    def _prefill_finished_windows(self) -> None:
        """Lets the model compute what a long turn will not change any more, while it goes on."""
        turn, window_s = self._turn, self._model.info.audio_window_s
        if window_s is None or turn is None or self._work.is_prefilling:
            return
        if self._machine.state is TurnState.USER_SPEAKING:
            finished = turn.newly_finished(round(window_s * SAMPLE_RATE_HZ), self._sample)
            if finished is not None:
                self._work.prefill((*self._conversation.messages, finished))

    # The end of a turn.

    def _judge_silence(self, frame: DetectedFrame) -> None:
        wait_samples = self._endpointing.wait_samples(self._scoring.score)
        if self._scoring.is_pending or frame.silence_samples < wait_samples:
            return
        if self._response is not None and self._response.heard_nothing:
            self._feed(NothingHeard())
            return
        waited_samples = min(frame.silence_samples, frame.end_sample - self._answer_end_sample)  # not while protected
        self.metrics.note_wait(waited_samples / SAMPLE_RATE_HZ)
        self._committed = frame
        self._feed(SilenceElapsed(frame.end_sample))

    # Sounds over an answer.

    def _judge_sound(self, frame: DetectedFrame) -> None:
        turn = self._turn
        assert turn is not None
        if isinstance(frame.event, SpeechStarted):
            turn.goes_on()  # after a pause: there is more of it, and it is no "mm-hm"
            verdict: Verdict | None = Verdict.TURN
        elif turn.takes_turn or turn.asked:
            if isinstance(frame.event, SpeechStopped):
                turn.message(self._sample)  # what is said over a protected answer ends here, not when that has ended
            return
        else:
            verdict = judge_by_length(
                self._last_voiced_sample - turn.onset_sample,
                self._options.endpointing,
                ended=isinstance(self._speech, SpeechStopped),
                can_ask=self._model_transcribes,
            )
        match verdict:
            case Verdict.TURN:
                self._take_the_turn()
            case Verdict.NO_TURN:
                self._feed(InterruptionDismissed(self._sample))
            case Verdict.ASK:
                self._ask_what_was_said()

    def _ask_what_was_said(self) -> None:
        response, turn = self._response, self._turn
        assert response is not None and turn is not None
        turn.asked = True
        answer = (Message("assistant", (response.text,), interrupted=True),) if response.text else ()
        self._work.ask_what_was_said((*response.prompt, *answer, turn.message(self._sample)))

    def _judge_words(self, heard: InterruptionHeard) -> None:
        turn = self._turn
        if self._machine.state not in _SOUND_OVER_ANSWER or turn is None or turn.item_id != heard.item_id:
            return
        if not turn.takes_turn and heard.transcript is not None and is_backchannel(heard.transcript):
            self._feed(InterruptionDismissed(self._sample))
        else:
            self._take_the_turn()

    def _take_the_turn(self) -> None:
        assert self._turn is not None
        self._turn.takes_turn = True
        self._feed(InterruptionConfirmed(self._sample))

    # What the user sets and holds.

    def _push_to_talk(self, event: PushToTalkPressed | PushToTalkReleased) -> None:
        pressed = isinstance(event, PushToTalkPressed)
        if pressed == self._pushed:
            return  # keys repeat
        if pressed:
            self._pushed = True
            if self._turn is not None:
                self._turn.goes_on()
            self._feed(event)
            return
        turn = self._turn
        if self._machine.state is TurnState.USER_SPEAKING and turn is not None:
            end_ms = sample_to_ms(self._intake.end_sample)
            self._send(UserSpeechStopped(item_id=turn.item_id, audio_end_ms=end_ms))
            spoken = turn.start_sample is not None and self._last_voiced_sample > turn.start_sample
            self._feed(event if spoken or turn.has_text or turn.continues else NothingHeard())
        else:
            self._feed(event)
        self._pushed = False

    def _change_settings(self, change: SettingsChanged) -> None:
        if change.muted is not None:
            self._intake.muted = change.muted
        if change.protect_answer is not None:
            self._protect_answer = change.protect_answer
        if change.turn_detection is not None:
            self._turn_detection = change.turn_detection
            if not change.turn_detection and not self._pushed:
                self._end_detected_turn()
        self._announce_settings()

    def _end_detected_turn(self) -> None:
        """Detection has been switched off: what it had begun ends here."""
        if self._machine.state in _SOUND_OVER_ANSWER:
            self._feed(InterruptionDismissed(self._sample))
        else:
            self._feed(PushToTalkReleased())

    def _announce_settings(self) -> None:
        self._send(
            SessionUpdated(
                muted=self._intake.muted,
                protect_answer=self._protect_answer,
                turn_detection=self._turn_detection,
            )
        )

    # Turn-taking.

    def _feed(self, event: TurnEvent) -> None:
        if self._machine.state is TurnState.CLOSED:
            return
        for action in self._machine.handle(event):
            self._carry_out(action, event)
        self._show_floor()
        if isinstance(event, Closed) and event.reason:
            self._send(SessionEnded(reason=event.reason))
        state, response = self._machine.state, self._response
        if state is TurnState.RESPONDING and response is not None and response.finished:
            self._feed(ResponseFinished())  # it had finished while it was still provisional
        elif state is TurnState.USER_SPEAKING and isinstance(self._speech, SpeechStopped) and not self._pushed:
            self._feed(self._speech)  # the speech had paused before it was known to be a turn
        else:
            self._end_what_belongs_elsewhere(state)

    def _show_floor(self) -> None:
        if self._machine.state is not self._shown_state and self._machine.state is not TurnState.CLOSED:
            self._shown_state = self._machine.state
            self._send(FloorChanged(state=self._shown_state.value))

    def _remove(self, message_id: str) -> None:
        self._conversation.remove(message_id)
        self._send(MessageRemoved(item_id=message_id))

    def _end_what_belongs_elsewhere(self, state: TurnState) -> None:
        if state is not TurnState.PAUSED:
            self._scoring.drop()
        if state not in _SOUND_OVER_ANSWER:
            self._work.stop_asking()
        if state is not TurnState.LISTENING:
            self._work.stop_summary()
        elif not self._work.is_summarising and (prompt := self._conversation.to_summarise()):
            self._work.start_summary(prompt)

    def _carry_out(self, action: Action, event: TurnEvent) -> None:  # noqa: PLR0912  # one case an action
        match action:
            case Action.OPEN_TURN:
                self._open_turn(event)
            case Action.DISCARD_TURN:
                self._discard_turn()
            case Action.ADD_TEXT:
                self._add_text(event)
            case Action.COMMIT_TURN:
                self._commit_turn(event)
            case Action.START_PROVISIONAL:
                self._start_provisional(event)
            case Action.RETRACT_RESPONSE:
                self._retract_response()
            case Action.COMMIT_RESPONSE:
                self._commit_response()
            case Action.START_RESPONSE:
                spoken = isinstance(event, PushToTalkReleased)
                self._start_response(self._conversation.messages, last_voiced_s=self._now_s if spoken else None)
            case Action.PAUSE_RESPONSE:
                self._work.stop_answer()
            case Action.RESUME_RESPONSE:
                self._resume_response()
            case Action.END_INTERRUPTED:
                self._end_interrupted(event)
            case Action.STORE_RESPONSE:
                self._store_response()
            case Action.CLEAR_CONVERSATION:
                self._clear_conversation()

    def _open_turn(self, event: TurnEvent) -> None:
        item_id = self._new_id("item")
        match event:
            case SpeechStarted(onset_sample) | SpeechOverProtected(onset_sample):
                start_sample = max(0, onset_sample - self._pre_roll_samples, self._turn_end_sample)
                after_samples = self._cut_in_after_samples(onset_sample)
                self._turn = UserTurn(
                    item_id, self._intake, start_sample, onset_sample=onset_sample, cut_in_after_samples=after_samples
                )
            case PushToTalkPressed():
                start_sample = self._intake.end_sample
                self._turn = UserTurn(item_id, self._intake, start_sample)
            case _:  # the turn before was too long: go on where it was cut
                start_sample = self._turn_end_sample
                self._turn = UserTurn(item_id, self._intake, start_sample, continues=True)
        self._send(UserSpeechStarted(item_id=item_id, audio_start_ms=sample_to_ms(start_sample)))

    def _cut_in_after_samples(self, onset_sample: int) -> int | None:
        """Silence after which somebody goes on who had not finished; None if this is another turn."""
        committed = self._committed
        if committed is None or onset_sample - committed.end_sample > CUT_IN_SAMPLES:
            return None
        return onset_sample - (committed.end_sample - committed.silence_samples)

    def _leave_turn(self) -> UserTurn:
        turn, self._turn = self._turn, None
        assert turn is not None
        self._turn_end_sample = max(self._turn_end_sample, turn.end_sample)
        return turn

    def _discard_turn(self) -> None:
        if self._turn is not None:
            self._send(UserSpeechDiscarded(item_id=self._leave_turn().item_id))

    def _add_text(self, event: TurnEvent) -> None:
        assert isinstance(event, TextSubmitted)
        if self._turn is None:
            self._turn = UserTurn(self._new_id("item"), self._intake, None)
        self._turn.add_text(event.text)

    def _commit_turn(self, event: TurnEvent) -> None:
        assert self._turn is not None
        message = self._turn.message(self._intake.end_sample if self._pushed else self._sample)
        turn = self._leave_turn()
        self.metrics.turns += 1
        if turn.cut_in_after_samples is not None:
            self.metrics.cut_ins += 1
            self._endpointing.observe_cut_in(turn.cut_in_after_samples)
        if isinstance(event, SilenceElapsed):
            self._endpointing.observe_end(self._scoring.score)
        self._conversation.add(message)
        self._announce(message)
        if isinstance(event, TurnTooLong):
            self.metrics.long_turns += 1
            self._long_turn_id = message.id
            self._cut_window()

    def _announce(self, message: Message) -> None:
        assert message.role != "system"
        self._send(
            MessageAdded(
                item_id=message.id,
                role=message.role,
                text=message.text,
                audio_s=round(message.audio_s, 3),
                interrupted=message.interrupted,
            )
        )

    # Answering.

    def _start_provisional(self, event: TurnEvent) -> None:
        assert isinstance(event, SpeechStopped)
        turn = self._turn
        assert turn is not None
        self._send(UserSpeechStopped(item_id=turn.item_id, audio_end_ms=sample_to_ms(event.offset_sample)))
        self._turn_voiced_s = self._now_s - (self._sample - event.offset_sample) / SAMPLE_RATE_HZ
        message = turn.message(self._sample)
        self._scoring.expect(turn.heard, self._sample)
        if self._may_speculate():
            self.metrics.provisional += 1
            prompt = (*self._conversation.messages, message)
            self._start_response(prompt, last_voiced_s=self._turn_voiced_s, provisional=True)
        else:
            self.metrics.speculations_skipped += 1

    def _may_speculate(self) -> bool:
        allowed = self._work.may_speculate
        if self._recorder is not None:
            self._recorder.note_speculation(allowed)
        return allowed

    def _start_response(
        self, prompt: tuple[Message, ...], *, last_voiced_s: float | None, provisional: bool = False
    ) -> None:
        response = self._response = _Response(self._new_id("resp"), prompt, provisional, last_voiced_s)
        self._send(ResponseCreated(response_id=response.id, item_id=prompt[-1].id, provisional=provisional))
        self._start_answer(response, prompt)

    def _start_answer(self, response: _Response, prompt: tuple[Message, ...]) -> None:
        self._idle.clear()
        response.sent = prompt
        self._work.start_answer(prompt, n_delivered=response.n_deltas)

    def _starts_again_shorter(self, response: _Response) -> bool:
        """Whether an answer whose prompt was too long is tried again, now that its turn counts, with less before it."""
        if not isinstance(response.error, PromptTooLong) or response.text or not self._conversation.shorten():
            return False
        response.error, response.prompt = None, self._conversation.messages
        self._start_answer(response, response.prompt)
        return True

    def _take(self, generated: Generated) -> None:
        response, event = self._response, generated.event
        if response is None or not self._work.is_current(generated):
            return
        match event:
            case TextDelta(text):
                if response.first_delta_s is None:
                    response.first_delta_s = self._now_s
                response.text += text
                response.n_deltas += 1
                self._send(ResponseDelta(response_id=response.id, delta=text, provisional=response.provisional))
            case Transcription():
                self._take_transcription(event, response)
            case GenerationStats():
                response.stats = event
                self._feed(ResponseFinished())
            case ModelError():
                response.error = event
                if response.provisional or not self._starts_again_shorter(response):
                    self._feed(ResponseFinished())

    def _take_transcription(self, event: Transcription, response: _Response) -> None:
        self._model_transcribes = True
        self._conversation.note_transcript(event.message_id, event.text)
        self._send(MessageTranscribed(item_id=event.message_id, transcript=event.text))
        newest = response.prompt[-1]
        goes_on = len(response.prompt) > 1 and response.prompt[-2].id == self._long_turn_id  # with words, perhaps
        response.heard_nothing = event.message_id == newest.id and not (event.text or newest.text or goes_on)
        if response.heard_nothing and not response.provisional:
            self._feed(NothingHeard())

    def _retract_response(self) -> None:
        if self._response is not None:
            self._work.stop_answer()
            self.metrics.retracted += 1
            self.metrics.failed += self._response.error is not None
            self._send(ResponseRetracted(response_id=self._response.id))
            self._response = None
        if self._turn is not None:
            self._turn.goes_on()

    def _commit_response(self) -> None:
        if self._response is None:  # the load did not allow it before
            self._start_response(self._conversation.messages, last_voiced_s=self._turn_voiced_s)
            return
        self._response.provisional = False
        self._send(ResponseCommitted(response_id=self._response.id))
        self._starts_again_shorter(self._response)

    def _resume_response(self) -> None:
        response = self._response
        assert response is not None
        self.metrics.false_interruptions += 1
        self._send(ResponseResumed(response_id=response.id))
        said = (Message("assistant", (response.text,)),) if response.text else ()
        self._start_answer(response, (*response.prompt, *said))

    def _end_interrupted(self, event: TurnEvent) -> None:
        self._work.stop_answer()
        if isinstance(event, NothingHeard) and self._response is not None:
            self._remove(self._response.prompt[-1].id)
        elif not isinstance(event, Closed):
            self.metrics.interrupted += 1
        self._finish_response("cancelled")

    def _store_response(self) -> None:
        response = self._response
        assert response is not None
        if response.error is not None:
            self.metrics.failed += 1
            logger.warning("session %s, %s: %s", self.id, response.id, response.error)
            self._send(_report_of(response.error))
            if isinstance(response.error, InvalidPrompt) and not response.text:  # it would make the next one fail, too
                self._remove(response.prompt[-1].id)
            self._finish_response("failed")
            return
        assert response.stats is not None
        self._conversation.note_tokens(response.sent, response.stats.prompt_tokens)
        self._finish_response(_STATUS[response.stats.finish_reason])

    def _finish_response(self, status: ResponseStatus) -> None:
        response, self._response = self._response, None
        assert response is not None
        self._answer_end_sample = self._sample
        if response.text:
            message = Message("assistant", (response.text,), id=self._new_id("item"), interrupted=status == "cancelled")
            self._conversation.add(message)
            self._announce(message)
        done = response.done(status)
        self._send(done)
        latency_s, stats = done.response_latency_s, response.stats
        logger.info("session %s, %s: %s, response_latency_s %s, %s", self.id, response.id, status, latency_s, stats)
        self._after_answer()

    def _after_answer(self) -> None:
        if self._protect_answer:
            self._protect_answer = False
            self._announce_settings()
        if self._machine.state is TurnState.RESPONDING:  # the next answer is waited for: no time for a cut
            self._send(self._conversation.window())
        else:
            self._cut_window()
        self._send(self.metrics.report())

    # Memory.

    def _cut_window(self) -> None:
        if self._conversation.cut():
            self._work.prefill(self._conversation.messages)
        self._send(self._conversation.window())

    def _take_summary(self, summarised: Summarised) -> None:
        if not self._work.finish_summary(summarised):
            return
        self._conversation.summarised(summarised.text or "")
        self.metrics.summaries += bool(summarised.text)
        self._work.prefill(self._conversation.messages)
        self._send(self._conversation.window())

    def _clear_conversation(self) -> None:
        self._conversation.clear()
        self._committed = None
        self._send(ConversationWasCleared())
        self._send(self._conversation.window())
        self._work.prefill(self._conversation.messages)


def _whole_characters(text: str) -> str:
    """Joins the halves of characters that JSON may hold, and replaces a half without its other."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _report_of(error: ModelError) -> ErrorReported:
    kind: ErrorType = "invalid_request_error" if isinstance(error, InvalidPrompt) else "server_error"
    return ErrorReported(error_type=kind, message=str(error))
