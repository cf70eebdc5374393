from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_hub.sources.backoff import Backoff


@given(st.integers(1, 30))
def test_delays_double_up_to_the_maximum_less_a_random_half(attempts: int) -> None:
    backoff = Backoff(initial=0.5, maximum=4.0)
    for attempt in range(attempts):
        whole = min(0.5 * 2**attempt, 4.0)
        assert whole / 2 <= backoff.next() <= whole
    backoff.reset()
    assert backoff.next() <= 0.5
