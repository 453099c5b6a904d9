"""Recordings that people bring: what becomes of them, whatever happens on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from models.errors import GenerationFailed
from models.scripted import ScriptedModel
from models.types import GenerationOptions, Message, Samples, TextDelta
from realtime.archive import work
from realtime.archive.archive import DELETED, MAX_WAITING, MAX_WAITING_OF_ONE, Archive, ArchiveFull, NotReady
from realtime.archive.asking import Cited, Searched
from realtime.archive.background import BackgroundModel
from realtime.archive.work import JOURNAL, NO_DISK, ORIGINAL, Progress
from realtime.load import AnswerLoad
from realtime.notes.minutes import Line
from realtime.recordings.store.database import open_store
from realtime.recordings.store.errors import NotStored
from realtime.recordings.store.mixing import MixedSound
from realtime.recordings.store.reading import StoredConversation
from realtime.recordings.store.writer import StoreWriter
from tests.archive.bringing import SAID, Secretary, blocks_of, meeting, wav
from tests.conftest import silence
from tests.small_disk import mounted

OWNER = "anna 0123"
MEETING_S = 31.2425


@asynccontextmanager
async def working(path: Path | None, model: Secretary | None = None) -> AsyncIterator[Archive]:
    """An archive at work, in a store at this path; None: in a temporary one."""
    store = None if path is None else StoreWriter(open_store(str(path)))
    archive = Archive(model or Secretary(), AnswerLoad(), store=store)
    try:
        async with archive.working():
            yield archive
    finally:
        if store is not None:
            await store.close()


async def bring(archive: Archive, content: bytes | None = None, **more: object) -> str:
    return await archive.receive(OWNER, "meeting.ogg", blocks_of(content or meeting()), **more)  # type: ignore[arg-type]


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


async def until_over(archive: Archive, recording: str) -> list[StoredConversation | Progress | Line]:
    async with asyncio.timeout(30):
        return [step async for step in archive.watch(OWNER, recording)]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110  # of what no event tells
            await asyncio.sleep(0.01)


async def test_a_recording_becomes_lines_sound_and_notes(tmp_path: Path) -> None:
    async with working(tmp_path / "kept.db") as archive:
        recording = await bring(archive, about="A garden party")
        first, *steps = await until_over(archive, recording)
        assert isinstance(first, StoredConversation) and first.head.id == recording
        assert [step.text for step in steps if isinstance(step, Line)] == list(SAID)
        states = [step.state for step in steps if isinstance(step, Progress)]
        assert list(dict.fromkeys(states)) == ["queued", "listening", "noting", "ready"]
        stored = await archive.read(OWNER, recording)
        assert stored.head.review is not None and stored.head.review.about == "A garden party"
        assert stored.head.duration_s == pytest.approx(MEETING_S, abs=0.01) and stored.head.title == "meeting.ogg"
        assert [said.shown for said in stored.said] == list(SAID)
        assert [(note.kind, note.text) for note in stored.notes] == [
            ("summary", "It was about tents; 0 clips."),
            ("decision", "The garden party is in July."),
            ("action_item", "Order the tents."),
        ]
        task, line = stored.notes[2], stored.said[1].message
        assert task.deadline == "by Monday" and task.spans[0].start_s == line.start_ms / 1000
        sound = await archive.sound(OWNER, recording)
        assert sound.n_samples == pytest.approx(MEETING_S * 16_000, abs=100)
        folder = stored.sounds[0].path.parent
        assert [path.name for path in folder.iterdir()] == ["user.oga"], "neither the file that was sent nor a journal"
        assert [each.role for each in await archive.find(OWNER, "tents monday")] == ["note", "user"]


async def test_without_a_store_all_is_gone_with_the_server() -> None:
    async with working(None) as archive:
        assert not archive.is_lasting and await archive.heads(OWNER) == []
        with pytest.raises(NotStored):
            await archive.read(OWNER, "none")
        recording = await bring(archive)
        await until_over(archive, recording)
        (sound,) = (await archive.read(OWNER, recording)).sounds
        assert sound.path.is_file()
    assert not sound.path.parent.parent.exists()


@pytest.mark.parametrize("while_noting", [False, True])
async def test_work_that_was_broken_off_goes_on_where_it_was(tmp_path: Path, while_noting: bool) -> None:
    gate, n_done = asyncio.Semaphore(3), 3
    model = Secretary(gate=gate) if while_noting else Secretary(ears_gate=gate)
    async with working(tmp_path / "kept.db", model) as archive:
        recording = await bring(archive)
        steps = archive.watch(OWNER, recording)
        await until(lambda: len(model.requests) == n_done + 1 if while_noting else len(model.asked) == n_done)
        await steps.aclose()
    again = Secretary()
    async with working(tmp_path / "kept.db", again) as archive:
        await until_over(archive, recording)
        stored = await archive.read(OWNER, recording)
        assert [said.shown for said in stored.said][:n_done] == list(SAID[:n_done])
        assert len(stored.said) == len(SAID) and len({said.message.start_ms for said in stored.said}) == len(SAID)
        assert len(again.asked) == (0 if while_noting else len(SAID) - n_done), "no line is written down twice"
        if while_noting:
            assert len(again.requests) == len(SAID) - n_done + 1, "nor asked about twice; the summary is one more"
        assert [note.kind for note in stored.notes] == ["summary", "decision", "action_item"] or not while_noting
        assert MixedSound(stored).n_samples == pytest.approx(MEETING_S * 16_000, abs=100)


async def test_two_channels_are_two_speakers(tmp_path: Path, speech: Callable[[str], Samples]) -> None:
    clip = speech("question_capital")
    none = np.zeros_like(clip)
    call = wav(np.concatenate((clip, silence(1), none)), np.concatenate((none, silence(1), clip)))
    async with working(tmp_path / "kept.db") as archive:
        recording = await bring(archive, call)
        await until_over(archive, recording)
        stored = await archive.read(OWNER, recording)
        assert [said.message.speaker for said in stored.said] == ["left", "right"]
        assert {sound.track for sound in stored.sounds} == {"user-left", "user-right"}
        await archive.name_speakers(OWNER, recording, {"left": "Anna", "right": "left"})
        stored = await archive.read(OWNER, recording)
        assert [said.message.speaker for said in stored.said] == ["Anna", "left"]
        with pytest.raises(NotStored, match="nobody of that name"):
            await archive.name_speakers(OWNER, recording, {"right": "Ben"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"This is a letter to my aunt. " * 100, "not readable as audio|no audio"),
        (wav(silence(3.0)), None),
        (wav(silence(0.05)), None),
        (meeting()[:20_000], None),
    ],
)
async def test_what_is_no_speech_is_said_in_a_sentence(tmp_path: Path, content: bytes, reason: str | None) -> None:
    async with working(tmp_path / "kept.db") as archive:
        recording = await bring(archive, content)
        last = (await until_over(archive, recording))[-1]
        stored = await archive.read(OWNER, recording)
        review = stored.head.review
        assert isinstance(last, Progress) and review is not None
        if reason is None:
            assert review.state == "ready" and review.remarks
        else:
            assert review.state == "failed" and review.failure == last.failure
            assert str(tmp_path) not in review.failure and ORIGINAL not in review.failure
        assert not files_in(tmp_path) & {ORIGINAL, JOURNAL}


async def test_ears_that_fail_leave_what_there_is_and_can_be_tried_again(tmp_path: Path) -> None:
    model = Secretary(sounds=(*SAID[:2], GenerationFailed("the ears hurt")))
    async with working(tmp_path / "kept.db", model) as archive:
        recording = await bring(archive)
        await until_over(archive, recording)
        stored = await archive.read(OWNER, recording)
        assert stored.head.review is not None and stored.head.review.state == "failed"
        assert "the ears hurt" in stored.head.review.failure and [said.shown for said in stored.said] == list(SAID[:2])
        assert (await archive.sound(OWNER, recording)).n_samples, "what was heard until then can be played"
        model._lines, model.asked = SAID, model.asked[:2]
        await archive.try_again(OWNER, recording)
        await until_over(archive, recording)
        stored = await archive.read(OWNER, recording)
        assert [said.shown for said in stored.said] == list(SAID) and len(stored.notes) == 3
        with pytest.raises(NotStored, match="nothing to try again"):
            await archive.try_again(OWNER, recording)
        other = await bring(archive, wav(silence(3.0)))
        assert (await until_over(archive, other))[-1] == Progress("ready", 1.0), "the next one is worked on"


async def test_a_recording_is_deleted_while_it_is_worked_on_or_waits(tmp_path: Path) -> None:
    model = Secretary(ears_gate=asyncio.Semaphore(1))
    async with working(tmp_path / "kept.db", model) as archive:
        first, second = await bring(archive), await bring(archive)
        await until(lambda: bool(model.asked))
        with pytest.raises(NotReady, match="still listened to"):
            await archive.ask(OWNER, first, "What was said?")
        for recording in (second, first):
            await archive.delete(OWNER, recording)
        assert await archive.heads(OWNER) == []
        with pytest.raises(NotStored):
            await archive.delete(OWNER, first)
        third = await bring(archive, wav(silence(3.0)))
        await until_over(archive, third)
    assert {path.name for path in (tmp_path / "kept.db-audio").iterdir()} == {third}


async def test_a_client_that_leaves_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield meeting()[:70_000]
        raise ConnectionResetError("it has gone")

    async with working(tmp_path / "kept.db") as archive:
        with suppress(ConnectionResetError):
            await archive.receive(OWNER, "half.ogg", broken())
        assert await archive.heads(OWNER) == [] and not list((tmp_path / "kept.db-audio").iterdir())


async def test_no_more_are_taken_than_can_wait(tmp_path: Path) -> None:
    async with working(tmp_path / "kept.db", Secretary(ears_gate=asyncio.Semaphore(0))) as archive:
        for number in range(MAX_WAITING):
            await archive.receive(f"visitor {number % 5}", "meeting.ogg", blocks_of(meeting()))
        with pytest.raises(ArchiveFull, match="32 recordings are waiting"):
            await bring(archive)
        await archive.delete("visitor 0", (await archive.heads("visitor 0"))[0].id)
        await bring(archive)


async def test_one_of_many_takes_a_part_of_the_places(tmp_path: Path) -> None:
    async with working(tmp_path / "kept.db", Secretary(ears_gate=asyncio.Semaphore(0))) as archive:
        for _ in range(MAX_WAITING_OF_ONE):
            await bring(archive)
        with pytest.raises(ArchiveFull, match="8 recordings of yours"):
            await bring(archive)
        await archive.receive("ben 4567", "meeting.ogg", blocks_of(meeting()))


async def test_whoever_watches_what_is_deleted_is_told(tmp_path: Path) -> None:
    async with working(tmp_path / "kept.db", Secretary(ears_gate=asyncio.Semaphore(0))) as archive:
        recording = await bring(archive)
        watching = asyncio.create_task(until_over(archive, recording))
        await asyncio.sleep(0.1)
        await archive.delete(OWNER, recording)
        assert (await watching)[-1] == Progress("failed", failure=DELETED)


async def test_a_model_that_listens_takes_what_has_hardly_any_sound(tmp_path: Path) -> None:
    async with working(tmp_path / "kept.db") as archive:
        for content in (wav(silence(1.0)), wav(np.full(1600, 0.1, np.float32))):
            recording = await bring(archive, content)
            assert (await until_over(archive, recording))[-1] == Progress("ready", 1.0)


async def test_what_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "LONGEST_S", 20.0)
    async with working(tmp_path / "kept.db") as archive:
        recording = await bring(archive)
        last = (await until_over(archive, recording))[-1]
        assert isinstance(last, Progress) and "longer than" in last.failure and "cut it into parts" in last.failure
        assert not await archive.can_try_again(await archive.read(OWNER, recording))


async def test_questions_are_asked_with_the_words_or_with_the_sound_of_a_note(tmp_path: Path) -> None:
    model = Secretary()
    async with working(tmp_path / "kept.db", model) as archive:
        recording = await bring(archive)
        await until_over(archive, recording)
        pieces = [piece async for piece in await archive.ask(OWNER, recording, "What was ordered?")]
        assert Searched(1.0) in pieces and "It was about tents" in "".join(p for p in pieces if isinstance(p, str))
        stored = await archive.read(OWNER, recording)
        assert isinstance(pieces[-1], Cited)
        assert pieces[-1].spans[0].start_s == stored.said[1].message.start_ms / 1000
        pieces = [piece async for piece in await archive.ask(OWNER, recording, "By when?", "note_1")]
        note = next(note for note in stored.notes if note.id == "note_1")
        assert pieces == ["", "It was about tents; 1 clips.", Cited(note.spans)]
        (clip,) = model.requests[-1][-1].clips
        wanted_s = note.spans[0].end_s - note.spans[0].start_s + 1.0
        assert clip.duration_s == pytest.approx(wanted_s, abs=0.01) and np.abs(clip.samples).max() > 0.05
        with pytest.raises(NotStored, match="no such note"):
            await archive.ask(OWNER, recording, "Why?", "note_99")
        await archive.edit_note(OWNER, recording, "note_1", {"text": "Order chairs.", "owner": "Ben"})
        await archive.remove_note(OWNER, recording, "note_2")
        stored = await archive.read(OWNER, recording)
        assert [note.text for note in stored.notes][1:] == ["Order chairs."]


async def test_nobody_sees_what_is_anothers(tmp_path: Path) -> None:
    async with working(tmp_path / "kept.db") as archive:
        recording = await bring(archive)
        await until_over(archive, recording)
        for other in ("", "ben 4567"):
            assert await archive.heads(other) == [] and await archive.find(other, "tents") == []
            for asking in (archive.read, archive.sound, archive.delete):
                with pytest.raises(NotStored):
                    await asking(other, recording)
            with pytest.raises(NotStored):
                await archive.rename(other, recording, "mine")
            with pytest.raises(NotStored):
                await archive.ask(other, recording, "What was said?")


async def test_an_answer_that_nobody_waits_for_gives_way_to_one_that_somebody_does() -> None:
    load, inner = AnswerLoad(), ScriptedModel([["one ", "two ", "three"]], gate=(gate := asyncio.Semaphore(1)))
    share, model = load.share(lambda _: None), BackgroundModel(inner, load)

    async def answer() -> str:
        events = model.generate([Message("user", ("Why?",))], GenerationOptions(), dialogue="notes")
        return "".join([event.text async for event in events if isinstance(event, TextDelta)])

    asked = asyncio.create_task(answer())
    await until(lambda: gate.locked() and bool(inner.requests))
    with share.answering():
        gate.release()
        await until(lambda: inner.cancelled == 1)
        await asyncio.sleep(0.1)
        assert len(inner.requests) == 1, "it stands still"
    for _ in range(3):
        gate.release()
    assert await asyncio.wait_for(asked, 5) == "one two three" and len(inner.requests) == 2


async def test_two_processes_do_not_work_on_one_recording(tmp_path: Path) -> None:
    gate = asyncio.Semaphore(2)
    async with working(tmp_path / "kept.db", Secretary(ears_gate=gate)) as first:
        recording = await bring(first)
        other = Secretary()
        async with working(tmp_path / "kept.db", other):
            await asyncio.sleep(0.5)
            assert not other.asked, "the first one is at it"
            for _ in SAID:
                gate.release()
            await until_over(first, recording)
    late = Secretary()
    async with working(tmp_path / "kept.db", late) as archive:
        archive._put(recording)  # as a process that knew of it before it was done
        await until(lambda: not archive._waiting)
        stored = await archive.read(OWNER, recording)
        assert stored.head.review is not None and stored.head.review.state == "ready" and not late.asked
        assert files_in(tmp_path / "kept.db-audio") == {recording, "user.oga"}


async def test_a_full_disk_is_said_and_the_work_can_be_tried_again(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 2000) as disk:
        ballast = disk / "ballast"
        async with working(disk / "kept.db") as archive:
            ballast.write_bytes(bytes(1_300_000))
            with pytest.raises(OSError, match="No space left"):
                await bring(archive, bytes(1_000_000))
            assert await archive.heads(OWNER) == []
            recording = await bring(archive)
            last = (await until_over(archive, recording))[-1]
            assert isinstance(last, Progress) and last.failure == NO_DISK
            ballast.unlink()
            await archive.try_again(OWNER, recording)
            assert (await until_over(archive, recording))[-1] == Progress("ready", 1.0)
            assert len((await archive.read(OWNER, recording)).said) == len(SAID)
