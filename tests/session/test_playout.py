import numpy as np
import pytest

from models.types import VOICE_RATE_HZ, Samples
from realtime.inbox import Played
from realtime.playout import LEAD_S, Playout


def ramp(begin_s: float, end_s: float) -> Samples:
    return np.arange(round(begin_s * VOICE_RATE_HZ), round(end_s * VOICE_RATE_HZ), dtype=np.float32)


class Taker:
    """Takes what is due at times that it chooses."""

    def __init__(self) -> None:
        self.reports: list[Played] = []
        self.playout = Playout(self.reports.append)
        self.playout.begin("resp_1", 7)

    def take(self, now_s: float) -> tuple[float, float]:
        """From where to where in the answer what was taken reaches, in seconds."""
        samples = self.playout.take(100 + now_s)
        if not len(samples):
            return (0.0, 0.0)
        return samples[0] / VOICE_RATE_HZ, (samples[-1] + 1) / VOICE_RATE_HZ

    @property
    def played_s(self) -> float:
        assert all(report.number == 7 for report in self.reports)
        return self.reports[-1].n_samples / VOICE_RATE_HZ


def test_sound_is_given_in_real_time_and_a_little_ahead() -> None:
    taker = Taker()
    taker.playout.add(ramp(0, 1))
    assert taker.take(0) == (0, 0), "it does not play yet"
    taker.playout.play()
    assert taker.take(1) == (0, LEAD_S)
    assert taker.played_s == 0
    assert taker.take(1.1) == pytest.approx((LEAD_S, 0.1 + LEAD_S))
    assert taker.played_s == pytest.approx(0.1)
    assert taker.take(3) == pytest.approx((0.3, 0.5)), "whoever is late gets no more at once"
    assert taker.played_s == pytest.approx(0.3)


def test_the_end_is_reported_when_it_has_been_played() -> None:
    taker = Taker()
    taker.playout.add(ramp(0, 0.3))
    taker.playout.play()
    for now_s in (0, 0.1, 0.2, 0.29):
        taker.take(now_s)
        assert taker.played_s < 0.3
    taker.take(0.31)
    assert taker.played_s == pytest.approx(0.3)
    n_reports = len(taker.reports)
    taker.take(0.5)
    assert len(taker.reports) == n_reports


def test_after_a_gap_the_next_phrase_is_played_when_it_comes() -> None:
    taker = Taker()
    taker.playout.add(ramp(0, 0.1))
    taker.playout.play()
    taker.take(0)
    taker.take(2)
    taker.playout.add(ramp(0.1, 1))
    assert taker.take(5) == pytest.approx((0.1, 0.1 + LEAD_S))
    taker.take(5.1)
    assert taker.played_s == pytest.approx(0.2)


def test_what_stopped_goes_on_from_where_it_is_told() -> None:
    taker = Taker()
    taker.playout.add(ramp(0, 2))
    taker.playout.play()
    taker.take(0)
    taker.take(0.5)
    taker.playout.stop()
    assert taker.take(0.6) == (0, 0)
    taker.playout.play(round(0.25 * VOICE_RATE_HZ))
    assert taker.take(9) == pytest.approx((0.25, 0.25 + LEAD_S))
    assert taker.played_s == pytest.approx(0.25)


def test_another_answer_begins_at_its_beginning() -> None:
    taker = Taker()
    taker.playout.add(ramp(0, 2))
    taker.playout.play()
    taker.take(0)
    taker.playout.begin("resp_2", 7)
    assert taker.take(0.1) == (0, 0)
    taker.playout.add(ramp(0, 2))
    taker.playout.play()
    assert taker.take(0.2) == (0, LEAD_S)
    assert taker.playout.response_id == "resp_2"
