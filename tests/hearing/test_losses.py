"""Holes in a recording are added up by its clock."""

import math

import pytest

from realtime.hearing.losses import Timeline


@pytest.mark.parametrize(
    ("starts_s", "max_gap_s", "missing_s"),
    [
        ((0, 1, 2), math.inf, 0),
        ((0, 1, 2.5, 3.5), math.inf, 0.5),
        ((5, 6, 7), math.inf, 0),  # a broadcast is joined under way
        ((0, 1.01, 1.99, 3.01, 3.99), math.inf, 0),  # the clock jitters
        ((0, 1, 0, 1.25), math.inf, 0.25),  # a second recording begins at 0
        ((0, 1, 500, 501.5), 10, 0.5),  # a broadcast's clock begins anew
        ((0, 1, 500), math.inf, 498),
        ((0, None, 2, None), math.inf, 0),
        ((None, None), math.inf, 0),
    ],
)
def test_holes_add_up(starts_s: tuple[float | None, ...], max_gap_s: float, missing_s: float) -> None:
    timeline = Timeline(max_gap_s)
    for start_s in starts_s:
        timeline.place(start_s, 1.0)
    assert timeline.missing_s == pytest.approx(missing_s, abs=0.015)


def test_the_furthest_end_is_kept_where_a_clock_begins_anew() -> None:
    timeline = Timeline(math.inf)
    for start_s in (0, 1, 2, 0, 1):
        timeline.place(start_s, 1.0)
    assert timeline.reached_s == 3
