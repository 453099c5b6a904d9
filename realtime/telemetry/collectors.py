"""What is read off a running process when `/metrics` is asked for: who is in, and what is under way.

Nothing here is kept: each number has one owner, who is asked. Read `counts.py` for what sessions count, `engines.py`
for servers that generate.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from realtime.doors.attendance import Attendance


Gauges = dict[str, tuple[str, Callable[[], float]]]  # by name: what each is, and who is asked


class AttendanceCollector(Collector):
    """Sessions by the door through which their client first came, and by why they ended.

    Args:
        attendance: of the lobby.
    """

    def __init__(self, attendance: "Attendance") -> None:
        self._attendance = attendance

    def collect(self) -> Iterator[Metric]:
        """Gives them."""
        attendance = self._attendance
        present = GaugeMetricFamily("earpiece_sessions", "Sessions in progress.", labels=("door",))
        started = CounterMetricFamily("earpiece_sessions_started", "Sessions begun.", labels=("door",))
        ended = CounterMetricFamily("earpiece_sessions_ended", "Sessions ended.", labels=("door", "reason"))
        refused = CounterMetricFamily("earpiece_refusals", "Clients not let in.", labels=("door", "reason"))
        for door, count in attendance.started.items():
            started.add_metric((door,), count)
            present.add_metric((door,), attendance.present(door))
        for labels, count in attendance.ended.items():
            ended.add_metric(labels, count)
        for labels, count in attendance.refused.items():
            refused.add_metric(labels, count)
        yield from (present, started, ended, refused)


class GaugeCollector(Collector):
    """Numbers that somebody else has, asked for one by one.

    Args:
        gauges: by name: what each is, and who is asked.
    """

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Asks for all."""
        for name, (what, ask) in self._gauges.items():
            yield GaugeMetricFamily(f"earpiece_{name}", what, value=ask())
