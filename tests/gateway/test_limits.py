"""Rates: what a sliding window lets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_hub.gateway.limits import RateWindow

GAPS = st.lists(st.floats(0.0, 5.0), min_size=1, max_size=200)


@given(GAPS, st.integers(1, 20), st.sampled_from([1.0, 10.0, 60.0]))
def test_no_window_holds_more_than_its_limit(gaps: list[float], limit: int, window: float) -> None:
    """Steps make the window shorter by one step at the most, and never longer."""
    rate, step = RateWindow(limit / window, window), min(1.0, window / 10)
    now, allowed = 100.0, list[float]()
    for gap in gaps:
        now += gap
        recent = [time for time in allowed if time > now - window]
        within_steps = [time for time in allowed if time > now - window + step]
        if rate.allow(now):
            assert len(within_steps) < rate.limit
            allowed.append(now)
        else:
            assert len(recent) >= rate.limit


def test_several_events_at_once_go_together_or_not_at_all() -> None:
    rate = RateWindow(1, 10)
    assert rate.allow(0.0, 8)
    assert not rate.allow(0.0, 3)
    assert rate.allow(0.0, 2)
    assert rate.rate(0.0) == pytest.approx(1.0)
    assert rate.rate(20.0) == 0.0
    assert rate.allow(20.0, 10)
