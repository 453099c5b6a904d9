"""The work on one recording: it is written down and its sound kept, then the model takes notes.

Each line is in the store as soon as it is written down, and what the model said of it in a journal beside, so that a
server that ends, however it ends, goes on where it was, and work that failed can be tried again. The file that was sent
is deleted once the work is done. Read `archive.py` for who has it done, `realtime/review/transcript.py` for how a
recording is read.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

from models.base import AudioLanguageModel, VoiceReader
from models.errors import ModelError
from models.types import SAMPLE_RATE_HZ, Samples
from realtime.archive.asking import clip_of, sound_of
from realtime.hearing.audio import to_int16
from realtime.hearing.files import AudioFileError
from realtime.notes.minutes import Line, Minutes
from realtime.notes.noting import write_minutes
from realtime.recordings.store import rows
from realtime.recordings.store.errors import NotStored, StoreError
from realtime.recordings.store.exporting import to_minutes
from realtime.recordings.store.reading import ReviewState, StoredConversation, read_conversation
from realtime.recordings.store.tracks import Tracks, user_track
from realtime.recordings.store.writer import StoreWriter
from realtime.review.journal import Journal, JournalError
from realtime.review.line_speakers import LineSpeakers
from realtime.review.transcript import Transcript

logger = logging.getLogger(__name__)

ORIGINAL = "original"  # the file that was sent, in the folder of its sound
JOURNAL = "journal"
LONGEST_S = 12 * 3600.0
NO_DISK = "the server cannot write any more; its log says why"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work on a recording has come.

    Attributes:
        state: what is done now, or was done at last.
        share: of what is done now, from 0 to 1.
        failure: why it failed, in a sentence; "" if it did not.
    """

    state: ReviewState
    share: float = 0.0
    failure: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("ready", "failed")


Tell = Callable[[Progress | Line], None]


class RecordingWork:
    """The work on one recording that is in the store.

    Args:
        writer: writes into the store.
        model: writes down and takes notes.
        recording: its id.
        tell: is told of every line and every step.
    """

    def __init__(self, writer: StoreWriter, model: AudioLanguageModel, recording: str, tell: Tell) -> None:
        self._writer = writer
        self._model = model
        self._id = recording
        self._tell = tell
        self._folder = writer.store.sounds / recording
        self._dialogue = f"recording {recording}"

    async def run(self) -> bool:
        """Does it, or goes on with it; what goes wrong is kept with the recording, and told.

        Returns:
            False if another process is at it.

        Raises:
            StoreError: it cannot even be said in the store what went wrong.
        """
        try:
            journal = Journal(self._folder / JOURNAL)
        except JournalError:
            return False
        except OSError as error:
            logger.error("recording %s: %s", self._id, error)
            await self._fail(NO_DISK)
            return True
        try:
            await self._work(journal)
        except NotStored:  # it was deleted, by another process perhaps
            journal.remove()
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        except AudioFileError as error:
            await self._fail(str(error).removeprefix(f"{self._folder / ORIGINAL}: "))
            self._end(journal)  # nobody could read it the next time
        except ModelError as error:
            logger.error("recording %s: %s", self._id, error.detail)
            await self._fail(str(error))
        except (StoreError, JournalError, OSError) as error:
            logger.error("recording %s: %s", self._id, error)
            await self._fail(NO_DISK)
        finally:
            journal.close()
        return True

    async def _work(self, journal: Journal) -> None:
        stored = await self._read()
        review = stored.head.review
        if review is not None and review.state in ("queued", "listening"):
            await self._listen(stored)
            stored = await self._read()
        review = stored.head.review
        if review is not None and review.state == "noting":
            await self._note(stored, journal)
        elif review is not None:  # another process was faster
            self._tell(Progress(review.state, 1.0, review.failure))
        self._end(journal)

    def _end(self, journal: Journal) -> None:
        (self._folder / ORIGINAL).unlink(missing_ok=True)
        journal.remove()

    async def _read(self) -> StoredConversation:
        return await asyncio.to_thread(read_conversation, self._writer.store, self._id)

    async def _listen(self, stored: StoredConversation) -> None:
        """Writes the recording down, and keeps its sound; lines that are in the store are not written down again."""
        await self._enter("listening")
        review = stored.head.review
        assert review is not None, "it is a recording"
        voices = None
        if review.n_speakers is not None:
            voices = LineSpeakers(await asyncio.to_thread(_load_voiceprints), n_speakers=review.n_speakers or None)
        await self._forget_sound()
        tracks, known = Tracks(self._writer.store, self._id), to_minutes(stored).lines
        ears = self._model.transcriber

        async def keep(speaker: str | None, samples: Samples) -> None:
            if transcript.duration_s > LONGEST_S:
                raise AudioFileError(f"it is longer than {LONGEST_S / 3600:g} hours; cut it into parts")
            pcm = to_int16(samples)
            await self._writer.run(lambda: tracks.write(user_track(speaker), SAMPLE_RATE_HZ, pcm))
            self._tell(Progress("listening", transcript.share))

        transcript = Transcript(self._folder / ORIGINAL, ears, known=known, dialogue=self._dialogue, take_sound=keep)
        lines = list[Line]()
        try:
            async for spoken in transcript.lines():
                lines.append(spoken.line)
                if voices is not None:
                    await voices.take(spoken)
                if len(lines) > len(known):
                    await self._add_line(len(lines), spoken.line)
                self._tell(spoken.line)
        finally:
            if ears is not None:
                await ears.forget(dialogue=self._dialogue)
            await self._writer.run(tracks.close)
        named = None if voices is None else voices.name(lines)
        await self._end_listening(tracks.n_samples, named, transcript)

    async def _forget_sound(self) -> None:
        """Deletes what an earlier attempt has written of the sound: it is written anew."""

        def forget() -> None:
            with self._writer.store.writing() as connection:
                for path in rows.remove_sounds(connection, self._id):
                    (self._writer.store.sounds / path).unlink(missing_ok=True)

        await self._writer.run(forget)

    async def _add_line(self, number: int, line: Line) -> None:
        def add() -> None:
            with self._writer.store.writing() as connection:
                rows.add_line(connection, self._id, number, line, track=user_track(line.span.speaker))

        await self._writer.run(add)

    async def _end_listening(self, n_samples: dict[str, int], named: list[Line] | None, transcript: Transcript) -> None:
        duration_s, remarks = transcript.duration_s, list(transcript.remarks)

        def end() -> None:
            with self._writer.store.writing() as connection:
                if named is not None:
                    rows.tell_speakers(connection, self._id, named)
                rows.end_conversation(connection, self._id, ended_s=time.time(), n_samples=n_samples)
                rows.change_review(connection, self._id, state="noting", duration_s=duration_s, remarks=remarks)

        await self._writer.run(end)
        self._tell(Progress("noting"))

    async def _note(self, stored: StoredConversation, journal: Journal) -> None:
        """Has the model take notes of what was written down."""
        minutes = to_minutes(stored)
        review = stored.head.review
        sound = await asyncio.to_thread(sound_of, stored) if self._model.info.listens else None
        if sound is not None or any(line.text for line in minutes.lines):
            minutes = await write_minutes(
                self._model,
                minutes.lines,
                title=minutes.title,
                duration_s=minutes.duration_s,
                context="" if review is None else review.about,
                dialogue=self._dialogue,
                sound=None if sound is None else lambda span: clip_of(sound, span),
                answers=journal,
                progress=lambda share: self._tell(Progress("noting", share)),
            )
        await self._keep(minutes, () if review is None else review.remarks)

    async def _keep(self, minutes: Minutes, before: tuple[str, ...]) -> None:
        remarks = list(dict.fromkeys((*before, *minutes.remarks)))

        def keep() -> None:
            with self._writer.store.writing() as connection:
                rows.put_notes(connection, self._id, minutes.notes)
                rows.change_review(connection, self._id, state="ready", remarks=remarks)

        await self._writer.run(keep)
        self._tell(Progress("ready", 1.0))

    async def _enter(self, state: ReviewState) -> None:
        await self._change(state=state)
        self._tell(Progress(state))

    async def _fail(self, reason: str) -> None:
        """Says in the store why there is no more; what there is stays, so that it can be gone on with."""
        try:
            await self._change(state="failed", failure=reason)
        finally:
            self._tell(Progress("failed", failure=reason))

    async def _change(self, **changes: str) -> None:
        def change() -> None:
            with self._writer.store.writing() as connection:
                rows.change_review(connection, self._id, **changes)

        await self._writer.run(change)


def _load_voiceprints() -> VoiceReader:
    from models.voiceprints import load_voiceprints  # noqa: PLC0415  # torch takes seconds, and few recordings need it

    return load_voiceprints()
