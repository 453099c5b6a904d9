"""What a session tells whoever listens: one set of events for the page, every wire, the recording and the tests.

An event knows no wire: `doors/event_text.py` gives it its name and its form there. Positions are milliseconds of the
session's audio. Read `dialogue.py` and `answers.py` for who sends most of them.
"""

from dataclasses import dataclass
from typing import Literal

from models.errors import InvalidPrompt, ModelError
from models.types import SAMPLE_RATE_HZ, Role, VoiceInfo, Word
from realtime.notes.minutes import Note
from realtime.turns.observations import DEFAULT_SPEAKER, Address, Patience
from realtime.turns.options import SessionKind

ResponseStatus = Literal["completed", "incomplete", "cancelled", "failed"]
Tier = Literal["audio", "text", "summary"]
DiscardReason = Literal["no_words", "no_speech", "no_turn", "dropped"]
ErrorType = Literal["invalid_request_error", "server_error"]


def sample_to_ms(sample: int) -> int:
    """Position on the sample clock in whole milliseconds."""
    return sample * 1000 // SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCreated:
    """The session is ready; the first event of every client.

    Attributes:
        session_id: names it.
        model: that answers.
        description: of the model, in a sentence.
        caption_languages: in which the user's words are written down, in two letters; none if that is not known; None:
            nobody writes them down.
        voices: that can read answers aloud; none where the server has none.
        models: the names of all that could answer.
        resume_token: a secret with which the client comes back to this session over another connection.
        resumed: it has come back, and the events that it has not seen follow.
        resume_within_s: how long the session waits for that; 0: this client has not said that it can come back.
        received: how many commands have come from the client so far; those that it has sent after them are lost.
        stored: the conversation is kept, sound and words; `StoringStopped` says when it is not any more.
        kind: of the session: in a "call" answers are suggestions, to what the other party says.
        speakers: who is listened to, each on a track of that name.
    """

    session_id: str
    model: str
    description: str
    caption_languages: tuple[str, ...] | None = None
    voices: tuple[VoiceInfo, ...] = ()
    models: tuple[str, ...] = ()
    resume_token: str = ""
    resumed: bool = False
    resume_within_s: float = 0.0
    received: int = 0
    stored: bool = False
    kind: SessionKind = "conversation"
    speakers: tuple[str, ...] = (DEFAULT_SPEAKER,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionQueued:
    """All places are taken, and the client waits for one; comes again at every change, before `SessionCreated`.

    Attributes:
        position: in the queue; 1 is let in next.
    """

    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUpdated:
    """A setting has changed; all of them are named.

    Attributes:
        muted: audio is ignored, and its clock goes on.
        protect_answer: speech does not stop the answer under way, or the next one; ends with that answer.
        turn_detection: turns begin and end by what is heard; otherwise by push-to-talk alone.
        patience: how long pauses are waited at, until they count as the end of a turn.
        address: "when-asked": what seems to be said to others is kept and not answered.
        instructions: what the model is told to be; "": what the server tells it.
        temperature: of answers; 0 always gives the same one.
        max_output_tokens: answers end after so many.
        captions: the user's words are written down and sent.
        model: that answers.
        spoken: answers are read aloud, from the next one on.
        voice: the name of the voice that does; "" where there is none.
    """

    muted: bool
    protect_answer: bool
    turn_detection: bool
    patience: Patience
    address: Address
    instructions: str
    temperature: float
    max_output_tokens: int
    captions: bool
    model: str
    spoken: bool
    voice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """The session ends for a `reason` that is not the client's; the last event of that client."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoringStopped:
    """From here on the conversation is not kept, although it was to be; `message` says why. The session goes on."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorChanged:
    """Who has the floor now: the name of a state of `turns/machine.py`."""

    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpeechStarted:
    """Speech began at `audio_start_ms`; `item_id` is the message it will become if it proves to be a turn."""

    item_id: str
    audio_start_ms: int
    speaker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpeechStopped:
    """A pause; the last voiced sample is before `audio_end_ms`."""

    item_id: str
    audio_end_ms: int
    speaker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpeechDiscarded:
    """The sound was no turn, or the turn was dropped.

    Attributes:
        item_id: the message that it will not become.
        reason: "no_words": the model understood none; "no_speech": none was detected while the key was held;
            "no_turn": a short sound or an "mm-hm" over an answer; "dropped": the client cleared it, or the session
            ends.
    """

    item_id: str
    reason: DiscardReason


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageAdded:
    """A message entered the conversation.

    Attributes:
        item_id: names it.
        role: whose it is.
        text: what was typed, or answered.
        audio_s: seconds of audio in it.
        interrupted: an answer that was cut off.
        speaker: who of several spoke.
        file_name: of the file from which its audio came.
        is_addressed: whether it is meant for the assistant; otherwise no answer follows, unless it is asked for.
    """

    item_id: str
    role: Literal["user", "assistant"]
    text: str
    audio_s: float
    interrupted: bool = False
    speaker: str | None = None
    file_name: str | None = None
    is_addressed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRemoved:
    """A message has left the conversation: nothing was said in it, the model cannot take it, or it was taken back."""

    item_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDrafted:
    """What was said so far in a turn that goes on.

    Attributes:
        item_id: the message that the turn will become, if it is one.
        delta: the next words, which stay; together with all deltas before, the beginning of what was said.
        draft: what follows them, and may still change.
    """

    item_id: str
    delta: str
    draft: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTranscribed:
    """What was said in a user's message, as the ears or the model wrote it down.

    Attributes:
        item_id: the message.
        transcript: its words; "" where none were understood.
        words: the same one by one; none where ears do not know them so.
        is_foreign: it sounds like a language that the ears do not know.
    """

    item_id: str
    transcript: str
    words: tuple[Word, ...] = ()
    is_foreign: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionFailed:
    """The ears could not write a user's message down; `message` says why. The answer does not depend on it."""

    item_id: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseCreated:
    """An answer is being generated; while `provisional`, it may be retracted."""

    response_id: str
    item_id: str
    provisional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseDelta:
    """The next piece of the answer."""

    response_id: str
    delta: str
    provisional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseCommitted:
    """The turn has ended: the provisional answer, with all text so far, is the answer."""

    response_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRetracted:
    """The speaker went on: all text of the provisional answer is withdrawn."""

    response_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseResumed:
    """The sound over the answer was no turn: the answer goes on where it stopped."""

    response_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTiming:
    """When the steps of an answer were done: seconds of wall time since the last voiced sample; None: not known.

    Attributes:
        pause_noticed_s: the silence was long enough to be a pause.
        prefill_s: the prompt was computed.
        first_provisional_s: the first word came while the answer could still be retracted.
        committed_s: the turn had ended, and the answer counted.
        first_token_s: the first word came.
        first_audio_s: the first sound of it was sent.
        done_s: it ended.
    """

    pause_noticed_s: float | None = None
    prefill_s: float | None = None
    first_provisional_s: float | None = None
    committed_s: float | None = None
    first_token_s: float | None = None
    first_audio_s: float | None = None
    done_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseDone:
    """The answer has ended.

    Attributes:
        response_id: which answer.
        status: "cancelled" was interrupted, "incomplete" reached its longest length.
        text: all that was delivered: shown, or heard where answers are read aloud.
        response_latency_s: last voiced sample to first delta sent, wall time; None for answers to typed text.
        ttft_s: `generate` called to first delta.
        prompt_tokens: length of the prompt.
        cached_tokens: how much of it was in the prefix cache.
        completion_tokens: length of the answer.
        stop_reason: "stop": it had said all; "length": it reached its longest length; None: it was cut off, or failed.
        timing: when its steps were done.
    """

    response_id: str
    status: ResponseStatus
    text: str
    response_latency_s: float | None = None
    ttft_s: float | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    stop_reason: Literal["stop", "length"] | None = None
    timing: ResponseTiming = ResponseTiming()


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioStarted:
    """The sound of an answer has begun to be played, or goes on, as far as the server knows."""

    response_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioDone:
    """All the sound of an answer has been sent."""

    response_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioStopped:
    """The sound of an answer has been played to its end, as far as the server knows."""

    response_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioCleared:
    """The sound of an answer stops at once: what was sent of it and not played is not to be played."""

    response_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationWasCleared:
    """A new conversation has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowMessage:
    """One message the model is given.

    Attributes:
        item_id: which message.
        role: who speaks.
        tier: "audio" as it was heard, "text" as it was understood or typed, "summary" of what is older.
        tokens: of the prompt, estimated.
        audio_s: seconds of audio in it.
    """

    item_id: str
    role: Role
    tier: Tier
    tokens: int
    audio_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationWindow:
    """What the model remembers, oldest first, and how much it may remember."""

    messages: tuple[WindowMessage, ...]
    tokens: int
    max_tokens: int
    audio_s: float
    max_audio_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NotesUpdated:
    """The notes of a call have changed; all of them are named."""

    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerTold:
    """Who of several people spoke in a message of a call: "speaker 2", or the name that a person has given."""

    item_id: str
    speaker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMetricsReported:
    """What has happened in the session so far; `SessionMetrics` says what each number means."""

    turns: int
    unanswered_turns: int
    long_turns: int
    cut_ins: int
    cut_in_rate: float
    provisional: int
    retracted: int
    regret_rate: float
    speculations_skipped: int
    interrupted: int
    false_interruptions: int
    failed: int
    scorer_failures: int
    summaries: int
    captions: int
    failed_captions: int
    mean_caption_wait_s: float
    rejected: int
    mean_wait_s: float
    recent_waits_s: tuple[float, ...]
    dropped_samples: int
    gap_samples: int
    repeated_samples: int
    clock_drift_s: float
    non_finite_samples: int
    clipped_samples: int
    offset_samples: int
    flat_samples: int
    rate_changes: int
    failed_chunks: int
    lost_packets: int
    late_packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReported:
    """Something went wrong; the session goes on."""

    error_type: ErrorType
    message: str


def report_of(error: ModelError) -> ErrorReported:
    """What the client is told of an error."""
    kind: ErrorType = "invalid_request_error" if isinstance(error, InvalidPrompt) else "server_error"
    return ErrorReported(error_type=kind, message=str(error))


SessionEvent = (
    SessionCreated
    | SessionQueued
    | SessionUpdated
    | SessionEnded
    | StoringStopped
    | FloorChanged
    | UserSpeechStarted
    | UserSpeechStopped
    | UserSpeechDiscarded
    | MessageAdded
    | MessageRemoved
    | MessageDrafted
    | MessageTranscribed
    | TranscriptionFailed
    | ResponseCreated
    | ResponseDelta
    | ResponseCommitted
    | ResponseRetracted
    | ResponseResumed
    | ResponseDone
    | AudioStarted
    | AudioDone
    | AudioStopped
    | AudioCleared
    | ConversationWasCleared
    | ConversationWindow
    | NotesUpdated
    | SpeakerTold
    | SessionMetricsReported
    | ErrorReported
)
