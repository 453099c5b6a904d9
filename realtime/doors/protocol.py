"""What a client may send on our own wire, pure: text in, commands out. No socket, no asyncio.

A client's command is a JSON object with a `type`, named as in the OpenAI Realtime API wherever that API has a name for
the thing, and then it means the same: `conversation.item.create` with `input_text`, `response.create`,
`response.cancel`, `input_audio_buffer.clear` and `.commit`, `session.update` with `turn_detection` (null: no turn ends
by itself). Ours are `push_to_talk.press` and `.release`, `conversation.clear`, `session.metrics`, `session.close`, and
the switches `muted` and `protect_answer` in `session.update`. A client that says how far it has read (`Resume`) gets
what came after that, and nothing twice.

Whatever a client sends, nothing but `ProtocolError` is raised here, and its message tells the client what to send
instead. Read `envelope.py` for audio, `event_text.py` for what goes out, `lobby.py` for who carries the commands out.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast, get_args

from realtime.inbox import ImportedMessage, NoteEdited, SpeakerNamed
from realtime.settings import SettingChanges
from realtime.turns.observations import Address, Patience

MAX_MESSAGE_CHARACTERS = 1_000_000  # of one JSON message: 47 s of audio at 16 kHz, mu-law in base64
MAX_VALUES = 30_000  # in one JSON message, by its commas and brackets; a typed text may have 20,000 of them
MAX_DIGITS = 20  # of an integer; long ones take long to read
MAX_NESTING = 16  # of objects and lists in one message; the deepest command has 4
MAX_ECHOED_CHARACTERS = 100  # of what a client sent, in an error
MAX_NOTE_CHARACTERS = 2000  # of all that changes in one
MAX_TOKEN_CHARACTERS = 64  # of what a client says to come back to its session


class ProtocolError(Exception):
    """The client sent what is no message; says in a sentence what is wrong."""


# ---- Commands ----


@dataclass(frozen=True, slots=True)
class AddText:
    """What was typed is part of the user's turn, or of the next one."""

    text: str


@dataclass(frozen=True, slots=True)
class RequestAnswer:
    """What was said and typed is to be answered."""


@dataclass(frozen=True, slots=True)
class EndTurn:
    """The spoken turn ends here, and is to be answered."""


@dataclass(frozen=True, slots=True)
class ClearSpeech:
    """What is being said is to be dropped."""


@dataclass(frozen=True, slots=True)
class CancelResponse:
    """The answer under way is to stop."""


@dataclass(frozen=True, slots=True)
class ClearConversation:
    """A new conversation is to begin."""


@dataclass(frozen=True, slots=True)
class PressToTalk:
    """The push-to-talk key is pressed."""


@dataclass(frozen=True, slots=True)
class ReleaseToTalk:
    """The push-to-talk key is released."""


@dataclass(frozen=True, slots=True)
class RequestMetrics:
    """The session's numbers are wanted now."""


@dataclass(frozen=True, slots=True)
class ChangeSettings:
    """Settings are to change; those that are not named stay as they are."""

    changes: SettingChanges


@dataclass(frozen=True, slots=True)
class TakeBack:
    """A message, and all that follow it, are to be forgotten: another one comes in its place."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ImportConversation:
    """A new conversation is to begin, with this as what was said before."""

    messages: tuple[ImportedMessage, ...]


@dataclass(frozen=True, slots=True)
class EditNote:
    """A note of a call is to change, or to go."""

    edit: NoteEdited


@dataclass(frozen=True, slots=True)
class NameSpeaker:
    """One of several speakers of a call gets a name."""

    named: SpeakerNamed


@dataclass(frozen=True, slots=True)
class CloseSession:
    """The client goes for good: nobody will come back for its session."""


Command = (
    AddText
    | RequestAnswer
    | EndTurn
    | ClearSpeech
    | CancelResponse
    | ClearConversation
    | PressToTalk
    | ReleaseToTalk
    | RequestMetrics
    | ChangeSettings
    | TakeBack
    | ImportConversation
    | EditNote
    | CloseSession
    | NameSpeaker
)

_PLAIN_COMMANDS: dict[str, Command] = {
    "response.create": RequestAnswer(),
    "response.cancel": CancelResponse(),
    "input_audio_buffer.clear": ClearSpeech(),
    "input_audio_buffer.commit": EndTurn(),
    "push_to_talk.press": PressToTalk(),
    "push_to_talk.release": ReleaseToTalk(),
    "conversation.clear": ClearConversation(),
    "session.metrics": RequestMetrics(),
    "session.close": CloseSession(),
}


def read_command(message: str | bytes) -> Command:
    """Gives the command of one message.

    Raises:
        ProtocolError: the message is no command.
    """
    return command_of(parse(message))


def command_of(message: dict[str, Any]) -> Command:
    """Does the same with a message that `parse` gave."""
    match message:
        case {"type": "conversation.item.create", "item": dict(item)}:
            _refuse_others(message, "type", "event_id", "item")
            return AddText(_text_of(item))
        case {"type": "session.update", "session": dict(changes)}:
            _refuse_others(message, "type", "event_id", "session")
            return ChangeSettings(_settings_of(changes))
        case {"type": "conversation.item.truncate_after", "item_id": str(item_id)}:
            _refuse_others(message, "type", "event_id", "item_id")
            return TakeBack(item_id)
        case {"type": "conversation.import", "items": list(items)}:
            _refuse_others(message, "type", "event_id", "items")
            return ImportConversation(tuple(map(_imported, items)))
        case {"type": "call.note.update", "note": dict(note)}:
            _refuse_others(message, "type", "event_id", "note")
            return EditNote(read_note_edit(note))
        case {"type": "call.note.delete", "id": str(note_id)}:
            _refuse_others(message, "type", "event_id", "id")
            return EditNote(NoteEdited(note_id=note_id, is_removed=True))
        case {"type": "call.speaker.name", "speaker": str(speaker), "name": str(name)}:
            _refuse_others(message, "type", "event_id", "speaker", "name")
            return NameSpeaker(SpeakerNamed(speaker, name))
        case {"type": str(name)} if name in _PLAIN_COMMANDS:
            _refuse_others(message, "type", "event_id")
            return _PLAIN_COMMANDS[name]
        case {"type": str(name)}:
            raise ProtocolError(
                f"unknown command or wrong fields in {short(name)}; see the README for what is understood"
            )
        case _:
            raise ProtocolError('a command is a JSON object with a "type"')


def _refuse_others(message: dict[str, Any], *known: str) -> None:
    """Refuses fields that would have no effect: who sends them counts on one."""
    if unknown := [name for name in message if name not in known]:
        raise ProtocolError(f"{short(unknown[0])} has no effect here; leave it out (known are {', '.join(known)})")


def _text_of(item: dict[str, Any]) -> str:
    _refuse_others(item, "type", "role", "content", "object", "status")
    if item.get("type", "message") != "message" or item.get("role", "user") != "user":
        raise ProtocolError('an item is a "message" of the role "user"; nothing else can be added to the conversation')
    content = item.get("content")
    texts = [_text_of_part(part) for part in content] if isinstance(content, list) else []
    if not any(texts):
        raise ProtocolError('an item needs "content": [{"type": "input_text", "text": "…"}], with some text in it')
    return "\n".join(texts)


def _text_of_part(part: Any) -> str:
    match part:
        case {"type": "input_text", "text": str(text)}:
            return text
        case _:
            raise ProtocolError(
                f'the content of an item is text, {{"type": "input_text", "text": "…"}}, and not {short(part)}; audio '
                "comes as it is spoken"
            )


def _imported(item: Any) -> ImportedMessage:
    match item:
        case {"role": "user" | "assistant" as role, "text": str(text)}:
            return ImportedMessage(role, text)
        case _:
            raise ProtocolError(
                f'an item to import is {{"role": "user" or "assistant", "text": "…"}}, and not {short(item)}'
            )


def read_note_edit(note: dict[str, Any]) -> NoteEdited:
    """Reads how a person changes a note; raises `ProtocolError`."""
    _refuse_others(note, "id", "text", "owner", "deadline", "is_done")
    match note:
        case {"id": str(note_id)} if (
            all(isinstance(note.get(name, ""), str) for name in ("text", "owner", "deadline"))
            and isinstance(note.get("is_done", False), bool)
            and sum(len(str(value)) for value in note.values()) <= MAX_NOTE_CHARACTERS
        ):
            changes = {name: value for name, value in note.items() if name != "id"}
            return NoteEdited(note_id=note_id, **changes)
        case _:
            raise ProtocolError(
                'a note has an "id", and of "text", "owner", "deadline" and "is_done" (true or false) those '
                f"that change, of {MAX_NOTE_CHARACTERS} characters together at most"
            )


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_SETTINGS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "muted": (_is_switch, "true or false"),
    "protect_answer": (_is_switch, "true or false"),
    "captions": (_is_switch, "true or false"),
    "spoken": (_is_switch, "true or false"),
    "turn_detection": (lambda value: value in (None, {}), "null or {}: how turns end is set when the server starts"),
    "patience": (lambda value: value in get_args(Patience), '"low", "normal" or "high"'),
    "address": (lambda value: value in get_args(Address), '"always" or "when-asked"'),
    "instructions": (_is_text, "a text"),
    "temperature": (_is_number, "a number"),
    "max_output_tokens": (_is_integer, "a whole number"),
    "model": (_is_text, "the name of a model"),
    "voice": (_is_text, "the name of a voice"),
}


def _settings_of(changes: dict[str, Any]) -> SettingChanges:
    """Reads settings by their form; whether a value can be is the session's to say."""
    settings: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in _SETTINGS:
            raise ProtocolError(f"there is no setting {short(name)}; there are {', '.join(_SETTINGS)}")
        is_right, form = _SETTINGS[name]
        if not is_right(value):
            raise ProtocolError(f"cannot set {name} to {short(value)}; it is {form}")
        settings[name] = value is not None if name == "turn_detection" else value
    return cast(SettingChanges, settings)


# ---- Coming back ----


@dataclass(frozen=True, slots=True)
class Resume:
    """The client can come back to its session, and does so if there is one with this token.

    Attributes:
        token: which `session.created` gave it; "" the first time.
        after: number of the last event that it has.
    """

    token: str
    after: int


def read_resume(value: Any) -> Resume:
    """Reads the `resume` of an offer, or of a `start`.

    Raises:
        ProtocolError: it is none.
    """
    match value:
        case {"token": str(token), "after": int(after)} if (
            len(token) <= MAX_TOKEN_CHARACTERS and not isinstance(after, bool) and after >= 0
        ):
            return Resume(token, after)
        case _:
            raise ProtocolError(
                f'"resume" is {{"token": the resume_token of session.created or "", "after": the sequence of the last '
                f"event that came or 0}}, and not {short(value)}"
            )


# ---- JSON ----


def parse(message: str | bytes) -> dict[str, Any]:
    """Reads one JSON object of bounded size and depth.

    Raises:
        ProtocolError: it is none.
    """
    if len(message) > MAX_MESSAGE_CHARACTERS:
        raise ProtocolError(f"the message has {len(message)} characters; at most {MAX_MESSAGE_CHARACTERS} fit")
    signs: tuple[Any, ...] = (b",", b"[", b"{") if isinstance(message, bytes) else (",", "[", "{")
    n_commas, *n_brackets = map(message.count, signs)
    if n_commas + sum(n_brackets) > MAX_VALUES:  # a megabyte of them would take a third of a second
        raise ProtocolError(f"the message has more than {MAX_VALUES} commas and brackets; send less at a time")
    try:
        text = message.decode() if isinstance(message, bytes) else message
    except UnicodeDecodeError:
        raise ProtocolError("the message is not text: send JSON in UTF-8, and audio in base64 within it") from None
    try:
        content = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the message is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ProtocolError('a message is a JSON object with a "type" or an "event"')
    if sum(n_brackets) > MAX_NESTING and _is_deeper_than(MAX_NESTING, content):
        raise ProtocolError(f"the message is nested more than {MAX_NESTING} deep")
    return content


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits; at most {MAX_DIGITS} fit")
    return int(digits)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_constant=_refuse)


def _is_deeper_than(limit: int, content: dict[str, Any]) -> bool:
    level: list[Any] = [content]
    for _ in range(limit):
        inner: list[Any] = []
        for value in level:
            inner.extend(value.values() if isinstance(value, dict) else value)
        level = [value for value in inner if isinstance(value, dict | list)]
        if not level:
            return False
    return True


def short(value: Any) -> str:
    """Shows what a client sent, in an error; the beginning of it, if it is long."""
    text = repr(value)
    return text if len(text) <= MAX_ECHOED_CHARACTERS else f"{text[:MAX_ECHOED_CHARACTERS]}…"
