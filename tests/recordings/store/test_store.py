"""A session is stored while it goes on: words, answers and sound, of which nothing provisional or unheard is kept."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.scripted import ScriptedModel, ScriptedVoice
from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ, Transcript, Word
from realtime.events import SessionCreated
from realtime.hearing.audio import to_int16
from realtime.inbox import ImportedMessage
from realtime.recordings.recorder import SessionRecorder
from realtime.recordings.replay import read_recording, replay
from realtime.recordings.store.deleting import DAY_S, delete_conversations, delete_older
from realtime.recordings.store.errors import StoreError
from realtime.recordings.store.importing import import_recording
from realtime.recordings.store.reading import StoredConversation, full_id, list_conversations, search
from realtime.recordings.store.tidying import looked_after
from realtime.recordings.store.writer import StoreWriter
from realtime.speaking import SpeakingOptions
from realtime.turns.observations import DEFAULT_SPEAKER
from tests.recordings.store.conftest import Place
from tests.recordings.store.keeping import files_with, keeping, read, samples_of
from tests.session.conversing import OPTIONS, conversing, loud, loudness_detector, quiet


def words_of(conversation: StoredConversation) -> list[tuple[str, str]]:
    return [(said.message.role, said.shown) for said in conversation.said]


async def test_words_answers_and_sound_are_stored(place: Place) -> None:
    words = (Word("What", 0.1, 0.3, 0.9), Word("xylophone?", 0.4, 0.9, 0.5))
    model = ScriptedModel([["A ", "kumquat."], ["Typed."]], transcripts=[Transcript("What xylophone?", words)])
    async with keeping(model, place.open) as kept:
        await kept.conversation.hear(quiet(0.5), loud(1.0), quiet(1.5))
        kept.conversation.session.submit_text("mirabelle \0 too")
        await kept.conversation.until("response.done", 2)
        assert await kept.stored.confirmed()
        (created,) = kept.conversation.of("session.created")
        assert isinstance(created, SessionCreated) and created.stored
        store = place.open()
        assert list_conversations(store)[0].ended_s is None
        store.close()
    found = read(place.open(), kept.stored.id)
    assert words_of(found) == [
        ("user", "What xylophone?"),
        ("assistant", "A kumquat."),
        ("user", "mirabelle \ufffd too"),
        ("assistant", "Typed."),
    ]
    spoken, answered, *_ = found.said
    assert spoken.caption is not None and spoken.caption.words == words
    assert answered.answer is not None and answered.answer.status == "completed"
    assert 150 <= spoken.message.start_ms <= 250, "with what the detector keeps before the onset"
    assert abs(spoken.message.end_ms - 1500) < 100
    assert found.head.ended_s is not None and found.head.title == "What xylophone?"
    (sound,) = found.sounds
    heard = samples_of(sound.path)
    expected = to_int16(np.concatenate((quiet(0.5), loud(1.0), quiet(1.5))))
    assert np.array_equal(heard, expected), "sound is kept to the bit"
    assert sound.path.stat().st_mode & 0o077 == 0
    assert kept.told == []


async def test_what_is_said_is_found_by_its_words_alone(place: Place) -> None:
    model = ScriptedModel([["An ", "apricot ", "tree."]], transcripts=["Which TREE has fruit?"])
    async with keeping(model, place.open) as kept:
        await kept.conversation.hear(loud(1.0), quiet(1.5))
    store = place.open()
    for query, n_found in (("tree", 2), ("fruit tree", 1), ("apri", 0), ('"tree', 2), ("tree OR nothing", 0)):
        assert len(search(store, query)) == n_found, query
    with pytest.raises(StoreError, match="no word to search for"):
        search(store, "*?!")
    assert full_id(store, kept.stored.id[:17]) == kept.stored.id
    for wrong in ("x", "%", kept.stored.id + "0"):
        with pytest.raises(StoreError, match="no conversation"):
            full_id(store, wrong)
    store.close()


async def test_what_is_taken_back_provisional_or_muted_is_not_stored(sqlite_place: Place, tmp_path: Path) -> None:
    gate = asyncio.Semaphore(2)
    model = ScriptedModel([["Persimmon ", "first."], ["Second ", "answer."], ["Third."]], gate=gate)
    async with keeping(model, sqlite_place.open) as kept:
        session = kept.conversation.session
        await kept.conversation.hear(loud(0.5), quiet(0.3), wait=False)
        await kept.conversation.until("response.output_text.delta")
        await kept.conversation.hear(loud(0.5), quiet(0.3), wait=False)
        await kept.conversation.until("response.retracted")
        for _ in range(20):
            gate.release()
        await kept.conversation.hear(quiet(1.5))
        session.submit_text("a medlar that I regret")
        await kept.conversation.until("response.done", 2)
        added = [event for event in kept.conversation.of("conversation.item.created") if "medlar" in event.text]  # type: ignore[union-attr]
        session.remove_from(added[0].item_id)  # type: ignore[union-attr]
        session.change_settings(muted=True)
        await kept.conversation.hear(loud(1.0))
    found = read(sqlite_place.open(), kept.stored.id)
    assert words_of(found) == [("user", ""), ("assistant", "Second answer.")]
    assert not samples_of(found.sounds[0].path)[-SAMPLE_RATE_HZ:].any()
    assert files_with(tmp_path, "persimmon") == files_with(tmp_path, "medlar") == []


async def test_an_answer_that_is_read_aloud_is_kept_as_far_as_it_was_heard(sqlite_place: Place) -> None:
    options = replace(OPTIONS, speaking=SpeakingOptions(spoken=True))
    model = ScriptedModel([["One ", "two ", "three ", "four ", "five ", "six ", "seven."], ["Yes."]])
    async with keeping(model, sqlite_place.open, options=options, voice=ScriptedVoice()) as kept:
        await kept.conversation.hear(loud(0.5), quiet(1.3), loud(1.0), quiet(2.5))
        await kept.conversation.until("response.done", 2)
    found = read(sqlite_place.open(), kept.stored.id)
    user, cut, _, whole = found.said
    assert cut.message.interrupted and cut.message.track == whole.message.track == "answers"
    assert cut.answer is not None and cut.answer.status == "cancelled"
    (answers, _) = found.sounds
    heard = samples_of(answers.path)
    length_ms = cut.message.end_ms - cut.message.start_ms
    assert 0 < length_ms < 1400, "seven words are 1.4 s"
    assert user.message.end_ms < cut.message.start_ms < whole.message.start_ms
    for said in (cut, whole):
        start, end = (ms * VOICE_RATE_HZ // 1000 for ms in (said.message.start_ms, said.message.end_ms))
        assert heard[start:end].any() and not heard[max(0, start - 2400) : start - 1].any()


async def test_files_and_imported_conversations_are_stored(sqlite_place: Place) -> None:
    model = ScriptedModel([["Heard."]])
    sent = loud(0.5) / 4
    async with keeping(model, sqlite_place.open) as kept:
        session = kept.conversation.session
        session.import_conversation([ImportedMessage("user", "Old?"), ImportedMessage("assistant", "Old.")])
        session.submit_recording(sent, "dog\ud83d.wav")
        await kept.conversation.until("response.done")
    found = read(sqlite_place.open(), kept.stored.id)
    assert words_of(found) == [("user", "Old?"), ("assistant", "Old."), ("user", ""), ("assistant", "Heard.")]
    message = found.said[2].message
    assert (message.file_name, message.track) == ("dog\ufffd.wav", "file-1")
    assert found.said[1].answer is None
    assert np.array_equal(samples_of(found.sounds[0].path), to_int16(sent))


async def test_gaps_are_silence_and_repeated_sound_counts_once(sqlite_place: Place) -> None:
    async with keeping(ScriptedModel([["Yes."]]), sqlite_place.open) as kept:
        await kept.conversation.hear(loud(0.32))
        await kept.conversation.skip(1000)
        await kept.conversation.hear(loud(0.32))
        await kept.conversation.skip(-320)
        await kept.conversation.hear(loud(0.32))
    found = read(sqlite_place.open(), kept.stored.id)
    heard = samples_of(found.sounds[0].path)
    assert len(heard) == 3 * len(loud(0.32)) + 1000 - 320
    assert not heard[len(loud(0.32)) :][:1000].any() and heard[len(loud(0.32)) + 1000 :].all()


async def test_a_deleted_conversation_leaves_no_word_and_no_sound(place: Place, tmp_path: Path) -> None:
    model = ScriptedModel([["A ", "quincunx."]], transcripts=["What is a zymurgy?"])
    kept_ids = []
    for text in ("typed sphygmograph", "typed marmalade"):
        async with keeping(model, place.open) as kept:
            await kept.conversation.hear(loud(0.5), quiet(1.5))
            kept.conversation.session.submit_text(text)
            await kept.conversation.until("response.done", 2)
        kept_ids.append(kept.stored.id)
    store = place.open()
    assert store.is_sqlite == bool(files_with(tmp_path, "sphygmograph")), "the test would notice"
    delete_conversations(store, kept_ids[:1])
    assert [head.id for head in list_conversations(store)] == kept_ids[1:]
    assert search(store, "sphygmograph") == [] and len(search(store, "marmalade")) == 1
    assert files_with(tmp_path, "sphygmograph") == []
    delete_conversations(store, kept_ids[1:])
    store.close()
    for word in ("quincunx", "zymurgy", "marmalade"):
        assert files_with(tmp_path, word) == []
    assert files_with(tmp_path, "OggS") == []


async def test_old_conversations_are_deleted(sqlite_place: Place) -> None:
    async with keeping(ScriptedModel([["Yes."]]), sqlite_place.open) as kept:
        await kept.conversation.hear(loud(0.5), quiet(1.5))
    store = sqlite_place.open()
    (head,) = list_conversations(store)
    assert delete_older(store, 2, now_s=head.started_s + 1.9 * DAY_S) == 0
    assert delete_older(store, 2, now_s=head.started_s + 2.1 * DAY_S) == 1
    assert list_conversations(store) == [] and not (store.sounds / kept.stored.id).exists()
    store.close()


async def test_a_recording_is_imported_as_it_would_have_been_stored(sqlite_place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "20260102-030405-000006"
    recorder = SessionRecorder(folder)
    model = ScriptedModel([["One."], ["Two."]], transcripts=["First?", "Second?"])
    options = replace(OPTIONS, stored=True)
    writer = StoreWriter(sqlite_place.open())
    async with conversing(model, options, taps=[recorder]) as conversation:
        await conversation.hear(loud(1.0), quiet(1.5))
        await conversation.hear(loud(0.5), quiet(1.5))
    try:
        imported = await import_recording(writer, folder)
    finally:
        await writer.close()
    found = read(sqlite_place.open(), imported)
    assert found.head.started == "2026-01-02 03:04:05"
    assert [words for _, words in words_of(found)] == ["First?", "One.", "Second?", "Two."]
    recording = read_recording(folder)
    assert np.array_equal(samples_of(found.sounds[0].path), to_int16(recording.audio[DEFAULT_SPEAKER]))
    again = await replay(recording, detectors={DEFAULT_SPEAKER: loudness_detector(OPTIONS.vad)})
    assert again.difference is None, "that it was stored is in the recording, too"


async def test_a_server_deletes_what_is_old_when_it_starts(sqlite_place: Place) -> None:
    async with keeping(ScriptedModel([["Yes."]]), sqlite_place.open) as kept:
        await kept.conversation.hear(loud(0.5), quiet(1.5))
    for days, n_left in ((1.0, 1), (1e-9, 0)):
        writer = StoreWriter(sqlite_place.open())
        async with looked_after(writer, days):
            await asyncio.sleep(0)  # it begins
            await writer.run(lambda: None)
        store = sqlite_place.open()
        assert len(list_conversations(store)) == n_left
        store.close()
