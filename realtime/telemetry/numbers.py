"""The metrics of one application: a registry of its own, so that two in one process never meet.

Read `instruments.py` for what sessions feed, `collectors.py` for what is read when somebody asks, README.md for the
table of all of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Info, ProcessCollector
from prometheus_client.exposition import choose_encoder

from realtime.metrics import SessionMetrics
from realtime.taps import Tap
from realtime.telemetry.collectors import AttendanceCollector, GaugeCollector, Gauges
from realtime.telemetry.counts import SessionCounts
from realtime.telemetry.engines import EngineCollector, EngineStates
from realtime.telemetry.instruments import Instruments
from realtime.telemetry.meter import SessionMeter

if TYPE_CHECKING:
    from realtime.doors.attendance import Attendance

LAG_EVERY_S = 0.25


class Numbers:
    """All metrics of one application.

    Args:
        model_name: that answers.
        attendance: who is in.
        engines: how the engines are that generate elsewhere; None: there are none.
    """

    def __init__(self, model_name: str, *, attendance: "Attendance", engines: EngineStates | None = None) -> None:
        self._registry = CollectorRegistry()
        self._instruments = Instruments(self._registry)
        self._counts = SessionCounts()
        self._registry.register(self._counts)
        self._registry.register(AttendanceCollector(attendance))
        if engines is not None:
            self._registry.register(EngineCollector(engines))
        ProcessCollector(registry=self._registry)
        Info("earpiece", "What answers.", registry=self._registry).info({"model": model_name})

    def watch(self, gauges: Gauges) -> None:
        """Gives other numbers, too, which are asked for each time that somebody asks for the metrics."""
        self._registry.register(GaugeCollector(gauges))

    def tap(self, counts: SessionMetrics) -> Tap:
        """Gives what measures one session.

        Args:
            counts: what that session counts itself.
        """
        return SessionMeter(self._instruments, self._counts, counts)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Gives all metrics as text, and its content type.

        Args:
            accept: what the client says it reads: Prometheus' own format, or OpenMetrics.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    @asynccontextmanager
    async def watching_the_loop(self) -> AsyncIterator[None]:
        """Measures how late the running event loop is, inside."""
        watching = asyncio.create_task(self._watch_the_loop(), name="event loop lag")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def _watch_the_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self._instruments.loop_lag.observe(max(0.0, loop.time() - due_s))
