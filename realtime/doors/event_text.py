"""What goes out on our own wire, pure: events in, text out. Read `protocol.py` for what comes in.

An event is a JSON object whose `type` is its name in `WIRE_NAMES`, with its number in the session as `sequence`. A
field that is added to an event goes out by itself. The sound of an answer, where it goes by this wire, has no number:
`response.output_audio.delta`, 16-bit mono at 24 kHz in base64.
"""

import base64
import json
import math
from dataclasses import asdict
from typing import Any

from models.types import Samples, Word
from realtime.events import (
    AudioCleared,
    AudioDone,
    AudioStarted,
    AudioStopped,
    ConversationWasCleared,
    ConversationWindow,
    ErrorReported,
    FloorChanged,
    MessageAdded,
    MessageDrafted,
    MessageRemoved,
    MessageTranscribed,
    NotesUpdated,
    ResponseCommitted,
    ResponseCreated,
    ResponseDelta,
    ResponseDone,
    ResponseResumed,
    ResponseRetracted,
    SessionCreated,
    SessionEnded,
    SessionEvent,
    SessionMetricsReported,
    SessionQueued,
    SessionUpdated,
    SpeakerTold,
    StoringStopped,
    TranscriptionFailed,
    UserSpeechDiscarded,
    UserSpeechStarted,
    UserSpeechStopped,
)
from realtime.hearing.audio import to_int16

MIN_PROBABILITY = 1e-6  # of a word; JSON has no number for the logarithm of 0

WIRE_NAMES: dict[type, str] = {
    SessionCreated: "session.created",
    SessionQueued: "session.queued",
    SessionUpdated: "session.updated",
    SessionEnded: "session.ended",
    StoringStopped: "session.storing_stopped",
    FloorChanged: "floor.changed",
    UserSpeechStarted: "input_audio_buffer.speech_started",
    UserSpeechStopped: "input_audio_buffer.speech_stopped",
    UserSpeechDiscarded: "input_audio_buffer.cleared",
    MessageAdded: "conversation.item.created",
    MessageRemoved: "conversation.item.deleted",
    MessageDrafted: "conversation.item.input_audio_transcription.delta",
    MessageTranscribed: "conversation.item.input_audio_transcription.completed",
    TranscriptionFailed: "conversation.item.input_audio_transcription.failed",
    ResponseCreated: "response.created",
    ResponseDelta: "response.output_text.delta",
    ResponseCommitted: "response.committed",
    ResponseRetracted: "response.retracted",
    ResponseResumed: "response.resumed",
    ResponseDone: "response.done",
    AudioStarted: "output_audio_buffer.started",
    AudioDone: "response.output_audio.done",
    AudioStopped: "output_audio_buffer.stopped",
    AudioCleared: "output_audio_buffer.cleared",
    ConversationWasCleared: "conversation.cleared",
    ConversationWindow: "conversation.window",
    NotesUpdated: "call.notes.updated",
    SpeakerTold: "call.speaker.told",
    SessionMetricsReported: "session.metrics",
    ErrorReported: "error",
}

_LEFT_OUT = ("speaker", "file_name")  # where there is none


def to_wire(event: SessionEvent) -> dict[str, Any]:
    """Gives the event as the JSON object that goes to a client; a `speaker` or file nobody has named is left out."""
    if isinstance(event, MessageDrafted | MessageTranscribed | TranscriptionFailed):
        fields = _words_to_wire(event)
    else:
        fields = asdict(event)
    named = {name: value for name, value in fields.items() if value is not None or name not in _LEFT_OUT}
    return {"type": WIRE_NAMES[type(event)], **named}


def _words_to_wire(event: MessageDrafted | MessageTranscribed | TranscriptionFailed) -> dict[str, Any]:
    """The words of a message as OpenAI's clients know them, beside fields of ours: `draft` and `is_foreign`."""
    place = {"item_id": event.item_id, "content_index": 0}  # of an item's parts its audio is the first
    match event:
        case MessageDrafted():
            return {**place, "delta": event.delta, "draft": event.draft}
        case MessageTranscribed():
            logprobs = [_logprob_of(word, follows=number > 0) for number, word in enumerate(event.words)]
            words = {"transcript": event.transcript, "logprobs": logprobs or None, "is_foreign": event.is_foreign}
            return {**place, **words}
        case TranscriptionFailed():
            return {**place, "error": {"type": "server_error", "message": event.message}}


def _logprob_of(word: Word, *, follows: bool) -> dict[str, Any]:
    """How sure the ears are of a word; the tokens of a transcript, put together, are its text."""
    token = f" {word.text}" if follows else word.text
    logprob = round(math.log(max(word.probability, MIN_PROBABILITY)), 4)
    return {"token": token, "logprob": logprob, "bytes": list(token.encode(errors="replace"))}


def dump(event: SessionEvent, sequence: int = 0) -> str:
    """Gives the event as JSON text, with its number in the session; 0: it has none, as where there is no session."""
    return json.dumps(to_wire(event) | ({"sequence": sequence} if sequence else {}))


def dump_audio(response_id: str, samples: Samples) -> str:
    """Gives sound of an answer, (n_samples,) at 24 kHz, as JSON text; it has no number, for it is never sent again."""
    pcm = to_int16(samples).astype("<i2").tobytes()
    delta = base64.b64encode(pcm).decode()
    return json.dumps({"type": "response.output_audio.delta", "response_id": response_id, "delta": delta})
