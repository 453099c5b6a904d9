"""Writes conversations down for people and programs: Markdown, JSON, subtitles, or all of it in one ZIP.

Calls and recordings read like minutes: notes first, then what was said. All times are those of the sound. Read
`reading.py` for what a conversation is, `mixing.py` for its sound.
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from realtime.notes import subtitles, writing
from realtime.notes.minutes import Line, Minutes, Span
from realtime.notes.writing import clock
from realtime.recordings.store.reading import Said, StoredConversation

NAMES = {"user": "You", "assistant": "Earpiece"}
MIN_SUBTITLE_MS = 1000  # what was typed has no length
MAX_SUBTITLE_MS = 7000  # of an answer without sound, which nobody reads for longer


def to_markdown(conversation: StoredConversation) -> str:
    """The conversation as a person reads it."""
    head = conversation.head
    if head.kind != "conversation":
        return writing.to_markdown(to_minutes(conversation), date=f"{head.started} UTC", with_transcript=True)
    ended = "" if head.ended_s is not None else ", goes on or was cut off"
    parts = [f"# {head.started} UTC", f"{head.id}, answered by {head.model}{ended}"]
    for said in conversation.said:
        at = clock(said.message.start_ms / 1000)
        parts.append(f"**{_name_of(said)}** ({at}){_notes_on(said)}\n\n{_words_of(said)}")
    return "\n\n".join(parts) + "\n"


def to_json(conversation: StoredConversation) -> dict[str, Any]:
    """Everything that is known of the conversation, except its sound."""
    head, said = asdict(conversation.head), [asdict(each) for each in conversation.said]
    sounds = [
        {"track": sound.track, "rate_hz": sound.rate_hz, "file": sound.path.name} for sound in conversation.sounds
    ]
    notes = [asdict(note) for note in conversation.notes]
    return {"conversation": head, "messages": said, "notes": notes, "sounds": sounds}


def to_srt(conversation: StoredConversation) -> str:
    """The words as subtitles (SubRip) of the sound."""
    return subtitles.to_srt(to_minutes(conversation).lines)


def to_vtt(conversation: StoredConversation) -> str:
    """The words as subtitles (WebVTT) of the sound."""
    return subtitles.to_vtt(to_minutes(conversation).lines)


def to_minutes(conversation: StoredConversation) -> Minutes:
    """What was said and noted; not what was suggested in a call, which nobody has said."""
    head = conversation.head
    lines = [
        _line_of(said, _name_of(said) if head.kind == "conversation" else said.message.speaker)
        for said in sorted(conversation.said, key=lambda said: said.message.start_ms)
        if head.kind == "conversation" or said.message.role == "user"
    ]
    length_s = max([head.duration_s or 0.0, *(line.span.end_s for line in lines)])
    remarks = () if head.review is None else head.review.remarks
    return Minutes(
        title=head.title or head.id, duration_s=length_s, notes=conversation.notes, lines=tuple(lines), remarks=remarks
    )


def _line_of(said: Said, speaker: str | None) -> Line:
    message, caption = said.message, said.caption
    start_ms, end_ms = message.start_ms, max(message.end_ms, message.start_ms + MIN_SUBTITLE_MS)
    if message.track is not None:
        end_ms = message.end_ms
    elif message.role == "assistant":
        end_ms = min(end_ms, start_ms + MAX_SUBTITLE_MS)
    span = Span(start_s=start_ms / 1000, end_s=end_ms / 1000, speaker=speaker)
    words = () if caption is None or message.text else caption.words
    by_s = span.start_s
    timed = tuple(replace(word, start_s=word.start_s + by_s, end_s=word.end_s + by_s) for word in words)
    return Line(span=span, text=said.shown, words=timed)


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
            archive.writestr(f"{folder}/conversation.vtt", to_vtt(conversation))
            text = json.dumps(to_json(conversation), ensure_ascii=False, indent=1)
            archive.writestr(f"{folder}/conversation.json", text)
            for sound in conversation.sounds:
                try:
                    archive.write(sound.path, f"{folder}/{sound.path.name}", zipfile.ZIP_STORED)
                except FileNotFoundError:
                    missing.append(sound.path)
    return missing


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
