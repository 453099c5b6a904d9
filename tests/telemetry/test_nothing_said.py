"""Nothing that anybody says, types or is answered leaves the conversation for metrics, spans, logs or the disk."""

import json
import os
from pathlib import Path

import httpx
import numpy as np

from models.types import Samples
from realtime.hearing.files import read_audio_file
from tests.conftest import CLIPS, silence
from tests.doors.clients import webrtc_client, websocket_client
from tests.telemetry.running import SpanReceiver, receiving_spans, running

TYPED, SPOKEN, ANSWERED = "xylotyped", "quokkaspoken", "zwiebelanswered"
SERVER = f"""
import logging
import sys
import app
import commands.loading
from models.errors import GenerationFailed
from models.scripted import ScriptedModel, ScriptedVoice
from models.types import Transcript, Word

def load_model(*_):
    for name in ("", "realtime", "models", "commands"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    words = Transcript("{SPOKEN}", (Word("{SPOKEN}", 0.1, 0.4, 0.9),))
    said = ["{ANSWERED} ", "{ANSWERED}."]
    answers = [said, said, ["{ANSWERED} ", GenerationFailed("it broke")], said]
    return ScriptedModel(answers, sounds=[words])

ScriptedModel.has_ears = True
commands.loading.load_model = load_model
commands.serve.load_voice = lambda *_: ScriptedVoice()
sys.exit(app.main(sys.argv[1:]))
"""
ARGUMENTS = ("--endpointing", "silence", "--ears", "none", "-v", "--log-format", "json", "--voice", "af_heart")


async def talk(port: int, speech: Samples) -> list[str]:
    """Says, types and sends the words in every way, and gives what the client was told of an answer that failed.

    Of messages that it does not understand, the server quotes the beginning, to their sender and to nobody else.
    """
    async with websocket_client(port) as client:
        await client.send({"type": "session.update", "session": {"spoken": True, "instructions": f"Say {TYPED}."}})
        await client.say(np.concatenate([speech, silence(1.5)]))
        await client.until("conversation.item.input_audio_transcription.completed")
        await client.until("response.done")
        assert SPOKEN in str(client.events) and ANSWERED in str(client.events), "or there is nothing to be found"
        await client.type_text(f"What is {TYPED}?")
        await client.until("response.done", 2)
        await client.send({"type": "conversation.import", "items": [{"role": "user", "text": TYPED}]})
        await client.type_text(f"And {TYPED}?")
        await client.until("response.done", 3)
        complaints = [event["message"] for event in client.of("error")]
        assert complaints, "of the answer that broke"
        n_errors = len(complaints)
        for broken in (
            f'{{"type": "{TYPED}", ',
            f"{TYPED}",
            {"type": "conversation.item.create", "item": TYPED},
            {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": [TYPED]}},
            {"type": "conversation.import", "items": [TYPED]},
        ):
            n_errors += 1
            await client.send(broken)
            await client.until("error", n_errors)
    async with webrtc_client(port) as client:
        await client.type_text(f"What is {TYPED}?")
        await client.until("response.done")
    return complaints


async def test_rare_words_are_found_nowhere_but_in_the_conversation(tmp_path: Path) -> None:
    speech = read_audio_file(CLIPS / "question_capital.ogg").samples
    log, folder = tmp_path / "log", tmp_path / "temporary"
    folder.mkdir()
    with receiving_spans() as (address, receiver):
        told_to_send = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer key",
        }
        environment = {**os.environ, **told_to_send, "OTEL_SERVICE_NAME": "reception", "TMPDIR": str(folder)}
        async with running(SERVER, log, *ARGUMENTS, environment=environment) as port:
            complaints = await talk(port, speech)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
                told = [(await http.get(path)).text for path in ("/metrics", "/health", "/healthz", "/readyz")]
            check_log(log.read_text("utf-8"))
            kept = [path.read_text("utf-8", "replace") for path in folder.rglob("*") if path.is_file()]
    assert told[0].count("earpiece_answers_total") > 3
    check_spans(receiver)
    for place in (*told, *kept, *complaints, log.read_text("utf-8"), *map(str, receiver.bodies)):
        for word in (TYPED, SPOKEN, ANSWERED):
            assert word not in place.lower()


def check_log(text: str) -> None:
    """Looks whether the log is JSON, a line for each answer and one for the failure among it."""
    lines = [json.loads(line) for line in text.splitlines()]
    turns = [line for line in lines if line["logger"] == "realtime.answers" and line["level"] == "INFO"]
    assert len(turns) == 4
    assert all("response_latency_s" in line["message"] and line["session"].startswith("sess_") for line in turns)
    (failure,) = [line for line in lines if line["level"] == "WARNING" and "it broke" in line["message"]]
    assert failure["session"] == turns[0]["session"]


def check_spans(receiver: SpanReceiver) -> None:
    """Looks whether spans came, as the environment said."""
    assert {span.name for span in receiver.spans} >= {"turn", "chat scripted", "speaking"}
    assert receiver.headers["authorization"] == "Bearer key"
    resource = receiver.requests[0].resource_spans[0].resource
    assert ("service.name", "reception") in {(one.key, one.value.string_value) for one in resource.attributes}
