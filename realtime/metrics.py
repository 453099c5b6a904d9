"""What happened in a session, in numbers: the turn-taking scores itself here.

A session counts; nothing is decided by these numbers. Read `dialogue.py` and `answers.py` for when each is counted.
"""

from collections import deque
from dataclasses import dataclass, field

from realtime.events import SessionMetricsReported
from realtime.hearing.audio import CaptureCounters
from realtime.hearing.intake import IntakeCounters

N_RECENT_WAITS = 20


@dataclass(slots=True)
class SessionMetrics:
    """The counts of one session.

    Attributes:
        turns: committed user turns, spoken or typed.
        unanswered_turns: of these, not meant for the assistant.
        long_turns: times a turn reached the longest length and was kept in parts.
        cut_ins: committed answers over which the speaker went on within a second: the turn was not over.
        provisional: answers started at a pause.
        retracted: of these, withdrawn: the speaker went on, typed, stopped it, or had said nothing.
        speculations_skipped: pauses at which the load did not allow a provisional answer.
        interrupted: answers cut off by a turn, or by the user's wish.
        false_interruptions: answers that stopped for a sound that was no turn, and went on.
        failed: answers the model could not finish, provisional ones too.
        scorer_failures: pauses that could not be scored, where silence alone decided.
        summaries: times the oldest messages became a summary.
        n_waits: turns whose end was found by the detector.
        total_wait_s: sum of their waits, last voiced sample to commit, on the sample clock.
        recent_waits_s: the newest of these.
        captions: messages whose words were written down.
        failed_captions: messages for which that failed.
        total_caption_wait_s: sum of the times from the commit of a message to its words, wall time; 0 where they were
            known before.
        rejected: messages and commands of the client that could not be understood or done.
        dropped_samples: audio that came while the inbox was full; to what comes next it is a gap.
        intakes: what was wrong with the clock of each speaker's audio.
        capture: what the transport's `Capture` repaired.
    """

    turns: int = 0
    unanswered_turns: int = 0
    long_turns: int = 0
    cut_ins: int = 0
    provisional: int = 0
    retracted: int = 0
    speculations_skipped: int = 0
    interrupted: int = 0
    false_interruptions: int = 0
    failed: int = 0
    scorer_failures: int = 0
    summaries: int = 0
    captions: int = 0
    failed_captions: int = 0
    total_caption_wait_s: float = 0.0
    rejected: int = 0
    n_waits: int = 0
    total_wait_s: float = 0.0
    recent_waits_s: deque[float] = field(default_factory=lambda: deque(maxlen=N_RECENT_WAITS))
    dropped_samples: int = 0
    intakes: list[IntakeCounters] = field(default_factory=list)
    capture: CaptureCounters = field(default_factory=CaptureCounters)

    def note_wait(self, wait_s: float) -> None:
        """Counts how long, after the last voiced sample, a turn was taken to have ended."""
        self.n_waits += 1
        self.total_wait_s += wait_s
        self.recent_waits_s.append(wait_s)

    def note_caption(self, wait_s: float) -> None:
        """Counts the words of a message, and how long after its commit they came."""
        self.captions += 1
        self.total_caption_wait_s += wait_s

    @property
    def mean_caption_wait_s(self) -> float:
        """Mean time from the commit of a message to its words."""
        return self.total_caption_wait_s / self.captions if self.captions else 0.0

    @property
    def regret_rate(self) -> float:
        """Share of the provisional answers that were retracted."""
        return self.retracted / self.provisional if self.provisional else 0.0

    @property
    def cut_in_rate(self) -> float:
        """Share of the turns found by the detector that were answered too early."""
        return self.cut_ins / self.n_waits if self.n_waits else 0.0

    @property
    def mean_wait_s(self) -> float:
        """Mean wait from the last voiced sample to the commit."""
        return self.total_wait_s / self.n_waits if self.n_waits else 0.0

    @property
    def _clock_drift_s(self) -> float:
        """The worst of the speakers' clocks."""
        drifts_s = [intake.clock_drift_s for intake in self.intakes]
        return max(drifts_s, key=abs) if drifts_s else 0.0

    def report(self) -> SessionMetricsReported:
        """Gives all of it as an event."""
        capture = self.capture
        return SessionMetricsReported(
            turns=self.turns,
            unanswered_turns=self.unanswered_turns,
            long_turns=self.long_turns,
            cut_ins=self.cut_ins,
            cut_in_rate=round(self.cut_in_rate, 4),
            provisional=self.provisional,
            retracted=self.retracted,
            regret_rate=round(self.regret_rate, 4),
            speculations_skipped=self.speculations_skipped,
            interrupted=self.interrupted,
            false_interruptions=self.false_interruptions,
            failed=self.failed,
            scorer_failures=self.scorer_failures,
            summaries=self.summaries,
            captions=self.captions,
            failed_captions=self.failed_captions,
            mean_caption_wait_s=round(self.mean_caption_wait_s, 4),
            rejected=self.rejected,
            mean_wait_s=round(self.mean_wait_s, 4),
            recent_waits_s=tuple(round(wait_s, 4) for wait_s in self.recent_waits_s),
            dropped_samples=self.dropped_samples,
            gap_samples=sum(intake.gap_samples for intake in self.intakes),
            repeated_samples=sum(intake.repeated_samples for intake in self.intakes),
            clock_drift_s=round(self._clock_drift_s, 3),
            non_finite_samples=capture.non_finite_samples,
            clipped_samples=capture.clipped_samples,
            offset_samples=capture.offset_samples,
            flat_samples=capture.flat_samples,
            rate_changes=capture.rate_changes,
            failed_chunks=capture.failed_chunks,
            lost_packets=capture.lost_packets,
            late_packets=capture.late_packets,
        )
