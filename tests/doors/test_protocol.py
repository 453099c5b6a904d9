"""Our wire without a socket: what is sent to clients, and what they may send."""

import audioop
import base64
import dataclasses
import json
import typing
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.types import Word
from realtime.doors.envelope import EnvelopeReader, Media, Ping, Start, Stop, decode_mu_law
from realtime.doors.event_text import WIRE_NAMES, dump, to_wire
from realtime.doors.protocol import (
    MAX_MESSAGE_CHARACTERS,
    MAX_NESTING,
    AddText,
    CancelResponse,
    ChangeSettings,
    ClearConversation,
    ClearSpeech,
    CloseSession,
    EndTurn,
    ImportConversation,
    PressToTalk,
    ProtocolError,
    ReleaseToTalk,
    RequestAnswer,
    RequestMetrics,
    TakeBack,
    parse,
    read_command,
)
from realtime.events import (
    MessageAdded,
    MessageDrafted,
    MessageTranscribed,
    SessionEvent,
    TranscriptionFailed,
    UserSpeechStarted,
)
from realtime.inbox import ImportedMessage

START = '{"event": "start", "websocket_id": "any"}'


def typed(text: str, **fields: Any) -> str:
    return typed_parts([{"type": "input_text", "text": text}], **fields)


def typed_parts(parts: list[dict[str, str]], **fields: Any) -> str:
    item = {"type": "message", "content": parts, **fields}
    return json.dumps({"type": "conversation.item.create", "item": item})


def test_every_event_has_a_name_of_its_own() -> None:
    assert set(WIRE_NAMES) == set(typing.get_args(SessionEvent))
    assert len(set(WIRE_NAMES.values())) == len(WIRE_NAMES)


def test_an_event_is_its_name_and_its_fields() -> None:
    event = UserSpeechStarted(item_id="item_1_2", audio_start_ms=320)
    expected = {"type": "input_audio_buffer.speech_started", "item_id": "item_1_2", "audio_start_ms": 320}
    assert to_wire(event) == json.loads(dump(event)) == expected


def test_a_speaker_nobody_has_named_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = dataclasses.make_dataclass(
        "Spoken", [("speaker", str | None, None), ("text", str, "")], frozen=True, kw_only=True
    )
    monkeypatch.setitem(WIRE_NAMES, kind, "spoken")
    assert to_wire(kind(text="Hello")) == {"type": "spoken", "text": "Hello"}
    assert to_wire(kind(speaker="A")) == {"type": "spoken", "speaker": "A", "text": ""}


def test_words_go_out_as_openai_has_them() -> None:
    words = (Word("Grüß", 0.0, 0.3, 1.0), Word("Gott.", 0.3, 0.6, 0.0))
    wire = to_wire(MessageTranscribed(item_id="i", transcript="Grüß Gott.", words=words))
    logprobs = wire.pop("logprobs")
    assert wire == {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "i",
        "content_index": 0,
        "transcript": "Grüß Gott.",
        "is_foreign": False,
    }
    assert "".join(entry["token"] for entry in logprobs) == "Grüß Gott."
    assert b"".join(bytes(entry["bytes"]) for entry in logprobs).decode() == "Grüß Gott."
    assert logprobs[0]["logprob"] == 0 and -20 < logprobs[1]["logprob"] < -10
    assert to_wire(MessageTranscribed(item_id="i", transcript="Grüß Gott."))["logprobs"] is None
    assert to_wire(MessageDrafted(item_id="i", delta="Grüß", draft="Gott")) == {
        "type": "conversation.item.input_audio_transcription.delta",
        "item_id": "i",
        "content_index": 0,
        "delta": "Grüß",
        "draft": "Gott",
    }
    failed = to_wire(TranscriptionFailed(item_id="i", message="the ears failed"))
    assert failed["error"] == {"type": "server_error", "message": "the ears failed"}


def test_what_is_sent_is_ascii_whatever_was_said() -> None:
    text = dump(MessageAdded(item_id="i", role="user", text="«日本» \ud800", audio_s=0.5))
    assert text.isascii() and json.loads(text)["text"].startswith("«日本»")


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ({"type": "response.cancel"}, CancelResponse()),
        ({"type": "conversation.clear"}, ClearConversation()),
        ({"type": "input_audio_buffer.clear"}, ClearSpeech()),
        ({"type": "input_audio_buffer.commit", "event_id": "mine"}, EndTurn()),
        ({"type": "push_to_talk.press"}, PressToTalk()),
        ({"type": "push_to_talk.release"}, ReleaseToTalk()),
        ({"type": "session.metrics"}, RequestMetrics()),
        ({"type": "response.create"}, RequestAnswer()),
        ({"type": "session.update", "session": {}}, ChangeSettings({})),
        ({"type": "session.update", "session": {"muted": True}}, ChangeSettings({"muted": True})),
        (
            {"type": "session.update", "session": {"protect_answer": False, "turn_detection": None}},
            ChangeSettings({"protect_answer": False, "turn_detection": False}),
        ),
        ({"type": "session.update", "session": {"turn_detection": {}}}, ChangeSettings({"turn_detection": True})),
        (
            {
                "type": "session.update",
                "session": {"patience": "high", "instructions": "", "temperature": 1, "max_output_tokens": 9},
            },
            ChangeSettings({"patience": "high", "instructions": "", "temperature": 1, "max_output_tokens": 9}),
        ),
        ({"type": "conversation.item.truncate_after", "item_id": "i"}, TakeBack("i")),
        (
            {
                "type": "conversation.import",
                "items": [{"role": "user", "text": "Hi."}, {"role": "assistant", "text": "x"}],
            },
            ImportConversation((ImportedMessage("user", "Hi."), ImportedMessage("assistant", "x"))),
        ),
        ({"type": "session.close"}, CloseSession()),
    ],
)
def test_commands_are_read(message: dict[str, Any], command: object) -> None:
    assert read_command(json.dumps(message)) == command
    assert read_command(json.dumps(message).encode()) == command


def test_the_parts_of_an_item_are_one_text() -> None:
    parts = [{"type": "input_text", "text": text} for text in ("One.", "Two.")]
    assert read_command(typed_parts(parts, role="user")) == AddText("One.\nTwo.")


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("{not json", "not JSON"),
        (b"\xff\xfe", "not text"),
        (b"\x00\x00\x01\x00", "not JSON"),
        ("", "not JSON"),
        ("[1, 2]", "JSON object"),
        ('{"hello": 1}', '"type"'),
        ('{"type": 5}', '"type"'),
        ('{"type": "dance"}', "dance"),
        ('{"type": "x", "a": NaN}', "NaN"),
        ('{"type": "session.update"}', "wrong fields"),
        ('{"type": "session.update", "session": {"muted": 1}}', "true or false"),
        ('{"type": "session.update", "session": {"voice": 5}}', "name of a voice"),
        ('{"type": "session.update", "session": {"turn_detection": false}}', "null or {}"),
        ('{"type": "session.update", "session": {"turn_detection": {"threshold": 0.5}}}', "when the server starts"),
        ('{"type": "session.update", "session": {"address": "never"}}', '"always" or "when-asked"'),
        ('{"type": "session.update", "session": {"patience": "endless"}}', '"low", "normal" or "high"'),
        ('{"type": "session.update", "session": {"patience": {}}}', '"low", "normal" or "high"'),
        ('{"type": "session.update", "session": {"temperature": true}}', "a number"),
        ('{"type": "session.update", "session": {"max_output_tokens": 1.5}}', "a whole number"),
        ('{"type": "session.update", "session": {"instructions": null}}', "a text"),
        ('{"type": "conversation.item.truncate_after", "item_id": 5}', "wrong fields"),
        ('{"type": "conversation.import", "items": [{"role": "system", "text": "x"}]}', '"user" or "assistant"'),
        ('{"type": "conversation.import", "items": "x"}', "wrong fields"),
        ('{"type": "session.close", "now": 1}', "'now' has no effect"),
        ('{"type": "response.create", "response": {"instructions": "Sing."}}', "'response' has no effect"),
        (typed("x", role="system"), "role"),
        (typed("x", id="mine"), "'id' has no effect"),
        (typed(""), "input_text"),
        (typed_parts([{"type": "input_text", "text": "x"}, {"type": "input_audio", "audio": "AA"}]), "input_audio"),
        ('{"type": "conversation.item.create", "item": {"content": []}}', "input_text"),
        ('{"type": "conversation.item.create"}', "wrong fields"),
        ("[" * 20_000, "not JSON"),
        ('{"type": [' + "[]," * 20_000 + "0]}", "commas and brackets"),
        (b'{"type": [' + b"[]," * 20_000 + b"0]}", "commas and brackets"),
        ('{"type": ' + "9" * 21 + "}", "21 digits"),
        ('{"type": ' + "[" * MAX_NESTING + "]" * MAX_NESTING + "}", "nested"),
        ('{"type": "' + "x" * MAX_MESSAGE_CHARACTERS + '"}', "characters"),
        ('{"type": "' + "x" * 5000 + '"}', "x…"),
    ],
)
def test_what_is_wrong_with_a_command_is_said(message: str | bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=r"^.{1,400}$") as error:
        read_command(message)
    assert complaint in str(error.value)


def test_the_deepest_message_that_is_read() -> None:
    assert parse('{"a": ' + "[" * (MAX_NESTING - 1) + "]" * (MAX_NESTING - 1) + "}")


def test_the_envelope_of_a_websocket() -> None:
    reader = EnvelopeReader()
    assert reader.read('{"event": "ping"}') == Ping()
    assert reader.read(START) == Start()
    payload = base64.b64encode(bytes(range(256))).decode()
    media = reader.read(json.dumps({"event": "media", "media": {"payload": payload}}))
    assert isinstance(media, Media)
    assert media.samples.dtype == np.int16 and media.samples.shape == (256,)
    assert reader.read('{"type": "response.cancel"}') == CancelResponse()
    assert reader.read('{"event": "stop"}') == Stop()


@pytest.mark.parametrize(
    ("started", "message", "complaint"),
    [
        (False, '{"event": "start"}', "websocket_id"),
        (False, '{"event": "start", "websocket_id": ""}', "websocket_id"),
        (True, START, "once"),
        (False, '{"event": "media", "media": {"payload": "AAAA"}}', "start"),
        (False, '{"type": "response.cancel"}', "start"),
        (True, '{"event": "media"}', "payload"),
        (True, '{"event": "media", "media": {"payload": "%%%"}}', "base64"),
        (True, '{"event": "media", "media": {"payload": "é"}}', "base64"),
        (True, '{"event": "dance"}', "dance"),
        (True, '{"event": ["list"]}', "list"),
        (True, '{"hello": 1}', '"type"'),
    ],
)
def test_what_is_wrong_with_an_envelope_is_said(started: bool, message: str, complaint: str) -> None:
    reader = EnvelopeReader()
    if started:
        reader.read(START)
    with pytest.raises(ProtocolError) as error:
        reader.read(message)
    assert complaint in str(error.value)
    if not started:
        assert reader.read(START) == Start(), "a failed start is no start"


def test_mu_law_is_decoded_as_the_standard_library_does() -> None:
    every_byte = bytes(range(256))
    assert decode_mu_law(every_byte).tobytes() == audioop.ulaw2lin(every_byte, 2)
    assert decode_mu_law(b"").shape == (0,)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
WORDS = st.sampled_from(
    [*WIRE_NAMES.values(), "session.update", "response.create", "conversation.item.create", "start"]
)
MESSAGES = st.one_of(
    st.text(),
    st.binary(),
    JSON.map(json.dumps),
    st.fixed_dictionaries({"type": WORDS}, optional={"session": JSON, "item": JSON}).map(json.dumps),
    st.fixed_dictionaries({"event": WORDS | st.just("media")}, optional={"media": JSON, "websocket_id": JSON}).map(
        json.dumps
    ),
)


@given(st.lists(MESSAGES, max_size=5))
def test_nothing_but_the_errors_of_the_protocol_is_raised(messages: list[str | bytes]) -> None:
    for read in (EnvelopeReader().read, read_command):
        for message in (*messages, START, *messages):
            try:
                read(message)
            except ProtocolError as error:
                assert str(error)
