"""Spans of every turn for OpenTelemetry: how long was listened, waited, computed and spoken, and no words.

    turn                        speech was noticed, to the end of its answer
    ├── listening               to the last voiced sample
    ├── endpoint wait           to the end of the turn
    ├── chat MODEL              an answer, also one that was taken back: the model was asked, to its last word
    │   ├── prefill             the prompt was computed
    │   ├── first token         the model was asked, to its first word
    │   └── decode              to its last word
    └── speaking                the answer was heard

A turn's spans are made when it is over, from the times that a tap has noted, and wait in a bounded queue until a thread
of OpenTelemetry's sends them: the event loop never does, and a collector that is away costs spans and nothing else.
Needs the packages of `.[otel]`, so that only who has them imports this module. Read `turn_times.py` for the tap.
"""

import asyncio
import logging
import threading

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

from realtime.taps import Tap
from realtime.telemetry.turn_times import GenerationTimes, TurnReport, TurnWatch

logger = logging.getLogger(__name__)

CLOSE_LIMIT_S = 3.0  # for the last spans to be sent
UNNAMED = "unknown_service"  # what the SDK calls a service without a name

Attributes = dict[str, str | bool | int | float | list[str]]


class Tracing:
    """Makes spans of turns, and has them sent.

    Args:
        exporter: sends them, on a thread of its own.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        resource = Resource.create()
        if str(resource.attributes.get(SERVICE_NAME, UNNAMED)).startswith(UNNAMED):
            resource = resource.merge(Resource({SERVICE_NAME: "earpiece"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("earpiece")

    def tap(self) -> Tap:
        """Gives what notes the turns of one session."""
        return TurnWatch(self.send)

    def send(self, report: TurnReport) -> None:
        """Makes the spans of one turn."""
        turn = report.times
        attributes: Attributes = {
            "session.id": report.session_id,
            "earpiece.turn.kind": "spoken" if turn.audio_s else "typed",
            "earpiece.turn.audio_s": turn.audio_s,
            "earpiece.turn.is_addressed": turn.is_addressed,
            "earpiece.turn.retractions": sum(answer.status == "retracted" for answer in turn.generations),
        }
        if turn.response_latency_s is not None:
            attributes["earpiece.turn.response_latency_s"] = turn.response_latency_s
        spans = _Spans(self, report.epoch_s)
        root = spans.begin("turn", turn.began_s, None, attributes)
        within = set_span_in_context(root)
        spans.add("listening", turn.began_s, turn.last_voiced_s, within)
        spans.add("endpoint wait", turn.last_voiced_s, turn.committed_s, within)
        for answer in turn.generations:
            _add_answer(spans, answer, within, report)
        silent_s = turn.ended_s if turn.silent_s is None else turn.silent_s
        spans.add("speaking", turn.speaking_s, silent_s, within)
        if turn.generations and turn.generations[-1].status == "failed":
            root.set_status(Status(StatusCode.ERROR))
        spans.end(root, turn.ended_s)

    def start_span(self, name: str, start_ns: int, within: Context | None, attributes: Attributes) -> Span:
        """Begins a span at a time that is past."""
        return self._tracer.start_span(name, within or Context(), attributes=attributes, start_time=start_ns)

    async def close(self) -> None:
        """Sends what waits, as far as that can be done soon."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def close() -> None:
            self._provider.shutdown()
            if not loop.is_closed():
                loop.call_soon_threadsafe(closed.set)

        threading.Thread(target=close, name="last spans", daemon=True).start()
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await closed.wait()
        except TimeoutError:
            logger.warning("the last spans could not be sent in %g s", CLOSE_LIMIT_S)


class _Spans:
    """The spans of one turn.

    Args:
        tracing: makes them.
        epoch_s: the Unix time at 0 of the turn's clock.
    """

    def __init__(self, tracing: Tracing, epoch_s: float) -> None:
        self._tracing = tracing
        self._epoch_s = epoch_s

    def begin(self, name: str, start_s: float, within: Context | None, attributes: Attributes) -> Span:
        """Begins one."""
        return self._tracing.start_span(name, self._ns(start_s), within, attributes)

    def end(self, span: Span, end_s: float) -> None:
        """Ends it."""
        span.end(self._ns(end_s))

    def add(self, name: str, start_s: float | None, end_s: float | None, within: Context) -> None:
        """Adds one, if it is known when it began and ended, and it took time."""
        if start_s is not None and end_s is not None and end_s >= start_s:
            self.end(self.begin(name, start_s, within, {}), end_s)

    def _ns(self, at_s: float) -> int:
        return round((self._epoch_s + at_s) * 1e9)


def _add_answer(spans: _Spans, answer: GenerationTimes, within: Context, report: TurnReport) -> None:
    """Adds the spans of one answer, with the names of the semantic conventions for generative AI."""
    attributes: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "earpiece",
        "gen_ai.request.model": report.model,
        "gen_ai.conversation.id": report.session_id,
        "gen_ai.output.type": "text",
        "earpiece.answer.status": answer.status,
    }
    if answer.prompt_tokens:
        attributes["gen_ai.usage.input_tokens"] = answer.prompt_tokens
        attributes["gen_ai.usage.output_tokens"] = answer.completion_tokens
        attributes["gen_ai.usage.cache_read.input_tokens"] = answer.cached_tokens
    if answer.stop_reason is not None:
        attributes["gen_ai.response.finish_reasons"] = [answer.stop_reason]
    if answer.first_word_s is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = answer.first_word_s - answer.began_s
    span = spans.begin(f"chat {report.model}", answer.began_s, within, attributes)
    inside = set_span_in_context(span)
    spans.add("prefill", answer.began_s, answer.prefilled_s, inside)
    spans.add("first token", answer.began_s, answer.first_word_s, inside)
    spans.add("decode", answer.first_word_s, answer.last_word_s, inside)
    if answer.status == "failed":
        span.set_status(Status(StatusCode.ERROR))
    ended_s = answer.ended_s if answer.last_word_s is None or answer.status == "failed" else answer.last_word_s
    spans.end(span, answer.began_s if ended_s is None else ended_s)
