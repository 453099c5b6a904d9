"""Writes conversations down for people and programs: Markdown, JSON, subtitles, WAV, or all of it in one ZIP.

A WAV file has the user on its left and, where answers were read aloud, these on its right, each where it was heard.
Subtitles have the times of the same clock. Read `reading.py` for what a conversation is.
"""

import json
import wave
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from models.types import SAMPLE_RATE_HZ, VOICE_RATE_HZ
from realtime.recordings.store.errors import StoreError
from realtime.recordings.store.reading import Said, Sound, StoredConversation
from realtime.recordings.store.sound import Pcm, read_sound
from realtime.recordings.store.tracks import ANSWERS, SENT

NAMES = {"user": "You", "assistant": "Earpiece"}
MIN_SUBTITLE_MS = 1000  # what was typed has no length
MAX_SUBTITLE_MS = 7000  # of an answer without sound, which nobody reads for longer


def to_markdown(conversation: StoredConversation) -> str:
    """The conversation as a person reads it."""
    head = conversation.head
    ended = "" if head.ended_s is not None else ", goes on or was cut off"
    parts = [f"# {head.started} UTC", f"{head.id}, answered by {head.model}{ended}"]
    for said in conversation.said:
        parts.append(f"**{_name_of(said)}** ({_clock(said.message.start_ms)}){_notes_on(said)}\n\n{_words_of(said)}")
    return "\n\n".join(parts) + "\n"


def to_json(conversation: StoredConversation) -> dict[str, Any]:
    """Everything that is known of the conversation, except its sound."""
    head, said = asdict(conversation.head), [asdict(each) for each in conversation.said]
    sounds = [
        {"track": sound.track, "rate_hz": sound.rate_hz, "file": sound.path.name} for sound in conversation.sounds
    ]
    return {"conversation": head, "messages": said, "sounds": sounds}


def to_srt(conversation: StoredConversation) -> str:
    """The words as subtitles of what `write_wav` writes."""
    blocks = []
    shown = sorted((said for said in conversation.said if said.shown), key=lambda said: said.message.start_ms)
    for number, said in enumerate(shown, 1):
        start_ms, end_ms = said.message.start_ms, max(said.message.end_ms, said.message.start_ms + MIN_SUBTITLE_MS)
        if said.message.role == "assistant" and said.message.track is None:
            end_ms = min(end_ms, start_ms + MAX_SUBTITLE_MS)
        words = "\n".join(line for line in said.shown.splitlines() if line.strip())
        blocks.append(f"{number}\n{_srt_time(start_ms)} --> {_srt_time(end_ms)}\n{_name_of(said)}: {words}\n")
    return "\n".join(blocks)


def write_wav(conversation: StoredConversation, path: Path) -> None:
    """Writes what was heard.

    Raises:
        StoreError: there was no sound, or it is not there any more.
        OSError: the file cannot be written.
    """
    users = [sound for sound in conversation.sounds if sound.track != ANSWERS and not sound.track.startswith(SENT)]
    answers = [sound for sound in conversation.sounds if sound.track == ANSWERS]
    if not users and not answers:
        raise StoreError(f"{conversation.head.id}: there is no sound in this conversation")
    rate_hz = VOICE_RATE_HZ if answers else SAMPLE_RATE_HZ
    left = _mixed([_blocks(sound, rate_hz) for sound in users])
    channels = [left, *(_blocks(sound, rate_hz) for sound in answers)]
    blocks = zip_longest(*channels, fillvalue=np.zeros(0, np.int16))
    first = next(blocks, ())  # before a file is made: the sound may not be there
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        for block in chain([first], blocks):
            file.writeframes(_side_by_side(block).tobytes())


def write_zip(conversations: Sequence[StoredConversation], path: Path) -> list[Path]:
    """Writes everything, a folder for each conversation; gives the files of sound that are missing.

    Raises:
        OSError: the file cannot be written.
    """
    missing = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for conversation in conversations:
            folder = conversation.head.id
            archive.writestr(f"{folder}/conversation.md", to_markdown(conversation))
            archive.writestr(f"{folder}/conversation.srt", to_srt(conversation))
            text = json.dumps(to_json(conversation), ensure_ascii=False, indent=1)
            archive.writestr(f"{folder}/conversation.json", text)
            for sound in conversation.sounds:
                try:
                    archive.write(sound.path, f"{folder}/{sound.path.name}", zipfile.ZIP_STORED)
                except FileNotFoundError:
                    missing.append(sound.path)
    return missing


# Words.


def _name_of(said: Said) -> str:
    return said.message.speaker or NAMES.get(said.message.role, said.message.role)


def _words_of(said: Said) -> str:
    return said.shown or ("(its words were not written down)" if said.message.track else "(nothing)")


def _notes_on(said: Said) -> str:
    message, notes = said.message, []
    if message.file_name is not None:
        notes.append(f"from {message.file_name}")
    if message.interrupted:
        notes.append("interrupted")
    if not message.is_addressed:
        notes.append("said to others")
    return f", {', '.join(notes)}" if notes else ""


def _clock(ms: int) -> str:
    minutes, seconds = divmod(ms // 1000, 60)
    return f"{minutes}:{seconds:02}"


def _srt_time(ms: int) -> str:
    minutes, rest_ms = divmod(ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest_ms // 1000:02},{rest_ms % 1000:03}"


# Sound.


def _blocks(sound: Sound, rate_hz: int) -> Iterator[Pcm]:
    """The samples of a track at a rate, in blocks of a second."""
    rest = np.zeros(0, np.int16)
    for piece in _resampled(sound, rate_hz):
        rest = np.concatenate((rest, piece))
        while len(rest) >= rate_hz:
            yield rest[:rate_hz]
            rest = rest[rate_hz:]
    if len(rest):
        yield rest


def _resampled(sound: Sound, rate_hz: int) -> Iterator[Pcm]:
    if sound.rate_hz == rate_hz:
        yield from read_sound(sound.path)
        return
    resampler = soxr.ResampleStream(sound.rate_hz, rate_hz, 1, dtype="int16")
    for piece in read_sound(sound.path):
        yield resampler.resample_chunk(piece)
    yield resampler.resample_chunk(np.zeros(0, np.int16), last=True)


def _mixed(tracks: Sequence[Iterator[Pcm]]) -> Iterator[Pcm]:
    for block in zip_longest(*tracks, fillvalue=np.zeros(0, np.int16)):
        total = np.zeros(max(map(len, block)), np.int32)
        for samples in block:
            total[: len(samples)] += samples
        yield np.clip(total, -32768, 32767).astype(np.int16)


def _side_by_side(channels: Sequence[Pcm]) -> Pcm:
    frames = np.zeros((max(map(len, channels), default=0), len(channels)), np.int16)
    for number, samples in enumerate(channels):
        frames[: len(samples), number] = samples
    return frames
