"""What the archive's door says in JSON: heads, recordings, steps of the work, pieces of an answer.

Read `archive.py` for when it does.
"""

from dataclasses import asdict
from typing import Any

from realtime.archive.asking import AnswerPiece, Cited, Searched
from realtime.archive.work import Progress
from realtime.notes.minutes import Line
from realtime.notes.published import line_to_json, span_to_json, to_json
from realtime.recordings.store.exporting import to_minutes
from realtime.recordings.store.reading import ConversationHead, Found, StoredConversation, excerpt

EXCERPT_CHARACTERS = 160


def head_to_json(head: ConversationHead) -> dict[str, Any]:
    """What a list shows of a recording, a call or a conversation."""
    review = head.review
    return {
        "id": head.id,
        "name": head.title,
        "kind": head.kind,
        "model": head.model,
        "started_s": head.started_s,
        "duration_s": head.duration_s,
        "n_messages": head.n_messages,
        "state": "ready" if review is None else review.state,
        "failure": "" if review is None else review.failure,
    }


def recording_to_json(stored: StoredConversation, *, can_try_again: bool) -> dict[str, Any]:
    """All of it; `minutes` is as the published schema says."""
    review = stored.head.review
    about = "" if review is None else review.about
    has_sound = any(sound.path.is_file() for sound in stored.sounds)
    minutes = to_json(to_minutes(stored))
    more = {"about": about, "has_sound": has_sound, "can_try_again": can_try_again, "minutes": minutes}
    return head_to_json(stored.head) | more


def found_to_json(found: Found, query: str) -> dict[str, Any]:
    """Where something was found, with the words around it."""
    words = excerpt(found.words, query.split(), EXCERPT_CHARACTERS)
    return {"recording": found.conversation, "role": found.role, "start_s": found.start_s, "words": words}


def step_to_json(step: Progress | Line) -> dict[str, Any]:
    """One event of the work on a recording."""
    match step:
        case Progress():
            return {"type": "progress", **asdict(step)}
        case _:
            return {"type": "line", "line": line_to_json(step)}


def piece_to_json(piece: AnswerPiece) -> dict[str, Any]:
    """One event of an answer."""
    match piece:
        case Searched(share=share):
            return {"type": "searched", "share": share}
        case Cited(spans=spans):
            return {"type": "done", "spans": [span_to_json(span) for span in spans]}
        case _:
            return {"type": "delta", "delta": piece}
