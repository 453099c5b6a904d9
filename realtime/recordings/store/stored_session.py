"""Keeps a session in a store: a tap that writes messages, captions, answers, notes and sound while it goes on.

Each message is one transaction, and so is each answer with how it went: what was written stays, whatever happens to the
process. Sound is there up to the last half second. What is provisional is never written, a message that is taken back
is deleted, and of an answer that is read aloud only what was played is kept. While muted, silence is.

Nothing here blocks: a thread writes. A store that fails ends the storing and not the session, and the client is told
once, as it is told once that the disk was too slow for some of the sound. Read `rows.py` and `tracks.py` for what is
written, `writer.py` for the thread.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np

from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, ModelInfo, Samples, VoiceInfo
from realtime.events import (
    MessageAdded,
    MessageRemoved,
    MessageTranscribed,
    NotesUpdated,
    ResponseCommitted,
    ResponseCreated,
    ResponseDone,
    SessionEvent,
    SpeakerTold,
    UserSpeechDiscarded,
    UserSpeechStarted,
    UserSpeechStopped,
    sample_to_ms,
)
from realtime.hearing.audio import AudioChunk, to_int16
from realtime.inbox import InboxItem, Played, RecordingSubmitted, SettingsChanged, Spoken
from realtime.recordings.store import rows
from realtime.recordings.store.clocks import AnswerClock, UserClock
from realtime.recordings.store.deleting import clean_up
from realtime.recordings.store.errors import StoreError
from realtime.recordings.store.rows import StoredMessage
from realtime.recordings.store.tracks import ANSWERS, SENT, Tracks, user_track
from realtime.recordings.store.writer import StoreWriter
from realtime.session import SessionOptions
from realtime.turns.actions import Action
from realtime.turns.observations import Observation
from realtime.turns.options import FloorOptions

logger = logging.getLogger(__name__)

STOPPED = "from here on, this conversation is not stored; the server's log says why"
TOO_SLOW = "the disk is too slow, so some of the sound of this conversation is not stored; its words are"


def new_conversation_id(started_s: float) -> str:
    """Names a conversation by when it began, in UTC, and so that no other process makes the same name."""
    return f"{datetime.fromtimestamp(started_s, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


@dataclass(slots=True)
class _Span:
    """Where something was said; the end is not known at first."""

    start_ms: int
    end_ms: int | None = None


class StoredSession:
    """Keeps one session.

    Args:
        writer: writes into the store.
        tell: tells the client, on the event loop, that nothing more is stored (True), or that something is missing.
        owner: whose it is; "" where nobody is asked for a key.
        started_s: when it began, in seconds since 1970; now if not given.

    Attributes:
        id: of the conversation in the store.
        lost_samples: of sound that was not stored, because too much waited.
    """

    def __init__(
        self,
        writer: StoreWriter,
        tell: Callable[[str, bool], None],
        *,
        owner: str = "",
        started_s: float | None = None,
    ) -> None:
        self._owner = owner
        self._started_s = time.time() if started_s is None else started_s
        self._is_live = started_s is None
        self.id = new_conversation_id(self._started_s)
        self.lost_samples = 0
        self._writer = writer
        self._tell = tell
        self._tracks = Tracks(writer.store, self.id)
        self._failure: StoreError | None = None
        self._has_gone = False  # nothing more is taken
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_muted = False
        self._clocks: dict[str, UserClock] = {}
        self._shown_names: dict[str, str | None] = {}
        self._answer_clock = AnswerClock()
        self._spans: dict[str, _Span] = {}  # of what is being said, by the ids of the messages that it may become
        self._answer_start_ms = 0
        self._n_answer_samples = 0  # of the answer under way, that were played
        self._n_files = 0
        self._has_removed = False  # a message was taken back, of which there may be traces
        self._answer: StoredMessage | None = None  # whose `ResponseDone` comes next

    @property
    def is_whole(self) -> bool:
        """Whether all of the conversation so far is stored."""
        return self._failure is None and not self.lost_samples

    @property
    def failure(self) -> StoreError | None:
        """Why nothing more is stored, if that is so."""
        return self._failure

    # What a session tells its taps.

    def start(
        self,
        session_id: str,
        model: ModelInfo,
        options: SessionOptions,
        floor: FloorOptions,
        *,
        caption_languages: tuple[str, ...] | None,
        voices: tuple[VoiceInfo, ...],
    ) -> None:
        """Begins the conversation."""
        self._loop = asyncio.get_running_loop()
        self._clocks = {name: UserClock() for name in options.speakers}
        self._shown_names = {name: name if len(options.speakers) > 1 else None for name in options.speakers}
        self._writer.live.add(self.id)
        logger.info("session %s is stored as %s", session_id, self.id)
        head = {"model": model.name, "started_s": self._started_s, "kind": options.kind, "owner": self._owner}
        self._write(lambda: self._rows(rows.add_conversation, **head))

    def take_item(self, item: InboxItem, now_s: float) -> None:
        """Keeps sound."""
        if isinstance(item, AudioChunk):
            start, samples = self._clocks[item.speaker].place(item)
            samples = np.zeros_like(samples) if self._is_muted else samples
            self._write_sound(user_track(self._shown_names[item.speaker]), SAMPLE_RATE_HZ, samples, start)
        elif isinstance(item, SettingsChanged) and item.muted is not None:
            self._is_muted = item.muted
        elif isinstance(item, Spoken):
            self._answer_clock.take(item)
        elif isinstance(item, Played):
            self._take_played(item)
        elif isinstance(item, RecordingSubmitted):
            self._n_files += 1
            self._write_sound(f"{SENT}-{self._n_files}", SAMPLE_RATE_HZ, item.clip.samples)

    def take_decision(self, observation: Observation, actions: tuple[Action, ...]) -> None:
        """Is not interested."""

    def take_event(self, event: SessionEvent) -> None:
        """Keeps what was said."""
        if isinstance(event, ResponseDone):
            self._end_answer(event)
            return
        self._write_answer()
        match event:
            case UserSpeechStarted(item_id=item, audio_start_ms=start_ms):
                self._spans[item] = _Span(start_ms)
            case UserSpeechStopped(item_id=item, audio_end_ms=end_ms) if item in self._spans:
                self._spans[item].end_ms = end_ms
            case UserSpeechDiscarded(item_id=item):
                self._spans.pop(item, None)
            case MessageAdded():
                self._take_message(event)
            case MessageRemoved(item_id=item):
                self._has_removed = True
                self._write(lambda: self._rows(rows.remove_message, item))
            case MessageTranscribed():
                self._write(lambda: self._rows(rows.add_caption, event))
            case SpeakerTold(item_id=item, speaker=speaker):
                self._write(lambda: self._rows(rows.tell_speaker, item, speaker))
            case NotesUpdated(notes=notes):
                self._write(lambda: self._rows(rows.put_notes, notes))
            case ResponseCreated() | ResponseCommitted():
                self._answer_start_ms, self._n_answer_samples = self._now_ms, 0

    async def confirmed(self) -> bool:
        """Waits until everything so far is written; whether all of it is stored."""
        await self._writer.run(lambda: None)
        return self.is_whole

    async def close(self) -> None:
        """Ends the conversation once everything is written."""
        self._write_answer()
        self._has_gone = True
        seconds = self._now_ms / 1000
        ended_s = time.time() if self._is_live else self._started_s + seconds
        self._writer.put(lambda: self._finish(ended_s), self._fail, is_last=True)
        await self._writer.run(lambda: None)
        self._writer.live.discard(self.id)
        if self.lost_samples:
            logger.warning("%s: %.1f s of sound are not stored", self.id, self.lost_samples / SAMPLE_RATE_HZ)

    # On the event loop.

    @property
    def _now_ms(self) -> int:
        return max((sample_to_ms(clock.end_sample) for clock in self._clocks.values()), default=0)

    def _take_played(self, played: Played) -> None:
        user_sample = max(clock.end_sample for clock in self._clocks.values())
        placed = self._answer_clock.place(played, user_sample)
        if placed is None:
            return
        start, samples = placed
        if not self._n_answer_samples:
            self._answer_start_ms = start * 1000 // VOICE_RATE_HZ
        self._n_answer_samples += len(samples)
        self._write_sound(ANSWERS, VOICE_RATE_HZ, samples, start)

    def _take_message(self, added: MessageAdded) -> None:
        span = self._spans.pop(added.item_id, _Span(self._now_ms, self._now_ms))
        end_ms = span.start_ms + round(added.audio_s * 1000) if span.end_ms is None else span.end_ms
        has_sound = bool(added.audio_s) and added.role == "user"
        spoken = user_track(added.speaker) if has_sound else None
        message = StoredMessage(
            item=added.item_id,
            role=added.role,
            text=added.text,
            start_ms=span.start_ms,
            end_ms=end_ms,
            track=f"{SENT}-{self._n_files}" if added.file_name is not None else spoken,
            speaker=added.speaker,
            file_name=added.file_name,
            interrupted=added.interrupted,
            is_addressed=added.is_addressed,
        )
        if added.role == "assistant":
            self._answer = message
        else:
            self._write(lambda: self._rows(rows.add_message, message))

    def _write_answer(self) -> None:
        """Writes an answer that was given in another conversation: nothing is known of how it went."""
        message, self._answer = self._answer, None
        if message is not None:
            self._write(lambda: self._rows(rows.add_message, message))

    def _end_answer(self, done: ResponseDone) -> None:
        message, self._answer = self._answer, None
        start_ms, end_ms = self._answer_start_ms, self._now_ms
        track = ANSWERS if self._n_answer_samples else None
        if track is not None:
            end_ms = start_ms + self._n_answer_samples * 1000 // VOICE_RATE_HZ
        if message is not None:
            message = replace(message, start_ms=start_ms, end_ms=max(start_ms, end_ms), track=track)

        def write() -> None:
            with self._writer.store.writing() as connection:
                row = None
                if message is not None:
                    row = rows.add_message(connection, self.id, message)
                rows.add_answer(connection, self.id, done, row)

        self._write(write)

    def _write_sound(self, track: str, rate_hz: int, samples: Samples, position: int | None = None) -> None:
        if not len(samples):
            return
        taken = self._write(
            lambda: self._tracks.write(track, rate_hz, to_int16(samples), position), n_samples=len(samples)
        )
        if not taken:
            self.lost_samples += len(samples)
            if self.lost_samples == len(samples):
                self._tell(TOO_SLOW, False)

    def _write(self, write: Callable[[], object], *, n_samples: int = 0) -> bool:
        """Has something written; False if it is sound for which there is no room."""
        if self._has_gone:
            return True
        taken = self._writer.put(partial(self._attempt, write), self._fail, n_samples=n_samples)
        if not taken and not n_samples:
            self._give_up(StoreError("the disk is too slow"))
        return taken or not n_samples

    def _give_up(self, failure: StoreError) -> None:
        logger.error("%s is not stored from here on: %s", self.id, failure)
        has_ended, self._has_gone, self._failure = self._has_gone, True, failure
        if not has_ended:
            self._tell(STOPPED, True)  # where the store is, is nobody else's business

    # On the thread.

    def _attempt(self, write: Callable[[], object]) -> None:
        if self._failure is None:
            write()

    def _rows(self, write: Callable[..., object], *values: object, **named: object) -> None:
        with self._writer.store.writing() as connection:
            write(connection, self.id, *values, **named)

    def _finish(self, ended_s: float) -> None:
        n_samples = self._tracks.n_samples
        try:
            self._tracks.close()
        finally:
            self._attempt(lambda: self._rows(rows.end_conversation, ended_s=ended_s, n_samples=n_samples))
        if self._has_removed:
            try:
                clean_up(self._writer.store)
            except StoreError as error:
                logger.info("%s: %s", self.id, error)

    def _fail(self, failure: StoreError) -> None:
        if self._failure is None:
            self._failure = failure
            with suppress(RuntimeError):  # the loop has ended, and with it whoever was to be told
                assert self._loop is not None
                self._loop.call_soon_threadsafe(self._give_up, failure)
