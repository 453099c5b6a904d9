"""`python app.py store`: what a person does with the conversations that `--store` keeps.

Lists, searches, shows, plays, exports, imports and deletes them. Read `store_parser.py` for what each takes.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from commands.errors import UsageError
from realtime.hearing.files import printable

if TYPE_CHECKING:
    from realtime.recordings.store.database import Store
    from realtime.recordings.store.reading import StoredConversation
    from realtime.recordings.store.writer import StoreWriter

SHOWN_CHARACTERS = 100  # of a message that was found


@contextmanager
def opened(options: argparse.Namespace, *, must_exist: bool = True) -> "Iterator[Store]":
    """Opens the store that the options name; what is wrong with it is an error of the person's to mend."""
    from realtime.recordings.store.database import open_store
    from realtime.recordings.store.errors import StoreError

    if not options.store:
        raise UsageError("--store: say which store: the path or URL that the server was given")
    try:
        store = open_store(options.store, options.store_audio, must_exist=must_exist)
        try:
            yield store
        finally:
            store.close()
    except StoreError as error:
        raise UsageError(str(error)) from error


def open_writer(options: argparse.Namespace) -> "StoreWriter | None":
    """Gives what writes into the store of `--store`, which is made if there is none; None: there is to be none.

    Raises:
        UsageError: the store cannot be used.
    """
    if not options.store:
        return None
    from realtime.recordings.store.database import open_store
    from realtime.recordings.store.errors import StoreError
    from realtime.recordings.store.writer import StoreWriter

    try:
        return StoreWriter(open_store(options.store, options.store_audio))
    except StoreError as error:
        raise UsageError(str(error)) from error


def list_all(options: argparse.Namespace) -> None:
    """Lists the conversations, the newest first."""
    from realtime.recordings.store.reading import list_conversations

    with opened(options) as store:
        heads = list_conversations(store)
    for head in heads:
        length = "" if head.duration_s is None else f"{head.duration_s / 60:.1f} min"
        kind, count = f"{head.kind:<12}", f"{head.n_messages:>4} messages"
        print(f"{head.id}  {head.started}  {kind}  {length:>9}  {count}  {printable(head.title)}")
    if not heads:
        print("There are no conversations in this store", file=sys.stderr)


def search(options: argparse.Namespace) -> None:
    """Prints the messages in which all words are."""
    from realtime.recordings.store.reading import MAX_FOUND, excerpt
    from realtime.recordings.store.reading import search as find

    with opened(options) as store:
        found = find(store, " ".join(options.words))
    for each in found:
        print(f"{each.conversation}  {each.role:<9}  {printable(excerpt(each.words, options.words, SHOWN_CHARACTERS))}")
    if not found:
        print("Nothing was found", file=sys.stderr)
    if len(found) == MAX_FOUND:
        print(f"These are the newest {MAX_FOUND}; more words find less", file=sys.stderr)


def show(options: argparse.Namespace) -> None:
    """Prints one conversation."""
    from realtime.recordings.store.exporting import to_markdown

    with opened(options) as store:
        print("\n".join(map(printable, to_markdown(_read(store, options.id)).splitlines())))


def play(options: argparse.Namespace) -> None:
    """Writes the sound of one conversation into a WAV file, or says where it is."""
    with opened(options) as store:
        conversation = _read(store, options.id)
        if options.output is not None:
            _write_wav(conversation, options.output)
            return
    if not conversation.sounds:
        raise UsageError(f"{conversation.head.id}: there is no sound in this conversation")
    for sound in conversation.sounds:
        if not sound.path.is_file():
            raise UsageError(f"{sound.path}: the sound is not there any more; `store show` has the words")
        print(sound.path)


def export(options: argparse.Namespace) -> None:
    """Writes one conversation or all of them in one of the formats."""
    from realtime.recordings.store import exporting
    from realtime.recordings.store.reading import list_conversations

    if options.format in ("wav", "srt", "vtt") and not options.id:
        raise UsageError(f"--format {options.format}: it takes the id of one conversation; zip takes all")
    with opened(options) as store:
        ids = [options.id] if options.id else [head.id for head in reversed(list_conversations(store))]
        conversations = [_read(store, each) for each in ids]
        name = conversations[0].head.id if options.id else "conversations"
        match options.format:
            case "wav":
                _write_wav(conversations[0], options.output or Path(f"{name}.wav"))
            case "zip":
                _write_zip(conversations, options.output or Path(f"{name}.zip"))
            case "json":
                found = [exporting.to_json(each) for each in conversations]
                _write_text(json.dumps(found[0] if options.id else found, ensure_ascii=False, indent=1), options)
            case "srt" | "vtt":
                write = exporting.to_srt if options.format == "srt" else exporting.to_vtt
                _write_text(write(conversations[0]).rstrip("\n"), options)
            case _:
                _write_text("\n".join(map(exporting.to_markdown, conversations)).rstrip("\n"), options)


def bring_in(options: argparse.Namespace) -> None:
    """Imports a recording, and prints the id that it has in the store."""
    from realtime.recordings.replay import RecordingError
    from realtime.recordings.store.importing import import_recording
    from realtime.recordings.store.writer import StoreWriter

    async def work() -> str:
        writer = StoreWriter(store)
        try:
            return await import_recording(writer, options.recording)
        finally:
            await writer.close()

    with opened(options, must_exist=False) as store:
        try:
            print(asyncio.run(work()))
        except RecordingError as error:
            raise UsageError(str(error)) from error


def delete(options: argparse.Namespace) -> None:
    """Deletes conversations: rows, words in the index and sound."""
    from realtime.recordings.store.deleting import delete_conversations
    from realtime.recordings.store.reading import full_id

    with opened(options) as store:
        ids = list(dict.fromkeys(full_id(store, each) for each in options.ids))
        delete_conversations(store, ids)
    for each in ids:
        print(f"{each} is deleted, words and sound")


def _read(store: "Store", beginning: str) -> "StoredConversation":
    from realtime.recordings.store.reading import full_id, read_conversation

    return read_conversation(store, full_id(store, beginning))


def _write_wav(conversation: "StoredConversation", path: Path) -> None:
    from realtime.recordings.store.mixing import write_wav

    with _writing(path):
        write_wav(conversation, path)
    print(path)


def _write_zip(conversations: "Sequence[StoredConversation]", path: Path) -> None:
    from realtime.recordings.store.exporting import write_zip

    with _writing(path):
        missing = write_zip(conversations, path)
    for file in missing:
        print(f"earpiece: {file}: the sound is not there any more; its words are exported", file=sys.stderr)
    print(path)


def _write_text(text: str, options: argparse.Namespace) -> None:
    if options.output is None:
        print(text)
        return
    with _writing(options.output):
        options.output.write_text(f"{text}\n", "utf-8")
    print(options.output)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give another -o") from error
