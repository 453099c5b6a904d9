"""One person's conversation: the shell around the turn machine, and the only owner of what changes.

Everything that happens (audio, typed text, words from the model) comes through one inbox and is handled in order by
`run`. Audio goes through the detector frame by frame; detector and sample clock give the machine its events; the
machine gives actions; `_carry_out` does them. The model runs in one task at a time. No transport is known here: it
calls `push_audio`, `submit_text`, `cancel`, `clear` and `close`, none of which blocks or raises, and reads `events`.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field

import numpy as np

from models.base import AudioLanguageModel
from models.errors import GenerationFailed, InvalidPrompt, ModelError
from models.types import (
    SAMPLE_RATE_HZ,
    AudioClip,
    GenerationEvent,
    GenerationOptions,
    GenerationStats,
    Message,
    TextDelta,
    Transcription,
    new_message_id,
)
from realtime.audio import AudioChunk, AudioWindow
from realtime.conversation import Conversation, ConversationOptions
from realtime.endpointing import EndpointingOptions
from realtime.events import (
    ConversationWasCleared,
    ErrorReported,
    ErrorType,
    MessageAdded,
    MessageTranscribed,
    ResponseCommitted,
    ResponseCreated,
    ResponseDelta,
    ResponseDone,
    ResponseResumed,
    ResponseRetracted,
    ResponseStatus,
    SessionCreated,
    SessionEvent,
    UserSpeechDiscarded,
    UserSpeechStarted,
    UserSpeechStopped,
    sample_to_ms,
)
from realtime.turns import (
    Action,
    CancelRequested,
    Closed,
    ConversationCleared,
    InterruptionConfirmed,
    InterruptionDismissed,
    NothingHeard,
    ResponseFinished,
    SilenceElapsed,
    SpeechStarted,
    SpeechStopped,
    TextSubmitted,
    TurnEvent,
    TurnMachine,
    TurnState,
    TurnTooLong,
)
from realtime.vad import DetectedFrame, SpeechDetector, VadOptions

logger = logging.getLogger(__name__)

MAX_INBOX = 1024  # 20 s of 20 ms chunks; beyond it new audio is dropped and counted, and nothing else is
MAX_UNREAD_EVENTS = 4096  # a client that reads nothing for that long has gone; its session is closed
MAX_GAP_SAMPLES = 10 * SAMPLE_RATE_HZ  # a longer gap in the audio is shortened to this much silence
MAX_TEXT_CHARACTERS = 20_000  # of one typed message; every model's context is shorter

_session_numbers = itertools.count(1)
_response_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Everything a session can be told."""

    vad: VadOptions = field(default_factory=VadOptions)
    endpointing: EndpointingOptions = field(default_factory=EndpointingOptions)
    conversation: ConversationOptions = field(default_factory=ConversationOptions)
    generation: GenerationOptions = field(default_factory=GenerationOptions)


@dataclass(slots=True)
class SessionMetrics:
    """What happened in a session, in numbers.

    Attributes:
        turns: committed user turns, spoken or typed.
        retracted: provisional answers withdrawn because the speaker went on.
        interrupted: answers cut off by a turn.
        resumed: answers that went on after a sound that was no turn.
        failed: answers the model could not finish.
        dropped_samples: audio that came while the inbox was full.
        gap_samples: audio missing between chunks, replaced by silence.
        repeated_samples: audio delivered twice, ignored the second time.
    """

    turns: int = 0
    retracted: int = 0
    interrupted: int = 0
    resumed: int = 0
    failed: int = 0
    dropped_samples: int = 0
    gap_samples: int = 0
    repeated_samples: int = 0


@dataclass(slots=True)
class _Turn:
    """The user's turn under way."""

    item_id: str
    start_sample: int | None  # None: typed, nothing was heard
    texts: list[str] = field(default_factory=list)
    message: Message | None = None  # what a provisional answer was given


@dataclass(slots=True)
class _Response:
    """The answer under way."""

    prompt: tuple[Message, ...]
    provisional: bool
    last_voiced_s: float | None  # wall time
    id: str = field(default_factory=lambda: f"resp_{next(_response_numbers)}")
    text: str = ""
    first_delta_s: float | None = None  # wall time
    heard_nothing: bool = False
    stats: GenerationStats | None = None
    error: ModelError | None = None

    @property
    def finished(self) -> bool:
        return self.stats is not None or self.error is not None


@dataclass(frozen=True, slots=True)
class _Generated:
    """What the model said in the n-th generation of this session."""

    generation: int
    event: GenerationEvent | ModelError


class Session:
    """One dialogue between one client and one model.

    Args:
        model: answers; shared between sessions.
        options: of this session.
        now: wall time in seconds, for metrics only.
        detector: finds speech; made from the options if not given.
    """

    def __init__(
        self,
        model: AudioLanguageModel,
        options: SessionOptions | None = None,
        *,
        now: Callable[[], float] = time.perf_counter,
        detector: SpeechDetector | None = None,
    ) -> None:
        self.id = f"sess_{next(_session_numbers)}"
        self.metrics = SessionMetrics()
        self._model = model
        self._options = options or SessionOptions()
        self._now = now
        self._detector = detector or SpeechDetector(self._options.vad)
        self._machine = TurnMachine()
        self._conversation = Conversation(self._options.conversation)
        self._inbox: asyncio.Queue[AudioChunk | TurnEvent | _Generated] = asyncio.Queue()
        self._outbox: asyncio.Queue[SessionEvent | None] = asyncio.Queue(MAX_UNREAD_EVENTS)
        self._audio = AudioWindow()
        self._expected_sample: int | None = None  # where the next chunk of the transport begins
        self._sample = 0  # end of the last frame detected
        self._turn: _Turn | None = None
        self._turn_onset_sample = 0
        self._turn_end_sample = 0  # end of the audio that has been given to a turn
        self._response: _Response | None = None
        self._generating: asyncio.Task[None] | None = None
        self._generation = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    # What a transport calls: none of these blocks or raises.

    def push_audio(self, chunk: AudioChunk) -> None:
        """Takes the next audio; drops and counts it if the session is 20 s behind."""
        if self._inbox.qsize() < MAX_INBOX:
            self._put(chunk)
        else:
            self.metrics.dropped_samples += len(chunk.samples)

    def submit_text(self, text: str) -> None:
        """Takes typed text as (part of) the user's turn; empty or endless text is reported to the client."""
        text = text.strip()
        if not text:
            self.report(InvalidPrompt("the message is empty; type a question"))
        elif len(text) > MAX_TEXT_CHARACTERS:
            self.report(InvalidPrompt(f"the message has {len(text)} characters; at most {MAX_TEXT_CHARACTERS} fit"))
        else:
            self._put(TextSubmitted(text))

    def cancel(self) -> None:
        """Stops the answer under way."""
        self._put(CancelRequested())

    def clear(self) -> None:
        """Begins a new conversation."""
        self._put(ConversationCleared())

    def close(self) -> None:
        """Ends the session; `run` returns and `events` ends."""
        self._put(Closed())

    async def events(self) -> AsyncIterator[SessionEvent]:
        """Yields what the client is to know, until the session has ended. For one reader."""
        while (event := await self._outbox.get()) is not None:
            yield event

    async def settled(self) -> None:
        """Waits until everything received has been handled and no answer is being generated."""
        await self._idle.wait()

    def _put(self, item: AudioChunk | TurnEvent) -> None:
        self._inbox.put_nowait(item)
        self._idle.clear()

    # The loop.

    async def run(self) -> None:
        """Handles everything that arrives until `close`; cancel it to end at once."""
        info = self._model.info
        self._send(SessionCreated(session_id=self.id, model=info.name, description=info.description))
        self._prefill()
        try:
            while self._machine.state is not TurnState.CLOSED:
                item = await self._inbox.get()
                if isinstance(item, AudioChunk):
                    self._hear(item)
                elif isinstance(item, _Generated):
                    self._take(item)
                else:
                    self._feed(item)
                if self._inbox.empty() and (self._response is None or self._response.finished):
                    self._idle.set()
        except Exception:
            logger.exception("session %s ends on a bug", self.id)
            self.report(GenerationFailed("the session failed; reconnect to begin a new one"))
            raise
        finally:
            self._end()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._model.forget(dialogue=self.id)

    def _end(self) -> None:
        """Lets `events` end even if nobody has read it for long."""
        self._idle.set()
        if self._outbox.full():
            self._outbox.get_nowait()
        self._outbox.put_nowait(None)

    def _send(self, event: SessionEvent) -> None:
        try:
            self._outbox.put_nowait(event)
        except asyncio.QueueFull:
            logger.warning("session %s: the client reads nothing; closing it", self.id)
            self._feed(Closed())

    def report(self, error: ModelError) -> None:
        """Tells the client that something is wrong."""
        kind: ErrorType = "invalid_request_error" if isinstance(error, InvalidPrompt) else "server_error"
        self._send(ErrorReported(error_type=kind, message=str(error)))

    # Audio in.

    def _hear(self, chunk: AudioChunk) -> None:
        samples = chunk.samples
        if self._expected_sample is not None:
            gap = chunk.start_sample - self._expected_sample
            if gap > 0:
                self.metrics.gap_samples += gap
                samples = np.concatenate((np.zeros(min(gap, MAX_GAP_SAMPLES), np.float32), samples))
            elif gap < 0:
                self.metrics.repeated_samples += min(-gap, len(samples))
                samples = samples[-gap:]
        self._expected_sample = max(self._expected_sample or 0, chunk.end_sample)
        self._audio.append(samples)
        for frame in self._detector.push(samples):
            self._sample = frame.end_sample
            self._take_turn(frame)
        if self._turn is None or self._turn.start_sample is None:
            self._audio.drop_before(
                self._sample - round(self._options.vad.pre_roll_s * SAMPLE_RATE_HZ) - SAMPLE_RATE_HZ
            )

    def _take_turn(self, frame: DetectedFrame) -> None:
        """Gives the machine what one frame means in its present state."""
        state, limits = self._machine.state, self._options.endpointing
        if state is TurnState.INTERRUPTED:
            self._judge_interruption(frame)
        elif frame.event is not None:
            self._feed(frame.event)
        elif state is TurnState.PAUSED and frame.silence_samples >= limits.silence_samples:
            noise = self._response is not None and self._response.heard_nothing
            self._feed(NothingHeard() if noise else SilenceElapsed(frame.end_sample))
        elif state is TurnState.USER_SPEAKING and self._turn_samples() >= limits.max_turn_samples:
            self._feed(TurnTooLong(frame.end_sample))

    def _judge_interruption(self, frame: DetectedFrame) -> None:
        minimum = self._options.endpointing.min_interruption_samples
        if isinstance(frame.event, SpeechStopped):
            onset = self._turn_onset_sample
            if frame.event.offset_sample - onset < minimum:
                self._feed(InterruptionDismissed(frame.end_sample))
            else:
                self._feed(InterruptionConfirmed(frame.end_sample))
                self._feed(frame.event)
        elif frame.speech_samples >= minimum:
            self._feed(InterruptionConfirmed(frame.end_sample))

    def _turn_samples(self) -> int:
        if self._turn is None or self._turn.start_sample is None:
            return 0
        return self._sample - self._turn.start_sample

    # Turn-taking.

    def _feed(self, event: TurnEvent) -> None:
        if self._machine.state is TurnState.CLOSED:
            return
        for action in self._machine.handle(event):
            self._carry_out(action, event)
        response = self._response
        if self._machine.state is TurnState.RESPONDING and response is not None and response.finished:
            self._feed(ResponseFinished())  # it had finished while it was still provisional

    def _carry_out(self, action: Action, event: TurnEvent) -> None:  # noqa: PLR0912  # one case an action
        match action:
            case Action.OPEN_TURN:
                self._open_turn(event)
            case Action.DISCARD_TURN:
                self._discard_turn()
            case Action.ADD_TEXT:
                self._add_text(event)
            case Action.COMMIT_TURN:
                self._commit_turn()
            case Action.START_PROVISIONAL:
                self._start_provisional(event)
            case Action.RETRACT_RESPONSE:
                self._retract_response()
            case Action.COMMIT_RESPONSE:
                self._commit_response()
            case Action.START_RESPONSE:
                self._start_response(self._conversation.messages, provisional=False, last_voiced_s=None)
            case Action.PAUSE_RESPONSE:
                self._stop_generating()
            case Action.RESUME_RESPONSE:
                self._resume_response()
            case Action.END_INTERRUPTED:
                self._end_interrupted()
            case Action.STORE_RESPONSE:
                self._store_response()
            case Action.CLEAR_CONVERSATION:
                self._clear_conversation()

    def _open_turn(self, event: TurnEvent) -> None:
        if isinstance(event, SpeechStarted):
            self._turn_onset_sample = event.onset_sample
            pre_roll = round(self._options.vad.pre_roll_s * SAMPLE_RATE_HZ)
            start = max(0, event.onset_sample - pre_roll, self._turn_end_sample)
        else:
            start = self._turn_end_sample  # the turn before was too long: go on where it was cut
        self._turn = _Turn(new_message_id(), start)
        self._send(UserSpeechStarted(item_id=self._turn.item_id, audio_start_ms=sample_to_ms(start)))

    def _discard_turn(self) -> None:
        if self._turn is not None:
            self._send(UserSpeechDiscarded(item_id=self._turn.item_id))
            self._turn = None

    def _add_text(self, event: TurnEvent) -> None:
        assert isinstance(event, TextSubmitted)
        if self._turn is None:
            self._turn = _Turn(new_message_id(), None)
        self._turn.texts.append(event.text)
        self._turn.message = None

    def _turn_message(self) -> Message:
        """The turn so far; the same message until something is added to it."""
        turn = self._turn
        assert turn is not None
        if turn.message is None:
            clips: tuple[AudioClip, ...] = ()
            if turn.start_sample is not None:
                self._turn_end_sample = self._sample
                clips = (AudioClip(self._audio.cut(turn.start_sample, self._sample)),)
            turn.message = Message("user", (*clips, *turn.texts), id=turn.item_id)
        return turn.message

    def _commit_turn(self) -> None:
        message = self._turn_message()
        self._turn = None
        self.metrics.turns += 1
        self._conversation.add(message)
        self._announce(message)

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
        assert self._turn is not None
        self._send(UserSpeechStopped(item_id=self._turn.item_id, audio_end_ms=sample_to_ms(event.offset_sample)))
        silence_s = (event.sample - event.offset_sample) / SAMPLE_RATE_HZ
        prompt = (*self._conversation.messages, self._turn_message())
        self._start_response(prompt, provisional=True, last_voiced_s=self._now() - silence_s)

    def _start_response(self, prompt: tuple[Message, ...], *, provisional: bool, last_voiced_s: float | None) -> None:
        self._response = _Response(prompt, provisional, last_voiced_s)
        self._send(ResponseCreated(response_id=self._response.id, item_id=prompt[-1].id, provisional=provisional))
        self._start_generating(prompt)

    def _start_generating(self, prompt: tuple[Message, ...]) -> None:
        self._generation += 1
        self._idle.clear()
        self._generating = self._spawn(self._generate(self._generation, prompt))

    def _stop_generating(self) -> None:
        """Cancels; what is still on its way here belongs to an old generation and is dropped."""
        self._generation += 1
        if self._generating is not None:
            self._generating.cancel()
            self._generating = None

    async def _generate(self, generation: int, prompt: tuple[Message, ...]) -> None:
        stream = self._model.generate(prompt, self._options.generation, dialogue=self.id)
        try:
            async for event in stream:
                self._inbox.put_nowait(_Generated(generation, event))
        except ModelError as error:
            self._inbox.put_nowait(_Generated(generation, error))
        except Exception as error:
            logger.exception("session %s: the model raised what it should have translated", self.id)
            self._inbox.put_nowait(_Generated(generation, GenerationFailed(f"the model failed: {error}")))
        finally:
            await stream.aclose()

    def _take(self, generated: _Generated) -> None:
        response, event = self._response, generated.event
        if generated.generation != self._generation or response is None:
            return
        match event:
            case TextDelta(text):
                response.first_delta_s = response.first_delta_s or self._now()
                response.text += text
                self._send(ResponseDelta(response_id=response.id, delta=text, provisional=response.provisional))
            case Transcription(message_id, text):
                self._conversation.note_transcript(message_id, text)
                self._send(MessageTranscribed(item_id=message_id, transcript=text))
                newest = response.prompt[-1]
                response.heard_nothing = message_id == newest.id and not text and not newest.text
                if response.heard_nothing and self._machine.state is TurnState.RESPONDING:
                    self._feed(NothingHeard())
            case GenerationStats():
                response.stats = event
                self._feed(ResponseFinished())
            case ModelError():
                response.error = event
                self._feed(ResponseFinished())

    def _retract_response(self) -> None:
        assert self._response is not None
        self._stop_generating()
        self.metrics.retracted += 1
        self._send(ResponseRetracted(response_id=self._response.id))
        self._response = None
        if self._turn is not None:
            self._turn.message = None  # the turn goes on: its next message holds more audio

    def _commit_response(self) -> None:
        assert self._response is not None
        self._response.provisional = False
        self._send(ResponseCommitted(response_id=self._response.id))

    def _resume_response(self) -> None:
        response = self._response
        assert response is not None
        self.metrics.resumed += 1
        self._send(ResponseResumed(response_id=response.id))
        self._start_generating(
            (*response.prompt, Message("assistant", (response.text,))) if response.text else response.prompt
        )

    def _end_interrupted(self) -> None:
        self._stop_generating()
        self.metrics.interrupted += 1
        self._finish_response("cancelled")

    def _store_response(self) -> None:
        response = self._response
        assert response is not None
        if response.error is not None:
            self.metrics.failed += 1
            logger.warning("session %s, %s: %s", self.id, response.id, response.error)
            self.report(response.error)
            self._finish_response("failed")
            return
        assert response.stats is not None
        self._conversation.note_tokens(response.prompt, response.stats.prompt_tokens)
        self._finish_response("incomplete" if response.stats.finish_reason == "length" else "completed")
        if self._conversation.cut():
            self._prefill()

    def _finish_response(self, status: ResponseStatus) -> None:
        response, self._response = self._response, None
        assert response is not None
        if response.text:
            message = Message("assistant", (response.text,), interrupted=status == "cancelled")
            self._conversation.add(message)
            self._announce(message)
        latency_s = None
        if response.first_delta_s is not None and response.last_voiced_s is not None:
            latency_s = round(response.first_delta_s - response.last_voiced_s, 4)
        stats = response.stats
        self._send(
            ResponseDone(
                response_id=response.id,
                status=status,
                text=response.text,
                response_latency_s=latency_s,
                ttft_s=stats.ttft_s if stats else None,
                prompt_tokens=stats.prompt_tokens if stats else 0,
                cached_tokens=stats.cached_tokens if stats else 0,
                completion_tokens=stats.completion_tokens if stats else 0,
            )
        )
        logger.info("session %s, %s: %s, response_latency_s %s, %s", self.id, response.id, status, latency_s, stats)

    def _clear_conversation(self) -> None:
        self._conversation.clear()
        self._send(ConversationWasCleared())
        self._prefill()

    # Tasks beside the loop.

    def _prefill(self) -> None:
        """Computes the prompt so far while nobody waits."""
        if self._conversation.messages:
            self._spawn(self._prefill_quietly(self._conversation.messages))

    async def _prefill_quietly(self, messages: tuple[Message, ...]) -> None:
        try:
            await self._model.prefill(messages, dialogue=self.id)
        except ModelError as error:  # the answer that needs it will say so
            logger.warning("session %s: prefill: %s", self.id, error)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
