"""The spans of turns, as an exporter gets them; `test_nothing_said.py` has them sent to a receiver over HTTP."""

import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from commands.errors import UsageError
from commands.tracing import open_tracing
from models.errors import GenerationFailed
from models.scripted import ScriptedModel, ScriptedVoice
from models.types import Samples
from realtime.telemetry.tracing import CLOSE_LIMIT_S, Tracing
from tests.conftest import silence
from tests.doors.clients import websocket_client
from tests.servers import serving
from tests.session.conversing import conversing, loud, quiet


@pytest.fixture
def memory() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def by_name(spans: tuple[ReadableSpan, ...]) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans}


def lengths_s(spans: tuple[ReadableSpan, ...]) -> Iterator[float]:
    for span in spans:
        assert span.start_time is not None and span.end_time is not None
        yield (span.end_time - span.start_time) / 1e9


async def test_a_spoken_turn_shows_where_its_time_went(
    memory: InMemorySpanExporter, speech: Callable[[str], Samples]
) -> None:
    began_ns = time.time_ns()
    model = ScriptedModel([["It ", "is."]], transcripts=["the capital"], word_s=0.05)
    with serving(model, voice=ScriptedVoice(), tracing=Tracing(memory)) as port:
        async with websocket_client(port) as client:
            await client.send({"type": "session.update", "session": {"spoken": True}})
            await client.say(np.concatenate([speech("question_capital"), silence(2.5)]))
            await client.until("response.done")
    spans = by_name(memory.get_finished_spans())
    assert spans.keys() == {
        *("turn", "listening", "endpoint wait", "chat scripted", "first token", "decode", "speaking")
    }
    assert all(length_s >= 0 for length_s in lengths_s(memory.get_finished_spans()))
    turn, chat = spans["turn"], spans["chat scripted"]
    for child in ("listening", "endpoint wait", "chat scripted", "speaking"):
        parent = spans[child].parent
        assert parent is not None and parent.span_id == turn.context.span_id, child
    assert spans["decode"].parent is not None and spans["decode"].parent.span_id == chat.context.span_id
    assert turn.start_time is not None and began_ns < turn.start_time < time.time_ns()
    assert 0.3 < next(lengths_s((spans["endpoint wait"],))) < 3
    assert turn.attributes is not None and chat.attributes is not None
    assert turn.attributes["earpiece.turn.kind"] == "spoken"
    assert 0 < float(str(turn.attributes["earpiece.turn.response_latency_s"])) < 3
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.attributes["gen_ai.request.model"] == "scripted"
    assert chat.attributes["gen_ai.usage.output_tokens"] == 2
    assert chat.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert turn.resource.attributes["service.name"] == "earpiece"


async def test_an_answer_that_is_taken_back_and_one_that_fails_are_in_the_spans_of_their_turns(
    memory: InMemorySpanExporter,
) -> None:
    tracing = Tracing(memory)
    model = ScriptedModel([["First."], ["Second."], [GenerationFailed("no")]])
    async with conversing(model, taps=[tracing.tap()]) as conversation:
        await conversation.hear(loud(1), quiet(0.3), loud(1), quiet(1))
        assert conversation.of("response.retracted")
        await conversation.hear(loud(1), quiet(1))
        await conversation.until("response.done", 2)
    await tracing.close()
    spans = memory.get_finished_spans()
    turns = [span for span in spans if span.name == "turn"]
    answers = [span for span in spans if span.name == "chat scripted"]
    assert [span.attributes and span.attributes["earpiece.turn.retractions"] for span in turns] == [1, 0]
    statuses = [span.attributes and span.attributes["earpiece.answer.status"] for span in answers]
    assert statuses == ["retracted", "completed", "failed"]
    assert [span.status.status_code for span in turns] == [StatusCode.UNSET, StatusCode.ERROR]


class StuckExporter(SpanExporter):
    """A collector that takes for ever, as far as anybody would wait."""

    def export(self, spans: object) -> SpanExportResult:
        """Takes long."""
        time.sleep(CLOSE_LIMIT_S + 2)
        return SpanExportResult.SUCCESS


async def test_a_collector_that_hangs_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    tracing = Tracing(StuckExporter())
    async with conversing(ScriptedModel([["Yes."]]), taps=[tracing.tap()]) as conversation:
        await conversation.hear(loud(1), quiet(1))
    began_s = time.monotonic()
    await tracing.close()
    assert time.monotonic() - began_s < CLOSE_LIMIT_S + 1
    assert "the last spans could not be sent" in caplog.text


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT: it must begin with http://"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: spans go as http/protobuf alone",
        ),
    ],
)
def test_variables_that_cannot_be_are_named(environment: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        open_tracing(environment)


def test_without_the_packages_a_sentence_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(
        UsageError, match=r"packages for it are missing .*pip install -c constraints.txt -e '.\[otel\]'"
    ):
        open_tracing({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318"})


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_sent_unless_it_was_asked_for(environment: dict[str, str]) -> None:
    assert open_tracing(environment) is None
