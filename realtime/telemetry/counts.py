"""The counts of all sessions of a process together, those that have ended among them.

A session counts for itself (`realtime/metrics.py`), whether anybody looks or not. These counts are added up when they
are asked for, so that they cost a session nothing. Read `meter.py` for who says that a session has begun and ended.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from realtime.metrics import SessionMetrics


@dataclass(frozen=True, slots=True)
class _Count:
    """One metric: its name, what it counts, and the field of the report that has it."""

    name: str
    what: str
    field: str


COUNTS = (
    _Count("turns", "Turns of users, spoken or typed.", "turns"),
    _Count("unanswered_turns", "Of these, not meant for the assistant.", "unanswered_turns"),
    _Count("long_turns", "Times a turn reached the longest length and was kept in parts.", "long_turns"),
    _Count("cut_ins", "Turns after whose end the speaker went on at once: it was no end.", "cut_ins"),
    _Count("provisional_answers", "Answers begun at a pause.", "provisional"),
    _Count("retractions", "Of these, taken back.", "retracted"),
    _Count("skipped_provisional_answers", "Pauses at which the load allowed none.", "speculations_skipped"),
    _Count("interruptions", "Answers cut off by a turn, or by the user's wish.", "interrupted"),
    _Count("false_interruptions", "Answers that stopped for a sound that was no turn.", "false_interruptions"),
    _Count("failed_answers", "Answers that were not finished, provisional ones too.", "failed"),
    _Count("unscored_pauses", "Pauses that could not be judged, where silence alone decided.", "scorer_failures"),
    _Count("summaries", "Times the oldest messages became a summary.", "summaries"),
    _Count("captions", "Messages whose words were written down.", "captions"),
    _Count("failed_captions", "Messages for which that failed.", "failed_captions"),
    _Count("rejected_commands", "Messages of clients that could not be understood or done.", "rejected"),
    _Count("dropped_samples", "Audio dropped because 20 s of it waited, at 16 kHz.", "dropped_samples"),
    _Count("gap_samples", "Audio that never came, at 16 kHz.", "gap_samples"),
    _Count("repeated_samples", "Audio that came twice, at 16 kHz.", "repeated_samples"),
    _Count("clipped_samples", "Audio at its loudest, distorted.", "clipped_samples"),
    _Count("failed_chunks", "Pieces of audio that could not be read.", "failed_chunks"),
    _Count("lost_packets", "Packets of audio that were lost on the way.", "lost_packets"),
    _Count("late_packets", "Packets of audio that came too late.", "late_packets"),
)


class SessionCounts(Collector):
    """The counts of the sessions that were begun."""

    def __init__(self) -> None:
        self._living: dict[int, SessionMetrics] = {}
        self._ended: Counter[str] = Counter()

    def begin(self, counts: SessionMetrics) -> None:
        """Counts with a session, from now on."""
        self._living[id(counts)] = counts

    def end(self, counts: SessionMetrics) -> None:
        """Keeps what a session has come to; nothing, if it has ended before."""
        if self._living.pop(id(counts), None) is not None:
            self._ended.update(_values(counts))

    def collect(self) -> Iterator[Metric]:
        """Gives all counts."""
        sums = self._ended.copy()
        for counts in self._living.values():
            sums.update(_values(counts))
        for count in COUNTS:
            yield CounterMetricFamily(f"earpiece_{count.name}", count.what, value=sums[count.field])


def _values(counts: SessionMetrics) -> dict[str, int]:
    report = counts.report()
    return {count.field: getattr(report, count.field) for count in COUNTS}
