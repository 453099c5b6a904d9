"""Runs a session that is stored, and reads what came of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.base import AudioLanguageModel
from realtime.recordings.store.database import Store
from realtime.recordings.store.reading import StoredConversation, read_conversation
from realtime.recordings.store.sound import Pcm, read_sound
from realtime.recordings.store.stored_session import StoredSession
from realtime.recordings.store.writer import StoreWriter
from tests.session.conversing import OPTIONS, Conversation, conversing


@dataclass(slots=True)
class Kept:
    """A session that is stored."""

    conversation: Conversation
    stored: StoredSession
    writer: StoreWriter
    told: list[tuple[str, bool]] = field(default_factory=list)


@asynccontextmanager
async def keeping(
    model: AudioLanguageModel, open_: Callable[[], Store], *, options: Any = OPTIONS, **more: Any
) -> AsyncIterator[Kept]:
    """Runs a session and stores it in the store that is opened."""
    writer, told = StoreWriter(open_()), []
    stored = StoredSession(writer, lambda message, is_over: told.append((message, is_over)))
    try:
        async with conversing(model, replace(options, stored=True), taps=[stored], **more) as conversation:
            yield Kept(conversation, stored, writer, told)
    finally:
        await writer.close()


def read(store: Store, conversation: str) -> StoredConversation:
    """Reads a conversation, and closes the store."""
    try:
        return read_conversation(store, conversation)
    finally:
        store.close()


def samples_of(path: Path) -> Pcm:
    """All that is in a file of sound, int16 (n_samples,)."""
    return np.concatenate([np.zeros(0, np.int16), *read_sound(path)])


def files_with(folder: Path, word: str) -> list[Path]:
    """The files under a folder in which a word is, in any case."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if word.lower().encode() in path.read_bytes().lower()]
