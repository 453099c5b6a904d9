"""Notes of a call while it goes on: line by line, whenever the model has nothing better to do.

A line is what was written down of one turn. The model is asked about it while the other party is silent and nothing is
being suggested; as soon as they speak, it stops, and the line waits. A note leads back to its place in the sound. What
a person edits stays so, and what a person removes does not come back. Read `notes/noting.py` for how the model is
asked, `session.py` for who calls.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from models.base import AudioLanguageModel
from models.errors import ModelError
from realtime.events import (
    ConversationWasCleared,
    MessageAdded,
    MessageRemoved,
    MessageTranscribed,
    NotesUpdated,
    SessionEvent,
    SpeakerTold,
    UserSpeechStarted,
    UserSpeechStopped,
)
from realtime.inbox import Noted, NoteEdited
from realtime.notes import keeping
from realtime.notes.keeping import Kept
from realtime.notes.minutes import Line, Note, Span
from realtime.notes.noting import note_lines

logger = logging.getLogger(__name__)

BEFORE_LINES = 4  # that a line may refer to
MAX_FAILURES = 3  # in a row, after which no more notes are taken


class CallNotes:
    """The notes of one call.

    Args:
        model: takes them.
        dialogue: names the session's cache.
        put: takes what came of the model's work.
        send: tells the client.
    """

    def __init__(
        self,
        model: AudioLanguageModel,
        dialogue: str,
        *,
        put: Callable[[Noted], object],
        send: Callable[[SessionEvent], None],
    ) -> None:
        self._model = model
        self._dialogue = f"{dialogue} notes"
        self._put = put
        self._send = send
        self._kept = Kept()
        self._lines: list[Line] = []
        self._items: list[str] = []  # in which they were said
        self._told: dict[str, str] = {}  # who of several said them
        self._n_noted = 0  # lines that were asked about
        self._places: dict[str, Span] = {}  # by message
        self._attempt = 0
        self._n_failures = 0
        self._task: asyncio.Task[None] | None = None

    def take_event(self, event: SessionEvent) -> None:
        """Learns what was said, and where."""
        match event:
            case UserSpeechStarted(item_id=item_id, audio_start_ms=start_ms, speaker=speaker):
                self._places[item_id] = Span(start_s=start_ms / 1000, end_s=start_ms / 1000, speaker=speaker)
            case UserSpeechStopped(item_id=item_id, audio_end_ms=end_ms) if item_id in self._places:
                place = self._places[item_id]
                self._places[item_id] = Span(start_s=place.start_s, end_s=end_ms / 1000, speaker=place.speaker)
            case MessageAdded(item_id=item_id, role="user", audio_s=audio_s) if not audio_s:
                self._places.pop(item_id, None)  # it was typed to the assistant
            case MessageRemoved(item_id=item_id):
                self._places.pop(item_id, None)
            case ConversationWasCleared():
                self._clear()
            case MessageTranscribed(item_id=item_id, transcript=text) if text and item_id in self._places:
                self._lines.append(Line(span=self._places.pop(item_id), text=text))
                self._items.append(item_id)
            case SpeakerTold(item_id=item_id, speaker=speaker):
                self._rename(item_id, speaker)

    def tend(self, *, may_work: bool) -> None:
        """Goes on with the next line, or stops, so that something more urgent is not held up."""
        if not may_work:
            self._stop()
        elif self._task is None and self._n_noted < len(self._lines) and self._n_failures < MAX_FAILURES:
            self._attempt += 1
            self._task = asyncio.get_running_loop().create_task(self._note(self._attempt))

    def take(self, noted: Noted) -> None:
        """Takes what the model found in a line, unless that was given up."""
        if noted.attempt != self._attempt or self._task is None:
            return
        self._task = None
        self._n_noted += 1
        self._n_failures = 0 if noted.kept is not None else self._n_failures + 1
        if noted.kept is not None and noted.kept != self._kept:
            self._kept = noted.kept
            self._tell()

    def edit(self, edited: NoteEdited) -> bool:
        """Changes a note as a person wants it, or removes it; gives whether there is such a note."""
        self._stop()
        try:
            if edited.is_removed:
                self._kept = keeping.remove(self._kept, edited.note_id)
            else:
                self._kept = keeping.edit(self._kept, edited.note_id, **edited.changes())
        except KeyError:
            return False
        self._tell()
        return True

    def _clear(self) -> None:
        """Forgets everything: a new call begins."""
        self._stop()
        self._kept, self._lines, self._items, self._n_noted = Kept(), [], [], 0
        self._tell()

    async def close(self) -> None:
        """Ends the model's work."""
        self._stop()
        await self._model.forget(dialogue=self._dialogue)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _note(self, attempt: int) -> None:
        first = max(0, self._n_noted - BEFORE_LINES)
        lines = [self._line(at) for at in range(first, self._n_noted + 1)]
        kept: Kept | None = None
        try:
            kept = await note_lines(
                self._model, lines, n_before=len(lines) - 1, known=self._kept, dialogue=self._dialogue
            )
        except ModelError as error:
            logger.warning("%s: no note: %s", self._dialogue, error.detail)
        self._put(Noted(attempt, kept))

    def _rename(self, item_id: str, speaker: str) -> None:
        """Learns who said something, also for the notes that rest on it."""
        if item_id in self._items:
            before = self._line(self._items.index(item_id)).span
            notes = tuple(_renamed(note, before, speaker) for note in self._kept.notes)
            if notes != self._kept.notes:
                self._kept = replace(self._kept, notes=notes)
                self._tell()
        self._told[item_id] = speaker

    def _line(self, at: int) -> Line:
        line, told = self._lines[at], self._told.get(self._items[at])
        return line if told is None else replace(line, span=replace(line.span, speaker=told))

    def _tell(self) -> None:
        self._send(NotesUpdated(notes=self._kept.notes))


def _renamed(note: Note, place: Span, speaker: str) -> Note:
    """The note, if it rests on this place, with the speaker's newer name."""
    if place not in note.spans:
        return note
    spans = tuple(replace(span, speaker=speaker) if span == place else span for span in note.spans)
    return replace(note, spans=spans, owner=speaker if note.owner == place.speaker else note.owner)
