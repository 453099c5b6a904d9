"""What metrics and spans cost a session: CPU time for each thing that happens in it, and for `/metrics` itself.

    python -m tests.benchmarks.bench_telemetry

The baseline is the same session's taps with nobody listening. CPU time of the thread that they run on, so that other
processes count for nothing; medians and 95th percentiles of many rounds.
"""

import json
import time
from collections.abc import Callable
from statistics import quantiles

import numpy as np
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from models.scripted import ScriptedModel
from models.types import GenerationStats
from realtime.doors.attendance import Attendance
from realtime.events import MessageAdded, ResponseCreated, ResponseDelta, ResponseDone, ResponseTiming
from realtime.hearing.audio import AudioChunk
from realtime.inbox import Generated
from realtime.metrics import SessionMetrics
from realtime.session import SessionOptions
from realtime.taps import Tap, Taps
from realtime.telemetry.numbers import Numbers
from realtime.telemetry.tracing import Tracing
from realtime.turns.observations import DEFAULT_SPEAKER, TextSubmitted
from realtime.turns.options import FloorOptions

ROUNDS, CALLS = 200, 500
N_SESSIONS = 60  # that are in while `/metrics` is read

CHUNK = AudioChunk(np.zeros(320, np.float32), 0, DEFAULT_SPEAKER)
DELTA = ResponseDelta(response_id="resp_1", delta="word ", provisional=False)
STATS = GenerationStats(
    prompt_tokens=100, cached_tokens=90, completion_tokens=20, ttft_s=0.2, total_s=1.0, finish_reason="stop"
)
TIMING = ResponseTiming(pause_noticed_s=0.2, prefill_s=0.3, committed_s=0.6, first_token_s=0.4, done_s=2.0)
ANSWER = (
    MessageAdded(item_id="item_1", role="user", text="", audio_s=2.0),
    ResponseCreated(response_id="resp_1", item_id="item_1", provisional=False),
    ResponseDone(response_id="resp_1", status="completed", text="", response_latency_s=0.4, ttft_s=0.2, timing=TIMING),
)


def _answer(taps: Taps) -> None:
    taps.take_item(Generated(1, STATS), 1.0)
    for event in ANSWER:
        taps.take_event(event)


HAPPENINGS: dict[str, Callable[[Taps], None]] = {
    "a chunk of audio": lambda taps: taps.take_item(CHUNK, 1.0),
    "a decision": lambda taps: taps.take_decision(TextSubmitted("x"), ()),
    "a word of an answer": lambda taps: taps.take_event(DELTA),
    "a whole answer": _answer,
}


def _times_us(call: Callable[[], object], n_calls: int) -> tuple[float, float]:
    """Median and 95th percentile of a call, in microseconds of this thread."""
    times = []
    for _ in range(ROUNDS):
        began_s = time.thread_time()
        for _ in range(n_calls):
            call()
        times.append((time.thread_time() - began_s) / n_calls * 1e6)
    cuts = quantiles(times, n=20)
    return cuts[9], cuts[18]


def _taps(*taps: Tap) -> Taps:
    started = Taps(taps, "sess_1")
    started.start(
        ScriptedModel.info,
        SessionOptions(),
        FloorOptions(endpointing=SessionOptions().endpointing, pre_roll_s=0.3),
        caption_languages=None,
        voices=(),
    )
    return started


def main() -> None:
    """Measures, prints a table and one line of JSON."""
    numbers = Numbers("scripted", attendance=Attendance())
    kinds = {
        "nobody": _taps(),
        "metrics": _taps(numbers.tap(SessionMetrics())),
        "metrics and spans": _taps(numbers.tap(SessionMetrics()), Tracing(InMemorySpanExporter()).tap()),
    }
    found: dict[str, dict[str, tuple[float, float]]] = {}
    print(f"{'microseconds, p50 (p95)':<26}" + "".join(f"{kind:>22}" for kind in kinds))
    for happening, do in HAPPENINGS.items():
        n_calls = CALLS if happening != "a whole answer" else 20
        found[happening] = {kind: _times_us(lambda: do(taps), n_calls) for kind, taps in kinds.items()}  # noqa: B023
        print(f"{happening:<26}" + "".join(f"{f'{p50:.2f} ({p95:.2f})':>22}" for p50, p95 in found[happening].values()))
    for _ in range(N_SESSIONS):
        _taps(numbers.tap(SessionMetrics()))
    p50, p95 = _times_us(lambda: numbers.exposition(""), 1)
    print(f"/metrics with {N_SESSIONS} sessions: {p50 / 1000:.1f} ms ({p95 / 1000:.1f})")
    print(json.dumps({"us": found, "metrics_ms": [p50 / 1000, p95 / 1000]}))


if __name__ == "__main__":
    main()
