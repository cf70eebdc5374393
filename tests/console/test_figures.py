"""Percentiles from buckets, held to the definition of PromQL's histogram_quantile."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from realtime_hub.console.figures import quantile

BOUNDS = (0.01, 0.1, 1.0, 10.0, float("inf"))


def cumulative(values: list[float]) -> list[tuple[float, float]]:
    counts = [0] * len(BOUNDS)
    for value in values:
        counts[bisect_left(BOUNDS, value)] += 1
    return list(zip(BOUNDS, map(float, accumulate(counts)), strict=True))


@given(st.lists(st.floats(0.0001, 100), min_size=1), st.floats(0.01, 1))
def test_the_quantile_lies_in_the_bucket_of_the_value_that_it_stands_for(
    values: list[float], q: float
) -> None:
    found = quantile(cumulative(values), q)
    assert found is not None
    exact = sorted(values)[max(0, -int(-q * len(values) // 1) - 1)]
    place = bisect_left(BOUNDS, exact)
    low, high = (0.0, *BOUNDS)[place], BOUNDS[place]
    assert low <= found <= (BOUNDS[-2] if high == float("inf") else high) * (1 + 1e-9)


def test_without_observations_there_is_no_quantile() -> None:
    assert quantile([], 0.5) is None
    assert quantile(cumulative([]), 0.5) is None
