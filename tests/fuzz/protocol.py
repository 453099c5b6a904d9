"""Messages of our own wire, broken: they are read in bounded time, and nothing but `ProtocolError` is raised."""

import json
import random
import time
from typing import Any

from realtime.doors.envelope import EnvelopeReader
from realtime.doors.protocol import ProtocolError

NAME = "protocol"
MAX_WORK_S = 0.05
MAX_ERROR_CHARACTERS = 1000

ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]}
MESSAGES: tuple[dict[str, Any], ...] = (
    {"event": "start", "websocket_id": "any"},
    {"event": "media", "media": {"payload": "AAAA////"}},
    {"event": "ping"},
    {"event": "stop"},
    {"type": "conversation.item.create", "item": ITEM},
    {"type": "response.create"},
    {"type": "response.cancel"},
    {"type": "session.update", "session": {"muted": True, "protect_answer": False, "turn_detection": None}},
    {"type": "input_audio_buffer.commit"},
    {"type": "push_to_talk.press"},
    {"type": "conversation.clear"},
    {"type": "session.metrics"},
    {"event": "start", "websocket_id": "any", "resume": {"token": "x", "after": 1}},
    {"type": "session.update", "session": {"patience": "low", "instructions": "", "temperature": 1, "model": "x"}},
    {"type": "conversation.item.truncate_after", "item_id": "x"},
    {"type": "conversation.import", "items": [{"role": "user", "text": "x"}]},
    {"type": "session.close"},
)
VALUES: tuple[Any, ...] = (None, True, 0, -1, 1e308, "", "x" * 300_000, "\ud800", "é", [], {}, [[[[]]]], ["x"] * 50_000)
TEXTS = (
    "NaN",
    "-Infinity",
    "1e999",
    "9" * 5000,
    "[" * 2000,
    "{" * 40_000,
    '{"a":' * 20,
    "\x00",
    "\\ud800",
    '"',
    ",",
    "}",
)


def make_case(rng: random.Random) -> bytes:
    """Takes a message, puts something else in one of its places, and breaks its text now and then."""
    message = json.loads(json.dumps(rng.choice(MESSAGES)))
    inner: Any = message
    while True:
        key = rng.choice(list(inner) if isinstance(inner, dict) else list(range(len(inner))))
        if not isinstance(inner[key], dict | list) or not inner[key] or rng.random() < 0.5:
            break
        inner = inner[key]
    if rng.random() < 0.8:
        inner[key] = rng.choice(VALUES)
    text = json.dumps(message)
    if rng.random() < 0.4:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(TEXTS) + text[at + rng.randrange(3) :]
    content = bytearray(text.encode())
    if rng.random() < 0.2:
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


def check(case: bytes) -> None:
    """Reads one message, before and after the start, as text where it is text.

    Raises:
        AssertionError: it takes too long, or the error is no sentence.
    """
    try:
        message: str | bytes = case.decode()
    except UnicodeDecodeError:
        message = case
    for before in ((), (json.dumps(MESSAGES[0]),)):
        reader = EnvelopeReader()
        for known in before:
            reader.read(known)
        began_s = time.thread_time()
        try:
            reader.read(message)
        except ProtocolError as error:
            assert 0 < len(str(error)) <= MAX_ERROR_CHARACTERS, "the error is no sentence"
        assert time.thread_time() - began_s < MAX_WORK_S, "reading the message takes too long"
